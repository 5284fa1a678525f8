"""A negative log-likelihood in bits per dimension, from the log-likelihoods of any method."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.numerics.intervals import Z95
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

# A lower bound on log p is an upper bound on -log p.
NEGATED = {"exact": "exact", "lower_bound": "upper_bound", "upper_bound": "lower_bound", "estimate": "estimate"}


def bits_per_dim(
    found: LogLikelihood, space: Space, sequence: np.ndarray | None = None, details: dict[str, Any] | None = None
) -> Measure:
    """-mean log p(x) / (D ln 2), of the kind that the log-likelihoods have.

    The spread over examples contains the Monte Carlo noise of each; the latter is also given alone. What all of them
    share it does not contain, and the interval is widened by it.
    `sequence` says where in one sequence the examples lie: see `mean_of_examples`.
    """
    nats = -found.values
    details = {
        **(details or {}), **found.details, "nats": float(nats.mean()), "method": found.method, "n": len(nats),
    }  # fmt: skip
    if found.mc_stderr is not None:
        noise = float(np.sqrt(np.square(found.mc_stderr).sum()) / len(nats))
        details["mc_stderr"] = space.bits_per_dim(noise)
    if found.bias is not None:
        details["estimated_bias"] = space.bits_per_dim(float(-found.bias.mean()))
    if found.jackknife is not None:
        corrected = float(-found.jackknife.mean())
        details["jackknife"] = {"value": space.bits_per_dim(corrected), "kind": "estimate"}
    if found.curve_k is not None and found.curve is not None:
        pairs = zip(found.curve_k, -found.curve.mean(0), strict=True)
        details["curve"] = {str(k): space.bits_per_dim(float(bound)) for k, bound in pairs}
    if found.ess is not None:
        quantiles = np.quantile(found.ess, [0, 0.05, 0.5, 0.95, 1])
        details["ess_quantiles"] = dict(zip(("0", "0.05", "0.5", "0.95", "1"), map(float, quantiles), strict=True))
    per_dim = np.array([space.bits_per_dim(1.0)]) * nats
    least = 0.0 if found.kind == "exact" and space.levels is not None else -math.inf  # a probability is at most 1
    warnings = tuple(found.warnings)
    measure = mean_of_examples(per_dim, sequence, NEGATED[found.kind], least, details=details, warnings=warnings)
    return measure if found.shared_stderr is None else widened(measure, space.bits_per_dim(float(found.shared_stderr)))


def widened(measure: Measure, stderr: float) -> Measure:
    """Its interval with an independent normal error added that the spread over examples does not show."""
    method = f"{measure.ci_method}, and the error of log Z"
    if measure.stderr is None or measure.ci95 is None or not math.isfinite(stderr):
        why = measure.ci_method if math.isfinite(stderr) else "none: one chain does not show the error of log Z"
        return replace(measure, stderr=None, ci95=None, ci_method=why)
    value, (low, high) = measure.value, measure.ci95
    ends = value - math.hypot(value - low, Z95 * stderr), value + math.hypot(high - value, Z95 * stderr)
    return replace(measure, stderr=math.hypot(measure.stderr, stderr), ci95=ends, ci_method=method)
