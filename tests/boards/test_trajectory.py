"""Checkpoints of one training as a curve."""

import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from genbench import datasets
from genbench.boards.trajectory import columns, plot, steps_of, table
from genbench.errors import GenbenchError
from genbench.models.training import preset_of, train


def source(name, steps=None):
    extra = SimpleNamespace(training={} if steps is None else {"steps": steps})
    return SimpleNamespace(name=name, adapter="checkpoint" if steps else "samples", extra=extra)


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["run/step=1000", "run/step=200"], {"run/step=200": 200, "run/step=1000": 1000}),
        (
            ["run/7-epoch=2-step=90", "run/7-epoch=1-step=45"],
            {"run/7-epoch=1-step=45": 45, "run/7-epoch=2-step=90": 90},
        ),
        (["a/checkpoint-0010", "a/checkpoint-0002"], {"a/checkpoint-0002": 2, "a/checkpoint-0010": 10}),
    ],
)
def test_the_step_is_the_last_number_that_differs(names, steps):
    found = steps_of([source(name) for name in names])
    assert found == steps
    assert list(found) == list(steps)  # in their order


def test_a_card_knows_better_than_a_name():
    assert steps_of([source("a1", 50), source("a2", 10)]) == {"a2": 10, "a1": 50}
    assert steps_of([source("a1", 50), source("a2", 50)]) == {"a1": 1, "a2": 2}  # seeds of one length


@pytest.mark.parametrize("names", [["a/best", "a/last"], ["a/step=1-x", "b/step=1-y"], ["a/1", "a/2-3"]])
def test_checkpoints_without_steps_are_refused(names):
    with pytest.raises(GenbenchError, match="do not say their steps"):
        steps_of([source(name) for name in names])


def test_the_command_prints_a_line_for_each_step_and_draws_the_curve(cli, tmp_path):
    digits = datasets.load("digits")
    for steps in (2, 10, 30):
        made = replace(preset_of("nice", "digits", {}), steps=steps, validate_every=steps)
        train("nice", digits, made, tmp_path / f"nice-{steps}.safetensors")
    np.save("other.npy", digits.train[:20])
    asked = "--metrics", "nll,copies", "--samples", 20, "--limit", 30, "--k", 1, "-o", "run"
    models = f"mine={tmp_path}/nice-*.safetensors", "other=samples:other.npy"
    code, out, err = cli("evaluate", *models, "--trajectory", *asked)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    own, _, beside = out.partition("# digits")
    lines = [line for line in own.splitlines() if re.match(r"\d+ ", line)]
    assert [line.split()[0] for line in lines] == ["2", "10", "30"]
    assert "real test data" in beside  # what nothing is dropped of
    assert "other" in beside
    values = [float(re.search(r"≤ ([\d.]+)", line).group(1)) for line in lines]
    assert values[0] > values[2]  # it learns
    svg = ElementTree.parse("run/mine.svg")
    text = "".join(svg.getroot().itertext())
    assert "step of training" in text
    assert "nll" in text

    code, _, err = cli("evaluate", f"mine={tmp_path}/nice-2.safetensors", "--trajectory", *asked)
    assert (code, "--trajectory needs several checkpoints" in err) == (2, True)


def a_run(record, missing, metrics):
    steps = {"t/1": 1, "t/2": 2}
    made = [record(m, name, 1.5 + i, 0.1) for i, m in enumerate(steps) for name in metrics]
    return steps, [*made, *(missing(m, "accuracy", why="no classes") for m in steps)]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ["t", "a name | of\nmany <b>words</b> $$"])
def test_the_table_fits_and_has_every_metric(record, missing, width, name):
    metrics = [f"metric-{i}[pixels]" for i in range(12)]
    steps, records = a_run(record, missing, metrics)
    text = table(name, columns(records, steps), steps, width)
    assert max(map(len, text.splitlines())) <= width
    for i in range(12):
        assert f"metric-{i}" in text
    assert "no classes" in text  # why there is no value
    assert plot(name, columns(records, steps), steps).startswith(b"<?xml")


def test_a_metric_without_any_value_says_why_and_is_not_drawn(record, missing):
    steps, records = a_run(record, missing, [])
    assert "no classes" in table("t", columns(records, steps), steps, 80)
    assert plot("t", columns(records, steps), steps) is None
