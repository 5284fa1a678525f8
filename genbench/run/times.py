"""Where the time of a run went, from what its records say: the models' own, features, the data, metrics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.declaration import DATA
from genbench.run.records import Record

OWN, FEATURES, OF_DATA, METRICS = "the model's own", "features", "of the data", "metrics"
KINDS = (OWN, FEATURES, OF_DATA, METRICS)
COMPUTE = "compute"  # the phase of a record that is the metric itself
Times = dict[str, dict[str, float]]  # by row of a table, seconds by kind


def kind_of(phase: str) -> str:
    """Of a phase, an artifact or the metric itself, what it is spent on."""
    declared = ARTIFACTS.get(phase)
    if phase == COMPUTE or declared is None:
        return METRICS
    if declared.asks == DATA:
        return OF_DATA
    return FEATURES if declared.extracted else OWN


def times(records: Iterable[Record]) -> tuple[Times, Times]:
    """Seconds by model, and by metric of all models; a metric is the first to need, and pays for, what others share.

    Several outputs of one metric count once, under the first of their names.
    """
    by_model: Times = {}
    by_metric: Times = {}
    counted = set()
    for record in sorted(records, key=lambda record: (record.started, record.metric["name"])):
        phases = record.timing.get("phases_s", {})
        once = (record.started, record.ended, *sorted(phases.items()))  # also of two rows of one model
        if not phases or once in counted:
            continue
        counted.add(once)
        for phase, seconds in phases.items():
            for table, row in ((by_model, record.model["name"]), (by_metric, record.metric["name"])):
                kinds = table.setdefault(row, dict.fromkeys(KINDS, 0.0))
                kinds[kind_of(phase)] += seconds
    return by_model, by_metric


def span(records: Iterable[Record]) -> float:
    """Seconds from the first record's beginning to the last one's end; 0 where none says when."""
    ends = [(datetime.fromisoformat(r.started), datetime.fromisoformat(r.ended)) for r in records if r.started]
    return (max(end for _, end in ends) - min(start for start, _ in ends)).total_seconds() if ends else 0.0
