"""A model is not built beyond its limits, so that an absurd option (`depth: 100000000`) ends at once and not in a hang.

What a baseline registers is counted as it is registered, and what it asks of torch meanwhile. One with large options is
sketched first, on torch's meta device, where tensors have shapes and no content: that it does not fit is known before
memory is spent on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from genbench import catalog
from genbench.errors import GenbenchError
from genbench.files import memory
from genbench.reading import shown
from genbench.space import Space

USUAL = 4096  # options up to here make no model that fills a memory; a sketch costs seconds, for torch's own imports


@dataclass(frozen=True)
class Limits:
    """What a model may consist of at most.

    Arguments:
        numbers: in its parameters and buffers.
        parts: modules, parameters and buffers.
        calls: of torch's functions while it is built.
        option: a whole number among its options.
        why: where the limits come from, for the error.
    """

    numbers: int
    parts: int
    calls: int
    option: int
    why: str


def of_machine() -> Limits:
    """A model that can be trained here: weights, gradients and two moments of float32."""
    return Limits(memory() // 16, 30_000, 10**5, 10**7, "this machine can train")


def of_file(numbers: int, tensors: int) -> Limits:
    """A model whose file holds so many; what it makes for itself (masks, tables) is not in the file."""
    return Limits(
        numbers=max(16 * numbers, 10**7),
        parts=16 * tensors + 1000,
        calls=64 * tensors + 2000,  # shipped baselines need up to 25 for a tensor
        option=max(numbers, 10**7),
        why="its file can hold",
    )


class TooLarge(Exception):
    """A model goes beyond its limits."""


class Calls(TorchFunctionMode):
    """Counts the calls of torch's functions, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooLarge
        return function(*args, **(kwargs or {}))


@contextmanager
def counted(limits: Limits) -> Iterator[None]:
    """Within this context a model that goes beyond the limits is not built to its end."""
    numbers = parts = 0

    def count(owner: nn.Module, name: str, part: Any) -> None:
        nonlocal numbers, parts
        parts += 1
        if isinstance(part, torch.Tensor) and not nn.parameter.is_lazy(part):
            numbers += part.numel()
        if numbers > limits.numbers or parts > limits.parts:
            raise TooLarge

    handles = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
        hooks.register_module_module_registration_hook(count),
    ]
    try:
        with Calls(limits.calls):
            yield
    finally:
        for handle in handles:
            handle.remove()


def build(name: str, space: Space, options: dict[str, Any], limits: Limits) -> nn.Module:
    """A new model of baseline `name` for `space`, if it stays within the limits.

    Raises:
        GenbenchError: no such baseline or option, a space it cannot model, or a model beyond the limits.
    """
    refusal = GenbenchError(
        f"baseline '{name}' with these options would be larger than what {limits.why}: "
        f"{', '.join(f'{key}={shown(value)}' for key, value in options.items()) or 'its defaults'}, for {space}",
        f"`genbench describe {name}` shows its options and their defaults.",
    )
    largest = max([abs(v) for v in options.values() if isinstance(v, int)], default=0)
    if largest > limits.option:
        raise refusal
    try:
        with counted(limits):
            if largest > USUAL or space.dim * (space.levels or 1) > USUAL**2:
                sketch(name, space, options)
            return catalog.build(name, space, options)
    except GenbenchError as error:
        if isinstance(error.__cause__, TooLarge | MemoryError):
            raise refusal from error
        raise


def sketch(name: str, space: Space, options: dict[str, Any]) -> None:
    """Builds the model without content, as far as its constructor does not look at values.

    Raises:
        GenbenchError: it is too large.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            catalog.build(name, space, options)
    except GenbenchError as error:  # what refuses its options refuses them again
        if isinstance(error.__cause__, TooLarge):
            raise
