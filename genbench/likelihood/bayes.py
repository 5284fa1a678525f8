"""Bayes' rule: a class-conditional model as a classifier, p(y|x) = p(x|y) / sum_y' p(x|y') with p(y) uniform.

What it needs is log p(x|y) of every example under every class, `[N, C]`; the rest are functions of that array.

References:
    On discriminative vs. generative classifiers (Ng, Jordan, 2001).
    Conditional likelihoods and image classification: Are generative classifiers more robust to adversarial attacks?
    (Li, Bradshaw, Sharma, 2019), equation 1.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import Unavailable
from genbench.likelihood.at_most_one import refuse_above_one, refuse_mass_above_one
from genbench.likelihood.exact import checked, unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.metrics import Measure, share
from genbench.models import steady
from genbench.models.capabilities import n_classes
from genbench.models.sampling import real, seeded, to_tensor


@torch.no_grad()
def class_log_likelihoods(
    model: Any,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """log p(x|y) of every example of `x` `[N, *shape]` under every class: `[N, C]` float64, nats.

    Raises:
        Unavailable: the model has no classes or no log_prob.
        ModelError: a log-probability has the wrong shape, or is that of integers and above 0, or changes when it is
            asked for again, or with the examples beside it.
    """
    classes = n_classes(model)
    if classes < 1 or not callable(getattr(model, "log_prob", None)):
        raise Unavailable("Bayes' rule needs a class-conditional model with log_prob(x, labels)")

    def given(examples: np.ndarray) -> np.ndarray:
        """Of some examples `[B, *shape]` under every class: `[B, C]`."""
        batch = to_tensor(examples, model.space, device)
        labels = [torch.full((len(batch),), y, device=device) for y in range(classes)]
        return np.stack([checked(model.log_prob(batch, labels=y), len(batch)) for y in labels], 1)

    def make(number: int, rows: slice) -> Arrays:
        values = given(x[rows])
        refuse_above_one(values, model.space, "log_prob given a class")
        return {"values": values}

    found = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)["values"]
    for y in range(classes):
        refuse_mass_above_one(found[:, y], x, model.space, f"log_prob given class {y}")
    for text in unsteady(steady.change(given, x, found, model.space.dim), "exact", "log_prob given a class"):
        warnings.warn(text, stacklevel=2)
    return found


@torch.no_grad()
def class_bounds(
    model: Any,
    x: np.ndarray,
    k: int,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """A lower bound on log p(x|y) by k importance weights, of every example under every class: `[N, C]` float64, nats.

    Of one block of examples the noise is the same under every class.

    Raises:
        Unavailable: the model has no classes or no log_weights.
        ModelError: the weights have the wrong shape.
    """
    classes = n_classes(model)
    if classes < 1 or not callable(getattr(model, "log_weights", None)):
        raise Unavailable("Bayes' rule needs a class-conditional model with log_prob or log_weights of (x, labels)")

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        found = []
        for y in range(classes):
            generator = seeded("class", seed, number, device=device)
            labels = torch.full((len(batch),), y, device=device)
            w = real(model.log_weights(batch, k, generator, labels=labels), (k, len(batch)), "log_weights").double()
            found.append(torch.logsumexp(w, 0) - np.log(k))
        return {"values": torch.stack(found, 1).cpu().numpy()}

    return in_blocks(len(x), block_size, make, keep, progress)["values"]


def log_marginal(log_p: np.ndarray) -> np.ndarray:
    """log p(x) = log 1/C sum_y p(x|y): `[N, C]` -> `[N]`; -inf where no class gives x."""
    return logsumexp(log_p, axis=1) - np.log(log_p.shape[1])


def log_posterior(log_p: np.ndarray) -> np.ndarray:
    """log p(y|x): `[N, C]` -> `[N, C]`; NaN where no class gives x, for nothing is known there."""
    with np.errstate(invalid="ignore"):  # -inf less -inf
        return log_p - logsumexp(log_p, axis=1, keepdims=True)


def given_label(log_p: np.ndarray, labels: np.ndarray) -> LogLikelihood:
    """log p(x|y) at the true label, of models whose log-probability of a class is exact: `[N, C]`, `[N]`."""
    return LogLikelihood(conditional(log_p, labels), "exact", "log_prob given the label")


def conditional(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log p(x|y) at the true label: `[N, C]`, `[N]` -> `[N]`."""
    return log_p[np.arange(len(log_p)), labels]


def accuracy(log_p: np.ndarray, labels: np.ndarray) -> Measure:
    """The share of examples whose most probable class is their label, with Wilson's interval.

    An example of which no class is the most probable (a NaN, or no class gives it) is an error and is counted as such;
    of equal classes the first is taken. `details` has the means of log p(y|x) and log p(x|y) at the label, in nats.

    Arguments:
        log_p: log p(x|y), `[N, C]`.
        labels: `[N]` integers 0..C-1.
    """
    n, classes = log_p.shape
    labels = np.asarray(labels)
    if labels.shape != (n,) or n == 0 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be {n} integers 0..{classes - 1}")
    posterior = log_posterior(log_p)
    decided = ~np.isnan(posterior).any(1)
    right = decided & (log_p.argmax(1) == labels)
    bad = int(n - decided.sum())
    details = {
        "n": n,
        "n_classes": classes,
        "mean_log_posterior": float(conditional(posterior, labels).mean()),
        "mean_log_conditional": float(conditional(log_p, labels).mean()),
    }
    warnings = (f"{bad} of {n} examples have no most probable class; they count as errors",) if bad else ()
    return share(int(right.sum()), n, n_nonfinite=bad, details=details, warnings=warnings)
