"""Samples of a denoising autoencoder by a chain of corruption and reconstruction, trained with and without walkback.

Digits in black and white. C(x~ | x) puts a fair coin in place of every pixel with probability 0.4; a network of two
hidden layers learns p(x | x~), a product of Bernoullis. In alternation, x~_t ~ C(. | x_t), x_(t+1) ~ p(. | x~_t),
they are a Markov chain, which has the distribution of the data as its own if p is exact.

Plain training shows the network corrupted digits. Walkback lets the chain run four steps from a digit, and asks for
the digit again from each of its x~: what the chain itself strays to is mended. Both see 128 pairs in a step.
1,000 chains start at coins; their distance from the data is the Fréchet distance in the features of the digits'
classifier, of black and white digits on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import datasets
from genbench.metrics import fd
from genbench.numerics.points import Points
from genbench.studies.claims import Finding
from genbench.studies.claims._training import seen, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A denoising autoencoder can be sampled by a chain, and training it by walkback gives better samples."
SAID_BY = "Bengio, Yao, Alain, Vincent (2013), theorem 1 and the section on walkback training"
DECIDED_BY = (
    "the Fréchet distance after 100 steps from coins: after walkback as a share of that of independent pixels, which "
    "half would show, and by walkback less by plain training"
)
CARRIES = (
    "to 8x8 digits in black and white, pixels drawn independently given x~, and a corruption as strong as 0.4, with "
    "which plain chains come to a third of independent pixels, as the picture shows: what has strayed four steps says "
    "little of its digit, and may teach averages. `walkback-with-little-noise` asks the same of weaker corruption."
)
PICTURE = "Fréchet distance of 1,000 chains from coins against their steps, means over seeds."
SEEDS, VERSION = 6, 1
CORRUPTION, WALK, STEPS, CHAINS, HIDDEN = 0.4, 4, 2000, 1000, 256
AT, JUDGED = (1, 2, 5, 10, 20, 50, 100, 200), "100"


@cache
def bits() -> Tensor:
    """Training digits `[n, 64]` of 0 and 1."""
    data = datasets.load("digits-binary")
    return torch.from_numpy(data.train.reshape(len(data.train), -1).astype(np.float32))


@cache
def of_data() -> Points:
    return Points(features(bits()))


def features(x: Tensor) -> np.ndarray:
    """Of black and white digits `[n, 64]`."""
    return seen((16 * x).reshape(-1, 1, 8, 8).numpy().astype(np.uint8))


def distance(x: Tensor) -> float:
    return float(fd.compute(Points(features(x)), of_data())["fd"].value)


def corrupted(x: Tensor, generator: torch.Generator, share: float = CORRUPTION) -> Tensor:
    """A draw of C(. | x), which puts coins in place of this share of the pixels."""
    flip = torch.rand(x.shape, generator=generator) < share
    return torch.where(flip, torch.bernoulli(torch.full_like(x, 0.5), generator=generator), x)


def walk(net: nn.Module, x: Tensor, steps: int, generator: torch.Generator, share: float = CORRUPTION) -> Tensor:
    """The corrupted states of the chain from x: `[n, d]` -> `[steps n, d]`."""
    strayed, now = [], x
    with torch.no_grad():
        for step in range(steps):
            strayed.append(corrupted(now, generator, share))
            if step < steps - 1:
                now = torch.bernoulli(net(strayed[-1]).sigmoid(), generator=generator)
    return torch.cat(strayed)


def network(steps: int, seed: int, share: float = CORRUPTION) -> nn.Module:
    """Trained by walks of so many steps; one step is plain training."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 64))
    generator = torch.Generator().manual_seed(seed)

    def loss(x: Tensor) -> Tensor:
        x = x[: len(x) // steps]
        return F.binary_cross_entropy_with_logits(net(walk(net, x, steps, generator, share)), x.repeat(steps, 1))

    return trained(net, bits(), loss, STEPS, seed)


@torch.no_grad()
def chain(net: nn.Module, seed: int, share: float = CORRUPTION, at: Sequence[int] = AT) -> dict[str, float]:
    """Distances of the chains after so many steps, the last of `at` the most."""
    generator = torch.Generator().manual_seed(1000 + seed)
    x, found = torch.bernoulli(torch.full((CHAINS, 64), 0.5), generator=generator), {}
    for step in range(1, at[-1] + 1):
        x = torch.bernoulli(net(corrupted(x, generator, share)).sigmoid(), generator=generator)
        if step in at:
            found[str(step)] = distance(x)
    return found


def independent(seed: int) -> float:
    """The distance of pixels that are drawn independently."""
    generator = torch.Generator().manual_seed(2000 + seed)
    return distance(torch.bernoulli(bits().mean(0).expand(CHAINS, -1), generator=generator))


def trial(seed: int) -> Found:
    return {
        "plain": chain(network(1, seed), seed),
        "walkback": chain(network(WALK, seed), seed),
        "independent": independent(seed),
    }


def judged(found: list[Found]) -> list[Finding]:
    plain, walkback = (each(found, way, JUDGED) for way in ("plain", "walkback"))
    share = walkback / each(found, "independent")
    return [
        of_mean("chain after walkback: FD as a share of that of independent pixels", share, "below", 0.5, 2),
        of_mean("FD of the chain, walkback less plain training", walkback - plain, "below", 0.0, 2),
    ]


def plot(axes, found: list[Found], at: Sequence[int] = AT) -> None:
    for way, marker in (("plain", "o"), ("walkback", "s")):
        y = [float(each(found, way, str(step)).mean()) for step in at]
        axes.plot(at, y, marker + "-", label=f"{way} training" if way == "plain" else way)
    axes.axhline(float(each(found, "independent").mean()), color="#888888", linewidth=0.8, label="independent pixels")
    axes.set(xscale="log", xlabel="steps of the chain", ylabel="Fréchet distance", ylim=(0, None))
    axes.set_xticks(at, list(map(str, at)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
