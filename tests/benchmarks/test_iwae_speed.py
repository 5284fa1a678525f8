"""The streamed importance-weighted bound against the way it is usually written, in one run, with the same noise.

pytest tests/benchmarks/test_iwae_speed.py --benchmark-only --benchmark-group-by=group [-k 20x500]

The peer keeps all K weights, encodes x again for every chunk of draws, and takes the cross-entropy value by value on
copies of x. `stacked` encodes an image once a chunk, `stacked-copies` every copy of it, as pythae's `get_nll` does.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from genbench.baselines.latent_variable import vae
from genbench.likelihood import log_likelihood
from genbench.likelihood.iwae import CHUNK, chunk_seed
from genbench.models.sampling import to_tensor
from genbench.space import Space

SPACE = Space((1, 28, 28), levels=2)
SEED, BLOCK = 0, 100  # of the noise; the examples of one block stand in memory together
SIZES = {"20x500": (20, 500), "100x500": (100, 500), "1000x5000": (1000, 5000)}  # images, weights for each
WAYS = ("streamed", "stacked", "stacked-copies")


def network() -> vae.VAE:
    """784-200-200-50 and back, with its first weights: they cost as much as trained ones."""
    torch.manual_seed(0)
    return vae.build(SPACE, latent=50, hidden=200).eval()


def images(n: int) -> np.ndarray:
    return (np.random.RandomState(0).random_sample((n, *SPACE.shape)) < 0.13).astype(np.uint8)


def stacked(model, x, k, generator, copies):
    """log 1/K sum w by a stack of K weights: [B, *shape] -> [B]."""
    weights = []
    for j in range(-(-k // CHUNK)):
        n = min(CHUNK, k - j * CHUNK)
        copied = x.repeat(n, 1, 1, 1)  # [n B, *shape]
        mean, log_sd = (t.view(-1, len(x), model.latent) for t in model.posterior(copied if copies else x))
        z = mean + log_sd.exp() * torch.randn(n, len(x), model.latent, generator=generator(j))  # [n, B, latent]
        logits = model.decoder(z.flatten(0, 1))  # [n B, D]
        nats = F.binary_cross_entropy_with_logits(logits, copied.flatten(1).float(), reduction="none").sum(1)
        log_prior, log_q = Normal(0, 1).log_prob(z).sum(-1), Normal(mean, log_sd.exp()).log_prob(z).sum(-1)
        weights.append(log_prior - nats.view(n, -1) - log_q)
    return torch.logsumexp(torch.cat(weights), 0) - math.log(k)


@torch.no_grad()
def bound(way: str, model: vae.VAE, x: np.ndarray, k: int) -> np.ndarray:
    """The bound for every image, `[B]`, by one of `WAYS`."""
    if way == "streamed":
        return log_likelihood(model, x, k, SEED, BLOCK).values
    blocks = [to_tensor(x[i : i + BLOCK], SPACE, "cpu") for i in range(0, len(x), BLOCK)]
    noise = [partial(chunk_seed, SEED, i, "cpu") for i in range(len(blocks))]
    return torch.cat(
        [stacked(model, b, k, g, way == "stacked-copies") for b, g in zip(blocks, noise, strict=True)]
    ).numpy()


def peak_memory() -> int:
    """The most memory this process has held, in bytes. Not ru_maxrss, which a child inherits from its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def extra_memory(way: str, n: int, k: int) -> int:
    """How far one block raises the peak of a process that has already computed a small bound, in bytes."""
    model = network()
    bound(way, model, images(1), 1)
    before = peak_memory()
    bound(way, model, images(min(n, BLOCK)), k)
    return peak_memory() - before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_importance_weighted_bound(benchmark, size, way):
    n, k = SIZES[size]
    model, x = network(), images(n)
    np.testing.assert_allclose(bound(way, model, x[:2], 60), bound("streamed", model, x[:2], 60), rtol=1e-5)
    benchmark.group = f"{n} images, K={k}"
    benchmark.extra_info.update(threads=torch.get_num_threads(), images=n, k=k)
    if Path("/proc/self/status").exists():
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            benchmark.extra_info["peak_extra_memory_bytes"] = fresh.submit(extra_memory, way, n, k).result()
    repeats = 5 if n * k < 1e6 else 1
    benchmark.pedantic(lambda: bound(way, model, x, k), rounds=repeats, warmup_rounds=1 if repeats > 1 else 0)
