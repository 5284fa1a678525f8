"""How far VAEs are behind autoregressive models in likelihood, by annealed importance sampling and by their bounds.

The bound of a VAE says what its likelihood is at least. Annealed importance sampling says it better, and bidirectional
Monte Carlo by how much that may still be short: on data of the model's own, the gap. So of a test example x, with
log p(x) of the autoregressive model exact, the VAE is behind by

    at most   log p(x) - AIS(x),    and by at least   log p(x) - AIS(x) - gap,

means over the examples that were annealed, both models on the same ones. Where there is no annealing the bound takes
the place of AIS, and the VAE is behind by that at most. What is closely: by less than a tenth of what the
autoregressive model gains on independent pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from genbench import datasets
from genbench.numerics.multiple import quantile
from genbench.run.artifacts.data import places_of
from genbench.run.records import Record
from genbench.space import Space
from genbench.studies.claims import Finding, Shown, absent, side

SENTENCE = "VAEs stay behind autoregressive models in likelihood, and the best of them follow closely."
SAID_BY = "van den Oord et al. (2016), tables 4 and 5, and every comparison of families since"
DECIDED_BY = (
    "bits/dim of test examples that a VAE is behind an autoregressive model, by AIS and less its gap, for each VAE "
    "that was annealed; and whether the best bound of a VAE is behind by less than a tenth of what the autoregressive "
    "model gains on independent pixels"
)
CARRIES = (
    "to 8x8 digits and binary MNIST. The gap is measured on data of the model's own, and may be wider on test data. "
    "That a tenth of the gain is close was settled after the page had shown that the two best bounds are 0.07 and 0.01 "
    "bits/dim behind, and before anybody had computed what part of the gain that is."
)
FLOOR, CLOSE = "independent-pixels", 0.1
ANNEALED = ("vae", "iwae", "vampprior-vae")  # of digits, against the first leader
LEADERS = (("digits", "pixelcnn-pp", "conv-vae"), ("mnist-binary", "row-lstm", "vampprior-vae"))
ROWS = (
    *(("digits", model) for model in ("pixelcnn-pp", "conv-vae", "vae", "iwae", "vampprior-vae")),
    *(("mnist-binary", model) for model in ("row-lstm", "vampprior-vae")),
)
TOGETHER = len(ANNEALED) + len(LEADERS)


def recorded(opened: Callable[[str], Shown | None]) -> list[Finding]:
    board, leader, _ = LEADERS[0]
    return [annealed(opened(board), leader, vae) for vae in ANNEALED] + [
        closely(opened(board), board, leader, vae) for board, leader, vae in LEADERS
    ]


def values(
    shown: Shown, model: str, metric: str, artifact: str, like: Record | None = None
) -> tuple[Record, np.ndarray] | None:
    """A record and the log-likelihoods of test examples behind it, in bits/dim, None where either is missing."""
    record = shown.record(model, metric, like)
    log_p = shown.run.example_values(record.arrays.get(artifact, "")) if record else None
    if record is None or log_p is None:
        return None
    return record, Space.from_dict(record.dataset["space"]).bits_per_dim(1.0) * log_p


def annealed(shown: Shown | None, leader: str, vae: str) -> Finding:
    """By how much a VAE is behind, between AIS and AIS less its gap, beside its bound."""
    what = f"digits: {vae} behind {leader}, bits/dim"
    if shown is None or (ais := values(shown, vae, "nll-ais", "ais")) is None:
        return absent(what)
    exact, bound = (values(shown, model, "nll", "log_likelihood") for model in (leader, vae))
    gap = shown.record(vae, "ais-gap")
    if exact is None or bound is None or gap is None or gap.value is None or gap.stderr is None:
        return absent(what)
    data = datasets.load("digits")
    places, bits = places_of(data, ais[0].protocol["limit"]), data.space.bits_per_dim(1.0)
    if len(places) != len(ais[1]) or len(exact[1]) != len(data.test) or exact[0].kind != "exact":
        return absent(what)
    behind, by_bound = exact[1][places] - ais[1], float((exact[1] - bound[1])[places].mean())
    most, error = float(behind.mean()), float(behind.std(ddof=1)) / math.sqrt(len(behind))
    least = most - bits * gap.value
    return decided(what, least, most, by_bound, len(places), error, math.hypot(error, bits * gap.stderr))


def decided(what: str, least: float, most: float, by_bound: float, n: int, error: float, wider: float) -> Finding:
    """What it says to be behind by `least` to `most`, with standard errors of `most` and of `least`."""
    z = quantile(TOGETHER)
    low, high = least - z * wider, most + z * error
    found = f"{most:.3g} by AIS, {least:.3g} less its gap, {by_bound:.3g} by the bound"
    return Finding(what, found, f"[{low:.3g}, {high:.3g}]", side(low, high, "above", 0.0), f"is it above 0? {n} digits")


def closely(shown: Shown | None, board: str, leader: str, vae: str) -> Finding:
    """Whether a VAE's bound is behind by less than so much of the leader's gain on independent pixels."""
    what = f"{board}: bound of {vae} behind {leader}, share of the gain on {FLOOR}"
    if shown is None:
        return absent(what)
    if (top := values(shown, leader, "nll", "log_likelihood")) is None or top[0].kind != "exact":
        return absent(what)
    own, floor = (values(shown, model, "nll", "log_likelihood", top[0]) for model in (vae, FLOOR))
    if own is None or floor is None:
        return absent(what)
    return share_of_gain(what, top[1] - own[1], top[1] - floor[1])


def share_of_gain(what: str, behind: np.ndarray, gain: np.ndarray) -> Finding:
    """Of test examples, paired; that a bound is further behind leaves open whether the model is.

    The interval is of the share r = mean behind / mean gain, where mean(behind - r gain) is 0 (Fieller, 1954).
    """
    z, n = quantile(TOGETHER), len(behind)
    a, b = float(behind.mean()), float(gain.mean())
    V = np.cov(behind, gain) / n * z * z
    A, B, C = b * b - V[1, 1], a * b - V[0, 1], a * a - V[0, 0]
    if A <= 0:
        return Finding(what, f"{a / b:.3g}", "", "open", "the gain is not known to be above 0")
    half = math.sqrt(max(B * B - A * C, 0.0))
    low, high = (B - half) / A, (B + half) / A
    says = side(low, high, "below", CLOSE)
    why = f"is it below {CLOSE:g}? {n} examples" + ("; the true value may be lower" if says != "for" else "")
    return Finding(what, f"{a / b:.3g}: {a:.3g} of {b:.3g} bits/dim", f"[{low:.3g}, {high:.3g}]",
                   "open" if says == "against" else says, why)  # fmt: skip
