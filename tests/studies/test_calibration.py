"""Intervals hold the truth about as often as they say; the full tables are docs/coverage.md."""

import math

import numpy as np
import pytest

from genbench import catalog
from genbench.errors import GenbenchError
from genbench.metrics import mean, normal
from genbench.studies.calibration import OF_DISTANCES, Case, Truth, distances, likelihoods, ranks, shares, simulate
from genbench.studies.calibration.__main__ import chosen, main, shown, table

CASES = [case for family in chosen(None).values() for case in family]
NO_INTERVAL = {"classes", "modes"}
# `mean`, over examples, as the rows of nll and of balance
BY_MEAN = {
    "amortisation_gap",
    "nll",
    "nll_ais",
    "ais_gap",
    "nll_ode",
    "nll_given_label",
    "completion_nll",
    "balance_data",
    "latent_kl",
}
# `area`, as the rows of auroc_likelihood
BY_AREA = {f"auroc_{score}" for score in ("complexity", "ratio", "typicality", "reconstruction")}
# Without an interval, as their own tests say.
COUNTED = {"active_units", "dci_disentanglement", "dci_completeness", "training_memory"}

BEYOND_A_BATCH = "windows correlate by 0.95"  # a known limit of batch means: see the test of it


def gaussian_means(stretch: float) -> Case:
    """The mean of 100 standard normal values, with its interval stretched."""

    def draw(rng):
        honest = mean(rng.standard_normal(100))
        return {"mean": normal(honest.value, stretch * honest.stderr)}

    return Case(("mean",), "Gaussian", "100", draw, lambda: {"mean": Truth(0.0)}, replicates=1000)


@pytest.mark.parametrize(
    "case", [c for c in likelihoods.cases() if c.what != BEYOND_A_BATCH], ids=lambda c: f"{c.what}, n={c.n}"
)
def test_nominal_95_percent_is_between_93_and_97(case):
    """1,000 replicates know a coverage of 95 % to 0.7 %: the limits are widened by three standard errors."""
    (row,) = simulate(case, 1000)
    assert 93 - 2.1 <= row.coverage <= 97 + 2.1


def test_dependence_that_reaches_beyond_a_batch_makes_batch_means_too_narrow_but_not_as_narrow_as_windows():
    (case,) = (c for c in likelihoods.cases() if c.what == BEYOND_A_BATCH)
    (row,) = simulate(case, 1000)
    assert row.outside == "below"
    # windows taken for independent: an error (1 + 0.95) / (1 - 0.95) = 39 times too small in variance holds 24 %
    assert row.coverage > 80


def test_every_output_that_has_an_interval_has_a_case():
    outputs = {name for entry in catalog.entries("metrics").values() for name in entry.constants["OUTPUTS"]}
    simulated = {output for case in CASES for output in case.outputs}
    assert outputs - NO_INTERVAL - BY_MEAN - BY_AREA - COUNTED <= simulated
    assert simulated <= outputs | {"any share", "ranks"}
    assert outputs >= OF_DISTANCES


@pytest.mark.parametrize("name", sorted(NO_INTERVAL))
def test_outputs_without_a_case_say_that_they_have_no_interval(name):
    case = next(c for c in CASES if c.outputs == (f"{name}_kl",))
    assert case.draw(np.random.default_rng(0))[name].ci_method.startswith("none: ")


@pytest.mark.parametrize("case", [distances.reconstructed(0.8, 0.3), shares.agreeing(0.7)], ids=lambda c: c.outputs[0])
def test_a_case_is_in_its_band(case):
    """By its lower end, less three standard errors of 200 replicates: 6.4 % below 90, 5.4 % below 93."""
    (row,) = simulate(case, 200)
    low = row.band[0] / 100
    assert row.intervals == 200
    assert row.coverage / 100 > low - 3 * math.sqrt(low * (1 - low) / 200)


@pytest.mark.parametrize(("stretch", "found"), [(0.7, "below"), (1.4, "above")])
def test_an_interval_of_the_wrong_width_is_found_out(stretch, found):
    # 2 Phi(1.96 stretch) - 1 = 83.0 % and 99.4 %; four standard errors of 1,000 replicates are 4.8 and 1.0 %.
    (row,) = simulate(gaussian_means(stretch))
    assert row.coverage == pytest.approx(100 * math.erf(1.96 * stretch / math.sqrt(2)), abs=4.8)
    assert row.outside == found
    assert shown(row).endswith(f", {found} 93-97**")


def test_what_an_interval_is_for_is_the_mean_of_the_replicates_where_no_truth_is_known():
    shifted = Case(("mean",), "shifted", "50", lambda rng: {"mean": mean(3 + rng.standard_normal(50))}, replicates=400)
    (row,) = simulate(shifted)
    assert row.truth.known == "mean of replicates"
    assert row.truth.value == pytest.approx(3, abs=4 / math.sqrt(50 * 400))
    assert row.outside == ""


def test_replicates_without_an_interval_are_counted_apart():
    def draw(rng):
        return {"mean": mean(rng.standard_normal(1 if rng.random() < 0.5 else 30))}

    (row,) = simulate(Case(("mean",), "now and then one value", "1 or 30", draw, lambda: {"mean": Truth(0.0)}), 100)
    assert row.intervals + row.without == 100
    assert 0 < row.without < 100
    assert f", {row.without} without" in table([row])


def test_an_output_that_never_has_an_interval_is_an_error():
    never = Case(("mean",), "one value", "1", lambda rng: {"mean": mean(rng.standard_normal(1))})
    with pytest.raises(ValueError, match="one value has no spread"):
        simulate(never, 3)


def test_the_same_seed_gives_the_same_row():
    case = distances.diversity(50, 4)
    assert simulate(case, 5) == simulate(case, 5)
    assert simulate(case, 5) != simulate(case, 5, seed=1)


def test_the_cubic_kernel_s_expectation_is_that_of_sampling():
    rng = np.random.default_rng(0)
    a, b, s, t, n = np.array([0.5, -0.2, 0.1]), np.array([0.3, 0.4, 0.0]), 1.2, 0.8, 400_000
    x, y = a + s * rng.standard_normal((n, 3)), b + t * rng.standard_normal((n, 3))
    k = ((x * y).sum(1) / 3 + 1) ** 3
    assert distances.mean_cubic(a, s, b, t) == pytest.approx(k.mean(), abs=4 * k.std() / math.sqrt(n))


def test_the_gaussian_kernel_s_expectation_is_that_of_sampling():
    rng = np.random.default_rng(0)
    z = 3 * rng.standard_normal((400_000, 5)) + np.array([8, 0, 0, 0, 0])
    k = np.exp(-(z**2).sum(1) / 200)
    assert distances.mean_gaussian(5, 8, 9) == pytest.approx(k.mean(), abs=4 * k.std() / math.sqrt(len(z)))


def test_the_expected_kl_by_hand():
    # Two draws of two classes, p = q = 1/2: with probability 1/2 both fall in one, KL = log 2, else KL = 0.
    assert shares.expected_kl(np.full(2, 0.5), np.full(2, 0.5), 2) == pytest.approx(math.log(2) / 2, rel=1e-12)


def test_the_distance_of_infinitely_many_samples_keeps_the_bias_of_the_training_set():
    """d = 1: FD = mean^2 + (1 - sd)^2 of m training examples, 1/m + var(sd) = 1/m + 1/(2m), up to 1/m^2."""
    (truth,) = distances.fd_of_training_sets(distances.Pair(1, 10, 400)).values()
    sd = math.sqrt(2 + 2 / 4) / 400  # of mean^2 and of (1 - sd)^2, which are multiples of chi-squared
    assert truth.value == pytest.approx(1.5 / 400, abs=4 * sd / math.sqrt(distances.SETS))


def test_the_command_prints_the_table_of_one_output(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["coverage", "--only", "copies", "--replicates", "3"])
    main()
    printed = capsys.readouterr()
    assert printed.out.count("\n| copies ") == 2
    assert "100%" in printed.err


def test_an_unknown_output_is_an_error():
    with pytest.raises(GenbenchError, match="unknown output 'copie'"):
        chosen("copie")


def test_rank_sets_of_models_that_tie_are_held_in_95_of_100_and_are_never_too_narrow():
    tied, _, _, near, *_ = ranks.cases()
    (row,) = simulate(tied, 600)
    assert 93 - 2.7 <= row.coverage <= 97 + 2.7  # three standard errors of 600 replicates
    (row,) = simulate(near, 200)
    assert row.coverage >= 95


def test_rank_sets_hold_rows_of_few_training_seeds_and_bounds_beside_exact_values():
    """Within three standard errors of 400 replicates."""
    found = {case.what: case for case in ranks.cases()}
    for what in ("6 models of 5 training seeds that tie", "3 exact likelihoods tie with 3 bounds, paired"):
        (row,) = simulate(found[what], 400)
        assert 93 - 3.3 <= row.coverage <= 97 + 3.3
