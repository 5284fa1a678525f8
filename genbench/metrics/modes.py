"""Modes: how many modes of a known mixture the samples reach, how many samples are near one, and how evenly.

A sample is of high quality within three standard deviations (Euclidean) of its nearest mode; a mode
is captured that has one such sample. `modes_kl` is the reverse KL, KL(samples || uniform), in nats,
of the modes' shares among the high-quality samples (VEEGAN); the details have it with every sample
given to its nearest mode (PacGAN), and the share of high quality that the mixture itself has.

References:
    VEEGAN (Srivastava et al., 2017), section 5.1; PacGAN (Lin et al., 2018), section 4.1: 2,500 samples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtr

from genbench.metrics import Measure, share
from genbench.metrics._histogram import count_of, kl_of_counts
from genbench.metrics._inputs import matrices
from genbench.numerics.points import Points

VERSION = 2
NEEDS = ("samples", "modes")
OUTPUTS = {
    "modes": {
        "unit": "modes",
        "direction": "higher",
        "range": (0, None),
        "title": "modes captured",
        "misses": "counts a mode with a single sample; blind to how samples spread within it",
        "group": "modes",
        "place": 70,
    },
    "high_quality": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "high-quality samples",
        "misses": "one mode alone would do; a sample repeated for ever as well",
        "group": "modes",
        "place": 80,
    },
    "modes_kl": {
        "unit": "nats",
        "direction": "lower",
        "range": (0, None),
        "title": "reverse KL of the modes",
        "misses": "samples between the modes do not count; blind to how samples spread within one",
        "group": "modes",
        "place": 90,
    },
}
REFERENCE = "Srivastava et al., 2017"


def compute(samples: np.ndarray, modes: tuple[np.ndarray, float]) -> dict[str, Measure]:
    centres, sd = modes
    x, centres = matrices(1, samples=samples, modes=centres)
    m, d = centres.shape
    squares, index = Points(x).nearest(Points(centres))
    good = squares[:, 0] <= (3 * sd) ** 2
    counts = np.bincount(index[good, 0], minlength=m)
    everything = np.bincount(index[:, 0], minlength=m)
    uniform = np.full(m, 1 / m)
    details = {"of": m, "counts": counts.tolist(), "n": len(x)}
    return {
        "modes": count_of("modes", int((counts > 0).sum()), details),
        "high_quality": share(int(good.sum()), len(x), details={"of_the_mixture": float(chdtr(d, 9))}),
        "modes_kl": kl_of_counts(
            counts, uniform, details={"kl_of_all_samples": kl_of_counts(everything, uniform).value}
        ),
    }
