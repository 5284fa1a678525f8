"""What the record of a cell says: of one that was measured, of one that failed, of one whose process died."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.errors import Died, GenbenchError, Unavailable
from genbench.features import Extractor
from genbench.files import content_key
from genbench.metrics import Measure
from genbench.models import steady
from genbench.models.adapters import Source, public_path
from genbench.privacy import LONGER, public_value, published
from genbench.run.noting import LONGEST
from genbench.run.plan import Cell, Job, Plan
from genbench.run.records import RULES, SHARED, Record, Run, said_of
from genbench.run.reference import Reference
from genbench.text import capped, said

if TYPE_CHECKING:
    from genbench.run.measuring import Bench

TRACEBACK = 20_000  # characters of a traceback in a record
MANY = 50  # warnings in a record


def env_of(source: Source, bench: Bench) -> dict[str, Any]:
    """What a model is measured on; of other people's also the rules that its answers are held to."""
    return bench.env if source.ours else {**bench.env, RULES: steady.RULES}


def framed(todo: Plan, source: Source, job: Job, bench: Bench) -> Record:
    """What every record of one metric for one model says, before anything was measured."""
    dataset, limit, limited = todo.dataset, todo.protocol.limit, "limit" in job.fields
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Record(
        cell_id="",
        run_id=bench.run_id,
        status="error",
        model=source.describe(),
        dataset={
            "name": dataset.name,
            "split": "test",
            "sha256": dataset.sha256,
            "n": len(dataset.test[:limit]) if limited else None,  # of the test set only what the metric used
            "space": dataset.space.to_dict(),
            "per": dataset.value,
            **({"preprocessing": dataset.preprocessing} if dataset.preprocessing else {}),
        },
        metric={},
        protocol={},
        complete=not limited or limit is None or limit >= len(dataset.test),
        env=env_of(source, bench),
        started=now,
        ended=now,
    )


def lost(todo: Plan, cell: Cell, bench: Bench, died: Died) -> Record:
    """The record of a cell whose process died, or was stopped at a limit, before it was measured."""
    frame = framed(todo, cell.source, cell.job, bench)
    frame = replace(frame, status=died.status, error=describe_error(died, died.phase))
    return fill(frame, cell, None, None, todo.reference(cell.job), bench.run)


def fill(
    frame: Record,
    cell: Cell,
    measure: Measure | None,
    extractor: Extractor | None,
    reference: Reference | None,
    run: Run,
) -> Record:
    """The record of one cell; what its value shares with those of other models is put into the run."""
    output = cell.job.entry.constants["OUTPUTS"][cell.output]
    unit = output["unit"].replace("/dim", f"/{frame.dataset['per']}")
    record = replace(
        frame,
        cell_id=cell.id,
        metric={
            "name": cell.job.label(cell.output),
            "version": cell.identity["metric"]["version"],
            "direction": output["direction"],
            "unit": unit,
            "title": output["title"],
            "params": cell.job.params,
            **said_of(cell.job.intervals),
            "extractor": public_path(cell.job.extractor) if cell.job.extractor else None,
            "extractor_sha256": cell.identity["extractor"],
            "preprocessing": extractor.preprocessing if extractor else None,
            "weights_sha256": extractor.weights if extractor else None,
            **({} if reference is None else {"reference": reference.said}),
        },
        protocol=cell.identity["protocol"],
    )
    if measure is None:
        return record
    if measure.shared:
        key = content_key([cell.id, SHARED])
        run.put_arrays(key, {"values": np.array(measure.shared)})
        record = replace(record, arrays={**record.arrays, SHARED: key})
    values = {f: getattr(measure, f) for f in ("value", "kind", "stderr", "ci95", "ci_method", "n_nonfinite")}
    noted = [published(text, LONGEST) for text in measure.warnings]
    return replace(record, **values, details=public_value(measure.details), warnings=[*frame.warnings, *noted])


def describe_error(error: Exception, phase: str) -> dict[str, str]:
    message = f"{error.problem}. {error.remedy}" if isinstance(error, GenbenchError) else said(error)
    text = ""
    if isinstance(error, Died):
        text = error.traceback
    elif not isinstance(error, Unavailable):
        text = "".join(traceback.format_exception(error))
    # A record is published: of a file, its folder and name say enough.
    short = re.sub(r'File "[^"]*?([^/"]+/[^/"]+)"', r'File "\1"', capped(text, LONGER * TRACEBACK))
    return {
        "type": type(error).__name__,
        "message": published(message, LONGEST),
        "phase": phase,
        "traceback": published(short, TRACEBACK),
    }
