"""Translation: by hand, against the metrics that it rests on, and from a model to its records."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from genbench import datasets, evaluate
from genbench.errors import ModelError, Unavailable
from genbench.metrics import class_kept, cycle_error, domain_reached, fd, translation_fd
from genbench.metrics.probe import Probe
from genbench.models.sampling import translate
from genbench.numerics.points import Points
from genbench.space import Space

METRICS = ["translation-fd", "class-kept", "domain-reached", "cycle-error"]


@pytest.fixture(scope="module")
def inverted():
    """The digits, and as the other domain other digits, white on black: whoever inverts them translates."""
    digits = datasets.load("digits")
    halves = {s: np.array_split(np.arange(len(digits.split(s))), 2) for s in datasets.SPLITS}

    def part(i: int, change) -> datasets.Dataset:
        x = {s: change(digits.split(s)[rows[i]]) for s, rows in halves.items()}
        y = {s: digits.labels[s][rows[i]] for s, rows in halves.items()}
        return replace(digits, name=f"part{i}", labels=y, **x)

    return replace(part(0, lambda x: x), name="inverted", target=part(1, lambda x: 16 - x))


class Inverter:
    version = "1"

    def __init__(self, space: Space, change=lambda x, back: 16 - x) -> None:
        self.space, self.change = space, change

    def translate(self, x, back=False):
        return self.change(x, back)


def measured(model, data) -> dict:
    return {r.metric["name"].removesuffix("[pixels]"): r for r in evaluate(model, data, METRICS, extractor="pixels")}


def test_a_true_translator_is_as_good_as_real_data(inverted):
    """Inverting is a bijection of the pixels: all judges see of a translation what they see of the example."""
    true, real = measured(Inverter(inverted.space), inverted), measured("data:test", inverted)
    assert true["cycle-error"].value == true["cycle-error-back"].value == 0
    for name in ("domain-reached", "domain-reached-back"):
        assert true[name].value == real[name].value == 1
        assert true[name].details["untranslated"] == 0
    for name in ("class-kept", "class-kept-back"):
        assert min(true[name].value, real[name].value) > 0.9
        assert real[name].value == real[name].details["judge_on_real_data"] == true[name].details["judge_on_real_data"]
    for name in ("translation-fd", "translation-fd-back"):
        assert true[name].value < 2 * real[name].value < 0.1 * true[name].details["untranslated"]


def test_no_translation_stays_where_it_was(inverted):
    none = measured(Inverter(inverted.space, lambda x, back: x), inverted)
    assert none["cycle-error"].value == 0
    assert none["domain-reached"].value == none["domain-reached-back"].value == 0
    for name in ("translation-fd", "translation-fd-back"):
        assert none[name].value == pytest.approx(none[name].details["untranslated"], rel=1e-12)


def test_each_direction_is_measured_by_itself(inverted):
    """One that translates but does not come back."""
    half = measured(Inverter(inverted.space, lambda x, back: x if back else 16 - x), inverted)
    assert half["domain-reached"].value == 1
    assert half["domain-reached-back"].value == 0
    assert half["class-kept"].value > 0.9
    x = inverted.test.astype(float)
    assert half["cycle-error"].value == pytest.approx(np.abs(16 - 2 * x).mean() / 16, rel=1e-12)


def test_a_translator_of_other_digits_reaches_the_domain_and_keeps_no_class(inverted):
    """Each digit becomes one of the next class."""
    y, known = inverted.target.train, inverted.target.labels["train"]
    example = torch.stack([torch.from_numpy(y[known == c][0]) for c in range(10)]).long()
    fitted = Probe(inverted.train.reshape(-1, 64).astype(float), inverted.labels["train"])

    def change(x, back):
        return x if back else example[(fitted(x.flatten(1).double().numpy()) + 1) % 10]

    found = measured(Inverter(inverted.space, change), inverted)
    assert found["domain-reached"].value == 1
    assert found["class-kept"].value < 0.1
    confusion = np.array(found["class-kept"].details["confusion"])
    assert confusion.sum() == len(inverted.test)
    assert np.trace(np.roll(confusion, -1, axis=1)) > 0.9 * len(inverted.test)


def test_what_cannot_translate_and_data_of_one_domain_are_not_applicable(inverted, pixels_checkpoint):
    assert {r.status for r in measured(str(pixels_checkpoint), inverted).values()} == {"skipped"}
    digits = datasets.load("digits")
    records = measured(Inverter(digits.space), digits)
    assert {r.status for r in records.values()} == {"skipped"}
    assert "has no target domain" in str(records["cycle-error"].error)
    real = measured("data:test", inverted)
    assert real["cycle-error"].status == "skipped"
    assert real["class-kept"].status == "ok"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, back: x[:3], "given 8 examples, got 3"),
        (lambda x, back: x.float(), "expected integers"),
        (lambda x, back: x + 9, r"expected values 0\.\.16"),
        (lambda x, back: x.flatten(1), "expected \\[n, 1, 8, 8\\]"),
        (lambda x, back: None, "expected a tensor"),
    ],
)
def test_a_translation_outside_of_the_space_is_the_models_error(answer, words):
    digits = datasets.load("digits")
    x = digits.test[digits.test.reshape(500, -1).max(1) == 16][:8]
    with pytest.raises(ModelError, match=f"translate: {words}"):
        translate(Inverter(digits.space, answer), x, back=False)


# ---- the metrics as functions


def gaussians(seed: int, *sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 3)) + i for i, n in enumerate(sizes)]


def test_the_distance_is_fd_with_that_of_the_untranslated_beside_it():
    forth, there, x, back, here, y = gaussians(0, 40, 60, 50, 30, 70, 35)
    found = translation_fd.compute(forth, there, x, back, here, y)
    for name, translated, before, domain in (
        ("translation_fd", forth, x, there),
        ("translation_fd_back", back, y, here),
    ):
        one = fd.compute(translated, domain)["fd"]
        assert (found[name].value, found[name].ci95) == (one.value, one.ci95)
        assert found[name].details["untranslated"] == pytest.approx(fd.compute(before, domain)["fd"].value, rel=1e-12)


def test_cycle_errors_by_hand():
    space = Space((1, 1, 2), levels=5)
    x, y = (np.array(values, np.uint8).reshape(-1, 1, 1, 2) for values in ([[0, 4], [2, 2]], [[1, 1], [3, 0]]))
    back = np.array([[4, 4], [2, 1]], np.uint8).reshape(-1, 1, 1, 2)
    found = cycle_error.compute(back, x, y, y, space)
    assert found["cycle_error"].value == pytest.approx((4 / 2 + 1 / 2) / 4 / 2)
    assert found["cycle_error_back"].value == 0
    with pytest.raises(Unavailable, match="real numbers have none"):
        cycle_error.compute(back, x, y, y, Space((1, 1, 2)))
    with pytest.raises(ValueError, match="cycled: expected"):
        cycle_error.compute(back[:1], x, y, y, space)


def test_the_judge_is_the_probe_of_the_target_and_has_seen_nothing_else():
    there = np.concatenate(gaussians(1, 40, 40))
    known = np.repeat([0, 1], 40)
    x, here = gaussians(2, 30, 50)
    had, own = np.arange(30) % 2, np.arange(50) % 2
    found = class_kept.compute(x, had, there, known, there, known, here, own, here, own, here, own)
    judge = Probe(there, known)
    assert found["class_kept"].value == (judge(x) == had).mean()
    assert found["class_kept"].details["judge_on_real_data"] == (judge(there) == known).mean()
    assert found["class_kept_back"].value == found["class_kept_back"].details["judge_on_real_data"]


def test_a_judge_of_many_examples_takes_some_that_their_order_does_not_decide(monkeypatch):
    monkeypatch.setattr(class_kept, "EXAMPLES", 30)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((90, 3)), rng.integers(2, size=90)
    order = rng.permutation(90)
    one, other = (class_kept.judge_of(Points(x[o]), labels[o]) for o in (np.arange(90), order))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    assert not np.allclose(one.mean, x.mean(0))


def test_the_judge_of_domains_sees_as_many_of_either():
    rng = np.random.default_rng(0)
    many, few = rng.standard_normal((500, 2)), rng.standard_normal((20, 2)) + 1
    blind = domain_reached.judge_of(Points(many), Points(few))
    # With the counts as they come nearly nothing would be taken for the smaller domain.
    assert (blind(few) == 1).mean() > 0.5
    assert (Probe(np.concatenate([many, few]), np.repeat([0, 1], [500, 20]))(few) == 1).mean() < 0.2


def test_a_judge_that_cannot_tell_the_domains_apart_says_so():
    rng = np.random.default_rng(0)
    x, y, z, w = rng.standard_normal((4, 400, 2))
    found = domain_reached.compute(x, y, z, w, x, y)["domain_reached"]
    assert found.details["judge_on_real_data"] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 800))


def test_labels_of_another_length_are_refused():
    x, labels = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="labels of the translations"):
        class_kept.compute(x, labels[:3], x, labels, x, labels, x, labels, x, labels, x, labels)
