"""Results for the Hub: the text of one model's, and YAML that a stranger's reader takes for what was meant."""

import json
import re

import pytest

from genbench.boards.columns import boards
from genbench.boards.hub import eval_results, lines, model_index, scalar
from genbench.errors import GenbenchError

COMMANDS = {"run": "genbench evaluate a.safetensors"}
NOTES = (
    "an upper bound; 95 % interval [1.98, 2.02] (t); in bits/dim, lower is better; seed 0; loose; "
    "data with sha256 ffffffffffffffff; genbench on cpu; made by: genbench evaluate a.safetensors"
)
HUB = f"""\
# `id` is to be the name of the benchmark on the Hub, `task_id` that of a task of its eval.yaml.
# without a value: modes: needs "modes" of the data
- dataset:
    id: "digits"
    task_id: "nll"
  value: 2.0
  date: "2026-01-01"
  notes: "{NOTES}"
- dataset:
    id: "digits"
    task_id: "tiny"
  value: 1.0e-05
  date: "2026-01-01"
  notes: "an estimate; interval: none: one draw; in share; seed 0; only 500 test examples; \
data with sha256 ffffffffffffffff; genbench on cpu"
"""
INDEX = f"""\
---
model-index:
- name: "a: \\"b\\""
  results:
  - task:
      type: "unconditional-image-generation"
    dataset:
      type: "digits"
      name: "digits"
      split: "test"
    metrics:
    - type: "nll"
      value: 2.0
      name: "nll"
      args:
        kind: "upper_bound"
        unit: "bits/dim"
        notes: "{NOTES}"
---
"""


@pytest.fixture
def found(record, missing):
    name = 'a: "b"'
    return [
        record("real", family="reference"),
        record(name, value=2.0, kind="upper_bound", ci_method="t", warnings=["loose"]),
        record(name, "tiny", 1e-05, kind="estimate", card={"direction": "none", "unit": "share"}, ci95=None,
               ci_method="none: one draw", complete=False, run_id="another"),
        missing(name, "modes", why='needs "modes" of the data'),
    ]  # fmt: skip


def test_every_value_is_a_result_with_its_interval_and_its_command_in_the_notes(found):
    assert eval_results(boards(found), COMMANDS) == HUB


def test_a_model_index_says_the_same(found):
    assert model_index(boards(found[:2]), COMMANDS) == INDEX


def test_the_hub_has_results_model_by_model(record, found):
    with pytest.raises(GenbenchError, match="here are a, b"):
        eval_results(boards([record("a"), record("b")]), {})
    with pytest.raises(GenbenchError, match="here are none"):
        eval_results(boards(found[:1]), {})


@pytest.mark.parametrize("value", [0.0, -2.5, 1e-05, 1e22, 1.5e-300, 3, True, 123456789.0])
def test_a_number_is_one_to_readers_of_yaml_1_1_too(value):
    """Whose numbers with a power of ten need a point, and a sign behind the e."""
    text = scalar(value)
    assert json.loads(text) == value
    assert not isinstance(value, float) or re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?", text)


def test_lists_and_tables_are_indented_by_where_they_stand():
    content = [{"a": {"b": [{"c": 1}, {"d": "x\n\\"}]}, "e": None}]
    assert "".join(lines(content)) == (
        '- a:\n    b:\n    - c: 1\n    - d: "x\\n\\\\"\n  e: null\n'
    )  # fmt: skip


def test_the_command_line_names_the_model(cli, record, tmp_path):
    from genbench.run.records import Run

    run = Run(tmp_path / "run")
    for model in ("a", "b"):
        run.put(record(model, cell_id=f"{model}-nll"))
    run.write_manifest({"run_id": "run", "command": "genbench evaluate x", "rows": {}})
    for kind in ("hub", "model-index"):
        assert cli("leaderboard", run.folder, "--format", kind)[0] == 2
        code, out, _ = cli("leaderboard", run.folder, "--format", kind, "--model", "a")
        assert code == 0
        assert "made by: genbench evaluate x" in out
    code, _, err = cli("leaderboard", run.folder, "--model", "c")
    assert code == 2
    assert "model 'c'" in err
