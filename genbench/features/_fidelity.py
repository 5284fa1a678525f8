"""The networks of torch-fidelity as extractors: its resize and normalisation, its weights.

torch-fidelity (Obukhov et al.) is an optional dependency, imported when the first image is looked
at. Its own loaders unpickle and run what they find in a file; here a file gives tensors and nothing
else, and the network is then filled with them. The one exception is CLIP as published: a TorchScript
archive, opened only if its sha256 is the published one.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.features import Extractor, Features, _images, identity
from genbench.features._precision import float32
from genbench.features._weights import Weights, find, sha256_of
from genbench.files import names_in_zip
from genbench.space import Space

BATCH = 32  # images at once in the network, however many the caller has: its activations are large
State = dict[str, Tensor]


@dataclass(frozen=True)
class Network:
    """One network of torch-fidelity.

    Arguments:
        name: in the catalog.
        registered: in torch-fidelity's registry.
        outputs: torch-fidelity's names of the features, and of the logits where the network has classes.
        resize: what happens to uint8 RGB images, in words.
        weights: the published file.
        shapes: of some weights, by which the network is told from its sisters.
        build: (torch-fidelity's class, this network, weights) -> a module from uint8 `[B, 3, H, W]` to a
            tuple of `outputs`.
    """

    name: str
    registered: str
    outputs: tuple[str, ...]
    resize: str
    weights: Weights
    shapes: dict[str, tuple[int, ...]]
    build: Callable[[Any, Network, State], nn.Module]


def extractor_of(network: Network, space: Space, weights: Path | None, device: str) -> Extractor:
    """The network with the weights in a file, by default the published ones.

    Raises:
        GenbenchError: the images do not fit, torch-fidelity is not installed, or the weights cannot be had.
            The file is opened with the first image; it may then turn out to hold another network.
    """
    _images.check(space, network.name)
    if importlib.util.find_spec("torch_fidelity") is None:
        raise GenbenchError(
            f"extractor '{network.name}' needs torch-fidelity, which is not installed",
            "In the clone: pip install -c constraints.txt 'genbench[fidelity]'; without constraints torch is replaced.",
        )
    path = weights or find(network.weights, network.name)
    sha256 = sha256_of(path)
    rule = f"{_images.rule(space)}; {network.resize}"
    filled = functools.cache(lambda: fill(network, path, device))

    @torch.no_grad()
    def extract(x: np.ndarray) -> Features:
        images = torch.from_numpy(_images.to_rgb(x, space))
        with float32():
            outputs = [filled()(images[i : i + BATCH].to(device)) for i in range(0, len(images), BATCH)]
        features, *logits = (torch.cat(parts).cpu().numpy() for parts in zip(*outputs, strict=True))
        return features, logits[0] if logits else None

    return Extractor(network.name, identity(sha256, rule), rule, extract, weights=sha256, at_once=4)


def fill(network: Network, path: Path, device: str) -> nn.Module:
    """The network on `device`, filled with the weights in `path`.

    Raises:
        GenbenchError: the file holds no weights, or those of another network.
    """
    from genbench.features._torchvision import make_importable

    make_importable()
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    state = read(network, path)
    for name, shape in network.shapes.items():
        found = tuple(state[name].shape) if name in state else "not there"
        if found != shape:
            raise misfit(network, path, f"its {name} is {found}, not {shape}")
    try:
        model = network.build(FEATURE_EXTRACTORS_REGISTRY[network.registered], network, state)
    except (RuntimeError, KeyError, IndexError, ValueError) as error:
        raise misfit(network, path, " ".join(str(error).split())[:200]) from error
    return model.requires_grad_(False).eval().to(device)


def misfit(network: Network, path: Path, why: str) -> GenbenchError:
    return GenbenchError(
        f"{path} does not hold the weights of extractor '{network.name}': {why}",
        f"Give {network.weights.file}, or a state dict with the same names and shapes.",
    )


def read(network: Network, path: Path) -> State:
    """The tensors in a .safetensors, in a state dict of torch.save, or in the published TorchScript.

    Raises:
        GenbenchError: something else, or a TorchScript that is not the published one.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise misfit(network, path, f"not a complete safetensors file ({error})") from error
    if is_torchscript(path):
        if sha256_of(path) != network.weights.sha256:
            raise misfit(network, path, "it is a TorchScript, which is code, and not the published one: refused")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files torch's reader raises many kinds
        why = f"{error or type(error).__name__}".strip().split("\n")[0]
        raise misfit(network, path, f"it is no state dict that loads without running code ({why})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise misfit(network, path, "it is no dict of tensors")
    return dict(state)


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code in it."""
    return any("/code/" in name for name in names_in_zip(path))


def whole(fidelity: Any, network: Network, state: State) -> nn.Module:
    """A network that torch-fidelity builds itself. Its loader gets the checked tensors, not the file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return fidelity(network.registered, list(network.outputs), feature_extractor_weights_path=buffer)


def around(fidelity: Any, network: Network, inner: nn.Module) -> Any:
    """torch-fidelity's forward (resize and normalisation) around a network that its constructor would download."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    outer = fidelity.__new__(fidelity)
    FeatureExtractorBase.__init__(outer, network.registered, list(network.outputs))
    outer.feature_extractor_internal_dtype = torch.float32
    outer.model = inner.eval()
    return outer


def clip(fidelity: Any, network: Network, state: State) -> nn.Module:
    """CLIP's image tower, built from the shapes of its weights."""
    from torch_fidelity.feature_extractor_clip import build_model

    outer = around(fidelity, network, build_model(state, torch.float32))
    outer.resolution = outer.model.visual.input_resolution
    return outer


def dinov2(fidelity: Any, network: Network, state: State) -> nn.Module:
    """A DINOv2, whose constructor in torch-fidelity would download code and run it: here it is `_dinov2.py`'s."""
    from genbench.features._dinov2 import from_state

    return around(fidelity, network, from_state(state))
