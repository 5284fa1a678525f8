"""Whether a model says the same of an example when it is asked again, and beside other examples.

A log-likelihood, a code, a reconstruction is that of one example. Layers that were left in training mode, statistics of
the batch, draws from the global generator, a counter, answers in another order: each gives numbers that look right and
belong to no model. So a few examples are asked about again, in a batch of their own. What the size of a batch does to
rounding is no such change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genbench.blocks import rows_of

RULES = 1  # raised whenever more is refused of what models say; records of other people's models hold it, and are
# measured anew where it was lower: what was called exact before anybody asked twice has none
ASKED = 16  # examples
ROUNDING = 1e-4  # of an answer's size: what the size of a batch does to sums of float32 stays below it
FAR = 1e-2  # from here on no rounding explains it, be it of bfloat16
SOME = 0.25  # of the examples: rounding may send a few of them to another code

Ask = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Change:
    """How far answers move, that should not.

    Arguments:
        again: whether by being asked again; else by what stands beside the examples.
        most: the largest change, in the unit of the answers.
        relative: the same as a share of an answer's size.
        share: of the examples, those whose answers move by more than rounding.
    """

    again: bool
    most: float
    relative: float
    share: float

    def said(self, method: str, unit: str = "") -> str:
        """In words."""
        how = f"by up to {self.most:.2g} {unit}".strip()
        if self.again:
            return (
                f"{method} of the same examples, asked twice, differs {how}: it draws random numbers of its own, or "
                "keeps something between two calls"
            )
        return (
            f"{method} of an example changes {how} with the examples beside it: it takes statistics of its batch, or "
            "mixes up its rows"
        )


def change(ask: Ask, x: np.ndarray, found: np.ndarray, least: float) -> Change | None:
    """What becomes of answers that take no generator, None where they stay.

    Arguments:
        ask: of examples `[B, *shape]` the answers `[B, ...]`.
        x, found: all examples `[N, *shape]`, and what was said of them, `[N, ...]`.
        least: the size that an answer has at least; what is much smaller than it is no change.
    """
    places = some(x)[::-1]
    first = ask(x[places])
    if (beside := moved(found[places], first, least)) is None:
        return None
    again = moved(first, ask(x[places]), least)
    return Change(again is not None, *(again or beside))


def change_of_draws(ask: Ask, x: np.ndarray, least: float) -> Change | None:
    """The same of answers that take a generator, which `ask` seeds alike each time: half of the examples stay in their
    places while the others beside them are exchanged.
    """
    places = some(x)
    stay = len(places) // 2
    first = ask(x[places])
    again = moved(first, ask(x[places]), least)
    if again is not None or stay == 0:
        return None if again is None else Change(True, *again)
    others = np.concatenate([places[:stay], places[-1] - places[stay:]])
    beside = moved(first[:stay], ask(x[others])[:stay], least)
    return None if beside is None else Change(False, *beside)


def in_training(model: Any) -> list[str]:
    """The kinds of layers of a model that are in training mode and do something else there, each once.

    Also those in plain lists and dicts, which `eval()` does not reach.
    """
    from torch import nn

    does = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    found, seen, left = dict[str, None](), set[int](), [model]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list | tuple):
            left += [one for one in part if isinstance(one, nn.Module | list | tuple | dict)]
        elif isinstance(part, dict):
            left += [one for one in part.values() if isinstance(one, nn.Module | list | tuple | dict)]
        elif part is model or isinstance(part, nn.Module):
            if isinstance(part, does) and part.training:
                found[type(part).__name__] = None
            left.append(getattr(part, "__dict__", {}))
    return sorted(found)


def some(x: np.ndarray) -> np.ndarray:
    """The places of a few examples, from the first to the last; never all, where there are others to stand beside."""
    n = min(ASKED, rows_of(x.shape[1:]), -(-len(x) // 2))
    return np.unique(np.linspace(0, len(x) - 1, n).astype(int))


def moved(a: np.ndarray, b: np.ndarray, least: float) -> tuple[float, float, float] | None:
    """The largest change between answers `[m, ...]`, the same relative to their size, and the share of rows that
    change; None where it is rounding. What is not finite changes by infinity, or not at all.
    """
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        gap = np.where(np.isnan(gap), np.inf, gap).max(1)
    finite = np.where(np.isfinite(a), np.abs(a), 0.0).max(1)
    relative = gap / np.maximum(np.maximum(finite, least), np.finfo(np.float64).tiny)
    far = relative > ROUNDING
    return (float(gap.max()), float(relative.max()), float(far.mean())) if far.any() else None
