"""The contract of a baseline as checks that anything in the catalog, or any plugin, can be put through.

Every baseline is built on small spaces (those it accepts), trained for two steps by the real loop,
saved, loaded and sampled; where a space can be enumerated its probabilities must sum to one, and
where it is a plane its density must integrate to one.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.capabilities import HasElbo, HasLogProb, HasLogWeights, Reconstructor, Renderer, Translator
from genbench.models.checkpoint import load
from genbench.models.sampling import draw, seeded, to_tensor, translate
from genbench.models.training import preset_of, train
from genbench.space import Space

SPACES = {
    "digits": Space((1, 8, 8), 17),
    "binary 3x3": Space((1, 3, 3), 2),
    "plane": Space((2,)),
    "tokens": Space((5,), 3),
}
ENUMERABLE = 2**12
N = 24
DRAWN = 400  # to see a tenth of a change accepted too often


@dataclass(frozen=True)
class Check:
    """One statement about a baseline on one space, and why it fails."""

    space: str
    what: str
    ok: bool
    why: str = ""


def check(name: str) -> list[Check]:
    """All checks of baseline `name`, on every space that it accepts.

    Raises:
        GenbenchError: no such baseline, or it can be built for none of the spaces.
    """
    results, refusals = [], []
    for label, space in SPACES.items():
        try:
            catalog.build(name, space, preset_of(name, label, {}).options)
        except GenbenchError as refusal:
            refusals.append(f"{label}: {refusal.problem}")
            continue
        results += list(check_space(name, label, toy(label, space)))
    if not results:
        raise GenbenchError(f"baseline '{name}' accepts none of {', '.join(SPACES)}", refusals[0])
    return results


def toy(label: str, space: Space, n: int = 64) -> Dataset:
    """Random data of a space, with labels and a target domain: enough for two training steps."""
    rng = np.random.default_rng(0)
    size = (4 * n, *space.shape)
    x = rng.standard_normal(size) if space.levels is None else rng.integers(space.levels, size=size)
    x = x.astype(space.dtype)
    y = {split: rng.permutation(np.arange(len(x)) % 10) for split in ("train", "validation", "test")}
    y = {"train": y["train"][: 2 * n], "validation": y["validation"][:n], "test": y["test"][:n]}
    splits = x[: 2 * n], x[2 * n : 3 * n], x[3 * n :]
    data = Dataset(label, space, *splits, "CC0 (generated)", "conformance", labels=y)
    return replace(data, target=replace(data, train=x[n : 3 * n]))


def check_space(name: str, label: str, data: Dataset) -> Iterator[Check]:
    """Checks on one space, in the order in which a model lives: train, save, load, sample, score."""

    def statement(what: str, test: Callable[[], str | None]) -> Check:
        try:
            why = test()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        return Check(label, what, not why, why or "")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        yield statement("trains for two steps and saves", lambda: trains(name, data, path))
        if not path.exists():
            return
        yield statement("loads, and is then the same model", lambda: same_model(path, load(path), data))
        model = load(path)
    if isinstance(model, Translator):
        yield statement("translates in the space, alike for one and for many", lambda: translates(model, data))
        return
    yield statement("samples have the space's shape, dtype and range", lambda: samples_fit(model))
    yield statement("equal seeds give equal samples, other seeds others", lambda: reproducible(model))
    yield statement("block i does not depend on how many are drawn", lambda: block_invariant(model))
    yield from likelihood_checks(model, data, statement)
    if isinstance(model, Reconstructor):
        yield statement("reconstructs in the shape of its input", lambda: reconstructs(model, data))
    if isinstance(model, Renderer):
        yield statement("expected(z) is real and in the shape of the space", lambda: renders(model))


def likelihood_checks(model: Any, data: Dataset, statement: Callable[..., Check]) -> Iterator[Check]:
    x = to_tensor(data.test[:N], data.space)
    if isinstance(model, HasLogProb):
        yield statement("log_prob is [B], finite, alike for one and for many", lambda: batch_invariant(model, x))
        if data.space.levels is not None and data.space.levels**data.space.dim <= ENUMERABLE:
            yield statement("probabilities sum to one", lambda: sums_to_one(model))
        if data.space == SPACES["plane"]:
            yield statement("density integrates to one", lambda: integrates_to_one(model))
        yield statement("samples are drawn from what log_prob scores", lambda: balanced(model, data))
    if isinstance(model, HasLogWeights):
        yield statement("log_weights is [k, B] and finite", lambda: weights_fit(model, x))
    if isinstance(model, HasElbo):
        yield statement("elbo is [B] and finite", lambda: vector(model.elbo(x, seeded(0)), len(x)))


def trains(name: str, data: Dataset, path: Path) -> str | None:
    settings: dict[str, Any] = {"steps": 2}
    if "size" in catalog.options_of(name):
        settings["size"] = len(data.train)
    with contextlib.redirect_stderr(io.StringIO()):  # two steps need no progress
        train(name, data, preset_of(name, data.name, settings), path)
    return None


@torch.no_grad()
def same_model(path: Path, model: Any, data: Dataset) -> str | None:
    again: Any = load(path)
    if isinstance(model, Translator):
        a, b = (translate(m, data.test[:N], False) for m in (model, again))
        return None if np.array_equal(a, b) else "two loads of one file translate otherwise"
    a, b = (draw(m, N, 0, N) for m in (model, again))
    return None if np.array_equal(a, b) else "two loads of one file draw different samples"


def translates(model: Any, data: Dataset) -> str | None:
    x = data.test[:N]
    for back in (False, True):
        together = translate(model, x, back)  # raises what is wrong
        alone = np.concatenate([translate(model, row[None], back) for row in x])
        gap = float(np.abs(together.astype(float) - alone).max())
        # Rounding may differ by the batch's size, and then a value between two levels falls to either side.
        if gap > (1e-4 if data.space.levels is None else 1):
            return f"alone and in a batch differ by {gap:.3g}"
    return None


def samples_fit(model: Any) -> str | None:
    x = draw(model, N, 0, N)  # raises what is wrong
    return None if len(x) == N else f"asked for {N} samples, got {len(x)}"


def reproducible(model: Any) -> str | None:
    a, b, c = (draw(model, N, seed, N) for seed in (1, 1, 2))
    if not np.array_equal(a, b):
        return "two draws with one seed differ: some randomness does not come from the generator"
    return "two seeds give one sample: the generator is ignored" if np.array_equal(a, c) else None


def block_invariant(model: Any) -> str | None:
    few, many = draw(model, 5, 0, 8), draw(model, 20, 0, 8)
    return None if np.array_equal(few, many[:5]) else "the first 5 of 20 samples are not the 5 of 5"


@torch.no_grad()
def batch_invariant(model: Any, x: torch.Tensor) -> str | None:
    together, alone = model.log_prob(x), torch.cat([model.log_prob(row) for row in x.split(1)])
    scale = together.abs().max().clamp(min=1)
    gap = float((together - alone).abs().max() / scale)
    return vector(together, len(x)) or (None if gap < 1e-5 else f"alone and in a batch differ by {gap:.1e}, relative")


def vector(values: torch.Tensor, n: int) -> str | None:
    if tuple(values.shape) != (n,):
        return f"expected [{n}], got {list(values.shape)}"
    return None if torch.isfinite(values).all() else "a value is not finite"


@torch.no_grad()
def weights_fit(model: Any, x: torch.Tensor) -> str | None:
    w = model.log_weights(x, 3, seeded(0))
    if tuple(w.shape) != (3, len(x)):
        return f"expected [3, {len(x)}], got {list(w.shape)}"
    return None if torch.isfinite(w).all() else "a weight is not finite"


@torch.no_grad()
def sums_to_one(model: Any) -> str | None:
    space = model.space
    states = torch.tensor(list(itertools.product(range(space.levels), repeat=space.dim)))
    total = float(model.log_prob(states.view(-1, *space.shape)).double().exp().sum())
    return None if math.isclose(total, 1, abs_tol=1e-4) else f"they sum to {total:.6f} over {len(states)} states"


@torch.no_grad()
def integrates_to_one(model: Any, reach: float = 12.0, cells: int = 800) -> str | None:
    """Midpoint rule on [-reach, reach]^2, for a model near its initial state (about N(0, 1) data)."""
    step = 2 * reach / cells
    line = (torch.arange(cells) + 0.5) * step - reach
    points = torch.cartesian_prod(line, line)
    total = sum(float(model.log_prob(part).double().exp().sum()) for part in points.split(1 << 16)) * step**2
    return None if math.isclose(total, 1, abs_tol=0.02) else f"it integrates to {total:.4f}"


def balanced(model: Any, data: Dataset) -> str | None:
    """Detailed balance of own samples has mean 0 (see `likelihood/balance.py`), within four standard errors."""
    from genbench.likelihood.balance import balance

    values = balance(model, draw(model, DRAWN, 0, DRAWN), data.train, 0)
    mean, stderr = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(DRAWN)
    if abs(mean) <= 4 * stderr:
        return None
    how = "sharper" if mean < 0 else "flatter"
    return f"samples are {how} than log_prob: detailed balance {mean:.3f} +-{stderr:.3f} in place of 0"


@torch.no_grad()
def reconstructs(model: Any, data: Dataset) -> str | None:
    x = to_tensor(data.test[:N], data.space)
    y = model.reconstruct(x)
    return None if y.shape == x.shape else f"expected {list(x.shape)}, got {list(y.shape)}"


@torch.no_grad()
def renders(model: Any) -> str | None:
    x = model.expected(model.sample_prior(N, seeded(0)))
    if x.shape != (N, *model.space.shape) or not x.is_floating_point():
        return f"expected real numbers {[N, *model.space.shape]}, got {x.dtype} {list(x.shape)}"
    return None if torch.isfinite(x).all() else "a value is not finite"
