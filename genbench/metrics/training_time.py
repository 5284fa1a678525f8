"""Training time: seconds of the steps that led to the best validation value, without validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.errors import Unavailable
from genbench.metrics import Measure
from genbench.metrics.throughput import median

if TYPE_CHECKING:
    from genbench.models.timing import TrainingTimings

VERSION = 1
NEEDS = ("training_timings",)
OUTPUTS = {
    "training_time": {
        "unit": "s",
        "direction": "lower",
        "range": (0, None),
        "title": "seconds of training until the best weights",
        "misses": "true for one machine; a model that soon stops to improve is done soon, however bad it is",
        "group": "cost",
        "place": 477,
    },
}
REFERENCE = "medians; interval by order statistics (Conover 1999, section 3.2)"


def compute(training_timings: TrainingTimings) -> dict[str, Measure]:
    """The steps that the card counts, by the seconds that a step of each stage takes now.

    The steps are the same wherever the training is done again; the seconds are those of this machine.

    Raises:
        Unavailable: the card does not say after how many steps the weights were best.
    """
    t = training_timings
    if t.to_best is None:
        raise Unavailable("its card does not say after how many steps the weights were best")
    where = {"device": t.device, "threads": t.threads, "batch_size": t.batch_size, "steps": list(t.best_steps)}
    return {"training_time": median(t.to_best, where)}
