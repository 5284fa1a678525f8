"""What a profile holds, and the file that it is kept in. Needs no torch.

A computation of F operations and B bytes takes no less than

    max(F / peak, B / bandwidth)

seconds: the roofline. What fits into a cache moves faster than memory can, so the bandwidth is that of the largest
arrays that were measured and are no larger than what the kernel moves: a ceiling that errs upwards.

References:
    Roofline: an insightful visual performance model for multicore architectures (Williams, Waterman, Patterson, 2009).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np

from genbench import reading
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.reading import Count, Within
from genbench.studies.profiling.kernel import OWN, Work, shown

SCHEMA = 1
TOLERATED = 105  # per cent of the roofline; above, the formula or the timer is wrong
DERIVED = ("median_s", "percentiles_20_80_s", "percent_of_roofline", "bound", "peer", "times_faster_than_peer")

Rate = Annotated[float, Within(above=0)]  # of something a second
Seconds = Annotated[float, Within(above=0)]
Size = dict[str, Annotated[int, Within(1)]]  # the length of every axis


class Saved(TypedDict):
    """The file: a profile, each row with what the table derives from it."""

    schema: Literal[1]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Machine:
    """Measured ceilings.

    Arguments:
        peak: {dtype: operations a second}.
        bandwidth: {bytes that are moved: bytes a second}.
    """

    device: str
    threads: Count
    peak: dict[str, Rate]
    bandwidth: Annotated[dict[int, Rate], reading.Size(1)]

    def rate(self, moved: float) -> float:
        """Bytes a second at best, for so many bytes: smaller arrays never count as slower than larger ones."""
        largest = max([size for size in self.bandwidth if size <= moved], default=0)
        return max(rate for size, rate in self.bandwidth.items() if size >= largest)

    def ceiling(self, work: Work, dtype: str) -> tuple[float, str]:
        """The least seconds that the work can take, and what bounds it, "compute" or "memory"."""
        assert work.flops is not None
        compute, memory = work.flops / self.peak[dtype], work.bytes / self.rate(work.bytes)
        return max(compute, memory), "compute" if compute >= memory else "memory"

    def better(self, other: Machine) -> Machine:
        """The higher of two measurements of one machine: whatever else runs can only lower them."""
        peak = {dtype: max(rate, other.peak[dtype]) for dtype, rate in self.peak.items()}
        sizes = sorted({*self.bandwidth, *other.bandwidth})
        bandwidth = {size: max(m.bandwidth.get(size, 0.0) for m in (self, other)) for size in sizes}
        return Machine(self.device, self.threads, peak, bandwidth)


@dataclass(frozen=True)
class Row:
    """One way of one kernel at one size.

    Arguments:
        times_s: seconds of every run, or the mean of a block where one run is too short for the clock.
        work: what the kernel needs at least, None where no formula holds.
        memory: bytes beyond what was held, at the peak of the first run; None where the system does not say.
        error: the largest deviation from the reference, over the largest true value; None without a reference.
        error_at: the smaller size at which it was measured, if it was.
        code: the commit that was measured, with a + where the code differed from it; that of the profile if empty.
    """

    kernel: str
    implementation: str
    size: Size
    dtype: str
    device: str
    threads: Count
    times_s: Annotated[list[Seconds], reading.Size(1)]
    work: Work | None
    memory: int | None
    error: float | None
    error_at: Size | None = None
    note: str = ""
    code: str = ""

    @property
    def own(self) -> bool:
        return self.implementation == OWN

    @property
    def median(self) -> float:
        return float(np.median(self.times_s))

    @property
    def spread(self) -> tuple[float, float]:
        """The 20th and the 80th percentile."""
        low, high = np.percentile(self.times_s, [20, 80])
        return float(low), float(high)

    @property
    def label(self) -> str:
        return f"{self.kernel}, {self.implementation}, {shown(self.size)}"

    @property
    def key(self) -> tuple:
        """What has to agree for two times to be of the same thing."""
        size = tuple(sorted(self.size.items()))
        return self.kernel, self.implementation, size, self.dtype, self.device, self.threads

    def roofline(self, machine: Machine) -> tuple[float, str] | None:
        """Per cent of the ceiling that the median reaches, and what bounds it; None where no formula holds."""
        if self.work is None:
            return None
        least, bound = machine.ceiling(self.work, self.dtype)
        return 100 * least / self.median, bound


@dataclass(frozen=True)
class Growth:
    """How the time of genbench's way of a kernel depends on one axis.

    Arguments:
        size: where the axis is at its shortest.
        exponent, stderr: of the fit; expected: of the leading term.
    """

    kernel: str
    axis: str
    size: Size
    lengths: list[int]
    medians_s: list[float]
    exponent: float
    stderr: float
    expected: float


@dataclass
class Profile:
    """Rows, the ceilings that they stand under, and what is not among them.

    Arguments:
        env: versions, machine and threads, as in a record.
        left_out: why, for each kernel or peer that was not measured.
        failed: genbench's own ways that raised.
    """

    machine: Machine
    env: dict[str, Any]
    command: str = ""
    rows: list[Row] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def impossible(self) -> list[str]:
        """Rows that are faster than the machine can be: an error of the formula or of the timer."""
        return [
            f"{row.label}: {found[0]:.0f} % of the measured roofline"
            for row in self.rows
            if (found := row.roofline(self.machine)) and found[0] > TOLERATED
        ]

    def peer_of(self, row: Row) -> Row | None:
        """The first peer that was measured at the row's size."""
        beside = [r for r in self.rows if (r.kernel, r.size) == (row.kernel, row.size)]
        return next((r for r in beside if not r.own), None)


def merged(base: Profile, new: Profile) -> Profile:
    """The base with what was measured anew in place of what it had of it: a kernel's ways at one size stay together.

    What stays says of which commit it is; ceilings are the better of both.

    Raises:
        GenbenchError: they are not of one machine, device and number of threads.
    """
    kinds = [(p.env.get("device"), p.machine.device, p.machine.threads) for p in (base, new)]
    if kinds[0] != kinds[1]:
        a, b = (f"{device}, {where} with {threads} threads" for device, where, threads in kinds)
        raise GenbenchError(
            f"the profile is of {a}, what was measured of {b}", "Keep another profile with --json FILE."
        )
    commit = str((base.env.get("git") or {}).get("commit", ""))
    again = {(row.kernel, shown(row.size), row.device, row.threads) for row in new.rows}
    known = {row.kernel for row in new.rows}
    rows: list[Row] = []
    for row in base.rows:
        if (row.kernel, shown(row.size), row.device, row.threads) not in again:
            rows.append(replace(row, code=row.code or commit))
        elif row.kernel in known:  # all that is new of a kernel stands where its first row stood
            known.remove(row.kernel)
            rows += [one for one in new.rows if one.kernel == row.kernel]
    rows += [one for one in new.rows if one.kernel in known]
    names = {row.kernel for row in new.rows}

    def others(lines: list[str]) -> list[str]:
        return [line for line in lines if line.partition(",")[0] not in names]

    grown = {(g.kernel, g.axis) for g in new.growth}
    return Profile(
        machine=base.machine.better(new.machine),
        env=new.env,
        command=base.command,
        rows=rows,
        growth=[*(g for g in base.growth if (g.kernel, g.axis) not in grown), *new.growth],
        left_out=[*others(base.left_out), *new.left_out],
        failed=[*others(base.failed), *new.failed],
    )


def write(path: Path, profile: Profile) -> None:
    """Everything, and beside each row what the table derives from it.

    Raises:
        GenbenchError: the file cannot be written.
    """
    content = {"schema": SCHEMA, **asdict(profile)}
    content["rows"] = [asdict(row) | derived(row, profile) for row in profile.rows]
    try:
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise GenbenchError(f"cannot write {path}: {error.strerror}", "Choose another file with --json.") from error


def derived(row: Row, profile: Profile) -> dict[str, Any]:
    """Numbers of the table that follow from the times."""
    percent, bound = row.roofline(profile.machine) or (None, None)
    peer = profile.peer_of(row)
    found = (
        row.median,
        row.spread,
        percent,
        bound,
        peer.implementation if peer else None,
        peer.median / row.median if peer else None,
    )
    return dict(zip(DERIVED, found, strict=True))


def read(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        GenbenchError: no such file, or it holds no profile of this version.
    """
    remedy = "Make one: genbench profile --json FILE."
    if not path.is_file():
        raise GenbenchError(f"no profile at {path}", remedy)
    origin = f"{path} holds no profile"
    content = reading.parse_json(reading.text_of(path, "profile", remedy), f"{origin}: it", remedy)
    saved = reading.read(Saved, content, origin, remedy)
    rows = [{name: value for name, value in row.items() if name not in DERIVED} for row in saved["rows"]]
    whole = {name: value for name, value in saved.items() if name != "schema"}
    return reading.read(Profile, {**whole, "rows": rows}, origin, remedy)
