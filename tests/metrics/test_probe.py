"""The linear probe: its optimum, what it does not depend on, real data, and what it refuses."""

import numpy as np
import pytest
from scipy.special import logsumexp

from genbench import datasets, evaluate
from genbench.cli import shipped
from genbench.errors import ModelError, Unavailable
from genbench.metrics import probe
from genbench.studies.calibration import shares, simulate


def codes(n: int = 150, d: int = 4, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    centres = np.random.default_rng(9).standard_normal((classes, d))
    return 1.5 * centres[labels] + rng.standard_normal((n, d)), labels


def test_the_probe_is_at_the_optimum_of_the_penalised_likelihood():
    """The gradient by hand, C = 1: sum_i (p(y | z_i) - [y = y_i]) z_i + W = 0, and no penalty on b."""
    x, labels = codes()
    fitted = probe.Probe(x, labels)
    z = fitted.scaled(x)
    np.testing.assert_allclose([z.mean(0), z.std(0)], [np.zeros(4), np.ones(4)], atol=1e-12)
    W, b = fitted.regression.coef_, fitted.regression.intercept_
    logits = z @ W.T + b
    residual = np.exp(logits - logsumexp(logits, axis=1, keepdims=True)) - np.eye(3)[labels]
    assert np.abs(residual.T @ z + W).max() < 150 * 2e-4
    assert np.abs(residual.sum(0)).max() < 150 * 2e-4
    np.testing.assert_array_equal(fitted(x), logits.argmax(1))


def test_the_value_is_the_share_of_test_examples_in_their_class():
    train, test = codes(), codes(80, seed=1)
    found = probe.compute(*train, *test)["probe"]
    right = probe.Probe(*train)(test[0]) == test[1]
    assert found.value == right.mean()
    assert found.ci95[0] < found.value < found.ci95[1]
    for c in range(3):
        assert found.details["classes"][str(c)] == right[test[1] == c].mean()


def test_neither_scale_nor_shift_nor_constant_coordinates_nor_names_of_classes_change_it():
    (x, known), (y, asked) = codes(), codes(80, seed=1)
    value = probe.compute(x, known, y, asked)["probe"].value
    scale, shift = np.array([1e-3, 1, 50, 1e4]), np.array([3, -2, 0, 1e3])
    assert probe.compute(x * scale + shift, known, y * scale + shift, asked)["probe"].value == value
    padded = [np.pad(z, ((0, 0), (0, 2)), constant_values=7) for z in (x, y)]
    assert probe.compute(padded[0], known, padded[1], asked)["probe"].value == value
    names = np.array([5, 0, 9])
    assert probe.compute(x, names[known], y, names[asked])["probe"].value == value


def test_codes_without_the_class_are_guessed_and_codes_that_are_the_class_are_not():
    rng = np.random.default_rng(0)
    known, asked = rng.integers(4, size=400), rng.integers(4, size=400)
    blind = probe.compute(rng.standard_normal((400, 3)), known, rng.standard_normal((400, 3)), asked)["probe"]
    assert blind.value == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 400) ** 0.5)
    assert probe.compute(np.eye(4)[known], known, np.eye(4)[asked], asked)["probe"].value == 1


def test_a_class_that_training_never_showed_is_never_right():
    (x, known), (y, asked) = codes(), codes(80, seed=1)
    found = probe.compute(x[known < 2], known[known < 2], y, asked)["probe"]
    assert found.details["classes"]["2"] == 0


def test_the_row_of_real_data_probes_raw_pixels_and_a_model_its_codes():
    digits = datasets.load("digits")
    pixels = {split: digits.split(split).reshape(-1, 64) for split in ("train", "test")}
    expected = probe.compute(
        pixels["train"].astype(np.float32),
        digits.labels["train"],
        pixels["test"].astype(np.float32),
        digits.labels["test"],
    )["probe"]

    class Upside:
        """Codes that hold what the pixels do."""

        space, version = digits.space, "1"

        def sample(self, n, generator):
            raise AssertionError("a probe needs no samples")

        def encode(self, x):
            return 3.0 - 2 * x.flatten(1).flip(1)

    (real,) = evaluate("data:test", "digits", metrics=["probe"])
    (model,) = evaluate(Upside(), "digits", metrics=["probe"])
    assert real.value == expected.value > 0.95
    assert model.value == pytest.approx(real.value, abs=0.003)  # L-BFGS ends elsewhere within its tolerance


def test_what_has_no_encode_or_no_classes_is_not_applicable():
    floor = next(path for path in shipped("digits") if path.endswith("/independent-pixels.safetensors"))
    (record,) = evaluate(floor, "digits", metrics=["probe"])
    assert record.status == "skipped"
    assert "the model has no encode" in str(record.error)
    x, _ = codes()
    with pytest.raises(Unavailable, match="of one class"):
        probe.compute(x, np.zeros(150, int), x, np.zeros(150, int))


@pytest.mark.parametrize(
    "answer", [lambda x: x.flatten(1)[:3].float(), lambda x: x.float(), lambda x: x.flatten(1) / 0]
)
def test_an_encode_that_gives_no_codes_is_the_model_s_error(answer):
    from genbench.models.sampling import encode

    digits = datasets.load("digits")

    class Wrong:
        space = digits.space

        def encode(self, x):
            return answer(x)

    with pytest.raises(ModelError, match="encode: "):
        encode(Wrong(), digits.test[:8])


def test_labels_of_another_length_are_refused():
    x, labels = codes()
    with pytest.raises(ValueError, match="train_labels: expected integers"):
        probe.compute(x, labels[:-1], x, labels)


def test_the_interval_holds_the_accuracy_in_closed_form():
    """300 replicates know a coverage of 93 % to 1.5 %."""
    (row,) = simulate(shares.probed(100), 300)
    assert row.truth.value == pytest.approx(0.84, abs=0.02)  # Phi(1) is the most there is
    assert 93 - 4.5 <= row.coverage <= 97 + 3


@pytest.mark.parametrize("scale", [1e-310, 1e-170, 1e-30, 1.0, 1e30, 1e160, 1e300])
def test_a_scale_changes_nothing_or_is_refused_and_never_becomes_guessing(scale):
    """Codes that tell the classes apart do so at every scale; where the spread is lost there is no value."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    codes = np.eye(3)[labels] + 0.1 * rng.standard_normal((300, 3))
    given = (scale * codes[:200], labels[:200], scale * codes[200:], labels[200:])
    if 1e-100 < scale < 1e100:
        assert probe.compute(*given)["probe"].value == 1.0
    else:
        with pytest.raises(ModelError, match="beyond what float64 holds"):
            probe.compute(*given)
