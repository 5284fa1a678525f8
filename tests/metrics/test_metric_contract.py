"""What every metric of features owes: no silent number on inputs that have none, and no value that depends on how."""

import math

import numpy as np
import pytest
import torch

from genbench.errors import GenbenchError, ModelError, Unavailable
from genbench.metrics import Measure, kd, per_class
from genbench.numerics.points import Points
from pointsets import METRICS, SETS, gaussians, measured, needs, values

REFUSALS = (GenbenchError, ModelError, Unavailable, ValueError)


def fewer_than_features():
    return gaussians(40, 90)


DEGENERATE = {
    "all points identical": lambda: {need: np.full((60, 5), 0.1, np.float32) for need in SETS},
    "identical samples": lambda: {**gaussians(), "sample_features": np.full((150, 6), 0.1, np.float32)},
    "constant features": lambda: {k: np.pad(x, ((0, 0), (0, 3)), constant_values=7) for k, x in gaussians().items()},
    "all sets the same": lambda: {need: gaussians()["train_features"] for need in SETS},
    "fewer rows than features": fewer_than_features,
    "two rows": lambda: {need: x[:2] for need, x in gaussians().items()},
    "one feature": lambda: {need: x[:, :1] for need, x in gaussians().items()},
    "zeros": lambda: {need: np.zeros((60, 5), np.float32) for need in SETS},
    "integers": lambda: {need: np.round(3 * x).astype(np.int64) for need, x in gaussians().items()},
    "far from the origin": lambda: {need: x.astype(np.float64) + 1e6 for need, x in gaussians().items()},
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", METRICS)
def test_a_degenerate_input_gives_a_number_that_says_what_it_is_or_a_clear_error(name, case):
    try:
        found = measured(name, DEGENERATE[case]())
    except REFUSALS as error:
        found, refusal = {}, str(error)
    assert found or len(refusal) > 20, "an error says what and what to do"
    for output, measure in found.items():
        assert isinstance(measure, Measure)
        assert math.isfinite(measure.value) or measure.n_nonfinite > 0, output
        if measure.stderr is None or measure.ci95 is None:
            assert measure.ci_method.startswith("none: "), output
        else:
            assert np.isfinite([measure.stderr, *measure.ci95]).all(), output
            rounding = 1e-12 * max(1.0, abs(measure.value))
            assert measure.ci95[0] - rounding <= measure.value <= measure.ci95[1] + rounding, output


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("need", SETS)
@pytest.mark.parametrize("name", METRICS)
def test_what_is_not_finite_is_an_error(name, need, bad):
    if need not in needs(name):
        pytest.skip(f"{name} does not look at {need}")
    sets = gaussians()
    sets[need][3, 2] = bad
    with pytest.raises(ModelError, match="NaN or infinite"):
        measured(name, sets)


@pytest.mark.parametrize("wrong", ["rank", "width", "dtype"])
@pytest.mark.parametrize("name", METRICS)
def test_what_is_no_matrix_of_numbers_is_an_error(name, wrong):
    x = gaussians()["sample_features"]
    samples = {"rank": x[:, :, None], "width": x[:, :-1], "dtype": x.astype(str)}[wrong]
    if wrong == "width" and len(needs(name)) == 1:
        pytest.skip("one set has one width")
    with pytest.raises(ValueError, match="widths" if wrong == "width" else "expected numbers"):
        measured(name, {**gaussians(), "sample_features": samples})


@pytest.mark.parametrize("name", METRICS)
def test_values_depend_on_neither_tiles_nor_threads(name):
    usual = values(measured(name, gaussians(80)))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        other = values(measured(name, gaussians(80), tile=(17, 64)))
    finally:
        torch.set_num_threads(threads)
    for output, found in usual.items():
        np.testing.assert_allclose(other[output], found, rtol=1e-10, atol=1e-12, err_msg=output)


@pytest.mark.parametrize("name", METRICS)
def test_values_do_not_depend_on_the_order_of_samples_and_of_test_examples(name):
    rng = np.random.default_rng(1)
    sets = gaussians()
    shuffled = {need: x if need == "train_features" else rng.permutation(x) for need, x in sets.items()}
    one, other = measured(name, sets), measured(name, shuffled)
    for output in one:
        assert values(other)[output] == pytest.approx(values(one)[output], rel=1e-10, abs=1e-12), output


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_left_as_they_were(name):
    sets = gaussians()
    kept = {need: x.copy() for need, x in sets.items()}
    measured(name, sets)
    for need, x in sets.items():
        np.testing.assert_array_equal(x, kept[need])


class Raw:
    """Rows that are features of something: known by that, whatever rounding does to the features."""

    def __init__(self, x: np.ndarray, who: str) -> None:
        self.x, self.keys = x, [f"{who}{i}".encode() for i in range(len(x))]

    def points(self, seed: int | None) -> Points:
        noise = 0 if seed is None else np.random.default_rng(seed).uniform(-1, 1, self.x.shape)
        return Points(self.x * (1 + 1e-9 * noise), keys=lambda: self.keys)


@pytest.mark.parametrize("exponent", [-100, -20, 20, 60])
@pytest.mark.parametrize("name", sorted(set(METRICS) - {"kd"}))
def test_values_of_data_in_another_unit_are_the_same_in_that_unit(name, exponent):
    """A power of two changes no bit but those of the exponent: squares of 1e-30 and of 1e18 are numbers too."""

    def in_unit(factor):
        return measured(name, {need: Raw(factor * x, need).points(None) for need, x in gaussians().items()})

    factor = np.float32(2.0**exponent)
    usual, other = in_unit(np.float32(1)), in_unit(factor)
    for output, found in usual.items():
        numbers = [[m.value, *(m.ci95 or ())] for m in (found, other[output])]
        assert len(numbers[0]) == len(numbers[1])
        assert any(
            np.allclose(numbers[1], np.multiply(numbers[0], float(factor) ** power), rtol=1e-4, atol=1e-300)
            for power in (0, 1, 2)
        ), (output, numbers)


@pytest.mark.parametrize("subsets", [0, 2])
@pytest.mark.parametrize("scale", [1e-4, 1e-8, 1e-20, 1e-30])
def test_the_kernel_distance_of_small_features_is_that_of_means(scale, subsets):
    """(1 + t)^3 is 1 + 3 t where t is small, and 1 is of no distance."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)), rng.normal(size=(60, 8)) + 0.3
    linear = [(a.sum(0) @ b.sum(0) - (a is b) * (a * b).sum()) for a, b in ((x, x), (y, y), (x, y))]
    expected = 3 / 8 * ((linear[0] + linear[1]) / (60 * 59) - 2 * linear[2] / 60**2)
    found = kd.compute(Points(scale * x), Points(scale * y), subsets=subsets, subset_size=60)["kd"]
    assert found.value == pytest.approx(scale**2 * expected, rel=1e-3)
    if not subsets:
        assert found.ci95[0] < found.value < found.ci95[1]


@pytest.mark.parametrize("name", [*METRICS, "per-class"])
def test_rounding_of_features_chooses_no_other_halves_groups_or_references(name):
    """Another processor or batch size rounds features otherwise; what is drawn must not hang on that."""
    raw = {need: Raw(x, need) for need, x in gaussians(240, dtype=np.float64).items()}
    found = []
    for seed in (None, 1):
        points = {need: one.points(seed) for need, one in raw.items()}
        if name == "per-class":
            labels = [np.arange(len(points[need])) % 2 for need in ("sample_features", "train_features")]
            found.append(per_class.compute(points["sample_features"], labels[0], points["train_features"], labels[1]))
        else:
            found.append(measured(name, points))
    for output, numbers in values(found[0]).items():
        np.testing.assert_allclose(values(found[1])[output], numbers, rtol=1e-5, atol=1e-8, err_msg=output)
