"""Lets torchvision be imported beside a torch that its own operators were not built for.

torchvision's `_C` library registers the schemas of `nms` and `qnms`, and its Python code then
attaches to them. Where the library cannot be loaded, as with an ordinary torchvision wheel beside
a CPU-only torch, the import fails with "operator torchvision::nms does not exist", and takes with
it torch-fidelity, which needs neither operator. The two schemas alone, without code behind them,
are enough: calling either still raises.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[torch.library.Library] = []  # a library's operators go when it is collected


@functools.cache
def make_importable() -> bool:
    """To be called before torchvision is first imported: whether anything had to be defined."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operators_load(Path(spec.origin).parent):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _kept.append(library)
    return True


def _operators_load(folder: Path) -> bool:
    """Whether torchvision's operators are there already, or its library can be loaded (which it will be anyway)."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    for path in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd"), *folder.glob("_C*.dylib")]:
        try:
            torch.ops.load_library(path)
        except OSError:
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False
