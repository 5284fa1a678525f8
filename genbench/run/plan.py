"""A plan says which numbers a run will measure, and gives each its identity; nothing is loaded for it.

suite (dataset, metrics, protocol) x sources -> cells, each with the id of its record
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from genbench import catalog, domains, features, reading
from genbench.datasets import Dataset
from genbench.datasets._files import count_samples
from genbench.datasets._labels import digest
from genbench.errors import Died, GenbenchError, unknown
from genbench.files import content_key, sha256_array, sha256_file
from genbench.models import steady
from genbench.models.adapters import Source
from genbench.run.artifacts import ARTIFACTS
from genbench.run.protocol import INFINITE, Protocol, Suite
from genbench.run.records import PROTOCOL_VERSION, READ, RULES, Key, Record, Run, named, said_of
from genbench.run.reference import Reference
from genbench.space import Space

OUTSIDE = "outside"  # the field of the protocol that names other data
LABELS = "labels"  # what artifacts call the classes that samples are drawn for


@dataclass(frozen=True)
class Job:
    """One metric in one extractor, with the outputs that were asked for."""

    metric: str
    extractor: str | None
    outputs: tuple[str, ...]
    params: dict[str, Any]
    entry: catalog.Entry = field(compare=False, repr=False)  # with what was read of its file, which is read once
    intervals: bool = True  # False only of a metric that spares work without them

    @property
    def needs(self) -> tuple[str, ...]:
        return self.entry.constants["NEEDS"]

    @property
    def fields(self) -> set[str]:
        """What of the protocol decides the values."""
        return {name for need in self.needs for name in ARTIFACTS[need].fields}

    def spec(self, output: str) -> str:
        """What asks for one of its outputs, and for no other: see `jobs`."""
        name = output.replace("_", "-")
        return f"{name}[{self.extractor}]" if self.extractor else name

    def label(self, output: str) -> str:
        name = output.replace("_", "-")
        return f"{name}[{self.extractor.rpartition(':')[2]}]" if self.extractor else name


def jobs(specs: Iterable[str], extractor: str, params: dict[str, dict[str, Any]], intervals: bool = True) -> list[Job]:
    """The metrics that `name` or `name[extractor]` specs ask for; a name is a file's or an output's.

    The extractor is a name in the catalog or a function in code, `FILE.py:NAME`. Without intervals those that take no
    work of their own stay: a mean over examples has its own for nothing.

    Raises:
        GenbenchError: no such metric or parameter, a parameter that is not in its domain, or a metric that needs what
            no artifact is.
    """
    params = {hyphenated(metric): checked(metric, given) for metric, given in params.items()}
    by_output = {
        output: (name, tuple(entry.constants["OUTPUTS"]) if output == name else (output,))
        for name, entry in catalog.entries("metrics").items()
        for output in [*entry.constants["OUTPUTS"], name]
    }
    by_output = {output.replace("_", "-"): where for output, where in by_output.items()}
    wanted: dict[tuple[str, str | None], list[str]] = {}
    for spec in [one for given in specs for one in (by_output if given == "all" else [given])]:
        name, bracket, inside = spec.partition("[")
        if bracket and (not inside.endswith("]") or not inside[:-1]):
            raise GenbenchError(f"'{spec}' is no metric", "Write NAME, or NAME[EXTRACTOR].")
        name, inside = name.replace("_", "-"), hyphenated(inside[:-1] or extractor)
        if name not in by_output:
            raise catalog.absent("metric", name, by_output, ["metrics"])
        metric, outputs = by_output[name]
        for need in catalog.find("metrics", metric).constants["NEEDS"]:
            if need not in ARTIFACTS:
                raise unknown(f"artifact, which metric '{metric}' needs:", need, ARTIFACTS)
        depends = any(ARTIFACTS[need].extracted for need in catalog.find("metrics", metric).constants["NEEDS"])
        if bracket and not depends:
            raise GenbenchError(f"metric '{name}' looks at no features, '{spec}' names an extractor", f"Write {name}.")
        key = (metric, inside if depends else None)
        wanted.setdefault(key, []).extend(o for o in outputs if o not in wanted.get(key, []))
    found = []
    for (metric, inside), asked in wanted.items():
        entry = catalog.find("metrics", metric)
        all_params = {**entry.parameters, **params.get(metric, {})}
        found.append(Job(metric, inside, tuple(asked), all_params, entry, intervals or not entry.spares))
    return found


def checked(metric: str, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a metric, each known and in its domain; an infinite one as text, for JSON has no infinity."""
    entry = catalog.find("metrics", metric)
    given = numbered(entry, given)
    for name in given:
        if name not in entry.parameters:
            raise unknown(f"parameter of metric '{entry.name}'", name, entry.parameters)
    domains.check(entry.constants.get("DOMAINS", {}), given, f"metric '{entry.name}'")
    return {name: INFINITE if value == math.inf else value for name, value in given.items()}


def numbered(entry: catalog.Entry, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters as `compute` takes them: infinity where its text stands for a number."""
    numbers = {name for name, default in entry.parameters.items() if type(default) in (int, float)}
    return {name: math.inf if name in numbers and value == INFINITE else value for name, value in given.items()}


def hyphenated(name: str) -> str:
    """A name as the catalog spells it; that of a function in code is left alone."""
    return name if ":" in name else name.replace("_", "-")


@dataclass(frozen=True)
class Cell:
    """One record to be: one output of one metric for one model."""

    source: Source
    job: Job
    output: str
    identity: dict[str, Any]

    @property
    def id(self) -> str:
        return content_key(self.identity)


@dataclass
class Plan:
    """Everything that a run will measure, with identities, before anything is loaded."""

    dataset: Dataset
    protocol: Protocol
    jobs: list[Job]
    sources: list[Source]
    extractors: dict[str, str]  # name -> sha256
    weights: dict[str, Path] = field(default_factory=dict)  # name -> file, where one was named
    unpinned: frozenset[str] = frozenset()  # extractors of which nobody knows what decides their features
    references: dict[str, Reference] = field(default_factory=dict)  # by extractor, in place of training features
    labels: np.ndarray | None = None  # the class that is asked of every sample of a class-conditional model
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))  # in place of what nobody knows
    only: frozenset[str] | None = None  # ids of cells: no others are planned
    digest: str | None = None  # of the other data, once they are known: see `brought`

    def cells(self, source: Source) -> list[Cell]:
        cells = [Cell(source, job, o, self.identity(source, job, o)) for job in self.jobs for o in job.outputs]
        return cells if self.only is None else [cell for cell in cells if cell.id in self.only]

    def restricted(self, ids: Iterable[str]) -> Plan:
        """The plan with these cells alone.

        Raises:
            GenbenchError: one of them is not planned.
        """
        wanted = frozenset(ids)
        known = {cell.id for source in self.sources for cell in self.cells(source)}
        if strange := sorted(wanted - known):
            raise GenbenchError(
                f"{len(strange)} of {len(wanted)} cells are not in this plan, {strange[0]} among them",
                "Name the same models, suite and options as where `--dry-run --json` made the list.",
            )
        return replace(self, only=wanted)

    def reference(self, job: Job) -> Reference | None:
        """What a metric compares samples with, where that is not the training set."""
        asks = any(ARTIFACTS[need].referenced for need in job.needs)
        return self.references.get(job.extractor or "") if asks else None

    def identity(self, source: Source, job: Job, output: str) -> dict[str, Any]:
        """What the value depends on, and nothing else: no device, no paths, no dates."""
        reference = self.reference(job)
        return {
            "model": source.identity,
            "dataset": {**self.dataset.identity, "split": "test", **self.brought(job.fields)},
            "metric": {
                "name": output,
                "version": job.entry.constants["VERSION"],
                "params": job.params,
                **said_of(job.intervals),
                **({} if job.entry.origin == "genbench" else {"made_of": job.entry.made_of}),
            },
            "extractor": self.extractors[job.extractor] if job.extractor else None,
            **({} if reference is None else {"reference": reference.identity}),
            "protocol": self.said(sorted(job.fields)),
            "protocol_version": PROTOCOL_VERSION,
        }

    def said(self, fields: Iterable[str]) -> dict[str, Any]:
        """What of the protocol decides a value: some of its fields, and the labels that samples are drawn for."""
        found = {name: getattr(self.protocol, name) for name in fields if name != LABELS}
        if self.labels is not None and LABELS in fields:
            found[LABELS] = digest(self.labels)
        return found

    def brought(self, fields: Iterable[str]) -> dict[str, str]:
        """The content of the other data that a user's dataset brings, where they decide a value."""
        make = (self.dataset.outside or {}).get(self.protocol.outside) if OUTSIDE in fields else None
        if make is None or getattr(getattr(make, "func", make), "__module__", "").startswith("genbench."):
            return {}  # what ships is known by its name
        if self.digest is None:
            try:
                self.digest = sha256_array(np.ascontiguousarray(make()))
            except Exception:  # its cells will say so
                self.digest = self.nonce
        return {OUTSIDE: self.digest}

    def reusable(self, cell: Cell, record: Record) -> bool:
        """Whether a value that an earlier call measured may stand: all that it was made of is known and the same, and
        the model's answers were held to the rules of today.
        """
        known = cell.source.pinned and cell.job.extractor not in self.unpinned and READ not in record.env
        return known and (cell.source.ours or record.env.get(RULES) == steady.RULES)

    def seeds(self, source: Source) -> dict[str, Any] | None:
        """Of one of several checkpoints the row that they make together, and the keys of all of them."""
        if not source.row:
            return None
        members = list(dict.fromkeys(one.key for one in self.sources if one.row == source.row))
        return {"name": source.row, "members": members, "planned": ""}

    def rows(self, run: Run) -> list[Record]:
        """What the run has of the planned cells, under the names of the planned models."""
        found = {cell.id: run.get(cell.id) for source in self.sources for cell in self.cells(source)}
        return [
            named(record, source.name, self.seeds(source), source.ours)
            for source in self.sources
            for cell in self.cells(source)
            if (record := found[cell.id]) is not None
        ]


def plan(
    suite: Suite,
    dataset: Dataset,
    sources: list[Source],
    weights: dict[str, Path] | None = None,
    references: dict[str, Reference] | None = None,
    labels: np.ndarray | None = None,
    apart: Callable[..., Any] | None = None,
    intervals: bool = True,
) -> Plan:
    """Checks what can be checked before the long work.

    Arguments:
        weights: {extractor: file} in place of the weights that it would find by itself.
        references: by extractor, what samples are compared with in place of the training features.
        labels: the class to ask of every sample of class-conditional models `[n]`, in place of each in turn.
        apart: calls a function in a process of its own, for extractors in code; None has them run here.
        intervals: False leaves out those that take work of their own; such a record has another identity.

    Raises:
        GenbenchError: unknown metric or extractor, two models of one name, fewer samples than a metric needs, weights
            that are not there, or a reference that no metric asks for.
    """
    todo = jobs(suite.metrics, suite.extractor, suite.params, intervals)
    if labels is not None and len(labels) != suite.protocol.n_samples:
        raise GenbenchError(
            f"there are {len(labels)} labels for {suite.protocol.n_samples} samples of each model",
            f"Take as many samples: --samples {len(labels)}.",
        )
    check_enough(todo, suite.protocol.n_samples, sources)
    seen: dict[str, str] = {}
    for source in sources:
        what = "several checkpoints" if source.row else source.what
        if seen.setdefault(source.shown, what) != what:
            raise GenbenchError(
                f"two models are called '{source.shown}': {seen[source.shown]} and {what}",
                "Name one of them: other=PATH.",
            )
    weights = weights or {}
    used = {job.extractor for job in todo if job.extractor}
    for name, path in weights.items():
        if name not in used:
            raise GenbenchError(f"no metric uses extractor '{name}', for which weights are given", "Leave them out.")
        if not path.is_file():
            raise GenbenchError(f"no weights at {path}, for extractor '{name}'", "Check the path.")
    known = {name: hash_apart(name, dataset.space, weights.get(name), apart) for name in sorted(used)}
    hashes = {name: sha256 for name, (sha256, _) in known.items()}
    unpinned = frozenset(name for name, (_, pinned) in known.items() if not pinned)
    found = Plan(dataset, suite.protocol, todo, unique(sources), hashes, weights, unpinned, references or {}, labels)
    for name in found.references:
        if not any(job.extractor == name and found.reference(job) for job in todo):
            raise GenbenchError(
                f"no metric compares samples with a reference in the features of '{name}'",
                "Name the extractor, --reference NAME=FILE, or a metric such as fd: --metrics fd.",
            )
    return found


class CellSaid(TypedDict):
    id: Key
    model: NotRequired[str]
    metric: NotRequired[str]


def read_cells(path: Path) -> list[str]:
    """The ids in a JSON list of cells: of ids, or of what `genbench evaluate --dry-run --json` prints.

    Raises:
        GenbenchError: no such file, or it holds something else.
    """
    remedy = 'Write ["0123456789abcdef", ...], or take what `genbench evaluate --dry-run --json` prints.'
    content = reading.parse_json(reading.text_of(path, "list of cells", remedy), str(path), remedy)
    listed = [{"id": one} if isinstance(one, str) else one for one in content] if isinstance(content, list) else content
    return [cell["id"] for cell in reading.read(list[CellSaid], listed, str(path), remedy)]


def check_enough(todo: list[Job], n_samples: int, sources: list[Source]) -> None:
    """Whether every metric gets as many samples as it needs.

    Raises:
        GenbenchError: it does not; the remedy is one that can be followed with what these sources hold.
    """
    needs = [job.entry.constants.get("MIN_SAMPLES", 1) if "n_samples" in job.fields else 0 for job in todo]
    most = max(needs, default=0)
    if n_samples >= most:
        return
    short = next(job for job, needed in zip(todo, needs, strict=True) if needed > n_samples)
    held = {source.what: count_samples(Path(source.what)) for source in sources if source.adapter == "samples"}
    what = min(held, key=lambda one: held[one], default="")
    enough = [job for job, needed in zip(todo, needs, strict=True) if needed <= n_samples]
    kept = [job.spec(output) for job in enough for output in job.outputs]
    if not what or held[what] >= most:
        remedy = f"Raise it with --samples {most}, or leave the metric out with --metrics."
    elif kept:
        remedy = f"{what} holds {held[what]}, which is enough for --metrics '{','.join(kept)}'."
    else:
        remedy = f"{what} holds {held[what]}: give {most} or more."
    raise GenbenchError(
        f"metric '{short.metric}' needs at least {short.entry.constants['MIN_SAMPLES']} samples, "
        f"the protocol draws {n_samples}",
        remedy,
    )


def unique(sources: list[Source]) -> list[Source]:
    """Each name once: the same model given twice under one name is one row."""
    return list({source.name: source for source in sources}.values())


def hash_apart(name: str, space: Space, weights: Path | None, apart: Callable[..., Any] | None) -> tuple[str, bool]:
    """`hash_of_extractor`, of code in a process of its own.

    Raises:
        GenbenchError: it died as the code was imported.
    """
    if ":" not in name or apart is None:
        return hash_of_extractor(name, space, weights)
    try:
        sha256, pinned = apart(hash_of_extractor, name, space, weights)
    except Died as died:
        raise GenbenchError(f"extractor {name} cannot be imported: {died.message}", "Fix it, then try again.") from died
    return sha256, pinned


def hash_of_extractor(name: str, space: Space, weights: Path | None = None) -> tuple[str, bool]:
    """What decides an extractor's features, as a sha256, and whether that is all that does.

    Of weights in the place of those that ship it is that of the file, which needs no torch; else what the extractor
    says itself; with the code of one from outside.
    """
    if ":" in name:
        found = features.load(name, space, weights)
        return found.sha256, found.pinned
    entry = catalog.find("extractors", name)
    own = sha256_file(weights or entry.weights) if entry.weights else features.load(name, space, weights).sha256
    return (own if entry.origin == "genbench" else features.identity(own, entry.made_of)), not entry.reaches
