"""Rows of several checkpoints: one model trained with different seeds stands on a board by the mean of their values.

`genbench evaluate name=path/*.safetensors` plans such a row; the record of each checkpoint stays as it is, and the row
is made of them here. With v_s the values of S checkpoints and x_si what checkpoint s has for test example i, the
variance of the row's value is

    Var_i(mean_s x_si) / n   +   Var_s(v_s) / S,

the noise of the test examples, which all checkpoints share, and that of training and sampling; the interval is t with
the degrees of freedom of Satterthwaite. Of samples that are compared with training examples, which all checkpoints
share too, the first part is how the mean of the values moves with these (`metrics/_shared.py`). Where neither is kept
it is (mean_s se_s)^2, which it never exceeds: the standard errors as if all checkpoints erred alike.

References:
    An approximate distribution of estimates of variance components (Satterthwaite, 1946).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from genbench.boards.columns import cards, column_key
from genbench.boards.ranks import PER_EXAMPLE, Row
from genbench.files import content_key
from genbench.metrics import NOT_ASKED
from genbench.numerics import student
from genbench.numerics.intervals import Z95
from genbench.run.records import SHARED, Record, Run, example_values, in_rows, model_key, said_of
from genbench.space import Space


def shown_rows(runs: list[Run]) -> list[Record]:
    """The records of several runs as boards show them."""
    return pooled(in_rows(runs), runs)


def pooled(records: Iterable[Record], runs: list[Run]) -> list[Record]:
    """The records, with one for each value of a row of several checkpoints in the place of theirs.

    A row is what the latest plan says: checkpoints that it no longer has stand by themselves. A model that has the name
    of such a row has the beginning of its key behind it.
    """
    records = list(records)
    plans: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        if seeds := record.model.get("seeds"):
            at = (record.dataset["name"], seeds["name"])
            plans[at] = max(plans.get(at, seeds), seeds, key=lambda s: s["planned"])
    if not plans:
        return records
    alone: list[Record] = []
    rows: dict[tuple[str, str, str], dict[str, Record]] = {}
    for record in records:
        seeds, key = record.model.get("seeds"), model_key(record)
        at = (record.dataset["name"], seeds["name"] if seeds else record.model["name"])
        if seeds and key in plans[at]["members"]:
            found_so_far = rows.setdefault((*at, column_key(record)), {})
            if key not in found_so_far or found_so_far[key].alone or not record.alone:
                found_so_far[key] = record
        elif not seeds and at in plans:
            alone.append(replace(record, model={**record.model, "name": f"{at[1]} [{key[:6]}]"}))
        else:
            alone.append(record)
    known, planned = cards(), {row["model"]: row for run in runs for row in run.rows().values()}
    for (dataset, name, _), found in rows.items():
        members = plans[dataset, name]["members"]
        some = [found[key] for key in members if key in found]
        card = known.get(some[0].metric["name"].partition("[")[0], {})
        row = of_seeds(name, members, some, runs, card.get("range", (None, None)))
        row.model["trainings"] = [training(planned.get(key, {})) for key in members]
        alone.append(row)
    return alone


def training(row: Mapping[str, Any]) -> dict[str, Any]:
    """How a checkpoint was trained, as a row of a manifest has it: its seed, and the command, where they are known."""
    return {"seed": row.get("training_seed"), "command": row.get("training_command") or ""}


def of_seeds(
    name: str, members: list[str], records: list[Record], runs: list[Run], limits: tuple[float | None, float | None]
) -> Record:
    """The record of a row, of those of its checkpoints.

    Arguments:
        members: the keys of all its checkpoints, also of those that have no record.
        limits: the least and the most that the value can be.
    """
    first = records[0]
    model = {k: v for k, v in first.model.items() if k not in ("seeds", "sha256")}
    model |= {"name": name, "key": content_key(members), "source": f"{len(members)} checkpoints of different seeds"}
    changed = dict(
        cell_id=content_key(["row", *(r.cell_id for r in records)]),
        model=model,
        value=None, kind=None, stderr=None, ci95=None, ci_method="",
        n_nonfinite=sum(r.n_nonfinite for r in records),
        complete=all(r.complete for r in records),
        ended=max(r.ended for r in records),
        warnings=list(dict.fromkeys(w for r in records for w in r.warnings)),
        details={}, arrays={}, timing={}, error=None,
    )  # fmt: skip
    row = Row(**{**vars(first), **changed})
    if len(records) == len(members) and {r.status for r in records} == {"skipped"}:
        return replace(row, status="skipped", error=first.error)
    kinds = {r.kind for r in records}
    lacking = len(members) - sum(r.status == "ok" for r in records)
    if lacking or len(kinds) > 1:
        why = f"{lacking} of {len(members)} checkpoints have no value" if lacking else "the values are of several kinds"
        return replace(row, status="error", error={"type": "Incomplete", "message": why})
    row.kind = first.kind
    row.details = {"note": f"mean of {len(members)} training seeds, whose spread is in the interval"}
    row.details["seeds"] = [r.value for r in records]
    for r in records:
        if r.details.get("flagged"):
            row.details |= {"flagged": True, **({"flag": r.details["flag"]} if "flag" in r.details else {})}
    values = np.array([math.nan if r.value is None else r.value for r in records])
    if not np.isfinite(values).all():
        return replace(row, ci_method="none: the value of a checkpoint is not finite")
    if any(r.alone for r in records):
        row.metric = {**row.metric, **said_of(intervals=False)}
        row.details["note"] = f"mean of {len(members)} training seeds"
        return replace(row, value=float(values.mean()), ci_method=NOT_ASKED)
    row.metric = {name: said for name, said in row.metric.items() if name != "intervals"}
    within, freedom, how = of_examples(records, runs)
    between = float(values.var(ddof=1)) / len(values)
    value, variance = float(values.mean()), within + between
    row.freedom = student.satterthwaite((within, freedom), (between, len(values) - 1))
    half = student.quantile(0.975, row.freedom) * math.sqrt(variance)
    low, high = (bound if bound is not None else end for bound, end in zip(limits, (-math.inf, math.inf), strict=True))
    ci = (min(value, max(low, value - half)), max(value, min(high, value + half)))
    method = f"t over {len(values)} training seeds and {how} (Satterthwaite 1946)"
    artifacts = [a for a in (PER_EXAMPLE.get(first.metric["name"], ""), SHARED) if a in first.arrays]
    row.behind = {artifact: [r.arrays.get(artifact, "") for r in records] for artifact in artifacts}
    return replace(row, value=value, stderr=math.sqrt(variance), ci95=ci, ci_method=method, between=between)


def of_examples(records: list[Record], runs: list[Run]) -> tuple[float, float, str]:
    """The part of the variance that is not the checkpoints' own, its degrees of freedom, and what it is, in words."""
    artifact = PER_EXAMPLE.get(records[0].metric["name"], "")
    kept = [example_values(runs, r.arrays.get(artifact, "")) for r in records]
    values = [v for v in kept if v is not None]
    if len(values) == len(records) and len({len(v) for v in values}) == 1 and len(values[0]) > 1:
        mean = np.mean(values, axis=0) * Space.from_dict(records[0].dataset["space"]).bits_per_dim(1.0)
        if np.isfinite(mean).all():
            return float(mean.var(ddof=1)) / len(mean), len(mean) - 1, "the test examples that they share"
    moves = [example_values(runs, r.arrays.get(SHARED, "")) for r in records]
    shared = [m for m in moves if m is not None]
    if len(shared) == len(records) and len({len(m) for m in shared}) == 1:
        return float((np.mean(shared, axis=0) ** 2).sum()), len(shared[0]) - 1, "the training examples that they share"
    errors = [standard_error(r) for r in records]
    if None in errors:
        return 0.0, math.inf, "nothing else: what a value says of its own spread is not in it"
    return float(np.mean([e for e in errors if e is not None])) ** 2, math.inf, "the mean of their standard errors"


def standard_error(record: Record) -> float | None:
    """That of a value, at least what its 95 % interval amounts to: a share of 0 has a spread of 0 and an interval."""
    half = record.half_width
    if half is None and record.stderr is None:
        return None
    return max(record.stderr or 0.0, (half or 0.0) / Z95)
