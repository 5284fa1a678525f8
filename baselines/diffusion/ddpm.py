"""DDPM: a chain of T small Gaussian steps from noise to an image, with all T terms of its variational bound.

    forward   q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I),    t = 1..T,  x_0 on [-1, 1]
    reverse   p(x_{t-1} | x_t) = N(mu_t(x_t), s_t^2(x_t)),           p(x_T) = N(0, I)

The network predicts the noise eps in x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, and where
between its two limits the variance s_t^2 lies. The last step, from x_1 to the integers x_0, is a
Gaussian discretised to the levels, so that they sum to one. Then

    -log p(x_0) <= KL(q(x_T | x_0) || p(x_T)) + sum_{t>1} E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))
                   - E log p(x_0 | x_1)

log(abar_t / (1 - abar_t)) falls linearly in t. The bound then gives the error in eps the same weight at
every step, so that the simple objective is the bound's own, up to a constant.

References:
    Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel, 2020), equations 4-14.
    Improved DDPM (Nichol and Dhariwal, 2021), equations 15 and 16: the learned variance.
    Variational Diffusion Models (Kingma et al., 2021), section 3: the schedule by its log-SNR.
    Label-efficient semantic segmentation with diffusion models (Baranchuk et al., 2022): its features as a code.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage
from genbench.likelihood.probability_flow import NoisePrediction

from .._layers import log_normal, log_normal_mass, nearest_level, normalised, quarters

VERSION = 1
READ = 0.3  # of the chain, where `encode` reads: chosen by the probe on validation images (tests/metrics/reading.py)

# (x_t [B, *shape], t [B] int64 in 0..T-1) -> eps [B, *shape], share [B, *shape] in [0, 1]
Denoiser = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Schedule(nn.Module):
    """The constants of the chain by t, counted from 0: index 0 is the step between x_0 and x_1.

    Arguments:
        log_snr: log abar_t - log(1 - abar_t) `[T]`, falling.
    """

    noise: Tensor
    alpha_bar: Tensor
    from_start: Tensor
    from_here: Tensor
    log_smallest: Tensor
    log_largest: Tensor

    def __init__(self, log_snr: Tensor) -> None:
        super().__init__()
        log_snr = log_snr.double()
        alpha_bar, noise = log_snr.sigmoid(), (-log_snr).sigmoid()  # noise: 1 - abar_t
        alpha_bar_before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        noise_before = torch.cat([noise.new_zeros(1), noise[:-1]])
        alpha = alpha_bar / alpha_bar_before
        beta = 1 - alpha
        # The variance of q(x_{t-1} | x_t, x_0), equation 7, is the smallest useful one, and beta is the largest. At
        # the first step, where p is the decoder, that variance is 0: the decoder may have a tenth of the deviation
        # of the noise in x_1.
        variance = beta * noise_before / noise
        variance[0] = beta[0] / 100
        constants = {
            "alpha_bar": alpha_bar,
            "noise": noise,
            "from_start": alpha_bar_before.sqrt() * beta / noise,
            "from_here": alpha.sqrt() * noise_before / noise,
            "log_smallest": variance.log(),
            "log_largest": beta.log(),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.float(), persistent=False)

    def __len__(self) -> int:
        return len(self.noise)

    def at(self, name: str, t: Tensor, like: Tensor) -> Tensor:
        """A constant for each example, to be broadcast over `like` [B, *shape]."""
        return getattr(self, name)[t].view(-1, *[1] * (like.dim() - 1))

    def diffuse(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t, equation 4."""
        return self.at("alpha_bar", t, x0).sqrt() * x0 + self.at("noise", t, x0).sqrt() * eps

    def posterior_mean(self, x0: Tensor, xt: Tensor, t: Tensor) -> Tensor:
        """The mean of q(x_{t-1} | x_t, x_0), equation 7."""
        return self.at("from_start", t, xt) * x0 + self.at("from_here", t, xt) * xt

    def reverse(self, denoiser: Denoiser, xt: Tensor, t: Tensor, bounded: bool) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of p(x_{t-1} | x_t); `bounded` says that x_0 is on [-1, 1]."""
        eps, share = denoiser(xt, t)
        x0 = (xt - self.at("noise", t, xt).sqrt() * eps) / self.at("alpha_bar", t, xt).sqrt()
        if bounded:
            x0 = x0.clamp(-1, 1)
        low, high = self.at("log_smallest", t, xt), self.at("log_largest", t, xt)
        return self.posterior_mean(x0, xt, t), 0.5 * (low + share * (high - low))


def bound_term(
    schedule: Schedule, denoiser: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, levels: int | None
) -> Tensor:
    """Term t of the bound in nats, with noise eps: x0 normalised [B, *shape], t [B] -> [B].

    KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) in closed form; at the first step -log p(x_0 | x_1).
    """
    xt = schedule.diffuse(x0, t, eps)
    mean, log_sd = schedule.reverse(denoiser, xt, t, bounded=levels is not None)
    q_mean, q_log_sd = schedule.posterior_mean(x0, xt, t), 0.5 * schedule.at("log_smallest", t, xt)
    squares = (2 * (q_log_sd - log_sd)).exp() + (q_mean - mean) ** 2 * (-2 * log_sd).exp()
    kl = 0.5 * (squares - 1) + log_sd - q_log_sd
    log_decoder = log_normal(x0, mean, log_sd) if levels is None else log_normal_mass(x0, mean, log_sd, levels)
    return torch.where(t == 0, -log_decoder.flatten(1).sum(1), kl.flatten(1).sum(1))


def bound(
    schedule: Schedule, denoiser: Denoiser, x0: Tensor, generator: Generator, levels: int | None, thin: int = 1
) -> Tensor:
    """An unbiased estimate of a lower bound on log p(x_0), with one draw of noise for each t (equation 5): -> [B].

    Arguments:
        thin: of so many terms in a row one is looked at, from a random first one on, and counts for all of them.
    """
    last = schedule.alpha_bar[-1]
    prior = 0.5 * (last * x0**2 - last - torch.log1p(-last))  # KL(q(x_T | x_0) || N(0, I))
    total = -prior.flatten(1).sum(1)
    first = torch.zeros(len(x0), dtype=torch.int64, device=x0.device)
    if thin > 1:
        first = torch.randint(thin, first.shape, generator=generator, device=x0.device)
    for step in range(0, len(schedule), thin):
        eps = torch.randn(x0.shape, generator=generator, device=x0.device)
        total = total - thin * bound_term(schedule, denoiser, x0, first + step, eps, levels)
    return total


class Block(nn.Module):
    """A residual block told of the time. GroupNorm sees one image alone."""

    def __init__(self, before: int, after: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.time = nn.Linear(embedding, after)
        second = nn.Conv2d(after, after, 3, padding=1)
        nn.init.zeros_(second.weight)
        self.second = nn.Sequential(nn.GroupNorm(4, after), nn.SiLU(), nn.Dropout(dropout), second)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.first(x) + self.time(time)[:, :, None, None]
        return self.skip(x) + self.second(h)


class UNet(nn.Module):
    """Two resolutions: [B, C, H, W] and time features [B, embedding] -> [B, 2 C, H, W]."""

    def __init__(self, channels: int, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU())
        self.into = nn.Conv2d(channels, width, 3, padding=1)
        self.fine = Block(width, width, embedding, dropout)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = Block(2 * width, 2 * width, embedding, dropout)
        self.up = nn.Upsample(scale_factor=2)
        self.merge = Block(3 * width, width, embedding, dropout)
        self.out = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, 2 * channels, 3, padding=1))

    def features(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """On the way down: [B, w, H, W] and [B, 2w, H/2, W/2]."""
        fine = self.fine(self.into(x), time)
        return fine, self.coarse(self.down(fine), time)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        time = self.time(time)
        fine, coarse = self.features(x, time)
        return self.out(self.merge(torch.cat([fine, self.up(coarse)], dim=1), time))


class DDPM(nn.Module):
    """The chain with a U-Net.

    Arguments:
        T: steps of the chain.
        log_snr: of x_1 and of x_T. At x_1 the noise should be about as wide as a level; at x_T
            nothing of x_0 should be left.
        width, embedding: channels of the U-Net, features of the time.
        dropout: inside the blocks.
        hybrid: weight of the bound in the loss, through which the variances are learned.
        thin: in validation one of so many terms of the bound stands for all of them; a divisor of T.
    """

    def __init__(
        self,
        space: Space,
        *,
        T: int = 100,
        log_snr: tuple[float, float] = (5.0, -8.0),
        width: int = 24,
        embedding: int = 64,
        dropout: float = 0.1,
        hybrid: float = 0.1,
        thin: int = 1,
    ) -> None:
        super().__init__()
        if not space.is_image or space.shape[1] % 2 or space.shape[2] % 2:
            raise ValueError("it needs images with even sides")
        if T < 2 or width % 4 or embedding % 2 or thin < 1 or T % thin:
            raise ValueError("T must be at least 2, width a multiple of 4, embedding even, thin a divisor of T")
        self.space, self.hybrid, self.embedding, self.thin = space, hybrid, embedding, thin
        self.schedule = Schedule(torch.linspace(*log_snr, T, dtype=torch.float64))
        self.net = UNet(space.shape[0], width, embedding, dropout)

    def time_features(self, t: Tensor) -> Tensor:
        """Sines and cosines of t/T at frequencies from 1 to 100: [B] -> [B, embedding]."""
        frequency = torch.logspace(0, 2, self.embedding // 2, device=t.device)
        angle = (t / len(self.schedule))[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    def denoise(self, xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        eps, share = self.net(xt, self.time_features(t)).chunk(2, dim=1)
        return eps, share.sigmoid()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The simple objective (equation 14), plus the bound as a function of the variances alone (Nichol, eq. 16)."""
        x0 = normalised(x, self.space)
        t = torch.randint(len(self.schedule), (len(x0),), generator=generator, device=x0.device)
        eps = torch.randn(x0.shape, generator=generator, device=x0.device)
        predicted, share = self.denoise(self.schedule.diffuse(x0, t, eps), t)
        term = bound_term(self.schedule, lambda xt, t: (predicted.detach(), share), x0, t, eps, self.space.levels)
        per_dim = len(self.schedule) / self.space.dim  # the sum over t from one of its terms, by pixel
        return F.mse_loss(predicted, eps) + self.hybrid * per_dim * term.mean()

    def elbo(self, x: Tensor, generator: Generator, thin: int = 1) -> Tensor:
        return bound(self.schedule, self.denoise, normalised(x, self.space), generator, self.space.levels, thin)

    def negative_elbo(self, x: Tensor, generator: Generator) -> Tensor:
        """Of a validation, on average over x, from every `thin`-th term."""
        return -self.elbo(x, generator, self.thin).mean()

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.net.parameters(), self.loss),), self.negative_elbo),)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Algorithm 2. Rounding a draw of the last Gaussian is a draw from its masses in the bins, as scored."""
        x = torch.randn(n, *self.space.shape, generator=generator, device=generator.device)
        for step in reversed(range(len(self.schedule))):
            t = torch.full((n,), step, device=x.device)
            mean, log_sd = self.schedule.reverse(self.denoise, x, t, bounded=self.space.levels is not None)
            x = mean + log_sd.exp() * torch.randn(x.shape, generator=generator, device=x.device)
        return self.to_levels(x)

    def to_levels(self, x: Tensor) -> Tensor:
        return nearest_level(x, self.space)

    def encode(self, x: Tensor) -> Tensor:
        """The lowest features of the network, averaged over each quarter of the image: [B, *shape] -> [B, 8 width].

        What a denoiser has to know of an image to tell it from noise is read where some of it is gone (Baranchuk et
        al. 2022). It is shown sqrt(alpha_bar_t) x_0, the mean of x_t, at t = READ T, so that a code is a function of x.
        """
        t = torch.full((len(x),), round(READ * len(self.schedule)), device=x.device)
        x0 = normalised(x, self.space)
        xt = self.schedule.at("alpha_bar", t, x0).sqrt() * x0
        return quarters(self.net.features(xt, self.net.time(self.time_features(t)))[1])

    def probability_flow(self) -> NoisePrediction:
        """The chain in continuous time. Its features of time are continuous, so the network takes a fractional t."""
        log_snr = self.schedule.alpha_bar.double().log() - self.schedule.noise.double().log()

        def denoise(xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            return self.denoise(xt, t.to(xt.dtype))  # t tells the time features their dtype

        def log_decoder(x0: Tensor, eps: Tensor) -> Tensor:
            first = torch.zeros(len(x0), dtype=torch.int64, device=x0.device)
            return -bound_term(self.schedule, denoise, x0, first, eps, self.space.levels)

        return NoisePrediction(self.space, lambda x, t: denoise(x, t)[0], log_snr, log_decoder)


PRESETS = {
    "digits": Preset(
        {"T": 100, "log_snr": (5.0, -8.0), "width": 24, "embedding": 64, "dropout": 0.1, "hybrid": 0.1},
        steps=5000, batch_size=128, lr=2e-3, ema=0.998, clip=1.0, validate_every=500,
    ),
    "patches": Preset(  # 256 levels lie closer together: less noise in x_1
        {"T": 100, "log_snr": (9.0, -8.0), "width": 24, "embedding": 64, "dropout": 0.0, "hybrid": 0.1},
        steps=4000, batch_size=128, lr=2e-3, ema=0.998, clip=1.0, validate_every=1000, half=True,
    ),
    "mnist": Preset(
        {"T": 100, "log_snr": (9.0, -8.0), "width": 24, "embedding": 64, "dropout": 0.0, "hybrid": 0.1, "thin": 50},
        steps=2500, batch_size=64, lr=2e-3, ema=0.998, clip=1.0, validate_every=500, half=True,
    ),
}  # fmt: skip

build = DDPM
