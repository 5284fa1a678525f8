"""Artifacts: what metrics need of a model and of the data, each declared once.

    model -> samples, log-likelihoods -> features

A declaration says what an artifact asks (the data, the model's samples, or the model), which fields of the protocol
decide it, and whether the extractor does; the function under it makes it, and keeps in the run what takes long, block
by block. A metric names its needs, and each is made once for all metrics of a model. Plans, identities and audits
are derived from the declarations: a new artifact is one function here.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench import catalog, features
from genbench import numerics as numerics_package
from genbench.blocks import Arrays, Keep, Progress, Whole
from genbench.datasets import Dataset
from genbench.environment import rounding
from genbench.errors import Died, Unavailable
from genbench.features import Extractor
from genbench.files import content_key
from genbench.locks import Lock
from genbench.models.adapters import Source
from genbench.models.capabilities import n_classes
from genbench.models.fixed import FixedSamples, TrueData
from genbench.models.guard import guarded
from genbench.models.witness import unwatched, watching
from genbench.numerics.choice import chosen, row_keys
from genbench.privacy import LONGER
from genbench.run.protocol import Protocol
from genbench.run.records import Run
from genbench.space import Space
from genbench.text import capped, said

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood
    from genbench.likelihood.bdmc import Bidirectional
    from genbench.likelihood.decoder import Annealable
    from genbench.models.timing import Timings, TrainingTimings
    from genbench.numerics.points import Lasting, Points, Summary
    from genbench.run.plan import Plan
    from genbench.run.reference import Reference

DATA, SAMPLES, MODEL = "data", "samples", "model"  # what an artifact asks
WARNINGS, MADE_ON = "warnings", "made_on"  # in the file of arrays, beside them
READ_BY = "read_by"  # the call in which foreign code read something while they were made: they hold for it alone
BEFORE = "what another process of this call has seen"
KNOWN_WHEN_OPEN = ("code", "object")  # adapters of models whose state is hashed when they are opened
LONGEST = 2000  # characters of a warning
SAMPLED = ("n_samples", "seed", "block_size")
DRAWN = (*SAMPLED, "labels")  # which are no field of the protocol: see `Plan.said`
ANNEALED = ("temperatures", "chains", "leapfrog", "schedule", "seed", "block_size")


@dataclass(frozen=True)
class Artifact:
    """One declaration.

    Arguments:
        make: of a context, what a metric is given.
        asks: "data" (the same for all models), "samples" (any model has them) or "model" (what it can do).
        fields: of the protocol, all that decide it; "labels" are those that samples are drawn for.
        extracted: whether the extractor decides it too.
        referenced: whether a published reference decides it, where one is given for the extractor.
        alone: whether it is made by the process that measures the model alone: it is about that process.
    """

    make: Callable[[Context], Any]
    asks: str
    fields: tuple[str, ...]
    extracted: bool
    referenced: bool = False
    alone: bool = False

    @property
    def summary(self) -> str:
        return (self.make.__doc__ or "").partition("\n")[0]


ARTIFACTS: dict[str, Artifact] = {}


def artifact(
    asks: str, *fields: str, extracted: bool = False, referenced: bool = False, alone: bool = False
) -> Callable[[Callable], Callable]:
    """Declares the function under it as the artifact of its name."""

    def declare(make: Callable) -> Callable:
        ARTIFACTS[make.__name__] = Artifact(make, asks, fields, extracted, referenced, alone)
        return make

    return declare


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


@contextmanager
def noting() -> Iterator[list[str]]:
    """Warnings become texts, each once, instead of being shown."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    found = [said(w.message) for w in caught if issubclass(w.category, UserWarning | RuntimeWarning)]
    texts += dict.fromkeys(capped(text, LONGER * LONGEST) for text in found)


def known_code(paths: Iterable[str]) -> set[str]:
    """Of files that were read, the sources that are hashed in the identity of a model or of a plugin."""
    from genbench.models.fingerprint import hashed

    sources = {path for path in paths if path.endswith(".py")}
    return sources & hashed() if sources else set()


def opened(name: str, plan: Plan, device: str, shared: dict) -> Extractor:
    """An extractor of the plan, opened once for all models."""
    key = ("extractor", name)
    if key not in shared:
        shared[key] = features.load(name, plan.dataset.space, plan.weights.get(name), device)
    return shared[key]


def lent(value: Any) -> Any:
    """What foreign code is given in place of an artifact that others get after it: copies of its arrays."""
    if isinstance(value, np.ndarray):
        return value.copy() if value.flags.writeable else value
    if isinstance(value, dict):
        return {name: lent(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(lent, value))
    if hasattr(value, "to_arrays"):  # log-likelihoods
        return type(value).from_arrays(lent(value.to_arrays()))
    return value


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


class Context:
    """What one artifact is made of, and where it is kept."""

    def __init__(self, artifacts: Artifacts, need: str, name: str | None) -> None:
        self.artifacts, self.need, self.name = artifacts, need, name
        self.device, self.batch_size = artifacts.device, artifacts.batch_size

    @property
    def dataset(self) -> Dataset:
        return self.artifacts.plan.dataset

    @property
    def protocol(self) -> Protocol:
        return self.artifacts.plan.protocol

    @property
    def model(self) -> Any:
        return self.artifacts.model

    @property
    def extractor(self) -> Extractor:
        assert self.name is not None, f"artifact '{self.need}' is not declared as extracted"
        return self.artifacts.extractor(self.name)

    @property
    def reference(self) -> Reference | None:
        """What stands in place of the training features of this extractor."""
        return self.artifacts.plan.references.get(self.name or "")

    @property
    def labels(self) -> np.ndarray | None:
        """The class that is asked of every sample of a class-conditional model `[n]`, where the user says it."""
        labels, known = self.artifacts.plan.labels, n_classes(self.model)
        if labels is None or not known:
            return None
        if labels.max() >= known:
            raise Unavailable(f"a label is {labels.max()}, the model knows the classes 0 to {known - 1}")
        return labels

    def get(self, need: str) -> Any:
        """Another artifact, of the same extractor if it depends on one."""
        return self.artifacts.get(need, self.name)

    def progress(self, what: str, total: int) -> Progress:
        return lambda done: self.artifacts.tell(f"{what} {done:.0f}/{total}")

    def kept(self, make: Callable[[Keep], Arrays], under: str | None = None) -> Arrays:
        """Arrays by content key: from the run, or made, each block put into the run as soon as it is there.

        Arguments:
            make: given how blocks are kept, the arrays.
            under: the artifact whose arrays they are, where several read the same.
        """
        need, of = under or self.need, self.artifacts
        declared, plan = ARTIFACTS[need], of.plan
        identity = {
            "artifact": need,
            "protocol": plan.said(declared.fields),
            "extractor": plan.extractors[self.name] if declared.extracted and self.name else None,
            "model": None if declared.asks == DATA else of.source.identity,
            "dataset": {**plan.dataset.identity, **plan.brought(declared.fields)},
        }
        whole = declared.asks == DATA or of.source.pinned
        if not (whole and (not declared.extracted or self.name not in plan.unpinned)):
            identity["nonce"] = plan.nonce  # of this call: what decides the arrays is not all known
        key = content_key(identity)
        if declared.asks != DATA:
            of.keys[self.need, self.name] = key
        arrays = None if of.fresh else self.of_this_call(of.run.get_arrays(key))
        if arrays is None:
            arrays = self.made(key, make)
        for text in json.loads(str(arrays.get(WARNINGS, "[]"))):
            warnings.warn(text, stacklevel=2)
        of.elsewhere |= str(arrays.get(MADE_ON)) != of.here
        return self.without_marks(arrays)

    def made(self, key: str, make: Callable[[Keep], Arrays]) -> Arrays:
        """The arrays under a content key, made and put into the run, with marks: what was warned of, where they were
        made, and whether they rest on what foreign code has read.

        Other processes may make some of their blocks, now or earlier; each block has marks of its own.
        """
        of = self.artifacts
        of.run.forget(key)  # what is damaged, or of another call; all of it where it is to be made afresh
        if of.fresh:
            of.run.drop_blocks(key)
        notes: dict[int, tuple[list[str], str]] = {}
        try:
            with noting() as texts, of.watched() as read:

                def keep(number: int, block: Callable[[], Arrays]) -> Arrays | None:
                    def marked() -> Arrays:
                        with noting() as texts:
                            arrays = block()
                        marks = {WARNINGS: np.array(json.dumps(texts)), MADE_ON: np.array(of.here)}
                        return {**arrays, **marks, **self.read_by(read)}

                    arrays = of.run.kept_block(key, number, marked, self.of_this_call, of.fresh, of.helping)
                    if arrays is None:
                        return None
                    notes[number] = json.loads(str(arrays.get(WARNINGS, "[]"))), str(arrays.get(MADE_ON))
                    return self.without_marks(arrays, bool(read))

                arrays = make(keep)
        except Whole:
            if (whole := self.of_this_call(of.run.get_arrays(key))) is not None:
                of.run.drop_blocks(key)  # the lock of the last may stand there again
                return whole
            return self.made(key, make)  # what was there a moment ago is damaged, gone, or of another call
        places = {place for _, place in notes.values()}
        told = dict.fromkeys([text for number in sorted(notes) for text in notes[number][0]] + texts)
        made_on = of.here if places <= {of.here} else "in parts"
        arrays |= {WARNINGS: np.array(json.dumps(list(told))), MADE_ON: np.array(made_on), **self.read_by(read)}
        of.run.put_arrays(key, arrays)
        of.run.drop_blocks(key)
        return arrays

    def without_marks(self, arrays: Arrays, seen: bool = False) -> Arrays:
        if READ_BY in arrays and not (seen or self.artifacts.read):
            self.artifacts.read.add(BEFORE)
        return {name: array for name, array in arrays.items() if name not in (WARNINGS, MADE_ON, READ_BY)}

    def read_by(self, read: set[str]) -> Arrays:
        """The mark on arrays that rest on what foreign code has read; none where it has read nothing."""
        rests = self.artifacts.read or read - known_code(read)
        return {READ_BY: np.array(self.artifacts.plan.nonce)} if rests else {}

    def of_this_call(self, arrays: Arrays | None) -> Arrays | None:
        """Arrays, unless they hold for another call alone."""
        if arrays is None or str(arrays.get(READ_BY, self.artifacts.plan.nonce)) == self.artifacts.plan.nonce:
            return arrays
        return None

    def extract(self, images: Callable[[], np.ndarray], under: str | None = None) -> Arrays:
        """Features, and logits if there are any, of images `[n, *shape]`, which are asked for if the run has none."""

        def make(keep: Keep) -> Arrays:
            x = images()
            found, logits = self.extractor(x, self.batch_size, keep, self.progress("images", len(x)))
            return {"features": found} if logits is None else {"features": found, "logits": logits}

        return self.kept(make, under)

    def points(self, rows: np.ndarray, raw: str) -> Points:
        """Features `[n, d]` of the artifact `raw`, whose contents they are known by: no rounding tells them apart."""
        from genbench.numerics.points import Points  # brings torch, which a run with nothing to do can do without

        rows = rows.view()
        rows.flags.writeable = False  # all metrics of a model share them
        return Points(rows, self.device, keys=lambda: row_keys(self.get(raw)), lasting=self.lasting)

    @property
    def lasting(self) -> Lasting | None:
        """Where what takes long is kept, of data that all models are compared with."""
        of = self.artifacts
        return partial(lasting, of.run, of.here, of.fresh) if ARTIFACTS[self.need].asks == DATA else None

    def logits(self, arrays: Arrays) -> np.ndarray:
        if "logits" not in arrays:
            raise Unavailable(f"extractor '{self.name}' is no classifier: it gives no logits")
        return arrays["logits"]


def lasting(run: Run, here: str, fresh: bool, what: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays that other arrays decide, `what` says which and how: from the run, or made by the first who asks, for whom
    the others wait.
    """
    key = content_key({"what": what, MADE_ON: here, "by": numerics()})
    if not fresh and (arrays := run.get_arrays(key)) is not None:
        return arrays
    lock = Lock(run.arrays / f"{key}.lock")
    with suppress(OSError):  # where nothing can be written, writing says so
        lock.take(wait=True)
    try:
        if fresh or (arrays := run.get_arrays(key)) is None:
            arrays = make()
            run.put_arrays(key, arrays)
    finally:
        lock.free()
    return arrays


@cache
def numerics() -> str:
    """The code that such arrays are made by."""
    return content_key([path.read_text() for path in sorted(Path(numerics_package.__file__ or "").parent.glob("*.py"))])


# --- The data


@artifact(DATA)
def space(c: Context) -> Space:
    """The space of the observations."""
    return c.dataset.space


@artifact(DATA)
def modes(c: Context) -> tuple[np.ndarray, float]:
    """Centres of the data's modes `[m, d]`, and their standard deviation."""
    if c.dataset.modes is None:
        raise Unavailable(f"dataset '{c.dataset.name}' has no known modes")
    return c.dataset.modes


@artifact(DATA)
def train(c: Context) -> np.ndarray:
    """The training examples `[n, *shape]`."""
    return c.dataset.train


@artifact(DATA)
def validation(c: Context) -> np.ndarray:
    """The validation examples `[n, *shape]`."""
    return c.dataset.validation


@artifact(DATA, "limit")
def test(c: Context) -> np.ndarray:
    """The test examples `[n, *shape]`."""
    return c.dataset.test[c.get("test_places")]


@artifact(DATA, "outside", "limit")
def outside(c: Context) -> np.ndarray:
    """Other data that a model of these should find strange `[n, *shape]`."""
    from genbench.datasets._outside import outside

    return outside(c.dataset, c.protocol.outside, c.get("test"))


@artifact(DATA, "limit")
def test_places(c: Context) -> np.ndarray:
    """The places of the test examples that are measured `[n]`: all, or as many as the limit says, by contents."""
    return places_of(c.dataset, c.protocol.limit)


def places_of(dataset: Dataset, limit: int | None) -> np.ndarray:
    n = len(dataset.test)
    if limit is None or limit >= n:
        return np.arange(n)
    places = chosen(dataset.test, limit, 0, dataset.labels["test"] if dataset.labels else None)
    return np.sort(places) if dataset.sequence else places


@artifact(DATA, "limit")
def test_sequence(c: Context) -> np.ndarray | None:
    """Where in one sequence the test examples lie `[n]`, None where they are independent."""
    return c.get("test_places") if c.dataset.sequence else None


def labels(dataset: Dataset, split: str) -> np.ndarray:
    if dataset.labels is None:
        raise Unavailable(f"dataset '{dataset.name}' has no labels")
    return dataset.labels[split]


@artifact(DATA)
def train_labels(c: Context) -> np.ndarray:
    """Classes of the training examples `[n]`."""
    return labels(c.dataset, "train")


@artifact(DATA, "limit")
def test_labels(c: Context) -> np.ndarray:
    """Classes of the test examples `[n]`."""
    return labels(c.dataset, "test")[c.get("test_places")]


@artifact(DATA)
def train_factors(c: Context) -> np.ndarray:
    """The factors that the training examples were made of `[n, f]`, of generated data."""
    return factors(c.dataset, "train")


@artifact(DATA, "limit")
def test_factors(c: Context) -> np.ndarray:
    """The factors that the test examples were made of `[n, f]`, of generated data."""
    return factors(c.dataset, "test")[c.get("test_places")]


def factors(dataset: Dataset, split: str) -> np.ndarray:
    if dataset.factors is None:
        raise Unavailable(f"dataset '{dataset.name}' is not made of known factors")
    return dataset.factors[split]


def features_of_data(c: Context, split: str) -> Points:
    """Kept with the run, since a large network takes hours for a training set; raw pixels are at hand."""
    if c.name == "pixels":
        return c.points(c.extractor(c.get(split), c.batch_size)[0], split)
    return c.points(c.extract(lambda: c.get(split))["features"], split)


@artifact(DATA, extracted=True)
def train_features(c: Context) -> Points:
    """Features of the training examples `[n, d]`."""
    return features_of_data(c, "train")


@artifact(DATA, extracted=True, referenced=True)
def reference_features(c: Context) -> Points:
    """What samples are compared with, row by row `[n, d]`: training features, or those of a published reference."""
    return c.get("train_features") if c.reference is None else c.reference.points(c.device, c.lasting)


@artifact(DATA, extracted=True, referenced=True)
def reference_moments(c: Context) -> Points | Summary:
    """The same for metrics that need its mean and covariance alone: rows where there are any, else the moments."""
    if c.reference is None or c.reference.rows is not None:
        return c.get("reference_features")
    return c.reference.moments()


@artifact(DATA, "limit", extracted=True)
def test_features(c: Context) -> Points:
    """Features of the test examples `[n, d]`."""
    return features_of_data(c, "test")


def target(c: Context) -> Dataset:
    if c.dataset.target is None:
        raise Unavailable(f"dataset '{c.dataset.name}' has no target domain")
    return c.dataset.target


@artifact(DATA)
def target_train(c: Context) -> np.ndarray:
    """The training examples of the target domain `[n, *shape]`."""
    return target(c).train


@artifact(DATA)
def target_train_labels(c: Context) -> np.ndarray:
    """Classes of the training examples of the target domain `[n]`."""
    return labels(target(c), "train")


@artifact(DATA, "limit")
def target_test(c: Context) -> np.ndarray:
    """The test examples of the target domain `[n, *shape]`."""
    return target(c).test[c.get("target_test_places")]


@artifact(DATA, "limit")
def target_test_places(c: Context) -> np.ndarray:
    """The places of the test examples of the target domain that are measured `[n]`: see `test_places`."""
    return places_of(target(c), c.protocol.limit)


@artifact(DATA, "limit")
def target_test_labels(c: Context) -> np.ndarray:
    """Classes of the test examples of the target domain `[n]`."""
    return labels(target(c), "test")[c.get("target_test_places")]


@artifact(DATA, extracted=True)
def target_train_features(c: Context) -> Points:
    """Features of the training examples of the target domain `[n, d]`."""
    return features_of_data(c, "target_train")


@artifact(DATA, "limit", extracted=True)
def target_test_features(c: Context) -> Points:
    """Features of the test examples of the target domain `[n, d]`."""
    return features_of_data(c, "target_test")


# --- Samples


@artifact(SAMPLES, *DRAWN)
def samples(c: Context) -> np.ndarray:
    """Samples of the model `[n, *shape]`; of a class-conditional one for the labels that are given, if any are."""
    p = c.protocol
    if isinstance(c.model, FixedSamples):
        return c.model.fixed[c.get("fixed_places")]
    if not hasattr(c.model, "sample"):
        raise Unavailable("the model has no sample")
    asked = c.labels

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import draw

        tell = c.progress("samples", p.n_samples)
        x = draw(c.model, p.n_samples, p.seed, p.block_size, c.device, asked, keep, tell)
        again = draw(c.model, min(p.n_samples, p.block_size), p.seed, p.block_size, c.device, asked)
        if not np.array_equal(again, x[: len(again)]):
            warnings.warn(
                "the first block of samples, drawn twice with one seed, differs: not all randomness comes from the "
                "generator, and the value cannot be repeated",
                stacklevel=2,
            )
        return {"samples": x}

    return c.kept(make)["samples"]


@artifact(SAMPLES, *SAMPLED)
def fixed_places(c: Context) -> np.ndarray:
    """Of samples drawn elsewhere, the places of those that the protocol takes: at random, as contents decide `[n]`."""
    p, n = c.protocol, len(c.model.fixed)
    if n < p.n_samples:
        raise Unavailable(f"the protocol takes {p.n_samples} samples, there are {n}")
    return chosen(c.model.fixed, p.n_samples, p.seed, c.model.labels)


@artifact(SAMPLES, *DRAWN, extracted=True)
def sample_features(c: Context) -> Points:
    """Features of the samples `[n, d]`."""
    return c.points(c.extract(lambda: c.get("samples"))["features"], "samples")


@artifact(SAMPLES, *DRAWN, extracted=True)
def sample_logits(c: Context) -> np.ndarray:
    """Class logits of the samples `[n, classes]`, of an extractor that is a classifier."""
    return c.logits(c.extract(lambda: c.get("samples"), "sample_features"))


@artifact(MODEL, *DRAWN)
def class_labels(c: Context) -> np.ndarray:
    """The class asked of every sample `[n]`: as given, else 0, 1, ... in turn; what samples drawn elsewhere say."""
    n = c.protocol.n_samples
    if isinstance(c.model, FixedSamples):
        if c.model.labels is None:
            raise Unavailable("the samples have no labels: no class was asked of them")
        return c.model.labels[c.get("fixed_places")]
    known, classes = n_classes(c.model), int(labels(c.dataset, "train").max()) + 1
    if known != classes:
        what = f"knows {known} classes, the dataset has {classes}" if known else "is not class-conditional"
        raise Unavailable(f"the model {what}")
    return np.arange(n) % known if c.labels is None else c.labels


@artifact(MODEL, *DRAWN)
def class_samples(c: Context) -> np.ndarray:
    """Samples of the classes in `class_labels` `[n, *shape]`."""
    asked, p = c.get("class_labels"), c.protocol
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("samples")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import draw

        tell = c.progress("class samples", p.n_samples)
        return {"samples": draw(c.model, p.n_samples, p.seed, p.block_size, c.device, asked, keep, tell)}

    return c.kept(make)["samples"]


@artifact(MODEL, *DRAWN, extracted=True)
def class_features(c: Context) -> Points:
    """Features of the class samples `[n, d]`."""
    c.get("class_labels")
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("sample_features")
    return c.points(c.extract(lambda: c.get("class_samples"))["features"], "class_samples")


@artifact(MODEL, *DRAWN, extracted=True)
def class_logits(c: Context) -> np.ndarray:
    """Class logits of the class samples `[n, classes]`."""
    c.get("class_labels")
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("sample_logits")
    return c.logits(c.extract(lambda: c.get("class_samples"), "class_features"))


# --- What the model can do


@artifact(MODEL, *SAMPLED, "step", "path", extracted=True)
def path_lengths(c: Context) -> np.ndarray:
    """Squared speeds of the features along paths between latents `[n]`."""
    from genbench.models.interpolation import path_lengths

    p = c.protocol
    tell = c.progress("paths", p.n_samples)

    def make(keep: Keep) -> Arrays:
        found = path_lengths(
            c.model, c.extractor, p.n_samples, p.seed, p.block_size, p.step, p.path, c.device, keep, tell
        )
        return {"lengths": found}

    return c.kept(make)["lengths"]


@artifact(MODEL, "limit")
def reconstructions(c: Context) -> np.ndarray:
    """What the model gives back of every test example `[n, *shape]`, real numbers in the raw range of the space."""
    return given_back(c, c.get("test"))


@artifact(MODEL, "outside", "limit")
def outside_reconstructions(c: Context) -> np.ndarray:
    """What it gives back of the other data `[n, *shape]`."""
    return given_back(c, c.get("outside"))


def given_back(c: Context, x: np.ndarray) -> np.ndarray:
    if not hasattr(c.model, "reconstruct"):
        raise Unavailable("the model has no reconstruct")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import reconstruct

        return {"x": reconstruct(c.model, x, c.device, keep, c.progress("examples", len(x)))}

    return c.kept(make)["x"]


@artifact(MODEL, "limit", extracted=True)
def reconstruction_features(c: Context) -> Points:
    """Features of the reconstructions `[n, d]`, rounded to the nearest level where the space has levels."""

    def rounded() -> np.ndarray:
        x, levels = c.get("reconstructions"), c.dataset.space.levels
        return x if levels is None else np.clip(np.rint(x), 0, levels - 1).astype(c.dataset.space.dtype)

    return c.points(c.extract(rounded)["features"], "reconstructions")


@artifact(MODEL)
def train_encodings(c: Context) -> np.ndarray:
    """Codes of the training examples, by the model's `encode`; in a row of real data raw values `[n, d]`."""
    return encodings(c, "train")


@artifact(MODEL, "limit")
def test_encodings(c: Context) -> np.ndarray:
    """Codes of the test examples, by the model's `encode`; in a row of real data raw values `[n, d]`."""
    return encodings(c, "test")


@artifact(MODEL, "limit")
def gaussian_posteriors(c: Context) -> dict[str, np.ndarray]:
    """Means and log standard deviations of q(z|x) of every test example `[n, d]`, of a VAE with the prior N(0, I)."""
    if not callable(getattr(c.model, "gaussian_posterior", None)):
        raise Unavailable("the model has no Gaussian posterior beside a standard normal prior")
    if n_classes(c.model):
        raise Unavailable("the posteriors of a class-conditional model are those of a given class")
    x = c.get("test")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import gaussian_posteriors

        return gaussian_posteriors(c.model, x, c.device, keep, c.progress("examples", len(x)))

    return c.kept(make)


@artifact(MODEL, "seed", "block_size", "limit")
def amortisation(c: Context) -> dict[str, np.ndarray]:
    """The bounds of every test example at the encoder's q(z|x), and at a q sought for it alone `[n]`, in nats."""
    q, x = c.get("gaussian_posteriors"), c.get("test")
    if not callable(getattr(c.model, "log_likelihood", None)):
        raise Unavailable("the search for q needs log_likelihood(x, z)")
    p, tell = c.protocol, c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        from genbench.likelihood.amortisation import amortisation as of_examples

        return of_examples(c.model, x, q["mean"], q["log_sd"], p.seed, p.block_size, c.device, keep, tell)

    return c.kept(make)


def encodings(c: Context, split: str) -> np.ndarray:
    x = c.get(split)
    if isinstance(c.model, TrueData):
        return x.reshape(len(x), -1).astype(np.float32)
    if not hasattr(c.model, "encode"):
        raise Unavailable("the model has no encode")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import encode

        return {"codes": encode(c.model, x, c.device, keep, c.progress(f"{split} examples", len(x)))}

    return c.kept(make)["codes"]


def translations(c: Context, of: str, back: bool) -> np.ndarray:
    """The artifact `of` in the other domain; in a row of real data that domain's own test examples."""
    if isinstance(c.model, TrueData):
        return c.get("test" if back else "target_test")
    if not callable(getattr(c.model, "translate", None)):
        raise Unavailable("the model has no translate")
    x = c.get(of)

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import translate

        return {"x": translate(c.model, x, back, c.device, keep, c.progress("examples", len(x)))}

    return c.kept(make)["x"]


def translation_labels(c: Context, back: bool) -> np.ndarray:
    own = "target_test_labels" if back else "test_labels"
    other = "test_labels" if back else "target_test_labels"
    return c.get(other if isinstance(c.model, TrueData) else own)


@artifact(MODEL, "limit")
def translated(c: Context) -> np.ndarray:
    """The test examples in the target domain, by the model; in a row of real data that domain's own `[n, *shape]`."""
    return translations(c, "test", back=False)


@artifact(MODEL, "limit")
def translated_back(c: Context) -> np.ndarray:
    """The target's test examples in the dataset's own domain, by the model; in a row of real data the test examples."""
    return translations(c, "target_test", back=True)


@artifact(MODEL, "limit")
def cycled(c: Context) -> np.ndarray:
    """The test examples, translated there and back `[n, *shape]`."""
    refuse_real(c)
    return translations(c, "translated", back=True)


@artifact(MODEL, "limit")
def cycled_back(c: Context) -> np.ndarray:
    """The target's test examples, translated back and there `[n, *shape]`."""
    refuse_real(c)
    return translations(c, "translated_back", back=False)


def refuse_real(c: Context) -> None:
    if isinstance(c.model, TrueData):
        raise Unavailable("real data are not translated")


@artifact(MODEL, "limit")
def translated_labels(c: Context) -> np.ndarray:
    """The class that every row of `translated` should have `[n]`: that of the example behind it."""
    return translation_labels(c, back=False)


@artifact(MODEL, "limit")
def translated_back_labels(c: Context) -> np.ndarray:
    """The class that every row of `translated_back` should have `[n]`."""
    return translation_labels(c, back=True)


@artifact(MODEL, "limit", extracted=True)
def translated_features(c: Context) -> Points:
    """Features of `translated` `[n, d]`."""
    return c.points(c.extract(lambda: c.get("translated"))["features"], "translated")


@artifact(MODEL, "limit", extracted=True)
def translated_back_features(c: Context) -> Points:
    """Features of `translated_back` `[n, d]`."""
    return c.points(c.extract(lambda: c.get("translated_back"))["features"], "translated_back")


def kept_likelihood(
    c: Context, make: Callable[[np.ndarray, Keep, Progress], LogLikelihood], of: str = "test"
) -> LogLikelihood:
    """The log-likelihoods of examples, from the run or by `make(examples, keep, progress)`; `of` is their artifact."""
    from genbench.likelihood import LogLikelihood

    x = c.get(of)
    tell = c.progress("examples", len(x))
    return LogLikelihood.from_arrays(c.kept(lambda keep: make(x, keep, tell).to_arrays()))


@artifact(MODEL, "k", "seed", "block_size", "limit")
def log_likelihood(c: Context) -> LogLikelihood:
    """log p of every test example, by the strongest statement that the model makes."""
    return strongest(c, "test")


@artifact(MODEL, "k", "seed", "block_size")
def validation_log_likelihood(c: Context) -> LogLikelihood:
    """log p of every validation example, in the same way."""
    return strongest(c, "validation")


@artifact(MODEL, "k", "seed", "block_size", "outside", "limit")
def outside_log_likelihood(c: Context) -> LogLikelihood:
    """log p of the other data, in the same way."""
    return strongest(c, "outside")


def strongest(c: Context, of: str) -> LogLikelihood:
    from genbench.likelihood import LogLikelihood, log_likelihood
    from genbench.likelihood.at_most_one import refuse_above_one

    p = c.protocol
    if isinstance(c.model, TrueData):
        if c.model.log_density is None:
            raise Unavailable("the true density of the data is not known")
        values = c.model.log_density(c.get(of))
        refuse_above_one(values, c.dataset.space, f"the density of dataset '{c.dataset.name}'")
        return LogLikelihood(values, "exact", "the data's own density")
    return kept_likelihood(
        c, lambda x, keep, tell: log_likelihood(
            c.model, x, p.k, p.seed, p.block_size, c.device, keep, tell
        ), of,
    )  # fmt: skip


@artifact(MODEL)
def stream(c: Context) -> np.ndarray:
    """log p of every character of the whole test text, read as one stream, in windows of the data's `[n, T]`."""
    text, model = c.dataset.test, c.model
    if c.dataset.vocabulary is None or not callable(getattr(model, "log_prob_stream", None)):
        raise Unavailable("a stream is scored by the log_prob_stream of a model of text")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import real, to_tensor

        tokens = to_tensor(text, c.dataset.space, c.device).flatten()
        log_p = real(model.log_prob_stream(tokens), (len(tokens),), "log_prob_stream")
        return {"values": log_p.double().cpu().numpy().reshape(text.shape)}

    return c.kept(make)["values"]


@artifact(MODEL)
def stream_said(c: Context) -> dict[str, Any]:
    """What the model says of its stream: the `kind` of its log-probabilities, and details for the record."""
    values, says = c.get("stream").sum(1), getattr(c.model, "log_prob_details", None)
    details = says(c.dataset.test, values) if callable(says) else {}
    return {"kind": getattr(c.model, "log_prob_kind", "exact"), **details}


@artifact(MODEL, "limit")
def completion(c: Context) -> LogLikelihood:
    """log p of the lower half of every test image given its upper half."""
    from genbench.likelihood.completion import completion as of_halves

    if isinstance(c.model, TrueData | FixedSamples):
        raise Unavailable("completion is scored by the log_conditionals of a model of images")
    return kept_likelihood(c, lambda x, keep, tell: of_halves(c.model, x, c.device, keep, tell))


@artifact(MODEL, *DRAWN)
def sample_balance(c: Context) -> np.ndarray:
    """Detailed balance of every sample with a changed one `[n]`, under the model that drew it."""
    return kept_balance(c, c.get("samples"))


@artifact(MODEL, "seed", "limit")
def test_balance(c: Context) -> np.ndarray:
    """Detailed balance of every test example with a changed one `[n]`, under the model."""
    return kept_balance(c, c.get("test"))


def kept_balance(c: Context, x: np.ndarray) -> np.ndarray:
    from genbench.likelihood.balance import balance

    if isinstance(c.model, TrueData | FixedSamples):
        raise Unavailable("detailed balance needs log_prob")
    words, tell = c.dataset.vocabulary is not None, c.progress("rows", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": balance(c.model, x, c.dataset.train, c.protocol.seed, words, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL, "limit")
def class_log_likelihoods(c: Context) -> np.ndarray:
    """log p(x | y) of every test example under every class `[n, classes]`, in nats."""
    from genbench.likelihood.bayes import class_log_likelihoods

    x = c.get("test")
    tell = c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": class_log_likelihoods(c.model, x, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL, "k", "seed", "block_size", "limit")
def class_scores(c: Context) -> np.ndarray:
    """log p(x | y) of every test example under every class `[n, classes]`, or where that is not known a bound on it."""
    from genbench.likelihood.bayes import class_bounds

    if callable(getattr(c.model, "log_prob", None)):
        return c.get("class_log_likelihoods")
    x, p = c.get("test"), c.protocol
    tell = c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        return {"values": class_bounds(c.model, x, p.k, p.seed, p.block_size, c.device, keep, tell)}

    return c.kept(make)["values"]


@artifact(MODEL)
def resampling_chances(c: Context) -> np.ndarray:
    """The chance that the model gives every training example to be drawn again `[n]`."""
    if not callable(getattr(c.model, "chances", None)):
        raise Unavailable("the model has no chances: it does not resample")
    x = c.get("train")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import real, to_tensor

        found = real(c.model.chances(to_tensor(x, c.dataset.space, c.device)), (len(x),), "chances")
        return {"values": found.double().cpu().numpy()}

    return c.kept(make)["values"]


EXACT = 4  # dimensions up to which the trace is computed exactly, for no more backward passes than it is worth


@artifact(MODEL, "seed", "limit", "rtol", "entry")
def probability_flow(c: Context) -> LogLikelihood:
    """log p of every test example by the probability-flow ODE."""
    from genbench.likelihood.probability_flow import HasVelocity, probability_flow

    flow = c.model.probability_flow() if hasattr(c.model, "probability_flow") else c.model
    if not isinstance(flow, HasVelocity):
        raise Unavailable("the model is no continuous flow: it has neither velocity and eps nor probability_flow")
    p = c.protocol
    return kept_likelihood(
        c, lambda x, keep, tell: probability_flow(
            flow, x, p.seed, rtol=p.rtol, atol=p.rtol, entry=p.entry, probes=0 if flow.space.dim <= EXACT else 1,
            device=c.device, keep=keep, progress=tell,
        ),
    )  # fmt: skip


@artifact(MODEL, "seed")
def decoder(c: Context) -> Annealable:
    """The model as a decoder that can be annealed; a generator without noise gets one, whose sigma is fitted."""
    from genbench.likelihood.decoder import annealable

    def keep(number: int, make: Callable[[], Arrays]) -> Arrays:
        return c.kept(lambda blocks: make())

    return annealable(c.model, c.dataset.validation, c.protocol.seed, c.device, keep)


@artifact(MODEL, *ANNEALED, "limit")
def ais(c: Context) -> LogLikelihood:
    """Lower bounds on log p of every test example by annealed importance sampling."""
    from genbench.likelihood.ais import Settings, ais

    found: Annealable = c.get("decoder")
    p = c.protocol
    settings = Settings(p.temperatures, p.chains, p.leapfrog, p.schedule)

    def make(x: np.ndarray, keep: Keep, tell: Progress) -> LogLikelihood:
        bound = ais(found.model, x, settings, p.seed, p.block_size, c.device, keep=keep, progress=tell)
        return replace(bound, details={**bound.details, **found.details}, warnings=found.warnings + bound.warnings)

    return kept_likelihood(c, make)


@artifact(MODEL, *ANNEALED, "simulated")
def bdmc(c: Context) -> Bidirectional:
    """Bounds from below and above on log p of examples that the model made."""
    from genbench.likelihood.ais import Settings
    from genbench.likelihood.bdmc import Bidirectional, bdmc

    found: Annealable = c.get("decoder")
    p = c.protocol
    settings = Settings(p.temperatures, p.chains, p.leapfrog, p.schedule)
    tell = c.progress("simulated", p.simulated)

    def make(keep: Keep) -> Arrays:
        bounds = bdmc(found.model, p.simulated, settings, p.seed, p.block_size, c.device, keep=keep, progress=tell)
        return vars(bounds)

    return Bidirectional(**c.kept(make))


@artifact(MODEL, "block_size", alone=True)
def timings(c: Context) -> Timings:
    """Seconds of sampling, of a block and of one."""
    if isinstance(c.model, FixedSamples):
        raise Unavailable("the samples are given: there is nothing to time")
    import torch

    from genbench.models.timing import time_sampling

    return time_sampling(c.model, c.protocol.block_size, torch.device(c.device))


@artifact(MODEL, alone=True)
def training_timings(c: Context) -> TrainingTimings:
    """Training examples per second of the loop that a checkpoint comes from."""
    if c.artifacts.source.adapter != "checkpoint":
        raise Unavailable("only a checkpoint that `genbench train` wrote says how it is trained")
    import torch

    from genbench.models.timing import time_training

    return time_training(c.artifacts.source.extra, c.dataset, torch.device(c.device))
