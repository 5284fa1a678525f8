"""Three ways to keep a critic's slope in bounds, by what each says of a transport distance that is known.

Data lie on a ring in the plane, radius N(2, 0.1^2), samples are N(0, 0.5^2 I). Both are the same in all directions, so
that mass moves along the radii, and the transport distance is that of the radii, with F and G their distributions:

    W = int |F(r) - G(r)| dr,    and (E_p f - E_q f) / max |grad f| <= W for every critic f

A critic of two hidden layers of 32 rectified units is trained by E_q f - E_p f for 500 steps of Adam, with its weights
clipped (to 0.01, as in the paper, or to 0.1), with a penalty 10 (|grad f| - 1)^2 between data and samples, or with
every layer divided by its spectral norm. Means are quadratures over radius and angle, the largest slope is that on a
grid over [-3, 3]^2.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = (
    "A gradient penalty or a spectral norm brings a critic closer to the transport distance than clipped weights do."
)
SAID_BY = "Gulrajani et al. (2017), section 3; Miyato et al. (2018) of the spectral norm"
DECIDED_BY = (
    "the critic's estimate over its largest slope, as a share of the exact distance, between a ring and a Gaussian in "
    "its middle; 500 steps"
)
CARRIES = (
    "to small critics in the plane, where the distance is known; of many dimensions it says nothing. On a line a "
    "critic that has to turn crosses a slope of 0, which the penalty punishes: tried first, there clipping won. Ten "
    "seeds left one pair open, and thirty do; the intervals allow for two looks."
)
PICTURE = "Estimate over the largest slope, as a share of the exact distance (1 is exact): a point for each seed."
SEEDS, VERSION, LOOKS = 30, 1, 2
WAYS = ("clipped to 0.01", "clipped to 0.1", "gradient penalty", "spectral norm")
STEPS, BATCH, RATE, PENALTY = 500, 128, 1e-3, 10.0
RADII = np.linspace(0, 4, 801)


def densities() -> tuple[np.ndarray, np.ndarray]:
    """Of the radii of data and of samples."""
    return stats.norm.pdf(RADII, 2, 0.1), stats.rayleigh.pdf(RADII, scale=0.5)


def transport() -> float:
    F, G = stats.norm.cdf(RADII, 2, 0.1), stats.rayleigh.cdf(RADII, scale=0.5)
    return float(np.trapezoid(np.abs(F - G), RADII))


def drawn(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch of data and one of samples `[n, 2]`."""
    around = torch.randn(BATCH, 2, generator=generator)
    radius = 2 + 0.1 * torch.randn(BATCH, 1, generator=generator)
    return radius * around / around.norm(dim=1, keepdim=True), 0.5 * torch.randn(BATCH, 2, generator=generator)


def trained(way: str, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = [nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 1)]
    if way == "spectral norm":
        layers = [nn.utils.parametrizations.spectral_norm(layer) for layer in layers]
    critic = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimiser = torch.optim.Adam(critic.parameters(), lr=RATE, betas=(0.5, 0.9))
    for _ in range(STEPS):
        real, fake = drawn(generator)
        loss = critic(fake).mean() - critic(real).mean()
        if way == "gradient penalty":
            between = torch.lerp(real, fake, torch.rand(BATCH, 1, generator=generator)).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            loss = loss + PENALTY * (slope.norm(dim=1) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if way.startswith("clipped"):
            most = float(way.split()[-1])
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-most, most)
    return critic.eval()


def judge(critic: nn.Module) -> dict[str, float]:
    """The largest slope of a critic, and its estimate over that as a share of the exact distance."""
    angles = np.arange(64) * (2 * np.pi / 64)
    at = RADII[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)  # [r, angle, 2]
    side = torch.linspace(-3, 3, 121)
    grid = torch.cartesian_prod(side, side).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(grid).sum(), grid)
    with torch.no_grad():
        f = critic(torch.from_numpy(at).float().reshape(-1, 2)).reshape(at.shape[:2]).double().mean(1).numpy()
    p, q = densities()
    slope, estimate = float(slopes.norm(dim=1).max()), float(np.trapezoid((p - q) * f, RADII))
    return {"slope": slope, "share": estimate / (slope * transport()) if slope > 0 else 0.0}


def trial(seed: int) -> Found:
    found = {}
    for way in WAYS:
        torch.manual_seed(seed)
        found[way] = judge(trained(way, seed))
    return found


def judged(found: list[Found]) -> list[Finding]:
    share = {way: each(found, way, "share") for way in WAYS}
    penalty, norm = share["gradient penalty"], share["spectral norm"]
    cases = [
        *((f"gradient penalty less {way}", penalty - share[way]) for way in WAYS[:2]),
        *((f"spectral norm less {way}", norm - share[way]) for way in WAYS[:2]),
    ]
    return [
        of_mean(f"share of the distance, {what}", values, "above", 0.0, LOOKS * len(cases)) for what, values in cases
    ]


def plot(axes, found: list[Found]) -> None:
    for i, way in enumerate(WAYS):
        y = each(found, way, "share")
        axes.scatter(i + np.linspace(-0.15, 0.15, len(y)), y, s=14)
    slopes = [float(np.median(each(found, way, "slope"))) for way in WAYS]
    axes.set_xticks(range(len(WAYS)), [f"{w}\nmedian slope {s:.2g}" for w, s in zip(WAYS, slopes, strict=True)], size=8)
    axes.axhline(1, color="#888888", linewidth=0.8)
    axes.set(ylabel="share of the distance", ylim=(0, 1.08))
