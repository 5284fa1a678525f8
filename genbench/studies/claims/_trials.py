"""Trials: small seeded trainings that decide a claim, kept one by one, and what their spread says.

A claim that needs a training has `SEEDS`, how many, `VERSION`, raised whenever a value can change, `trial(seed)`, which
gives the numbers of one of them, and `judged(found)`, which makes findings of those of all seeds. A trial is a line of
JSON in docs/claims.jsonl, written as soon as it is there, so that a kill loses no other, and the document is made of
kept trials without another training.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from scipy import stats

from genbench import reading
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.numerics.intervals import wilson
from genbench.reading import Count, Name, Seed, Within, text_of
from genbench.studies.claims import Finding, side

RECORDS = Path("docs") / "claims.jsonl"
REMEDY = "Restore it: git checkout docs/claims.jsonl."
Found = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One training.

    Arguments:
        seconds: of processor time that it took.
        found: its numbers, as `trial` of the claim gave them.
    """

    claim: Name
    version: Count
    seed: Seed
    seconds: Annotated[float, Within(0)]
    found: Found


def read(path: Path) -> list[Trial]:
    """Those kept in a file, none where there is no file.

    Raises:
        GenbenchError: a line is no trial.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(text_of(path, "trials", REMEDY).splitlines(), 1):
        where = f"{path}, line {number}"
        found.append(reading.read(Trial, reading.parse_json(line, where, REMEDY), where, REMEDY))
    return found


@contextlib.contextmanager
def understood(name: str) -> Iterator[None]:
    """Within it the trials of a claim are judged, which a stranger may have written.

    Raises:
        GenbenchError: they lack a number, or have text in place of one.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {error}"
        raise GenbenchError(f"the kept trials of {name} do not say what it is decided by: {why}", REMEDY) from error


def kept(name: str, module: ModuleType, trials: Iterable[Trial]) -> list[Trial]:
    """Those of a claim as it is now, by seed."""
    own = [t for t in trials if (t.claim, t.version) == (name, module.VERSION) and t.seed < module.SEEDS]
    return sorted(own, key=lambda t: t.seed)


def measure(name: str, module: ModuleType, path: Path, tell: Callable[[str], None]) -> None:
    """Does the trials of a claim that are not kept yet; those of an older version go."""
    done = {t.seed for t in kept(name, module, read(path))}
    for seed in sorted(set(range(module.SEEDS)) - done):
        tell(f"{name}, seed {seed}")
        before = time.process_time()
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            found = module.trial(seed)
        one = Trial(name, module.VERSION, seed, round(time.process_time() - before, 1), rounded(found))
        others = [t for t in read(path) if t.claim != name or (t.version == module.VERSION and t.seed != seed)]
        trials = sorted([*others, one], key=lambda t: (t.claim, t.seed))
        write_atomically(path, "".join(json.dumps(asdict(t)) + "\n" for t in trials).encode())


def rounded(x: Any) -> Any:
    """Five digits of every number: what the document shows, and more than another processor gives again."""
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, list | tuple | np.ndarray):
        return [rounded(value) for value in x]
    value = float(x)
    if not math.isfinite(value):
        raise ValueError(f"a trial gave {value}: a training that fails is a number of its own, not a hole")
    return float(f"{value:.5g}")


def of_mean(
    what: str,
    values: Sequence[float] | np.ndarray,
    expected: Literal["above", "below"],
    than: float,
    together: int = 1,
    most: float = math.inf,
) -> Finding:
    """What the mean over trainings says, by a t interval of all `together` findings of the claim (Bonferroni).

    Arguments:
        most: that a value can be, where the interval ends.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2 or x.min() == x.max():
        why = "one training" if len(x) < 2 else f"{len(x)} seeds that do not differ: their spread is not known"
        return Finding(what, f"{x.mean():.3g}", "", "open", why)
    half = float(stats.t.ppf(1 - 0.025 / together, len(x) - 1)) * float(x.std(ddof=1)) / math.sqrt(len(x))
    low, high = float(x.mean()) - half, min(most, float(x.mean()) + half)
    says = side(low, high, expected, than)
    return Finding(
        what, f"{x.mean():.3g}", f"[{low:.3g}, {high:.3g}]", says, f"is it {expected} {than:g}? {len(x)} seeds"
    )


def of_share(
    what: str, hits: Sequence[bool] | np.ndarray, expected: Literal["above", "below"], than: float, together: int = 1
) -> Finding:
    """The same of a share of trainings, by Wilson's interval."""
    n, hit = len(hits), sum(map(bool, hits))
    low, high = wilson(hit / n, n, float(stats.norm.ppf(1 - 0.025 / together)))
    says = side(low, high, expected, than)
    return Finding(what, f"{hit} of {n}", f"[{low:.2f}, {high:.2f}]", says, f"is it {expected} {than:g}? {n} seeds")


def each(found: Sequence[Found], *path: str) -> np.ndarray:
    """One number of every trial, or one list: `found[i][path[0]][path[1]]...` as an array."""
    values = []
    for one in found:
        value: Any = one
        for key in path:
            value = value[key]
        values.append(value)
    return np.array(values, dtype=np.float64)
