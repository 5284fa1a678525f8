"""A checkpoint is one safetensors file: weights, and in its header a card that says how to rebuild the model.

The card holds the baseline's name, its options, its space, the data it saw and the command that
made it. Nothing in the file is code, so loading a stranger's checkpoint runs none of it.
Reading a card does not import torch.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

from genbench import reading
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.reading import As, Name, Size, Within
from genbench.space import Space

if TYPE_CHECKING:
    import torch

    from genbench.datasets import Dataset

MAX_HEADER = 16 << 20
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
DAMAGED = "Copy or download it again, and compare its sha256."

Count = Annotated[int, Within(0, 2**62)]


@dataclass(frozen=True)
class Stored:
    """What a safetensors header says of a tensor: its type, its shape, and where its bytes begin and end."""

    dtype: Annotated[str, As(Literal[tuple(BYTES)])]
    shape: list[Count]
    data_offsets: Annotated[list[Count], Size(2, 2)]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


class DataSaid(TypedDict):
    name: NotRequired[str]
    sha256: NotRequired[str]
    vocabulary: NotRequired[str]


class TrainingSaid(TypedDict):
    command: NotRequired[str]
    seed: NotRequired[int]


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

    baseline: Name
    space: Space
    options: dict[str, Any] = field(default_factory=dict)
    dataset: Annotated[dict[str, Any], As(DataSaid)] = field(default_factory=dict)
    training: Annotated[dict[str, Any], As(TrainingSaid)] = field(default_factory=dict)
    parameters: Count = 0

    def to_json(self) -> str:
        content = reading.finite({**asdict(self), "space": self.space.to_dict()}, "", [])
        return json.dumps(content, sort_keys=True, allow_nan=False)


def packed(model: torch.nn.Module, card: Card, half: bool = False) -> bytes:
    """The bytes of a checkpoint: card and weights, buffers included, each tensor once, whatever names it has.

    Arguments:
        half: parameters rounded to half precision.

    Raises:
        GenbenchError: the model's state holds what is no tensor, or tensors that the format does not know, or a weight
            too large for half precision.
    """
    import torch
    from safetensors.torch import save as to_bytes

    state, first = model.state_dict(keep_vars=True), ties(model)
    tensors, places = {}, set()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_quantized:
            raise GenbenchError(
                f"the model cannot be saved: its state '{name}' is a {type(value).__name__}, no dense tensor",
                "Keep numbers in parameters and buffers, settings in the options of `build`.",
            )
        if first[name] != name:
            continue
        tensor = value.detach().cpu().contiguous()
        if half and isinstance(value, torch.nn.Parameter) and tensor.is_floating_point():
            tensor = halved(name, tensor)
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in places else tensor  # a view of another one gets its own bytes
        places.add(place)
    try:
        return to_bytes(tensors, metadata={"genbench": card.to_json()})
    except Exception as error:
        raise GenbenchError(
            f"the model of baseline '{card.baseline}' cannot be saved: {error}",
            "Its state has to consist of dense tensors, its options of text, numbers and lists.",
        ) from error


def halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The numbers of a weight, rounded to half precision."""
    small = tensor.half()
    if not bool((small.isfinite() == tensor.isfinite()).all()):
        raise GenbenchError(
            f"weight '{name}' is too large for half precision: {float(tensor.abs().max()):.3g}",
            "Keep the model as it is: --set half=False.",
        )
    return small


def ties(model: torch.nn.Module) -> dict[str, str]:
    """Of every name in the model's state the first name of the same tensor: tied weights have several."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}


def save(path: str | Path, model: torch.nn.Module, card: Card) -> None:
    """Writes the weights (buffers included) and the card to `path`, atomically.

    Raises:
        GenbenchError: the model cannot be saved, or the file cannot be written.
    """
    data = packed(model, card)
    try:
        write_atomically(Path(path), data)
    except OSError as error:
        raise unwritable(Path(path), error) from error


def unwritable(path: Path, error: OSError) -> GenbenchError:
    return GenbenchError(
        f"cannot write {path}: {error.strerror or error}", "Name another file: -o FILE.safetensors, or free some space."
    )


def read_header(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors that a safetensors file holds, and its metadata. Reads the header only.

    Raises:
        GenbenchError: no such file, a pickle, or a truncated or foreign file.
    """
    if not os.path.isfile(path):
        raise GenbenchError(f"no checkpoint at {path}", "Check the path; `genbench list baselines` shows what ships.")
    if path.name.endswith(".safetensors.resume"):
        raise GenbenchError(
            f"{path} is the state of a training that did not end, no checkpoint",
            f"Its command, genbench train ... -o {path.with_suffix('')}, goes on from there; or leave it out.",
        )
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        # A safetensors header can have a length that begins with these bytes: its brace tells the two apart.
        if (head[:2] == b"PK" or head[:1] == b"\x80") and file.read(1) != b"{":
            raise GenbenchError(
                f"{path} is a pickle, which can run code when it is loaded: refused",
                "Convert it where you trust it, safetensors.torch.save_file(torch.load(path, weights_only=True), "
                f"'{path.with_suffix('.safetensors')}'); then {ways(path.with_suffix('.safetensors'))}.",
            )
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER
        file.seek(8)
        header = file.read(length) if length < MAX_HEADER else b""
    if len(header) < length:
        raise GenbenchError(f"{path} is not a complete safetensors file", DAMAGED)
    origin = f"{path} is not a complete safetensors file: its header"
    content = reading.read(dict[str, Any], reading.parse_json(header, origin, DAMAGED), origin, DAMAGED)
    metadata = reading.read(dict[str, str], content.pop("__metadata__", {}), f"{origin}: __metadata__", DAMAGED)
    tensors = reading.read(dict[str, Stored], content, origin, DAMAGED)
    end = 0
    for name, one in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        begin, behind = one.data_offsets
        if begin != end or behind - begin != one.numbers * BYTES[one.dtype]:
            raise GenbenchError(f"{origin}: tensor '{name[:60]}' does not lie where its shape says", DAMAGED)
        end = behind
    if size != 8 + length + end:
        raise GenbenchError(f"{path} is truncated: {size:,} bytes, its header promises {8 + length + end:,}", DAMAGED)
    return tensors, metadata


def ways(path: Path) -> str:
    """What can be done with bare weights."""
    return (
        f"wrap your model, 'FILE.py:OBJECT?weights={path}' (docs/own.md), or, where the weights fit a baseline: "
        f"genbench card {path} --baseline NAME -o OUT.safetensors"
    )


def read_card(path: Path) -> Card:
    """The card in the header of `path`. Reads the header only.

    Raises:
        GenbenchError: no such file, a pickle, a truncated or foreign file, or no card in it.
    """
    _, metadata = read_header(path)
    if "genbench" not in metadata:
        raise GenbenchError(
            f"{path} has no genbench card in its header, so the model it belongs to is unknown",
            f"{ways(path)[:1].upper()}{ways(path)[1:]}; from Python, genbench.save_checkpoint writes one.",
        )
    origin, remedy = f"{path}: its card cannot be read", "Save it again with genbench."
    return reading.read(Card, reading.parse_json(metadata["genbench"], origin, remedy), origin, remedy)


class Unfit(GenbenchError):
    """Weights that are not those of the model they are for."""


def load_weights(path: Path, model: torch.nn.Module, device: torch.device | str = "cpu") -> None:
    """Fills `model` with the weights in `path`, all of them, and moves it to `device`.

    Raises:
        GenbenchError: a weight is missing, left over, of another shape, or of a type that the model's would cut.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise GenbenchError(f"{path} cannot be read: {error}", DAMAGED) from error
    first, own = ties(model), model.state_dict()
    expected = {name: tuple(value.shape) for name, value in own.items()}
    held = {first[name]: value for name, value in weights.items() if name in first}
    wrong = [n for n, value in weights.items() if expected.get(n) != tuple(value.shape)]
    wrong += [n for n in expected if first[n] not in held]
    if wrong:
        name = min(wrong)
        found = tuple(weights[name].shape) if name in weights else "none"
        raise Unfit(
            f"{path} does not fit its baseline: {len(wrong)} weights differ, first '{name}': "
            f"expected {expected.get(name, 'none')}, found {found}",
            "The baseline's code changed since it was saved, or the card's options are not those it was trained with.",
        )
    state = {name: held[first[name]] for name in first}
    for name, value in state.items():
        dtype = own[name].dtype
        if torch.promote_types(dtype, value.dtype) != dtype:
            raise GenbenchError(
                f"{path}: weight '{name}' is {value.dtype}, which the model's {dtype} would cut",
                f"Convert it where you know what is lost: tensor.to({dtype}).",
            )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise GenbenchError(
            f"{path} cannot be filled into its model: {error}", "Its buffers must own memory."
        ) from error
    model.to(device).eval()


def load(
    path: str | Path, device: torch.device | str = "cpu", options: Mapping[str, Any] | None = None
) -> torch.nn.Module:
    """The model in `path`, rebuilt by its baseline, in evaluation mode on `device`.

    Arguments:
        options: in place of those on its card.

    Raises:
        GenbenchError: the file is damaged, or is not that of the model which its card describes; of a card that
            describes one much larger than the file, this is said before the model is built.
    """
    path = Path(path)
    card = read_card(path)
    return rebuilt(path, card.baseline, card.space, {**card.options, **(options or {})}, device)


def rebuilt(
    path: Path, baseline: str, space: Space, options: dict[str, Any], device: torch.device | str = "cpu"
) -> torch.nn.Module:
    """The model that a baseline builds, with the weights in `path`: see `load`."""
    from genbench.models import building

    tensors, _ = read_header(path)
    limits = building.of_file(sum(one.numbers for one in tensors.values()), len(tensors))
    model = building.build(baseline, space, options, limits)
    load_weights(path, model, device)
    return model


def with_card(
    path: Path, out: Path, baseline: str, dataset: Dataset, options: dict[str, Any], trained_on_it: bool
) -> Card:
    """Writes to `out` the bare weights in `path` with a card, if they fit a baseline: the card.

    Arguments:
        dataset: whose space the model has.
        trained_on_it: whether the card may say that the model was trained on it.

    Raises:
        GenbenchError: the weights are damaged or do not fit, or the file cannot be written.
    """
    try:
        model = rebuilt(path, baseline, dataset.space, options)
    except Unfit as error:
        raise GenbenchError(
            error.problem,
            f"The baseline was built for '{dataset.name}', {dataset.space}: name the data with --dataset, and options "
            "of the model with --set.",
        ) from error
    card = Card(
        baseline=baseline,
        space=dataset.space,
        options=options,
        dataset={"name": dataset.name, "sha256": dataset.sha256} if trained_on_it else {},
        parameters=sum(p.numel() for p in model.parameters()),
    )
    save(out, model, card)
    return card
