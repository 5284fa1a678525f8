"""Negative log-likelihoods in bits: value, kind and every diagnostic against arithmetic by hand."""

import math

import numpy as np
import pytest

from genbench.likelihood import LogLikelihood
from genbench.likelihood.bdmc import Bidirectional
from genbench.metrics import class_accuracy, mean, nll, nll_ais, nll_ode
from genbench.metrics._likelihood import NEGATED, bits_per_dim
from genbench.space import Space

SPACE = Space((1, 2, 2), levels=3)
BIT = 1 / (4 * math.log(2))  # of one nat, per dimension
VALUES = np.array([-1.0, -2.0, -6.0])
REAL = Space((4,))  # whose densities may exceed 1, so that intervals are cut nowhere


@pytest.mark.parametrize(
    ("kind", "negated"),
    [("exact", "exact"), ("lower_bound", "upper_bound"), ("upper_bound", "lower_bound"), ("estimate", "estimate")],
)
def test_a_bound_on_log_p_bounds_the_negative_from_the_other_side(kind, negated):
    found = bits_per_dim(LogLikelihood(VALUES, kind, "by hand"), REAL)
    assert found.kind == negated == NEGATED[kind]
    assert found.value == pytest.approx(3 * BIT)
    expected = mean(-VALUES * BIT)
    assert found.stderr == pytest.approx(expected.stderr)
    assert found.ci95 == pytest.approx(expected.ci95)
    assert (found.details["nats"], found.details["n"], found.details["method"]) == (3.0, 3, "by hand")


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not 'bound'"):
        LogLikelihood(VALUES, "bound", "by hand")


def test_the_diagnostics_are_means_over_examples_in_bits():
    found = bits_per_dim(
        LogLikelihood(
            VALUES,
            "lower_bound",
            "weights",
            mc_stderr=np.array([0.3, 0.4, 1.2]),
            ess=np.array([1.0, 5.0, 9.0]),
            bias=np.array([-0.1, -0.2, -0.6]),
            jackknife=VALUES + 1,
            curve_k=np.array([1, 5]),
            curve=np.stack([VALUES - 3, VALUES - 1], 1),
            details={"sigma": 0.5},
            warnings=("careful",),
        ),
        SPACE,
        details={"note": "given"},
    )
    # The standard error of a mean of independent errors: root of the sum of squares over n, here 1.3 / 3.
    assert found.details["mc_stderr"] == pytest.approx(1.3 / 3 * BIT)
    assert found.details["estimated_bias"] == pytest.approx(0.3 * BIT)
    assert found.details["jackknife"] == {"value": pytest.approx(2 * BIT), "kind": "estimate"}
    assert found.details["curve"] == {"1": pytest.approx(6 * BIT), "5": pytest.approx(4 * BIT)}
    quantiles = {"0": 1.0, "0.05": 1.4, "0.5": 5.0, "0.95": 8.6, "1": 9.0}
    assert found.details["ess_quantiles"] == {q: pytest.approx(value) for q, value in quantiles.items()}
    assert (found.details["sigma"], found.details["note"], found.warnings) == (0.5, "given", ("careful",))


def test_what_is_not_known_is_not_said():
    assert set(bits_per_dim(LogLikelihood(VALUES, "exact", "m"), SPACE).details) == {"nats", "n", "method"}


def test_a_log_likelihood_survives_being_kept():
    whole = LogLikelihood(
        VALUES,
        "lower_bound",
        "m",
        mc_stderr=VALUES + 10,
        curve_k=np.array([1]),
        curve=VALUES[:, None],
        rows={"acceptance": VALUES / 7, "steps": np.arange(6).reshape(3, 2)},
        details={"a": [1, {"b": None}]},
        warnings=("x", "y"),
    )
    again = LogLikelihood.from_arrays(whole.to_arrays())
    assert (again.kind, again.method, again.details, again.warnings) == ("lower_bound", "m", whole.details, ("x", "y"))
    for name in ("values", "mc_stderr", "curve_k", "curve"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert again.ess is None
    assert again.rows.keys() == whole.rows.keys()
    for name, value in whole.rows.items():
        np.testing.assert_array_equal(again.rows[name], value)


def test_annealing_gives_its_bound_its_gap_and_the_noise_it_was_given():
    zeros = np.zeros(4)
    both = Bidirectional(
        lower=np.array([1.0, 2, 3, 4]), upper=np.array([1.5, 2.5, 3.5, 5.5]), lower_ess=zeros, upper_ess=zeros,
        lower_acceptance=zeros, upper_acceptance=zeros,
    )  # fmt: skip
    bound = LogLikelihood(VALUES, "lower_bound", "ais", mc_stderr=np.zeros(3), details={"sigma": 0.25})
    found = nll_ais.compute(bound, both, SPACE, None)
    assert found["nll_ais"].kind == "upper_bound"
    assert found["nll_ais"].value == pytest.approx(3 * BIT)
    assert "sigma 0.25" in found["nll_ais"].details["note"]
    assert found["ais_gap"].value == pytest.approx(0.75)
    assert found["ais_gap"].details["n_simulated"] == 4
    plain = nll_ais.compute(LogLikelihood(VALUES, "lower_bound", "ais"), both, SPACE, None)
    assert "note" not in plain["nll_ais"].details


def test_every_metric_of_likelihoods_takes_the_kind_from_them():
    estimate = LogLikelihood(VALUES, "estimate", "ode")
    assert nll_ode.compute(estimate, SPACE, None)["nll_ode"].kind == "estimate"
    assert nll.compute(estimate, SPACE, None)["nll"].kind == "estimate"


def test_a_classifier_is_scored_at_the_label():
    by_class = np.log(np.array([[0.2, 0.1], [0.3, 0.4], [0.05, 0.01]]))
    found = class_accuracy.compute(by_class, np.array([0, 0, 1]), SPACE)
    assert found["accuracy"].value == pytest.approx(1 / 3)
    expected = -(math.log(0.2) + math.log(0.3) + math.log(0.01)) / 3
    assert found["nll_given_label"].value == pytest.approx(expected * BIT)
    assert found["nll_given_label"].kind == "exact"
