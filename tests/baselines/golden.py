"""What every shipped checkpoint does, in a few numbers: a baseline that does otherwise needs another VERSION.

python tests/baselines/golden.py                # writes golden.json anew, after a VERSION was raised
python tests/baselines/golden.py digits/gan     # of this one, and of those that it does not know yet
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench import catalog, datasets
from genbench.models.capabilities import Translator
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import draw, seeded, to_tensor, translate

FILE = Path(__file__).with_name("golden.json")
SHIPPED = sorted((catalog.BASELINES / "checkpoints").glob("*/*.safetensors"))
N = 16


def behaviour(path: Path) -> dict[str, Any]:
    """Sixteen samples and sixteen log-likelihoods (or one log-weight, or one draw of the bound) of a checkpoint.

    A sample is told by its mean and by its inner product with a fixed random vector. Of a translator, translations of
    noise stand in the place of samples, half of them there and half back.
    """
    model: Any = load(path)
    space = read_card(path).space
    if isinstance(model, Translator):
        x = np.random.default_rng(0).integers(space.levels, size=(N, *space.shape)).astype(space.dtype)
        x = np.concatenate([translate(model, x[: N // 2], False), translate(model, x[N // 2 :], True)])
        return {"version": made_of(path), **told(x)}
    found = told(draw(model, N, 0, N))
    batch = to_tensor(examples(path, model), space)
    with torch.no_grad():
        if hasattr(model, "log_prob"):
            found["log_prob"] = model.log_prob(batch).double().tolist()
        elif hasattr(model, "log_weights"):
            found["log_weight"] = model.log_weights(batch, 1, seeded(0))[0].double().tolist()
        elif hasattr(model, "elbo"):
            found["elbo"] = model.elbo(batch, seeded(0)).double().tolist()
    return {"version": made_of(path), **found}


def made_of(path: Path) -> str:
    return catalog.find("baselines", read_card(path).baseline).made_of


def told(x: np.ndarray) -> dict[str, Any]:
    x = x.reshape(N, -1).astype(np.float64)
    direction = np.random.default_rng(0).standard_normal(x.shape[1])
    return {"mean": x.mean(1).tolist(), "projection": (x @ direction).tolist()}


def examples(path: Path, model: Any) -> np.ndarray:
    """Sixteen test examples, or samples of the model where the data are not at hand."""
    name = path.parent.name
    here = name in ("digits", "digits-binary", "digits-skewed", "digits-without-9", "patches", "ring8", "shapes")
    return datasets.load(name).test[:N] if here else draw(model, N, 1, N)


def key(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


if __name__ == "__main__":
    asked = sys.argv[1:] or [key(path) for path in SHIPPED]
    if unknown := set(asked) - {key(path) for path in SHIPPED}:
        sys.exit(f"no checkpoint {min(unknown)}: give DATASET/NAME")
    known = json.loads(FILE.read_text(encoding="utf-8"))
    found = {
        name: known[name] if name in known and name not in asked else behaviour(path)
        for path in SHIPPED
        for name in [key(path)]
    }
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
