"""The artifacts of one model: each is made when a metric first needs it, and once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from genbench import catalog, features
from genbench.environment import rounding
from genbench.errors import Died
from genbench.features import Extractor
from genbench.files import content_key
from genbench.models.adapters import Source
from genbench.models.guard import guarded
from genbench.models.witness import known_code, unwatched, watching
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.context import Context
from genbench.run.artifacts.declaration import DATA
from genbench.run.noting import noting
from genbench.run.records import Run

if TYPE_CHECKING:
    from genbench.run.plan import Plan

KNOWN_WHEN_OPEN = ("code", "object")  # adapters of models whose state is hashed when they are opened


@dataclass(frozen=True)
class Made:
    """An artifact, what was warned of while it was made, whether arrays behind it were made elsewhere, and what foreign
    code read meanwhile.
    """

    value: Any
    warnings: list[str]
    elsewhere: bool
    read: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Failed:
    """In place of an artifact that could not be made."""

    error: Exception
    warnings: list[str]


def opened(name: str, plan: Plan, device: str, shared: dict) -> Extractor:
    """An extractor of the plan, opened once for all models."""
    key = ("extractor", name)
    if key not in shared:
        shared[key] = features.load(name, plan.dataset.space, plan.weights.get(name), device)
    return shared[key]


class Artifacts:
    """The artifacts of one model: each is made when a metric first needs it, or read from the run.

    Arguments:
        run: whose folder keeps arrays by content key.
        fresh: make every array anew, also those that the run has.
        shared: of all models of a process: extractors, and artifacts of the data.
    """

    def __init__(
        self, plan: Plan, source: Source, run: Run, device: str, batch_size: int, fresh: bool, shared: dict
    ) -> None:
        self.plan, self.source, self.run, self.fresh, self.shared = plan, source, run, fresh, shared
        self.device, self.batch_size = device, batch_size
        self.memo: dict[tuple[str, str | None], Any] = {}
        self.keys: dict[tuple[str, str | None], str] = {}  # of the arrays behind an artifact
        self.phases: dict[str, float] = {}  # seconds in each artifact, without those that it needed
        self.within = 0.0  # seconds in what the artifact being made has needed so far
        self.elsewhere = False  # whether arrays behind what was got since this was set were made elsewhere
        self.read: set[str] = set()  # what foreign code has read so far: see `genbench/models/witness.py`
        self.tell: Callable[[str], None] = lambda text: None  # where progress inside an artifact is shown
        self.dead: dict[str, Died] = {}  # phases in which an earlier process of the model died: not tried again
        self.at: Callable[[str], None] = lambda phase: None  # is told every phase as it begins, and as it goes on
        self.phase: list[str] = []  # what is being made, outermost first
        self.helping = False  # whether another process measures the model, and only its blocks are made here

    def get(self, need: str, extractor: str | None) -> Any:
        """The artifact. One that failed fails again at once: a model is not asked twice."""
        declared = ARTIFACTS[need]
        key = (need, extractor if declared.extracted else None)
        memo = self.shared if declared.asks == DATA else self.memo
        if key not in memo:
            before, self.elsewhere = self.elsewhere, False
            with self.timed(need), noting() as texts:
                try:
                    with self.within_phase(*key), nullcontext() if declared.asks == DATA else guarded():
                        with self.watched() as read:
                            made = declared.make(Context(self, *key))
                        memo[key] = Made(made, texts, self.elsewhere, frozenset(read))
                except Exception as error:
                    memo[key] = Failed(error, texts)
            self.elsewhere = before
        made = memo[key]
        for text in made.warnings:  # every metric that rests on it says so
            warnings.warn(text, stacklevel=2)
        if isinstance(made, Failed):
            raise made.error
        self.elsewhere |= made.elsewhere
        self.read |= made.read | catalog.read_at_import
        return made.value

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """Notes what foreign code reads within; from then on all that is made of the model rests on it."""
        with watching() as found:
            try:
                yield found
            finally:
                found -= known_code(found)
                self.read |= found

    @cached_property
    def here(self) -> str:
        """What decides how sums are rounded, as arrays remember it."""

        return content_key(rounding(self.device))

    @contextmanager
    def within_phase(self, what: str, extractor: str | None = None) -> Iterator[None]:
        """Says what is being done, so that a death has a place.

        Raises:
            Died: an earlier process of this model died there.
        """
        phase = f"{what}[{extractor}]" if extractor else what
        if phase in self.dead:
            raise self.dead[phase]
        self.phase.append(phase)
        self.at(phase)
        ends = True  # the process, in this phase, if what leaves it is no Exception
        try:
            yield
            ends = False
        except Exception:
            ends = False
            raise
        finally:
            if not ends:
                self.phase.pop()
                self.at(self.phase[-1] if self.phase else "")

    @contextmanager
    def timed(self, need: str) -> Iterator[None]:
        """Counts each second once, for the artifact that spent it."""
        outside, self.within, started = self.within, 0.0, time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.phases[need] = self.phases.get(need, 0.0) + spent - self.within
            self.within = outside + spent

    def has(self, need: str) -> bool:
        """Whether an artifact that depends on no extractor has been made, and without failing."""
        return isinstance(self.memo.get((need, None)), Made)

    @property
    def model(self) -> Any:
        """The model, opened once; one that failed to open fails again at once."""
        if isinstance(self._model, Failed):
            raise self._model.error
        return self._model

    @cached_property
    def _model(self) -> Any:
        try:
            watch = unwatched() if self.source.adapter in KNOWN_WHEN_OPEN else self.watched()
            with self.within_phase("model"), guarded(), watch:
                return self.source.open(self.plan.dataset, self.device)
        except Exception as error:
            return Failed(error, [])

    def extractor(self, name: str) -> Extractor:
        if ("extractor", name) in self.shared:
            return self.shared["extractor", name]
        with self.within_phase("extractor", name):
            return opened(name, self.plan, self.device, self.shared)

    def arrays_of(self, needs: tuple[str, ...], extractor: str | None) -> dict[str, str]:
        """The keys of the arrays behind the needs of a metric, without those of the data alone."""
        keys = {need: (need, extractor if ARTIFACTS[need].extracted else None) for need in needs}
        return {need: self.keys[key] for need, key in keys.items() if key in self.keys}
