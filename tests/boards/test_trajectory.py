"""Checkpoints of one training as a curve."""

import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from genbench import datasets
from genbench.boards.trajectory import steps_of
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
    asked = "--metrics", "nll,copies", "--samples", 20, "--limit", 30, "--k", 1, "-o", "run"
    code, out, err = cli("evaluate", f"mine={tmp_path}/nice-*.safetensors", "--trajectory", *asked)
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines[2:5]] == ["2", "10", "30"]
    values = [float(re.search(r"≤ ([\d.]+)", line).group(1)) for line in out.splitlines()[2:5]]
    assert values[0] > values[2]  # it learns
    svg = ElementTree.parse("run/mine.svg")
    text = "".join(svg.getroot().itertext())
    assert "step of training" in text
    assert "nll" in text

    code, _, err = cli("evaluate", f"mine={tmp_path}/nice-2.safetensors", "--trajectory", *asked)
    assert (code, "--trajectory needs several checkpoints" in err) == (2, True)
