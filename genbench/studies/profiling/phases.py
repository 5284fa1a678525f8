"""Where the time of a run went, kept in a file and as a table: the models' own, and what genbench adds to it.

Seconds of every record's phases (`run/times.py`); what lies between the first record and the last and is in no phase is
the start of processes, opening models, and writing. That holds for one worker on a machine that does nothing else.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from tabulate import tabulate

from genbench import reading
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.reading import Count, Within
from genbench.run.records import in_rows, open_run
from genbench.run.times import KINDS, OWN, span, times

SCHEMA = 1
BEGIN, END = "<!-- times -->", "<!-- end of times -->"
BETWEEN = "processes, opening models, writing"
SAID = {
    OWN: "sampling, likelihoods, the clock of throughput and latency",
    "features": "of samples, by the extractor's network",
    "of the data": "features and neighbours of the training and test examples, once for all models",
    "metrics": "the formulas and their intervals",
    BETWEEN: "in no record's phases",
}

Seconds = Annotated[float, Within(0)]
Table = dict[str, dict[str, Seconds]]  # by row, seconds by kind


class Saved(TypedDict):
    """The file."""

    schema: Literal[1]
    phases: dict[str, Any]


@dataclass(frozen=True)
class Phases:
    """The seconds of a run.

    Arguments:
        command: that made it.
        env: versions and machine, as in a record.
        records: how many there are.
        span: from the first one's beginning to the last one's end.
        by_metric: seconds by kind; a metric is the first to need, and pays for, what others share.
    """

    command: str
    env: dict[str, Any]
    records: Count
    span: Seconds
    by_metric: Table

    @property
    def by_kind(self) -> dict[str, float]:
        found = {kind: sum(kinds.get(kind, 0.0) for kinds in self.by_metric.values()) for kind in KINDS}
        return {**found, BETWEEN: max(0.0, self.span - sum(found.values()))}


def of(path: Path) -> Phases:
    """Of a run's folder, or of a file that was kept.

    Raises:
        GenbenchError: neither is there, or no record of the run says how long it took.
    """
    if path.is_file():
        return read(path)
    run = open_run(path)
    records = list(in_rows([run]))
    _, by_metric = times(records)
    if not by_metric:
        raise GenbenchError(f"no record in {path} says how long it took", "Measure into a new folder.")
    manifest = run.manifest()
    rounded = {name: {kind: round(s, 3) for kind, s in kinds.items()} for name, kinds in by_metric.items()}
    return Phases(manifest.get("command", ""), manifest.get("env", {}), len(records), round(span(records), 3), rounded)


def read(path: Path) -> Phases:
    """The seconds that a file keeps.

    Raises:
        GenbenchError: it holds something else.
    """
    remedy = "Make one: genbench profile --times RUN --json FILE."
    origin = f"{path} holds no times of a run"
    content = reading.parse_json(reading.text_of(path, "times", remedy), f"{origin}: it", remedy)
    saved = reading.read(Saved, content, origin, remedy)
    return reading.read(Phases, saved["phases"], origin, remedy)


def write(path: Path, phases: Phases) -> None:
    """
    Raises:
        GenbenchError: the file cannot be written.
    """
    try:
        write_atomically(path, (json.dumps({"schema": SCHEMA, "phases": asdict(phases)}, indent=1) + "\n").encode())
    except OSError as error:
        raise GenbenchError(f"cannot write {path}: {error.strerror}", "Choose another file with --json.") from error


def page(phases: Phases) -> str:
    """A table by what the time was spent on; folded, one by metric."""
    found = phases.by_kind
    whole = sum(found.values())
    rows = [[kind, SAID[kind], f"{s:.1f}", f"{s / whole:.1%}"] for kind, s in found.items()]
    rows.append(["all", f"{phases.records:,} records", f"{whole:.1f}", ""])
    brief = drawn(rows, ["what", "of which", "seconds", "share"], "llrr")
    lines = [
        [name, *(f"{kinds.get(kind, 0.0):.2f}" for kind in KINDS), f"{sum(kinds.values()):.2f}"]
        for name, kinds in sorted(phases.by_metric.items(), key=lambda row: -sum(row[1].values()))
    ]
    by_metric = drawn(lines, ["seconds by metric", *KINDS, "all"], "lrrrrr")
    others = 1 - found[OWN] / whole
    where = f"{phases.env.get('device', 'an unknown machine')}, {phases.env.get('threads', 'unknown')} threads"
    said = f"What is not the models' own is {others:.0%} of it. Measured on {where}, by"
    return (
        "\n\n".join(
            [
                brief,
                f"{said} `{phases.command}`.",
                f"<details><summary>By metric</summary>\n\n{by_metric}\n\n</details>",
            ]
        )
        + "\n"
    )


def drawn(rows: list[list[str]], headers: list[str], sides: str) -> str:
    align = ["left" if side == "l" else "right" for side in sides]
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)
