"""Training speed: examples per second of the training loop, without validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics import Measure
from genbench.metrics.throughput import median

if TYPE_CHECKING:
    from genbench.models.timing import TrainingTimings

VERSION = 1
NEEDS = ("training_timings",)
OUTPUTS = {
    "training_throughput": {
        "unit": "1/s",
        "direction": "higher",
        "range": (0, None),
        "title": "training examples per second",
        "misses": "true for one machine and one size of batches; says nothing of how many examples it takes",
        "group": "cost",
        "place": 475,
    },
}
REFERENCE = "medians; interval by order statistics (Conover 1999, section 3.2)"


def compute(training_timings: TrainingTimings) -> dict[str, Measure]:
    """From repeats of some steps each, after warm-up; every stage of a training has its share of the steps."""
    t = training_timings
    where = {"device": t.device, "threads": t.threads, "batch_size": t.batch_size, "stages": t.stages}
    return {"training_throughput": median(t.per_second, where)}
