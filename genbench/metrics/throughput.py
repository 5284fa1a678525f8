"""Sampling speed: samples per second by blocks, and the latency of one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure

if TYPE_CHECKING:
    from genbench.models.timing import Timings

VERSION = 1
NEEDS = ("timings",)
OUTPUTS = {
    "throughput": {
        "unit": "1/s",
        "direction": "higher",
        "range": (0, None),
        "title": "samples per second",
        "misses": "true for one machine and one size of blocks",
        "group": "cost",
        "place": 460,
    },
    "latency": {
        "unit": "ms",
        "direction": "lower",
        "range": (0, None),
        "title": "time for one sample",
        "misses": "true for one machine; says nothing of many samples at once",
        "group": "cost",
        "place": 470,
    },
}
REFERENCE = "medians; interval by order statistics (Conover 1999, section 3.2)"


def median(values: np.ndarray, details: dict) -> Measure:
    """The median of repeats `[r]`; for r >= 6 the extremes cover it with probability 1 - 2^(1-r) > 95 %."""
    low, middle, high = (float(v) for v in np.percentile(values, [25, 50, 75]))
    details = {**details, "q25": low, "q75": high, "repeats": len(values)}
    if len(values) < 6:
        return Measure(middle, "estimate", None, None, "none: fewer than 6 repeats", details=details)
    ci = (float(values.min()), float(values.max()))
    return Measure(middle, "estimate", None, ci, "order statistics of the repeats", details=details)


def compute(timings: Timings) -> dict[str, Measure]:
    """From seconds per block and seconds per single sample, each after warm-up."""
    where = {"device": timings.device, "threads": timings.threads, "block_size": timings.block_size}
    return {
        "throughput": median(timings.block_size / timings.block_s, where),
        "latency": median(1e3 * timings.single_s, where),
    }
