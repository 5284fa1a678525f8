"""Codes of VAEs against hidden layers of autoregressive models, by a linear probe with 10 to 200 labels.

The records of the metric `probe-100` keep the accuracy for every number of labels, a mean over 20 draws of them with an
interval for fresh draws and fresh test digits. The draws and the test digits are the same for all models, which the
records do not keep one by one: differences are taken as if independent, which makes their intervals too wide.
"""

from __future__ import annotations

from collections.abc import Callable

from genbench.boards.compare import of_intervals
from genbench.numerics.multiple import quantile
from genbench.studies.claims import Finding, Shown, absent, side

SENTENCE = "With few labels a VAE's short codes tell classes better than the hidden layers of autoregressive models do."
SAID_BY = "lectures that compare the families, after Kingma, Mohamed, Rezende, Welling (2014), section 2.1 (model M1)"
DECIDED_BY = (
    "accuracy of a linear probe with 10, 20, 50, 100 and 200 labels on the board of representations, of posterior "
    "means less that of the last hidden layers"
)
CARRIES = (
    "to classes of 8x8 digits, two VAEs with one training each and a linear probe. `vaes-represent-better` has all "
    "labels; docs/uses.md has a picture."
)
BOARD, LABELS = "representation", (10, 20, 50, 100, 200)
ROWS = tuple(("representation", model) for model in ("vae", "hierarchical-vae", "made", "pixelcnn", "lstm"))
VAES, OTHERS = ("vae", "hierarchical-vae"), ("made", "pixelcnn", "lstm")


def recorded(opened: Callable[[str], Shown | None]) -> list[Finding]:
    shown = opened(BOARD)
    return [of_labels(shown, n, vae, other) for n in LABELS for vae in VAES for other in OTHERS]


def of_labels(shown: Shown | None, n: int, vae: str, other: str) -> Finding:
    what = f"{n} labels: {vae} less {other}"
    told = []
    for model in (vae, other):
        record = shown.record(model, "probe-100") if shown else None
        by_labels = record.details.get("by_labels", {}) if record else {}
        if str(n) not in by_labels:
            return absent(what)
        told.append(by_labels[str(n)]["codes"])
    return less(what, (told[0]["value"], tuple(told[0]["ci95"])), (told[1]["value"], tuple(told[1]["ci95"])))


def less(what: str, a: tuple[float, tuple[float, float]], b: tuple[float, tuple[float, float]]) -> Finding:
    """The difference of two accuracies with 95 % intervals, adjusted for all findings of the claim."""
    together = len(LABELS) * len(VAES) * len(OTHERS)
    gap, factor = a[0] - b[0], quantile(together) / quantile(1)
    low, high = (gap + factor * (end - gap) for end in of_intervals(b[0], b[1], a[0], a[1]))
    return Finding(what, f"{a[0]:.3f} less {b[0]:.3f}", f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]",
                   side(low, high, "above", 0.0), "is it above 0? 1 training each")  # fmt: skip
