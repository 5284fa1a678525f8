"""A decoder's likelihood by annealing, whole: noise where it has none, the bound on the data, the gap on its own.

decoder (VAE)                     annealed -> bound,  bdmc -> gap
generator without noise (GAN)     fit_sigma -> GaussianObservation -> the same
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genbench.errors import Unavailable
from genbench.likelihood.ais import Arrays, Settings, annealed
from genbench.likelihood.bdmc import bdmc
from genbench.likelihood.observation import GaussianObservation, HasDecode, fit_sigma
from genbench.models.capabilities import Decoder, capabilities

# (what, its identity, how to make it) -> its arrays, from `make` or from where they were put before
Store = Callable[[str, dict[str, Any], Callable[[], Arrays]], Arrays]


@dataclass(frozen=True)
class Annealing:
    """Bounds on log p of the data, and of data simulated from the model, in nats.

    Arguments:
        values, mc_stderr: `[N]`, lower bounds of the data and their Monte Carlo errors.
        lower, upper: `[n]`, bounds of the simulated data.
        details: settings, acceptance, step lengths; for a generator, sigma.
    """

    values: np.ndarray
    mc_stderr: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    details: dict[str, Any]
    warnings: tuple[str, ...] = ()


def anneal_decoder(
    model: Any,
    x: np.ndarray,
    validation: np.ndarray,
    simulated: int,
    settings: Settings,
    seed: int,
    block_size: int,
    device: str,
    store: Store,
    progress: Callable[[str, int], Callable[[float], None]] = lambda what, total: lambda done: None,
) -> Annealing:
    """The bound on every example of `x` `[N, *shape]`, and the gap on `simulated` examples of the model's own.

    Arguments:
        store: remembers the fit of sigma and every finished block, so that an interrupted call goes on.
        progress: given what is done and how many examples there are, what to call with the number done.

    Raises:
        Unavailable: the model has no continuous latents with a density.
    """
    identity: dict[str, Any] = {**asdict(settings), "seed": seed, "block_size": block_size}
    details: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    if isinstance(model, Decoder):
        decoder: Any = model
    elif isinstance(model, HasDecode):
        sigma, at_the_end = fitted(model, validation, seed, device, store)
        decoder, identity["sigma"] = GaussianObservation(model, sigma), sigma
        details = {"observation": "Gaussian", "sigma": sigma}
        warnings = ("sigma lies at the end of the values tried",) * at_the_end
    else:
        provided = ", ".join(capabilities(model)) or "fixed samples"
        raise Unavailable(f"annealing needs log_prior, sample_prior and a decoder; the model provides: {provided}")

    def keep(what: str, n: int) -> Callable[[int, Callable[[], Arrays]], Arrays]:
        return lambda number, make: store(what, {**identity, "n": n, "block": number}, make)

    n, tell = len(x), progress("annealed", len(x))
    bound = annealed(decoder, x, settings, seed, block_size, device, progress=tell, keep=keep("annealed", n))
    tell = progress("simulated", simulated)
    both = bdmc(decoder, simulated, settings, seed, block_size, device, progress=tell, keep=keep("bdmc", simulated))
    return Annealing(bound.values, bound.mc_stderr, both.lower, both.upper, {**bound.details, **details}, warnings)


def fitted(model: HasDecode, validation: np.ndarray, seed: int, device: str, store: Store) -> tuple[float, bool]:
    """sigma, and whether it lies at the end of the values tried."""

    def make() -> Arrays:
        found = fit_sigma(model, validation, seed, device=device)
        return {"sigma": np.array(found.sigma), "at_the_end": np.array(bool(found.warnings))}

    arrays = store("sigma", {"seed": seed}, make)
    return float(arrays["sigma"]), bool(arrays["at_the_end"])
