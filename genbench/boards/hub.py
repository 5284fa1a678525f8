"""A model's results for the Hugging Face Hub, with intervals, kinds and commands in their notes.

`eval_results` is a file for `.eval_results/` in a model's repository; the Hub gathers such files into the leaderboard
of the data set that they name, if it is registered as a benchmark there, with its metrics as tasks. `model_index` is
the older form, in the header of a model card, for data of any kind.

References:
    huggingface.co/docs/hub/eval-results; `EvalResultEntry` of huggingface_hub 2.4; modelcard.md of hub-docs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from genbench.boards.columns import Board
from genbench.errors import GenbenchError
from genbench.run.records import Record
from genbench.text import one_line

KINDS = {"exact": "exact", "upper_bound": "an upper bound", "lower_bound": "a lower bound", "estimate": "an estimate"}
TASKS = {3: "unconditional-image-generation"}  # by the number of axes of an example
TEXT = "char"  # what one of the values of a text is called


def eval_results(found: list[Board], commands: dict[str, str]) -> str:
    """YAML: one result for each metric with a value.

    Arguments:
        commands: the command behind every run_id.

    Raises:
        GenbenchError: the results are of several models, or of none.
    """
    _, records, left = of_one_model(found)
    entries = [
        {
            "dataset": {"id": r.dataset["name"], "task_id": r.metric["name"]},
            "value": r.value,
            "date": r.ended[:10],
            "notes": notes(r, commands),
        }
        for r in records
    ]
    told = "# `id` is to be the name of the benchmark on the Hub, `task_id` that of a task of its eval.yaml.\n"
    return told + comments(left) + "".join(lines(entries))


def model_index(found: list[Board], commands: dict[str, str]) -> str:
    """The same as `model-index`, the header of a model card. Arguments and errors are those of `eval_results`."""
    model, records, left = of_one_model(found)
    results = [
        {
            "task": {"type": task(r)},
            "dataset": {
                "type": r.dataset["name"],
                "name": r.dataset["name"],
                "split": r.dataset.get("split", "test"),
            },
            "metrics": [
                {
                    "type": r.metric["name"],
                    "value": r.value,
                    "name": r.metric.get("title", r.metric["name"]),
                    "args": {"kind": r.kind, "unit": r.metric["unit"], "notes": notes(r, commands)},
                }
            ],
        }
        for r in records
    ]
    body = lines({"model-index": [{"name": model, "results": results}]})
    return "---\n" + comments(left) + "".join(body) + "---\n"


def of_one_model(found: list[Board]) -> tuple[str, list[Record], list[str]]:
    """Its name, its records with a value in the order of the columns, and of the others why they have none."""
    models = {m for b in found for m in b.models if b.info[m]["family"] != "reference"}
    if len(models) != 1:
        shown = ", ".join(sorted(models)) or "none"
        raise GenbenchError(f"the Hub has results model by model, here are {shown}", "Name one with --model NAME.")
    (model,) = models
    records = [r for b in found for c in b.columns if (r := c.records.get(model)) is not None]
    left = [
        f"{r.metric['name']}: {(r.error or {}).get('message', 'the value is not finite')}"
        for r in records
        if r.status != "ok" or r.value is None
    ]
    return model, [r for r in records if r.status == "ok" and r.value is not None], left


def notes(record: Record, commands: dict[str, str]) -> str:
    """What a number alone does not say: kind, interval, unit, which side is better, protocol, command."""
    said = [KINDS[record.kind or "estimate"]]
    if record.ci95 is not None and None not in record.ci95:
        said.append(f"95 % interval [{record.ci95[0]:.6g}, {record.ci95[1]:.6g}] ({record.ci_method})")
    else:
        said.append(f"interval: {record.ci_method or 'none'}")
    direction = record.metric["direction"]
    said.append(f"in {record.metric['unit']}" + (f", {direction} is better" if direction != "none" else ""))
    if protocol := {name: value for name, value in sorted(record.protocol.items()) if value is not None}:
        said.append(", ".join(f"{name} {value}" for name, value in protocol.items()))
    if reference := record.metric.get("reference"):
        said.append(f"against the statistics in {reference['file']} with sha256 {reference['sha256'][:16]}")
    if not record.complete:
        said.append(f"only {record.dataset['n']} test examples")
    said += record.warnings
    said.append(f"data with sha256 {record.dataset['sha256'][:16]}")
    said.append(f"genbench {record.env.get('genbench', '')} on {record.env.get('device', 'unknown')}".strip())
    if record.run_id in commands:
        said.append(f"made by: {commands[record.run_id]}")
    return one_line("; ".join(said))


def task(record: Record) -> str:
    """The Hub's word for what the model does."""
    if record.dataset.get("per") == TEXT:
        return "text-generation"
    space = record.dataset.get("space") or {"shape": []}
    return TASKS.get(len(space["shape"]), "other")


def comments(left: Iterable[str]) -> str:
    return "".join(f"# without a value: {one_line(text)}\n" for text in left)


def lines(content: Any, indent: str = "") -> list[str]:
    """YAML in lines: texts as JSON writes them, which YAML reads alike."""
    if isinstance(content, dict):
        found = []
        for key, value in content.items():
            if isinstance(value, dict | list):
                found += [f"{indent}{key}:\n", *lines(value, indent if isinstance(value, list) else indent + "  ")]
            else:
                found.append(f"{indent}{key}: {scalar(value)}\n")
        return found
    items = []
    for one in content:
        first, *rest = lines(one, indent + "  ")
        items += [f"{indent}- {first[len(indent) + 2 :]}", *rest]
    return items


def scalar(value: Any) -> str:
    """A number that every YAML reader takes for one, or text in quotes.

    Example:
        >>> scalar(1e-05), scalar(2.5), scalar("a: b")
        ('1.0e-05', '2.5', '"a: b"')
    """
    if isinstance(value, float):
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else repr(value)
    return json.dumps(value, ensure_ascii=False)
