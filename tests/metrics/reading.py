"""Where a diffusion model is read: the probe of its codes on validation images, with 100 labels and with all.

python tests/metrics/reading.py
"""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from genbench import datasets
from genbench.baselines.diffusion import ddpm, flow_matching
from genbench.cli import shipped
from genbench.metrics.label_efficiency import Sets, drawn, rights
from genbench.models.checkpoint import load
from genbench.models.sampling import encode

PLACES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


def rows() -> list[list[object]]:
    data = datasets.load("digits")
    known, asked = data.labels_of("train"), data.labels_of("validation")
    few = drawn(known, 100, 20)
    assert few is not None
    found: list[list[object]] = []
    for name, module in (("ddpm", ddpm), ("flow-matching", flow_matching)):
        model = load(next(path for path in shipped("digits") if path.endswith(f"/{name}.safetensors")))
        for module.READ in PLACES:
            codes = Sets(encode(model, data.train), encode(model, data.validation))
            of_few = np.mean([rights(codes, known, asked, chosen) for chosen in few])
            of_all = rights(codes, known, asked, np.arange(len(known))).mean()
            found.append([name, module.READ, f"{of_few:.3f}", f"{of_all:.3f}"])
    return found


if __name__ == "__main__":
    print(tabulate(rows(), ["model", "READ", "100 labels", "all labels"], tablefmt="pipe", disable_numparse=True))
