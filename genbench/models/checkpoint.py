"""A checkpoint is one safetensors file: weights, and in its header a card that says how to rebuild the model.

The card holds the baseline's name, its options, its space, the data it saw and the command that
made it. Nothing in the file is code, so loading a stranger's checkpoint runs none of it.
Reading a card does not import torch.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.space import Space

if TYPE_CHECKING:
    import torch

MAX_HEADER = 16 << 20


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself.

    Arguments:
        baseline: the name in the catalog of the file that builds the model.
        space: the space of its observations.
        options: keyword arguments of the baseline's `build`.
        dataset: name and sha256 of the training data.
        training: command, seed, steps, best step, validation value and whatever else was measured.
        parameters: the number of trainable weights.
    """

    baseline: str
    space: Space
    options: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "space": self.space.to_dict()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Card:
        d = json.loads(text)
        return cls(**{**d, "space": Space.from_dict(d["space"])})


def save(path: str | Path, model: torch.nn.Module, card: Card) -> None:
    """Writes the weights (buffers included) and the card to `path`, atomically."""
    from safetensors.torch import save as to_bytes

    state = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    write_atomically(Path(path), to_bytes(state, metadata={"genbench": card.to_json()}))


def read_card(path: Path) -> Card:
    """The card in the header of `path`. Reads the header only.

    Raises:
        GenbenchError: no such file, a pickle, a truncated or foreign file, or no card in it.
    """
    if not os.path.isfile(path):
        raise GenbenchError(f"no checkpoint at {path}", "Check the path; `genbench list baselines` shows what ships.")
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        # A safetensors header can have a length that begins with these bytes: its brace tells the two apart.
        if (head[:2] == b"PK" or head[:1] == b"\x80") and file.read(1) != b"{":
            raise GenbenchError(
                f"{path} is a pickle, which can run code when it is loaded: refused",
                "Convert it where you trust it: safetensors.torch.save_file(torch.load(path, weights_only=True), ...).",
            )
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER
        file.seek(8)
        header = file.read(length) if length < MAX_HEADER else b""
    try:
        tensors = json.loads(header)
        metadata = tensors.pop("__metadata__", {})
        end = max((t["data_offsets"][1] for t in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenbenchError(
            f"{path} is not a complete safetensors file", "Copy or download it again, and compare its sha256."
        ) from error
    if size != 8 + length + end:
        raise GenbenchError(
            f"{path} is truncated: {size:,} bytes, its header promises {8 + length + end:,}",
            "Copy or download it again, and compare its sha256.",
        )
    if "genbench" not in metadata:
        raise GenbenchError(
            f"{path} has no genbench card in its header, so the model it belongs to is unknown",
            "Make one with `genbench train`, save with genbench.save_checkpoint, or wrap the model: FILE.py:OBJECT.",
        )
    try:
        return Card.from_json(metadata["genbench"])
    except (ValueError, KeyError, TypeError) as error:
        raise GenbenchError(f"{path}: its card cannot be read: {error}", "Save it again with genbench.") from error


def load_weights(path: Path, model: torch.nn.Module, device: torch.device | str = "cpu") -> None:
    """Fills `model` with the weights in `path`, all of them, and moves it to `device`.

    Raises:
        GenbenchError: a weight is missing, left over, or of another shape.
    """
    from safetensors.torch import load_file

    weights = load_file(path)
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in weights.items()}
    wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if wrong:
        name = wrong[0]
        raise GenbenchError(
            f"{path} does not fit its baseline: {len(wrong)} weights differ, first '{name}': "
            f"expected {expected.get(name, 'none')}, found {found.get(name, 'none')}",
            "The baseline's code changed since it was saved, or the card's options are not those it was trained with.",
        )
    model.load_state_dict(weights)
    model.to(device).eval()


def load(path: str | Path, device: torch.device | str = "cpu") -> torch.nn.Module:
    """The model in `path`, rebuilt by its baseline, in evaluation mode on `device`."""
    from genbench import catalog

    path = Path(path)
    card = read_card(path)
    model = catalog.build(card.baseline, card.space, card.options)
    load_weights(path, model, device)
    return model
