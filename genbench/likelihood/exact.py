"""The log-likelihood itself, in one deterministic pass, and how far a flow's inverse is from its map.

It is that of an example: asked again, or in another batch, it has to be the same (`models/steady.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError
from genbench.likelihood.at_most_one import refuse_above_one, refuse_mass_above_one
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.capabilities import HasLogProb
from genbench.models.sampling import real, to_tensor


@torch.no_grad()
def exact(
    model: HasLogProb,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """log p of every example of `x` `[N, *shape]` by `log_prob`: exact, unless the model says that it is a lower bound.

    Raises:
        ModelError: an answer is no tensor of real numbers, has the wrong shape, or is that of integers and above 0; or
            an exact one changes when it is asked for again, or with the examples beside it.
    """

    def ask(examples: np.ndarray) -> np.ndarray:
        return checked(model.log_prob(to_tensor(examples, model.space, device)), len(examples))

    def make(number: int, rows: slice) -> Arrays:
        values = ask(x[rows])
        refuse_above_one(values, model.space, "log_prob")
        return {"values": values}

    found = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
    refuse_mass_above_one(found["values"], x, model.space, "log_prob")
    kind, says = getattr(model, "log_prob_kind", "exact"), getattr(model, "log_prob_details", None)
    warnings = unsteady(steady.change(ask, x, found["values"], model.space.dim), kind, "log_prob")
    details = says(x, found["values"]) if callable(says) else {}
    return LogLikelihood.of(found, kind, "log_prob", details=details, warnings=warnings)


def unsteady(change: steady.Change | None, kind: str, method: str) -> tuple[str, ...]:
    """A warning where log-likelihoods do not stay what they were, in nats.

    Raises:
        ModelError: they are said to be exact, and rounding does not explain it.
    """
    if change is None:
        return ()
    said = change.said(method, "nats")
    if kind == "exact" and (change.again or change.relative > steady.FAR):
        raise ModelError(
            f"{said}. That is no log p of an example: call `eval()` on the layers, give `elbo(x, generator)` where it "
            "is a bound that is drawn, or set `log_prob_kind` where it is not exact"
        )
    return (said,)


def checked(log_p: torch.Tensor, n: int) -> np.ndarray:
    """A model's answer as float64 `[n]`.

    Raises:
        ModelError: it is no tensor of n real numbers.
    """
    return real(log_p, (n,), "log-likelihood").double().cpu().numpy()


@torch.no_grad()
def round_trip(model: Any, x: np.ndarray, device: torch.device | str = "cpu") -> dict[str, float]:
    """The largest |f^-1(f(x)) - x| of a flow over `x`, in units of its space, as a detail; nothing of other models.

    The density is exact for the map that was computed; this is how far its inverse, the sampler, is from it.
    """
    flow = getattr(model, "density", model)  # under dequantisation
    if not hasattr(flow, "round_trip_error"):
        return {}
    middle = 0.0 if model.space.levels is None else 0.5  # of a cell
    y = to_tensor(x, model.space, device).float() + middle
    return {"round_trip_error": float(flow.round_trip_error(y).max())}
