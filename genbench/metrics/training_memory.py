"""Training memory: the most bytes that tensors hold at once in the steps of a training, without its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics import Measure

if TYPE_CHECKING:
    from genbench.models.footprint import TrainingMemory

VERSION = 1
NEEDS = ("training_memory",)
OUTPUTS = {
    "training_memory": {
        "unit": "MB",
        "direction": "lower",
        "range": (0, None),
        "title": "peak memory of training",
        "misses": "tensors in steps only: not what an operation needs inside itself, nor validation, nor data",
        "group": "cost",
        "place": 473,
    },
}
REFERENCE = "counted where tensors are made and given up"


def compute(training_memory: TrainingMemory) -> dict[str, Measure]:
    """From two steps of every stage, of batches of the preset's size."""
    m = training_memory
    details = {"device": m.device, "batch_size": m.batch_size, "weights_mb": m.kept / 1e6}
    return {"training_memory": Measure(m.bytes / 1e6, "exact", None, None, "none: it is counted", details=details)}
