"""A model as a decoder that can be annealed: itself, or a generator without noise with Gaussian noise about its output.

decoder (VAE)                     the model
generator without noise (GAN)     fit_sigma -> GaussianObservation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genbench.blocks import Arrays, afresh
from genbench.likelihood.observation import GaussianObservation, HasDecode, fit_sigma
from genbench.models.capabilities import Decoder, refusal


@dataclass(frozen=True)
class Annealable:
    """A decoder, and what has to be said of every value that it is given.

    Arguments:
        model: a `Decoder`.
        details: of a generator with noise, the noise and its sigma.
        warnings: that sigma lies at the end of the values tried.
    """

    model: Any
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def annealable(
    model: Any,
    validation: np.ndarray,
    seed: int,
    device: str = "cpu",
    keep: Callable[[int, Callable[[], Arrays]], Arrays] = afresh,
) -> Annealable:
    """The model as a decoder.

    Arguments:
        validation: `[n, *shape]`, for the sigma of a generator without noise.
        keep: how sigma is remembered.

    Raises:
        Unavailable: the model has no continuous latents with a density.
    """
    if isinstance(model, Decoder):
        return Annealable(model)
    if not isinstance(model, HasDecode):
        raise refusal("annealing needs log_prior, sample_prior and a decoder", model)

    def make() -> Arrays:
        found = fit_sigma(model, validation, seed, device=device)
        return {"sigma": np.array(found.sigma), "at_the_end": np.array(bool(found.warnings))}

    arrays = keep(0, make)
    sigma = float(arrays["sigma"])
    warnings = ("sigma lies at the end of the values tried",) * bool(arrays["at_the_end"])
    return Annealable(GaussianObservation(model, sigma), {"observation": "Gaussian", "sigma": sigma}, warnings)
