"""A model is not built beyond its limits, so that an absurd option (`depth: 100000000`) ends at once and not in a hang.

What a baseline registers is counted as it is registered. One whose weights lie in a file is sketched first, on torch's
meta device, where tensors have shapes and no content: that it does not fit is known before memory is spent on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from genbench import catalog
from genbench.errors import GenbenchError
from genbench.files import memory
from genbench.reading import shown
from genbench.space import Space


@dataclass(frozen=True)
class Limits:
    """What a model may consist of at most.

    Arguments:
        numbers: in its parameters and buffers.
        parts: modules, parameters and buffers.
        option: a whole number among its options.
        why: where the limits come from, for the error.
    """

    numbers: int
    parts: int
    option: int
    why: str


def of_machine() -> Limits:
    """A model that can be trained here: weights, gradients and two moments of float32."""
    return Limits(memory() // 16, 100_000, 10**9, "this machine can train")


def of_file(numbers: int, tensors: int) -> Limits:
    """A model whose file holds so many; what it makes for itself (masks, tables) is not in the file."""
    return Limits(max(16 * numbers, 10**7), 64 * tensors + 1000, max(numbers, 10**7), "its file can hold")


class TooLarge(Exception):
    """A model goes beyond its limits."""


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
        yield
    finally:
        for handle in handles:
            handle.remove()


def build(
    name: str,
    space: Space,
    options: dict[str, Any],
    limits: Limits,
    look: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """A new model of baseline `name` for `space`, if it stays within the limits.

    Arguments:
        look: is shown a sketch, where there can be one, and may refuse it.

    Raises:
        GenbenchError: no such baseline or option, a space it cannot model, or a model beyond the limits.
    """
    refusal = GenbenchError(
        f"baseline '{name}' with these options would be larger than what {limits.why}: "
        f"{', '.join(f'{key}={shown(value)}' for key, value in options.items()) or 'its defaults'}",
        f"`genbench describe {name}` shows its options and their defaults.",
    )
    if any(isinstance(v, int) and abs(v) > limits.option for v in options.values()):
        raise refusal
    try:
        with counted(limits):
            if look and (sketch := sketched(name, space, options)):
                look(sketch)
            return catalog.build(name, space, options)
    except GenbenchError as error:
        if isinstance(error.__cause__, TooLarge | MemoryError):
            raise refusal from error
        raise


def sketched(name: str, space: Space, options: dict[str, Any]) -> nn.Module | None:
    """The model without content; None of one whose constructor looks at values.

    Raises:
        GenbenchError: it is too large.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return catalog.build(name, space, options)
    except GenbenchError as error:
        if isinstance(error.__cause__, TooLarge):
            raise
        return None  # what refuses its options refuses them again
