"""Cached against naive sampling of the shipped autoregressive models, in one run.

pytest tests/benchmarks --benchmark-only --benchmark-group-by=group
"""

from pathlib import Path

import pytest
import torch

from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded

MODELS = {
    "gated-pixelcnn": ("digits", 100),
    "transformer": ("tinyshakespeare", 20),
}


@pytest.mark.parametrize("way", ["sample", "sample_naive"])
@pytest.mark.parametrize("name", MODELS)
def test_sampling(benchmark, name, way):
    dataset, n = MODELS[name]
    path = next(p for p in shipped(dataset) if p.endswith(f"/{name}.safetensors"))
    model = load(Path(path))
    benchmark.group = f"{name}, {n} samples"
    benchmark.extra_info["threads"] = torch.get_num_threads()
    with torch.no_grad():
        benchmark.pedantic(lambda: getattr(model, way)(n, seeded(0)), rounds=3, warmup_rounds=1)
