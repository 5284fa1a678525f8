"""A profile as tables. Needs no torch."""

from __future__ import annotations

import math

from tabulate import tabulate

from genbench.studies.profiling.kernel import shown
from genbench.studies.profiling.results import TOLERATED, Growth, Machine, Profile, Row

UNKNOWN = "-"
BEGIN, END = "<!-- profile -->", "<!-- end of profile -->"
SWEEP = "<!-- sweep -->", "<!-- end of sweep -->"


def table(profile: Profile) -> str:
    """The rows under their ceilings, aligned markdown."""
    headers = ["kernel", "implementation", "shape", "dtype", "device, threads", "median [20 %, 80 %]", "GFLOP/s"]
    headers += ["GB/s", "bound", "% of roofline", "extra memory", "relative error", "times faster than"]
    align = ("left", "left", "left", "left", "left", "right", "right", "right", "left", *["right"] * 4)
    rows = [cells(row, profile) for row in profile.rows]
    parts = [tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True), ceilings(profile.machine)]
    notes = {f"{row.kernel}, {row.implementation}: {row.note}" for row in profile.rows if row.note}
    lines = [*sorted(notes), *(f"left out: {reason}" for reason in profile.left_out)]
    parts += ["\n".join(f"- {line}" for line in lines)] if lines else []
    parts += [growth_table(profile.growth)] if profile.growth else []
    return "\n\n".join(parts) + "\n"


def page(profile: Profile) -> str:
    """What fits on one page: of genbench's ways their time, their peers and the roofline; folded, everything."""
    headers = ["kernel", "shape", "median", "times faster than", "at most", "% of roofline", "extra memory"]
    align = ("left", "left", "right", "left", "right", "right", "right")
    chosen = [row for row in profile.rows if row.own and (profile.peer_of(row) or not row.kernel.startswith("sample-"))]
    brief = tabulate([short(row, profile) for row in chosen], headers, "pipe", colalign=align, disable_numparse=True)
    commits: dict[str, set[str]] = {}
    for row in profile.rows:
        commits.setdefault(row.code or str((profile.env.get("git") or {}).get("commit", "")), set()).add(row.kernel)
    measured = [
        f"Measured at commit {commit[:8] or 'unknown'}: {', '.join(sorted(of))}." for commit, of in commits.items()
    ]
    whole = f"<details><summary>Every implementation, with spread, work and error</summary>\n\n{table(profile)}\n"
    said = f"<details><summary>Which code was measured</summary>\n\n{chr(10).join(measured)}\n"
    return "\n\n".join([brief, ceilings(profile.machine), f"{whole}</details>", f"{said}\n</details>"]) + "\n"


def sweep(profile: Profile) -> str:
    """How time and memory of genbench's ways grow from size to size, and the exponents between the first and the last.

    The exponent of a row is log of the ratio of times over log of the ratio of lengths, against the row before.
    """
    headers = ["kernel", "shape", "seconds", "exponent", "% of roofline", "extra memory"]
    own = [row for row in profile.rows if row.own]
    own.sort(key=lambda row: (row.kernel, tuple(row.size.values())))
    lines, before = [], None
    for row in own:
        grown = UNKNOWN
        if before is not None and before.kernel == row.kernel:
            longer = [row.size[axis] / before.size[axis] for axis in row.size if row.size[axis] != before.size[axis]]
            if len(longer) == 1:
                grown = f"{math.log(row.median / before.median) / math.log(longer[0]):.2f}"
        whole = cells(row, profile)
        lines.append([row.kernel, shown(row.size), f"{row.median:.3g}", grown, whole[9], whole[10]])
        before = row
    align = ("left", "left", *["right"] * 4)
    made = tabulate(lines, headers, "pipe", colalign=align, disable_numparse=True)
    return f"{made}\n\n{ceilings(profile.machine)}\n"


def short(row: Row, profile: Profile) -> list[str]:
    """Of genbench's way of a kernel at one size."""
    beside = [r for r in profile.rows if (r.kernel, r.size) == (row.kernel, row.size) and not r.own]
    faster = ", ".join(f"{r.median / row.median:.3g} ({r.implementation})" for r in beside) or UNKNOWN
    whole = cells(row, profile)
    return [row.kernel, shown(row.size), duration(row.median), faster, at_most(row, profile), whole[9], whole[10]]


def at_most(row: Row, profile: Profile) -> str:
    """How many times faster than its first peer's median a row would be at the roofline of its own arithmetic."""
    found, peer = row.roofline(profile.machine), profile.peer_of(row)
    return UNKNOWN if found is None or peer is None else f"{100 * peer.median / row.median / found[0]:.3g}"


def put(text: str, made: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The text with what stands between two lines made anew.

    Raises:
        ValueError: it has no such lines.
    """
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not (begin and end):
        raise ValueError(f"no lines {marks[0]!r} and {marks[1]!r}")
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def cells(row: Row, profile: Profile) -> list[str]:
    low, high = row.spread
    time = f"{duration(row.median)} [{duration(low)}, {duration(high)}]"
    gflops, gbytes, bound, percent = [UNKNOWN] * 4
    if row.work is not None:
        assert row.work.flops is not None
        found = row.roofline(profile.machine)
        assert found is not None
        gflops, gbytes = (f"{amount / row.median / 1e9:.3g}" for amount in (row.work.flops, row.work.bytes))
        percent, bound = f"{found[0]:.2g}" if found[0] < 10 else f"{found[0]:.0f}", found[1]
        percent += " (error)" * (found[0] > TOLERATED)
    memory = UNKNOWN if row.memory is None else f"{row.memory / 1e6:.0f} MB"
    error = UNKNOWN if row.error is None else f"{row.error:.1g}"
    error += f" at {shown(row.error_at)}" if row.error_at else ""
    peer = profile.peer_of(row)
    ratio = f"{peer.median / row.median:.3g} ({peer.implementation})" if peer else UNKNOWN
    where = f"{row.device}, {row.threads}"
    shape = shown(row.size)
    kind = [row.kernel, row.implementation, shape, row.dtype, where]
    return [*kind, time, gflops, gbytes, bound, percent, memory, error, ratio]


def ceilings(machine: Machine) -> str:
    """The measured peaks in one line."""
    peaks = ", ".join(f"{rate / 1e9:.0f} GFLOP/s {dtype}" for dtype, rate in machine.peak.items())
    smallest, largest = min(machine.bandwidth), max(machine.bandwidth)
    rates = ", ".join(
        f"{machine.bandwidth[size] / 1e9:.0f} GB/s of {size / 2**20:.3g} MiB" for size in (largest, smallest)
    )
    return f"Measured on {machine.device} with {machine.threads} threads: {peaks}; {rates}."


def growth_table(growth: list[Growth]) -> str:
    """How costs grow, measured beside expected."""
    rows = [
        [g.kernel, g.axis, f"{g.lengths[0]} to {g.lengths[-1]}", rest(g), f"{g.exponent:.2f} ± {g.stderr:.2f}",
         f"{g.expected:g}"]
        for g in growth
    ]  # fmt: skip
    headers = ["kernel", "axis", "lengths", "others", "exponent ± standard error", "of the leading term"]
    align = ("left", "left", "left", "left", "right", "right")
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def rest(g: Growth) -> str:
    return shown({axis: length for axis, length in g.size.items() if axis != g.axis}) or UNKNOWN


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
