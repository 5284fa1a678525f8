"""Every parameter of every metric, and every field of a protocol, has a domain, and nothing outside it is measured."""

import math
from dataclasses import fields, replace

import pytest

from genbench import catalog
from genbench.domains import check, holds
from genbench.errors import GenbenchError
from genbench.run.plan import jobs
from genbench.run.protocol import Protocol, Suite

PARAMETERS = [(metric, name) for metric, e in catalog.entries("metrics").items() for name in e.parameters]
FIELDS = [field.name for field in fields(Protocol)]
NEVER = [math.nan, -1e300, "", "x", [], {}, (1,), b"1", 1j]  # in no domain at all
# What a reader of the definitions expects, written down a second time.
OUTSIDE = {
    "anomaly-ratio": {"mu": [0, 1.1, -0.5, True]},
    "decision": {"costs": ["Ask", "", None], "ask": [0, 1, -0.1, 2.0]},
    "disentanglement": {"bins": [1, 0, 2.0], "trees": [0, -1, 1.5]},
    "label-efficiency": {"draws": [1, 0, 2.0], "components": [0, -1]},
    "latent-neighbours": {"k": [0, 1.0]},
    "mutual-information": {"draws": [0, -1, 1.5]},
    "bins": {"bins": [1, 0, 2.0, True]},
    "cmmd": {"sigma": [0, 1e-300, 1e300, -1.0, math.inf, True, None], "normalise": [1, 0, "true", None]},
    "data-copying": {"cells": [0, 2.5], "components": [0, -1], "seed": [-1, 2**32, 0.0]},
    "clipped-density-coverage": {"k": [0, -3, 5.0, False]},
    "density-coverage": {"k": [0, -3, 5.0, False]},
    "fd-infinity": {"parts": [1, -5, True]},
    "inception-score": {"splits": [0, 10.0]},
    "kd": {"subsets": [-1, 0.5, False], "subset_size": [1, 0, None]},
    "mifid": {"tau": [-1, 0, 1.1, math.inf], "epsilon": [-1, 0, -1e-14, 1.5, 1e308, math.inf, True]},
    "near-duplicates": {"neighbours": [0, 50.0], "alpha": [0, -0.5, math.inf]},
    "path-length": {"discard_below": [-1, 50, 99.0], "discard_above": [50, 100.1, math.inf]},
    "precision-recall": {"k": [0, "3", 3.0]},
    "realism": {"k": [0, True]},
    "sliced-wasserstein": {"directions": [1, 0], "seed": [-1, 2**32]},
    "vendi": {"q": [0, -1, "infinity", True, None]},
}
INSIDE = {
    "anomaly-ratio": {"mu": [1, 1e-9]},
    "decision": {"costs": ["ask", "error", "distance"], "ask": [1e-9, 0.999]},
    "disentanglement": {"bins": [2], "trees": [1]},
    "label-efficiency": {"draws": [2], "components": [1]},
    "latent-neighbours": {"k": [1]},
    "mutual-information": {"draws": [1]},
    "bins": {"bins": [2, 10**6]},
    "cmmd": {"sigma": [1e-100, 7, 1e100], "normalise": [True, False]},
    "data-copying": {"cells": [1], "components": [1], "seed": [0, 2**32 - 1]},
    "clipped-density-coverage": {"k": [1]},
    "density-coverage": {"k": [1]},
    "fd-infinity": {"parts": [2]},
    "inception-score": {"splits": [1]},
    "kd": {"subsets": [0, 1], "subset_size": [2]},
    "mifid": {"tau": [1, 1e-9], "epsilon": [1e-300, 1]},
    "near-duplicates": {"neighbours": [1], "alpha": [1e-9, 3]},
    "path-length": {"discard_below": [0, 49.9], "discard_above": [50.1, 100]},
    "precision-recall": {"k": [1]},
    "realism": {"k": [1]},
    "sliced-wasserstein": {"directions": [2], "seed": [0, 2**32 - 1]},
    "vendi": {"q": [1e-9, 2, "inf", math.inf]},
}
OUTSIDE_PROTOCOL = {
    **{name: [0, -1, 2.0, True, "5"] for name in ("n_samples", "block_size", "k", "limit")},
    **{name: [0, -1, 2.0, True, None] for name in ("temperatures", "chains", "leapfrog", "simulated")},
    "seed": [-1, 0.0, False, None, "0"],
    "rtol": [0, 1, -1e-4, 2.0, math.inf, True],
    "step": [0, 1, -1e-4, 1.5, False],
    "schedule": ["Sigmoid", "cosine", None, 1],
    "entry": ["Own", "dequantised", None, 1],
    "path": ["geodesic", "", None],
    "outside": [1, None, b"noise"],
}


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        ("a whole number in [1, inf)", [1, 2, 10**400], [0, 1.0, True, None, "1", math.inf]),
        ("a number in (0, 1]", [1, 1.0, 1e-300], [0, 0.0, -0.0, 1.0000001, True, None]),
        ("a number in [0, 1)", [0, -0.0, 0.9999], [1, 1.0, -1e-300, False]),
        ("a number in (0, inf]", [math.inf, 3], [-math.inf, 0]),
        ('"a" or "b c"', ["a", "b c"], ["b", "c", '"a"', None]),
        ("true or false", [True, False], [1, 0, "true", None]),
        ("a whole number in [0, 3] or none", [0, 3, None], [4, False]),
    ],
)
def test_a_domain_holds_what_it_says(domain, inside, outside):
    assert all(holds(domain, value) for value in inside)
    assert not any(holds(domain, value) for value in [*outside, *NEVER])


@pytest.mark.parametrize(
    "words", ["", "integer >= 1", "a number in [0, 1", "a whole number in [0, 1] or yes", "a number"]
)
def test_words_that_are_no_domain_are_an_error_whatever_the_value(words):
    for value in (0, 1, "yes", None):
        with pytest.raises(ValueError, match="is no domain"):
            holds(words, value)


def test_a_value_outside_is_an_error_that_says_what_to_give():
    with pytest.raises(GenbenchError) as caught:
        check({"tau": "a number in (0, 1]"}, {"tau": 1.1, "other": -5}, "metric 'mifid'")
    assert str(caught.value).split("\n") == ["metric 'mifid': tau is 1.1", "  Give a number in (0, 1]."]


@pytest.mark.parametrize(("metric", "name"), PARAMETERS)
def test_every_parameter_of_a_metric_has_a_domain_that_holds_its_default(metric, name):
    entry = catalog.find("metrics", metric)
    assert set(entry.constants["DOMAINS"]) == set(entry.parameters)
    assert holds(entry.constants["DOMAINS"][name], entry.parameters[name])


def test_the_tables_of_this_file_leave_no_parameter_and_no_field_out():
    found = {metric: set(by_name) for metric, by_name in OUTSIDE.items()}
    assert found == {metric: set(by_name) for metric, by_name in INSIDE.items()}
    assert found == {metric: {n for m, n in PARAMETERS if m == metric} for metric, _ in PARAMETERS}
    assert set(OUTSIDE_PROTOCOL) >= set(FIELDS)


def asked(metric, name, value):
    return jobs((metric,), "pixels", {metric: {name: value}})


@pytest.mark.parametrize(("metric", "name"), PARAMETERS)
def test_a_plan_refuses_what_is_outside_and_takes_what_is_inside(metric, name):
    for value in [*OUTSIDE[metric][name], *NEVER]:
        with pytest.raises(GenbenchError, match=f"metric '{metric}': {name} is") as caught:
            asked(metric, name, value)
        assert caught.value.remedy.startswith("Give ")
    for value in INSIDE[metric][name]:
        (job,) = asked(metric, name, value)
        assert job.params[name] == ("inf" if value == math.inf else value)


@pytest.mark.parametrize(("metric", "name"), PARAMETERS)
def test_compute_refuses_it_too_before_it_looks_at_anything(metric, name):
    module = catalog.load("metrics", metric)
    nothing = dict.fromkeys(module.NEEDS)
    for value in [*OUTSIDE[metric][name], *NEVER]:
        with pytest.raises(GenbenchError, match=rf"{name} is"):
            module.compute(**nothing, **{name: value})


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"kd": {"subset": 3}}, "unknown parameter of metric 'kd' 'subset'"),
        ({"kdd": {"subsets": 3}}, "unknown metric 'kdd'"),
        ({"fd": {"k": 3}}, "unknown parameter of metric 'fd' 'k'"),
    ],
)
def test_a_parameter_that_no_metric_has_is_an_error(params, problem):
    with pytest.raises(GenbenchError, match=problem):
        jobs(("kd",), "pixels", params)


def test_a_metric_is_found_under_either_spelling_of_its_name():
    for spelt in ("fd-infinity", "fd_infinity"):
        (job,) = jobs(("fd-infinity",), "pixels", {spelt: {"parts": 7}})
        assert job.params == {"parts": 7}


@pytest.mark.parametrize("name", FIELDS)
def test_a_protocol_refuses_what_is_outside(name):
    never = [value for value in NEVER if name != "outside" or not isinstance(value, str)]  # which other data there are
    for value in [*OUTSIDE_PROTOCOL[name], *never]:  # the data say
        with pytest.raises(GenbenchError, match=name):
            replace(Protocol(), **{name: value})


def test_a_protocol_takes_what_is_inside():
    counts = dict.fromkeys(("n_samples", "block_size", "k", "temperatures", "chains", "leapfrog", "simulated"), 1)
    Protocol(**counts, seed=2**32 - 1, rtol=0.99, step=1e-300, schedule="linear", path="lerp", limit=1)


def test_a_suite_file_with_a_field_outside_says_so(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text('dataset = "digits"\nmetrics = ["nll"]\n[protocol]\nrtol = 1.5\n')
    with pytest.raises(GenbenchError, match=r"rtol is 1\.5"):
        Suite.read(path)
