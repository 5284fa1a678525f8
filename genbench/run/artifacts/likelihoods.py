"""log p by every method of `genbench/likelihood/`, and what is read off it: streams, completions, balance, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.blocks import Arrays, Keep, Progress
from genbench.errors import Unavailable
from genbench.models.fixed import FixedSamples, TrueData
from genbench.run.artifacts.declaration import MODEL, artifact
from genbench.run.artifacts.samples import DRAWN

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood
    from genbench.likelihood.bdmc import Bidirectional
    from genbench.likelihood.decoder import Annealable
    from genbench.run.artifacts.context import Context

ANNEALED = ("temperatures", "chains", "leapfrog", "schedule", "seed", "block_size")


def kept_likelihood(
    c: Context, make: Callable[[np.ndarray, Keep, Progress], LogLikelihood], of: str = "test"
) -> LogLikelihood:
    """The log-likelihoods of examples, from the run or by `make(examples, keep, progress)`; `of` is their artifact."""
    from genbench.likelihood import LogLikelihood

    x = c.get(of)
    tell = c.progress("examples", len(x))
    return LogLikelihood.from_arrays(c.kept(lambda keep: make(x, keep, tell).to_arrays()))


@artifact(MODEL, "k", "seed", "block_size", "limit")
def log_likelihood(c: Context) -> LogLikelihood:
    """log p of every test example, by the strongest statement that the model makes."""
    return strongest(c, "test")


@artifact(MODEL, "k", "seed", "block_size")
def validation_log_likelihood(c: Context) -> LogLikelihood:
    """log p of every validation example, in the same way."""
    return strongest(c, "validation")


@artifact(MODEL, "k", "seed", "block_size", "outside", "limit")
def outside_log_likelihood(c: Context) -> LogLikelihood:
    """log p of the other data, in the same way."""
    return strongest(c, "outside")


def strongest(c: Context, of: str) -> LogLikelihood:
    from genbench.likelihood import LogLikelihood, log_likelihood
    from genbench.likelihood.at_most_one import refuse_above_one

    p = c.protocol
    if isinstance(c.model, TrueData):
        if c.model.log_density is None:
            raise Unavailable("the true density of the data is not known")
        values = c.model.log_density(c.get(of))
        refuse_above_one(values, c.dataset.space, f"the density of dataset '{c.dataset.name}'")
        return LogLikelihood(values, "exact", "the data's own density")
    return kept_likelihood(
        c, lambda x, keep, tell: log_likelihood(
            c.model, x, p.k, p.seed, p.block_size, c.device, keep, tell
        ), of,
    )  # fmt: skip


@artifact(MODEL)
def stream(c: Context) -> np.ndarray:
    """log p of every character of the whole test text, read as one stream, in windows of the data's `[n, T]`."""
    text, model = c.dataset.test, c.model
    if c.dataset.vocabulary is None or not callable(getattr(model, "log_prob_stream", None)):
        raise Unavailable("a stream is scored by the log_prob_stream of a model of text")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import real, to_tensor

        tokens = to_tensor(text, c.dataset.space, c.device).flatten()
        log_p = real(model.log_prob_stream(tokens), (len(tokens),), "log_prob_stream")
        return {"values": log_p.double().cpu().numpy().reshape(text.shape)}

    return c.kept(make)["values"]


@artifact(MODEL)
def stream_said(c: Context) -> dict[str, Any]:
    """What the model says of its stream: the `kind` of its log-probabilities, and details for the record."""
    values, says = c.get("stream").sum(1), getattr(c.model, "log_prob_details", None)
    details = says(c.dataset.test, values) if callable(says) else {}
    return {"kind": getattr(c.model, "log_prob_kind", "exact"), **details}


@artifact(MODEL, "limit")
def completion(c: Context) -> LogLikelihood:
    """log p of the lower half of every test image given its upper half."""
    from genbench.likelihood.completion import completion as of_halves

    if isinstance(c.model, TrueData | FixedSamples):
        raise Unavailable("completion is scored by the log_conditionals of a model of images")
    return kept_likelihood(c, lambda x, keep, tell: of_halves(c.model, x, c.device, keep, tell))


@artifact(MODEL, *DRAWN)
def sample_balance(c: Context) -> np.ndarray:
    """Detailed balance of every sample with a changed one `[n]`, under the model that drew it."""
    return kept_balance(c, c.get("samples"))


@artifact(MODEL, "seed", "limit")
def test_balance(c: Context) -> np.ndarray:
    """Detailed balance of every test example with a changed one `[n]`, under the model."""
    return kept_balance(c, c.get("test"))


def kept_balance(c: Context, x: np.ndarray) -> np.ndarray:
    from genbench.likelihood.balance import balance

    if isinstance(c.model, TrueData | FixedSamples):
        raise Unavailable("detailed balance needs log_prob")
    words, tell = c.dataset.vocabulary is not None, c.progress("rows", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": balance(c.model, x, c.dataset.train, c.protocol.seed, words, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL, "limit")
def class_log_likelihoods(c: Context) -> np.ndarray:
    """log p(x | y) of every test example under every class `[n, classes]`, in nats."""
    from genbench.likelihood.bayes import class_log_likelihoods

    x = c.get("test")
    tell = c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": class_log_likelihoods(c.model, x, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL, "k", "seed", "block_size", "limit")
def class_scores(c: Context) -> np.ndarray:
    """log p(x | y) of every test example under every class `[n, classes]`, or where that is not known a bound on it."""
    from genbench.likelihood.bayes import class_bounds

    if callable(getattr(c.model, "log_prob", None)):
        return c.get("class_log_likelihoods")
    x, p = c.get("test"), c.protocol
    tell = c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": class_bounds(c.model, x, p.k, p.seed, p.block_size, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL)
def resampling_chances(c: Context) -> np.ndarray:
    """The chance that the model gives every training example to be drawn again `[n]`."""
    if not callable(getattr(c.model, "chances", None)):
        raise Unavailable("the model has no chances: it does not resample")
    x = c.get("train")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import real, to_tensor

        found = real(c.model.chances(to_tensor(x, c.dataset.space, c.device)), (len(x),), "chances")
        return {"values": found.double().cpu().numpy()}

    return c.kept(make)["values"]


EXACT = 4  # dimensions up to which the trace is computed exactly, for no more backward passes than it is worth


@artifact(MODEL, "seed", "limit", "rtol", "entry")
def probability_flow(c: Context) -> LogLikelihood:
    """log p of every test example by the probability-flow ODE."""
    from genbench.likelihood.probability_flow import HasVelocity, probability_flow

    flow = c.model.probability_flow() if hasattr(c.model, "probability_flow") else c.model
    if not isinstance(flow, HasVelocity):
        raise Unavailable("the model is no continuous flow: it has neither velocity and eps nor probability_flow")
    p = c.protocol
    return kept_likelihood(
        c, lambda x, keep, tell: probability_flow(
            flow, x, p.seed, rtol=p.rtol, atol=p.rtol, entry=p.entry, probes=0 if flow.space.dim <= EXACT else 1,
            device=c.device, keep=keep, progress=tell,
        ),
    )  # fmt: skip


@artifact(MODEL, "seed")
def decoder(c: Context) -> Annealable:
    """The model as a decoder that can be annealed; a generator without noise gets one, whose sigma is fitted."""
    from genbench.likelihood.decoder import annealable

    def keep(number: int, make: Callable[[], Arrays]) -> Arrays:
        return c.kept(lambda blocks: make())

    return annealable(c.model, c.dataset.validation, c.protocol.seed, c.device, keep)


@artifact(MODEL, *ANNEALED, "limit")
def ais(c: Context) -> LogLikelihood:
    """Lower bounds on log p of every test example by annealed importance sampling."""
    from genbench.likelihood.ais import Settings, ais

    found: Annealable = c.get("decoder")
    p = c.protocol
    settings = Settings(p.temperatures, p.chains, p.leapfrog, p.schedule)

    def make(x: np.ndarray, keep: Keep, tell: Progress) -> LogLikelihood:
        bound = ais(found.model, x, settings, p.seed, p.block_size, c.device, keep=keep, progress=tell)
        return replace(bound, details={**bound.details, **found.details}, warnings=found.warnings + bound.warnings)

    return kept_likelihood(c, make)


@artifact(MODEL, *ANNEALED, "simulated")
def bdmc(c: Context) -> Bidirectional:
    """Bounds from below and above on log p of examples that the model made."""
    from genbench.likelihood.ais import Settings
    from genbench.likelihood.bdmc import Bidirectional, bdmc

    found: Annealable = c.get("decoder")
    p = c.protocol
    settings = Settings(p.temperatures, p.chains, p.leapfrog, p.schedule)
    tell = c.progress("simulated", p.simulated)

    def make(keep: Keep) -> Arrays:
        bounds = bdmc(found.model, p.simulated, settings, p.seed, p.block_size, c.device, keep=keep, progress=tell)
        return vars(bounds)

    return Bidirectional(**c.kept(make))
