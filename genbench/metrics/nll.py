"""Negative log-likelihood of the test data in bits per dimension, with the kind of number it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure, mean
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "space")
OUTPUTS = {
    "nll": {
        "unit": "bits/dim",
        "direction": "lower",
        "title": "negative log-likelihood",
        "group": "likelihood",
        "place": 10,
    },
}
LOW_ESS, LOW_SHARE = 10, 0.05
REFERENCE = "Theis, van den Oord, Bethge 2016"


def compute(log_likelihood: LogLikelihood, space: Space) -> dict[str, Measure]:
    """-mean log p(x) / (D ln 2).

    The spread over examples contains the Monte Carlo noise of each; the latter is also given alone.
    """
    nats = -log_likelihood.values
    details = {"nats": float(nats.mean()), "method": log_likelihood.method, "n": len(nats)}
    warnings: tuple[str, ...] = ()
    if log_likelihood.mc_stderr is not None:
        noise = float(np.sqrt(np.square(log_likelihood.mc_stderr).sum()) / len(nats))
        details["mc_stderr"] = space.bits_per_dim(noise)
    if log_likelihood.round_trip is not None:
        details["round_trip_error"] = log_likelihood.round_trip
    if log_likelihood.bias is not None:
        details["estimated_bias"] = space.bits_per_dim(float(-log_likelihood.bias.mean()))
    if log_likelihood.jackknife is not None:
        corrected = float(-log_likelihood.jackknife.mean())
        details["jackknife"] = {"value": space.bits_per_dim(corrected), "kind": "estimate"}
    if log_likelihood.curve_k is not None and log_likelihood.curve is not None:
        bounds = -log_likelihood.curve.mean(1)
        pairs = zip(log_likelihood.curve_k, bounds, strict=True)
        details["curve"] = {str(k): space.bits_per_dim(float(bound)) for k, bound in pairs}
    if log_likelihood.ess is not None:
        quantiles = np.quantile(log_likelihood.ess, [0, 0.05, 0.5, 0.95, 1])
        details["ess_quantiles"] = dict(zip(("0", "0.05", "0.5", "0.95", "1"), map(float, quantiles), strict=True))
        low = float((log_likelihood.ess < LOW_ESS).mean())
        if low > LOW_SHARE:
            warnings = (f"effective sample size below {LOW_ESS} for {low:.0%} of the examples: the bound is loose",)
    kind = {"exact": "exact", "lower_bound": "upper_bound", "estimate": "estimate"}[log_likelihood.kind]
    return {
        "nll": mean(
            np.array([space.bits_per_dim(1.0)]) * nats,
            kind=kind,
            details=details,
            warnings=warnings,
        )
    }
