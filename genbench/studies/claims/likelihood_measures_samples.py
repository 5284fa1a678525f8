"""A model that draws noise 99 times in 100, and costs at most log 100 nats for each image.

    log(0.01 p(x) + 0.99 u(x)) >= log p(x) - log 100

with p a trained model and u uniform noise (Theis, van den Oord, Bethge, 2016, section 3.2).
"""

from __future__ import annotations

import math
from typing import Any

import torch

import genbench
from genbench.catalog import BASELINES
from genbench.models.checkpoint import load
from genbench.numerics.multiple import quantile
from genbench.run.records import Record
from genbench.space import Space
from genbench.studies.claims import Finding

SENTENCE = "A better likelihood means better samples."
SAID_BY = "nobody in a paper, and many who read a table of bits/dim"
DECIDED_BY = "a model that is better in likelihood and worse in samples than another, both beyond chance"
CARRIES = "to every data set: the cost is at most log 100 nats an image, however many pixels it has."
GOOD, OTHER = "gated-pixelcnn", "mixture"
SHARE = 0.01


class MostlyNoise(torch.nn.Module):
    """A share of a model's samples, the rest uniform noise; its log-likelihood is exact."""

    version = "1"

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.space: Space = model.space

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        assert self.space.levels is not None
        noise = -self.space.dim * math.log(self.space.levels)
        model: Any = self.model
        good = model.log_prob(x).double() + math.log(SHARE)
        return torch.logaddexp(good, torch.full_like(good, math.log1p(-SHARE) + noise))

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        assert self.space.levels is not None
        good = torch.rand(n, generator=generator) < SHARE
        x = torch.randint(self.space.levels, (n, *self.space.shape), generator=generator)
        if good.any():
            model: Any = self.model
            x[good] = model.sample(int(good.sum()), generator)
        return x


def measure() -> list[Finding]:
    folder = BASELINES / "checkpoints" / "digits"
    noisy = measured(MostlyNoise(load(folder / f"{GOOD}.safetensors")))
    other = measured(load(folder / f"{OTHER}.safetensors"))
    likelihood, samples = (gap(noisy[metric], other[metric]) for metric in ("nll", "fd"))
    refutes = likelihood[1] < 0 and samples[0] > 0
    what = f"{SHARE:.0%} {GOOD} and {1 - SHARE:.0%} noise, against {OTHER}"
    values = " and ".join(f"{noisy[m].value:.3g} against {other[m].value:.3g}" for m in ("nll", "fd"))
    interval = f"bits/dim [{likelihood[0]:+.2f}, {likelihood[1]:+.2f}], FD [{samples[0]:+.2g}, {samples[1]:+.2g}]"
    return [Finding(what, f"{values} (bits/dim, FD)", interval, "against" if refutes else "open")]


def measured(model: torch.nn.Module) -> dict[str, Record]:
    """The likelihood of a model and the Fréchet distance of its samples, on the digits."""
    records = genbench.evaluate(model.eval(), "digits", ["nll", "fd"], device="cpu")
    return {record.metric["name"].partition("[")[0]: record for record in records}


def gap(a: Record, b: Record) -> tuple[float, float]:
    """The interval of a - b of independent estimates, holding for both metrics together (Bonferroni)."""
    assert a.value is not None
    assert b.value is not None
    half = quantile(2) * math.hypot(a.stderr or 0.0, b.stderr or 0.0)
    return a.value - b.value - half, a.value - b.value + half
