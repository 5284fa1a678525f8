"""Cached against naive sampling of autoregressive models, shipped ones and larger images, in one run.

pytest tests/benchmarks --benchmark-only --benchmark-group-by=group
"""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.baselines.autoregressive import diagonal_bilstm, gated_pixelcnn, image_transformer, pixelcnn, row_lstm
from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

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


LARGE = Space((1, 28, 28), levels=2)
# Untrained: how long a sample takes does not depend on what was learnt.
BUILT = {
    "pixelcnn": (pixelcnn, {"width": 32, "depth": 7}),
    "gated-pixelcnn": (gated_pixelcnn, {"width": 32, "depth": 7}),
    "row-lstm": (row_lstm, {"width": 24, "depth": 3}),
    "diagonal-bilstm": (diagonal_bilstm, {"width": 24, "depth": 2}),
    "image-transformer": (image_transformer, {"width": 64, "layers": 4, "window": 112}),
    "image-transformer-2d": (image_transformer, {"width": 64, "layers": 4, "near": "2d", "rows": 3, "columns": 7}),
}


@pytest.mark.parametrize("way", ["sample", "sample_naive"])
@pytest.mark.parametrize("name", BUILT)
def test_sampling_of_28_by_28(benchmark, name, way):
    module, options = BUILT[name]
    torch.manual_seed(0)
    model = module.build(LARGE, **options).eval()
    benchmark.group = f"{name}, 16 images of 28x28"
    benchmark.extra_info["threads"] = torch.get_num_threads()
    with torch.no_grad():
        benchmark.pedantic(lambda: getattr(model, way)(16, seeded(0)), rounds=1)


@pytest.mark.parametrize("name", ["pixelcnn", "row-lstm", "diagonal-bilstm"])
def test_rows_from_the_cache(benchmark, name):
    """How the seconds of a row grow with its number: `exponent`, 0 where they do not. The first has none above it."""
    module, options = BUILT[name]
    torch.manual_seed(0)
    model = module.build(LARGE, **options).eval()
    x, seconds = torch.zeros(16, *LARGE.shape, dtype=torch.int64), []

    def all_rows():
        cache = module.Cache(model, 16)
        marks = [time.perf_counter()]
        for i in range(28):
            for j in range(28):
                cache.logits_at(x, i, j, 0)
            marks.append(time.perf_counter())
        seconds.append(np.diff(marks)[1:])

    benchmark.group = "rows of 28x28, 16 images"
    with torch.no_grad():
        benchmark.pedantic(all_rows, rounds=5, warmup_rounds=1)
    slope, _ = np.polyfit(np.log(np.arange(2, 29)), np.log(np.median(seconds, 0)), 1)
    benchmark.extra_info.update(threads=torch.get_num_threads(), exponent=float(slope))
