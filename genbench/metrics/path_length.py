"""Perceptual path length: how fast a generator's picture changes along paths between latents, as an extractor sees it.

    PPL = E |f(G(path(t + eps))) - f(G(path(t)))|^2 / eps^2        (`paths.py`)

over z0, z1 from the prior and t ~ U(0, 1), eps = 1e-4. Low: neighbouring latents give alike pictures. The
mean leaves out the lengths below the 1st and above the 99th percentile, as StyleGAN's and torch-fidelity's
do ("lower" and "higher" of the two order statistics, both kept).

Three things differ from torch-fidelity 0.4.0. Its distance is LPIPS, which weighs the normalised channels of
five layers of VGG16; here it is the squared Euclidean distance of the extractor's features, so the value
belongs to its extractor. It measures at the end of a path, t = 0 (StyleGAN's "end"), on straight lines; here as in
the paper's definition along all of a great circle, or of a line (`path` in the protocol). It rounds
pictures to bytes by default; here they are not rounded.

The interval is that of a mean of x_i winsorised at the two percentiles, which are a trimmed mean's influences.

References:
    A style-based generator architecture for generative adversarial networks (Karras, Laine, Aila, 2019), section 4.1.
    Robust estimation of location (Tukey, McLaughlin, 1963), for the trimmed mean's standard error.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, holding, mean
from genbench.metrics._inputs import enough, finite

VERSION = 3
MIN_SAMPLES = 2
NEEDS = ("path_lengths",)
OUTPUTS = {
    "ppl": {
        "unit": "squared feature distance / squared path",
        "direction": "lower",
        "range": (0, None),
        "title": "perceptual path length",
        "misses": "smoothness alone: a generator that draws one image for every latent is best",
        "group": "representation",
        "place": 450,
    },
}
REFERENCE = "Karras, Laine, Aila, 2019"
DOMAINS = {"discard_below": "a number in [0, 50)", "discard_above": "a number in (50, 100]"}


def compute(path_lengths: np.ndarray, discard_below: float = 1.0, discard_above: float = 99.0) -> dict[str, Measure]:
    check(DOMAINS, {"discard_below": discard_below, "discard_above": discard_above}, "path_length")
    x = np.asarray(path_lengths, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"path_lengths: expected [n], got {list(x.shape)}")
    enough(len(x), "path_lengths", MIN_SAMPLES)
    finite(x, "path_lengths")
    low = np.percentile(x, discard_below, method="lower")
    high = np.percentile(x, discard_above, method="higher")
    kept = x[(low <= x) & (x <= high)]
    value, pulled = float(kept.mean()), np.clip(x, low, high)
    influence = (pulled - pulled.mean()) * (len(x) / len(kept))
    details = {"n": len(x), "kept": len(kept), "median": float(np.median(x)), "untrimmed_mean": float(x.mean())}
    measure = mean(value + influence, least=0.0, details=details)
    ci = holding(value, *measure.ci95) if measure.ci95 else None
    return {"ppl": replace(measure, value=value, ci95=ci, ci_method=f"{measure.ci_method}, of winsorised lengths")}
