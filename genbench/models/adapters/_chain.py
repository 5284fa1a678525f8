"""Diffusion models of diffusers as a chain: samples by a scheduler, and the variational bound of the same chain.

A scheduler visits the steps t_1 < ... < t_S of the T that the network was trained on; S = T visits all. With abar of
those steps, abar_0 = 1, and x_0 on [-1, 1],

    q(x_i | x_0) = N(sqrt(abar_i) x_0, (1 - abar_i) I)
    q(x_{i-1} | x_i, x_0) = N(sqrt(abar_{i-1}) x_0 + sqrt(1 - abar_{i-1} - s_i^2) e, s_i^2 I),
                            e = (x_i - sqrt(abar_i) x_0) / sqrt(1 - abar_i),    s_i = eta btilde_i^(1/2)
    btilde_i = (1 - abar_{i-1}) / (1 - abar_i) (1 - abar_i / abar_{i-1})

    -log p(x_0) <= KL(q(x_S | x_0) || N(0, I)) + sum_{i>1} E KL(q(x_{i-1} | x_i, x_0) || p(x_{i-1} | x_i))
                   - E log p(x_0 | x_1)

eta = 1 is the posterior of DDPM; with eta < 1 the forward process is DDIM's, which has the same q(x_i | x_0), and the
bound holds as it stands (Song et al. 2021, theorem 1). With eta = 0 there are no densities, and no bound.

The last step, to the integers, draws no noise in any scheduler, so that none says what p(x_0 | x_1) is. Here it is a
Gaussian discretised to the levels about the mean that the scheduler computes. Its variance is btilde_2 of the step
after it, as in the code of Ho et al. (2020), since btilde_1 = 0 (schedulers clamp it to 1e-20); a learned variance lies
between btilde_2 and beta_1. Details of the record say the standard deviation.

References:
    Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel, 2020), equations 4-13.
    Denoising Diffusion Implicit Models (Song, Meng, Ermon, 2021), equations 7, 10-12 and theorem 1.
    Improved DDPM (Nichol, Dhariwal, 2021), equation 15 for a learned variance, section 4 for fewer steps.
    Progressive distillation (Salimans, Ho, 2022), appendix D: v = sqrt(abar) e - sqrt(1 - abar) x_0.
    Classifier-free diffusion guidance (Ho, Salimans, 2022), with the scale of diffusers: 1 is no guidance.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from genbench.errors import Unavailable
from genbench.likelihood.probability_flow import NoisePrediction
from genbench.numerics.normal import log_normal_mass, nearest_level
from genbench.space import Space

# (x [B, C, ...], t [B], labels [B] or None) -> what the network predicts [B, C or 2 C, ...]
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Step:
    """From x_i to x_{i-1}: what the network is told, abar_i, abar_{i-1}, and s_i^2."""

    t: int
    alpha_bar: float
    alpha_bar_before: float
    variance: float

    @property
    def beta(self) -> float:
        return 1 - self.alpha_bar / self.alpha_bar_before


def chain_of(scheduler: Any, steps: int, eta: float = 1.0) -> list[Step]:
    """The steps of DDPM's or DDIM's chain, from the one next to the data on.

    The constants are the scheduler's own float32 numbers: those that samples are drawn with.

    Raises:
        Unavailable: the scheduler's steps form no chain: they repeat, or one does not begin where the last one ended.
    """
    alpha_bar = [float(a) for a in scheduler.alphas_cumprod.double()]
    scheduler.set_timesteps(steps)
    times = [int(t) for t in scheduler.timesteps]  # falling
    if any(later >= t for t, later in itertools.pairwise(times)):
        raise Unavailable(f"no bound: {steps} steps with timestep_spacing={scheduler.config.timestep_spacing} repeat")
    last = getattr(scheduler, "final_alpha_cumprod", 1.0)  # DDIM's
    chain = []
    for t, before in zip(times, [*times[1:], -1], strict=True):
        if hasattr(scheduler, "final_alpha_cumprod"):
            assumed = t - len(alpha_bar) // steps
            if max(assumed, -1) != before:
                raise Unavailable(
                    f"no bound: DDIM with {steps} steps and timestep_spacing={scheduler.config.timestep_spacing} steps "
                    f"from {t} as if to {assumed}, and goes on from {before}"
                )
        here, a = alpha_bar[t], alpha_bar[before] if before >= 0 else float(last)
        chain.append(Step(t, here, a, eta**2 * (1 - a) / (1 - here) * (1 - here / a)))
    return chain[::-1]


class Denoiser:
    """What diffusion and flow matching have in common: a network, perhaps with classes, and a scheduler.

    Arguments:
        space: integers; the network sees them on [-1, 1].
        network, dtype: see `Network`; the type of its weights.
        scheduler: of diffusers.
        steps: of a sample.
        eta: the noise of DDIM's steps: 0 none, 1 that of DDPM.
        n_classes: that labels may name, 0 for none.
        guidance: w of u + w (c - u), c the prediction given the class, u given the null class; 1 is no guidance.
        null_class: the label that stands for no class.
    """

    def __init__(
        self,
        space: Space,
        network: Network,
        scheduler: Any,
        *,
        steps: int,
        eta: float = 0.0,
        n_classes: int = 0,
        guidance: float = 1.0,
        null_class: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        assert space.levels is not None
        self.space, self.network, self.scheduler, self.dtype = space, network, scheduler, dtype
        self.steps, self.eta, self.n_classes = steps, eta, n_classes
        self.guidance, self.null_class = guidance, null_class
        known = inspect.signature(scheduler.step).parameters
        self.takes_eta, self.takes_generator = "eta" in known, "generator" in known

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """What the network predicts, guided: `[B, *shape]`, `[B]`, `[B]` -> `[B, C or 2 C, ...]`."""
        given = self.network(x, t, labels)
        if self.guidance == 1 or labels is None:
            return given
        assert self.null_class is not None
        free = self.network(x, t, torch.full_like(labels, self.null_class))
        channels = self.space.shape[0]  # a learned variance stays that of the class
        guided = free[:, :channels] + self.guidance * (given[:, :channels] - free[:, :channels])
        return torch.cat([guided, given[:, channels:]], 1)

    def labels_or_drawn(self, n: int, labels: Tensor | None, generator: Generator) -> Tensor | None:
        """The labels, uniform ones where a model with classes is given none."""
        if not self.n_classes or labels is not None:
            return labels
        return torch.randint(self.n_classes, (n,), generator=generator, device=generator.device)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """n samples by the scheduler, `[n, *shape]` int64: the loop of the pipelines of diffusers."""
        device, scheduler = generator.device, self.scheduler
        labels = self.labels_or_drawn(n, labels, generator)
        x = torch.randn(n, *self.space.shape, generator=generator, device=device, dtype=self.dtype)
        scheduler.set_timesteps(self.steps, device=device)
        x = x * getattr(scheduler, "init_noise_sigma", 1.0)
        given: dict[str, Any] = {"generator": generator} if self.takes_generator else {}
        if self.takes_eta:
            given["eta"] = self.eta
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            out = self.predict(scaled, t.expand(n), labels)
            if not learned(scheduler):
                out = out[:, : self.space.shape[0]]
            x = scheduler.step(out, t, x, **given).prev_sample
        return nearest_level(x, self.space)


def learned(scheduler: Any) -> bool:
    """Whether the scheduler takes the variance of its steps from the network."""
    return str(scheduler.config.get("variance_type", "")).startswith("learned")


class Diffusion(Denoiser):
    """A network trained on noised images, with the bound of its chain.

    Arguments:
        last_variance: of p(x_0 | x_1), in place of btilde_2.
        continuous: whether the network can be told of times between two steps.
        rest: as for `Denoiser`.
    """

    def __init__(self, *args: Any, last_variance: float | None = None, continuous: bool = True, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.last_variance, self.continuous = last_variance, continuous
        self.kind = type(self.scheduler).__name__.removesuffix("Scheduler")
        config = self.scheduler.config
        self.total = int(config.num_train_timesteps)
        self.variance_type = str(config.get("variance_type", "fixed_small"))

    # --- The bound

    def elbo(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """An unbiased estimate of a lower bound on log p(x), with one draw of noise for each step: -> `[B]` float64.

        Without labels a model of C classes means log 1/C sum_y p(x | y). For any r(y) that is at least
        E_r [bound of log p(x | y) - log(C r(y))]; r is in proportion to exp(bound) of one draw, and the bounds that are
        averaged are another's, so that noise in them raises nothing.

        Raises:
            Unavailable: the scheduler draws from no chain with a bound.
        """
        if not self.n_classes or labels is not None:
            return -self.terms(x, generator, labels).sum(0)
        log_r = self.bounds(x, generator).log_softmax(0)  # [C, B]
        each = self.bounds(x, generator) - math.log(self.n_classes) - log_r
        return torch.where(log_r.exp() > 0, log_r.exp() * each, 0.0).sum(0)

    def bounds(self, x: Tensor, generator: Generator) -> Tensor:
        """The bound given every class, under the same noise: `[C, B]`."""
        before, found = generator.get_state(), []
        for y in range(self.n_classes):
            generator.set_state(before)
            found.append(-self.terms(x, generator, torch.full((len(x),), y, device=x.device)).sum(0))
        return torch.stack(found)

    @property
    def chain(self) -> list[Step]:
        """The steps that samples come through.

        Raises:
            Unavailable: they have no bound.
        """
        config = self.scheduler.config
        if self.kind not in ("DDPM", "DDIM"):
            raise Unavailable(f"no bound: the steps of {self.kind} are not those of a chain with known densities")
        if self.kind == "DDIM" and self.eta == 0:
            raise Unavailable(
                "no bound: DDIM with eta=0 draws no noise between its steps; with ?scheduler=ddpm, or eta above 0, "
                "there is one"
            )
        if config.get("thresholding"):
            raise Unavailable("no bound: dynamic thresholding of x_0 is the scheduler's own")
        if self.kind == "DDPM" and self.variance_type == "learned":
            raise Unavailable("no bound: variance_type=learned takes any output as a variance, also a negative one")
        if self.steps < 2:
            raise Unavailable("no bound of one step: the variance of the last step is that of the one after it")
        return chain_of(self.scheduler, self.steps, self.eta if self.kind == "DDIM" else 1.0)

    @property
    def elbo_details(self) -> dict[str, Any]:
        """What a record says of the bound."""
        chain = self.chain
        said: dict[str, Any] = {
            "chain": f"{self.steps} of {self.total} steps of {self.kind}",
            "variance": f"eta {self.eta:g}" if self.kind == "DDIM" else self.variance_type,
            "last_sd": math.sqrt(self.decoder_variance(chain)),
            "last_sd_of": "the step after the last one" if self.last_variance is None else "last_variance",
            "guidance": self.guidance,
        }
        if learned(self.scheduler) and self.kind == "DDPM":
            said["last_sd_of"] += ", the least that the network may choose"
        return said | ({"classes": f"{self.n_classes}, uniform"} if self.n_classes else {})

    def decoder_variance(self, chain: list[Step]) -> float:
        """Of p(x_0 | x_1): btilde_2, where it is not given."""
        return chain[1].variance if self.last_variance is None else self.last_variance

    def terms(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """The terms of the bound in nats, `[1 + S, B]` float64: of x_S, then from the data on each step's.

        Arguments:
            x: `[B, *shape]` int64.
        """
        chain = self.chain
        x0 = x.double() * (2 / (self.space.levels - 1)) - 1  # type: ignore[operator]
        last = chain[-1].alpha_bar
        found = [0.5 * (last * x0**2 - last - math.log1p(-last)).flatten(1).sum(1)]
        for i, step in enumerate(chain):
            e = torch.randn(x0.shape, generator=generator, device=x.device, dtype=self.dtype).double()
            mean, log_variance = self.reverse(chain, i, x0, e, labels)
            if i == 0:
                log_p = log_normal_mass(x0, mean, 0.5 * log_variance, self.space.levels)  # type: ignore[arg-type]
                found.append(-log_p.flatten(1).sum(1))
                continue
            before = step.alpha_bar_before
            gap = math.sqrt(before) * x0 + math.sqrt(1 - before - step.variance) * e - mean
            ratio = math.log(step.variance) - log_variance
            found.append(0.5 * (ratio.exp() - 1 - ratio + gap**2 * (-log_variance).exp()).flatten(1).sum(1))
        return torch.stack(found)

    def reverse(self, chain: list[Step], i: int, x0: Tensor, e: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of p(x_{i-1} | x_i) at the x_i of x_0 and e: `[B, *shape]` float64, each."""
        step, config = chain[i], self.scheduler.config
        alpha, sigma = math.sqrt(step.alpha_bar), math.sqrt(1 - step.alpha_bar)
        xt = alpha * x0 + sigma * e
        t = torch.full((len(x0),), step.t, device=x0.device)
        out = self.predict(xt.to(self.dtype), t, labels).double()
        noise, start = self.noise_and_start(out[:, : x0.shape[1]], xt, alpha, sigma)
        if config.get("clip_sample"):
            start = start.clamp(-config.clip_sample_range, config.clip_sample_range)
        before = step.alpha_bar_before
        if self.kind == "DDIM":  # goes on with the noise as it was predicted, whatever was clipped
            mean = math.sqrt(before) * start + math.sqrt(max(0.0, 1 - before - step.variance)) * noise
        else:
            mean = math.sqrt(before) * step.beta / (1 - step.alpha_bar) * start
            mean = mean + math.sqrt(step.alpha_bar / before) * (1 - before) / (1 - step.alpha_bar) * xt
        least = self.decoder_variance(chain) if i == 0 else step.variance
        if self.kind == "DDPM" and self.variance_type == "learned_range":
            share = (out[:, x0.shape[1] :] + 1) / 2
            return mean, share * math.log(step.beta) + (1 - share) * math.log(least)
        large = self.kind == "DDPM" and self.variance_type == "fixed_large" and i > 0
        return mean, torch.full_like(mean, math.log(step.beta if large else least))

    def noise_and_start(self, out: Tensor, xt: Tensor, alpha: Any, sigma: Any) -> tuple[Tensor, Tensor]:
        """e and x_0 as the network predicts them, whichever it was trained for."""
        kind = self.scheduler.config.prediction_type
        if kind == "v_prediction":
            return alpha * out + sigma * xt, alpha * xt - sigma * out
        if kind == "sample":
            return (xt - alpha * out) / sigma, out
        return out, (xt - sigma * out) / alpha

    # --- The flow

    def probability_flow(self) -> NoisePrediction:
        """The chain of all T steps in continuous time, which no scheduler and no number of steps changes.

        Raises:
            Unavailable: the model has classes, or there are no times between the steps.
        """
        if self.n_classes:
            raise Unavailable("no flow of a model with classes: the velocity of the mixture is not that of a class")
        if not self.continuous:
            raise Unavailable("no flow: the network knows its steps by number, and no time between them")
        alpha_bar = self.scheduler.alphas_cumprod.double()
        log_snr = alpha_bar.log() - torch.log1p(-alpha_bar)
        if not bool(log_snr.isfinite().all()) or not bool((log_snr.diff() < 0).all()):
            raise Unavailable("no flow: the log-SNR of the steps does not fall, or is infinite (a zero terminal SNR)")

        def predict(x: Tensor, index: Tensor) -> Tensor:
            table = log_snr.to(index)
            before = index.floor().clamp(0, len(table) - 2).long()
            here = table[before] + (index - before) * (table[before + 1] - table[before])
            shape = [-1, *[1] * (x.dim() - 1)]
            alpha, sigma = here.sigmoid().sqrt().view(shape).to(x), (-here).sigmoid().sqrt().view(shape).to(x)
            out = self.predict(x, index, None)[:, : x.shape[1]]
            return self.noise_and_start(out, x, alpha, sigma)[0]

        return NoisePrediction(self.space, predict, log_snr, self.log_decoder())

    def log_decoder(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """log p(x_0 | x_1) of the chain of all steps, given x_0 on [-1, 1] and the noise in x_1; None of DDIM."""
        if self.kind != "DDPM" or self.scheduler.config.get("thresholding"):
            return None
        chain, levels = chain_of(self.scheduler, self.total), self.space.levels

        def log_p(x0: Tensor, e: Tensor) -> Tensor:
            mean, log_variance = self.reverse(chain, 0, x0.double(), e.double(), None)
            return log_normal_mass(x0.double(), mean, 0.5 * log_variance, levels).flatten(1).sum(1)  # type: ignore[arg-type]

        return log_p


class FlowMatching(Denoiser):
    """A network that predicts the velocity dx/dt = e - x_0 of x_t = (1 - t) x_0 + t e, for schedulers of flow matching.

    The network is told t T; the flow ends at the scheduler's least t, short of the data.
    """

    @property
    def eps(self) -> float:
        return float(self.scheduler.sigma_min)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt: `[B, *shape]`, `[B]` -> `[B, *shape]`.

        Raises:
            Unavailable: the model has classes.
        """
        if self.n_classes:
            raise Unavailable("no flow of a model with classes: the velocity of the mixture is not that of a class")
        return self.predict(x, t * int(self.scheduler.config.num_train_timesteps), None)


class Autoencoder:
    """AutoencoderKL or VQModel: codes, and what the decoder makes of them. It has no distribution of images.

    Arguments:
        space: integers; the network sees them on [-1, 1].
        network: of diffusers.
    """

    def __init__(self, space: Space, network: Any) -> None:
        assert space.levels is not None
        self.space, self.network = space, network

    def latents(self, x: Tensor) -> Tensor:
        """The mean of q(z | x), or the nearest codes: `[B, C, H, W]` int64 -> `[B, c, h, w]`."""
        x = x.to(self.network.dtype) * (2 / (self.space.levels - 1)) - 1  # type: ignore[operator]
        found = self.network.encode(x)
        if hasattr(found, "latent_dist"):
            return found.latent_dist.mode()
        return self.network.quantize(found.latents)[0]

    def encode(self, x: Tensor) -> Tensor:
        """-> `[B, c h w]`."""
        return self.latents(x).flatten(1)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoder's image of the latents, in the raw range of the space, neither rounded nor cut."""
        y = self.network.decode(self.latents(x)).sample  # of a VQModel it looks for the nearest codes again: the same
        return (y + 1) * ((self.space.levels - 1) / 2)  # type: ignore[operator]
