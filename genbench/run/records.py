"""A record is one measured number with everything needed to believe and to repeat it; a run is a folder of records.

RUN/manifest.json           written first: environment, command, protocol, the rows and the cells that are planned
RUN/cells/<cell_id>.json    one record each, written whole or not at all
RUN/arrays/<key>.npz        samples, features and log-likelihoods, by content key
RUN/arrays/<key>.blocks/    those of them that are not finished, block by block, with locks of those that somebody makes
RUN/pictures/               samples of every model
RUN/claims/<cell_id>        locks of cells that somebody is measuring, or died measuring

A published board is a run that `boards/publishing.py` has packed, and is read by the same class:

PAGE/records.jsonl          its records, one canonical line each, by cell id; a file in cells/ comes before its line.
                            What many of them say alike (PARTS) stands once, in lines before them, by content key
PAGE/replicates.npz         of its arrays only what comparing needs, by content key: values of every test example, and
                            how values move with the training examples
"""

from __future__ import annotations

import io
import json
import shutil
import warnings
from collections.abc import Callable, Container, Iterable
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np

from genbench import catalog, reading
from genbench.blocks import Arrays, Whole
from genbench.errors import GenbenchError
from genbench.files import canonical, check_folder, content_key, state_of, sweep, write_atomically
from genbench.locks import Lock, owner
from genbench.numpy_files import read_arrays, stored
from genbench.reading import As, Match, Name, Size, Within, finite, parse_json, text_of

SCHEMA_VERSION = 2  # 1 held the name of the row, which the manifest has now
PROTOCOL_VERSION = 2
DONE = ("ok", "skipped")
SHARED = "shared"  # among a record's arrays: how the value moves with the training examples (metrics/_shared.py)
PARTS = {"dataset", "env", "error", "metric", "model", "protocol"}  # of a record, which in a pack stand once
READ = "read"  # in a record's env: what foreign code read as it ran, which no identity holds
RULES = "rules"  # in a record's env: by which rules the model's answers were held to be its own (models/steady.py)
OURS = ("checkpoint", "data", "samples")  # adapters of models that need none, but for the baselines of plugins, which
# a record is told by from outside, or by a family that none of ours is of
UNASKED = "called exact by a genbench that did not ask the model twice; the same call of evaluate measures it anew"
DEADLY = ("crashed", "timeout")  # what a process died of, or was stopped for
REMEDY = "Remove the file, and the same `genbench evaluate` measures it again."
REPUBLISH = "Take it back from where it was published, or make it anew with `genbench publish`."

# --- What a record says, as the reader holds it against; more may stand in each of these tables.

Count = Annotated[int, Within(0)]
Key = Annotated[str, Match("[0-9a-f]{16}", "a content key of 16 hex digits")]  # names a file: nothing else is followed
Ends = Annotated[list[float | None], Size(2, 2)]  # of an interval; one that is not finite is None
Kind = Literal["exact", "upper_bound", "lower_bound", "estimate"]
Status = Literal["ok", "error", "skipped", "timeout", "crashed"]


class ModelSaid(TypedDict):
    name: NotRequired[Name]  # of version 0.1; since then names stand in the manifest
    key: NotRequired[Key]
    family: str
    adapter: NotRequired[str]
    source: NotRequired[str]
    parameters: Count | None
    sha256: NotRequired[str]
    args: NotRequired[dict[str, Any]]


class SpaceSaid(TypedDict):
    shape: Annotated[list[Annotated[int, Within(1)]], Size(1)]
    levels: Annotated[int, Within(2)] | None


class DatasetSaid(TypedDict):
    name: Name
    n: Annotated[int, Within(1)] | None
    sha256: str
    split: NotRequired[str]
    per: NotRequired[str]
    space: NotRequired[SpaceSaid]


class ReferenceSaid(TypedDict):
    file: Name
    sha256: str
    count: Annotated[int, Within(1)] | None


class MetricSaid(TypedDict):
    name: Name
    direction: Literal["lower", "higher", "none"]
    unit: str
    version: int
    params: dict[str, Any]
    title: NotRequired[str]
    intervals: NotRequired[Literal[False]]  # of a value alone, whose interval was not asked for
    extractor: NotRequired[str | None]
    extractor_sha256: NotRequired[str | None]
    reference: NotRequired[ReferenceSaid]


class ProtocolSaid(TypedDict):
    n_samples: NotRequired[Annotated[int, Within(1)]]
    seed: NotRequired[int]


class EnvSaid(TypedDict):
    device: NotRequired[str]
    threads: NotRequired[Annotated[int, Within(1)]]


class DetailsSaid(TypedDict):
    flag: NotRequired[str]
    note: NotRequired[str]


class ErrorSaid(TypedDict):
    type: str
    message: str
    phase: NotRequired[str]
    traceback: NotRequired[str]


class SeedsSaid(TypedDict):
    name: Name
    members: Annotated[list[Key], Size(1)]  # the keys of its models


class RowSaid(TypedDict):
    name: Name
    model: Key
    planned: str
    cells: dict[str, Name]
    seeds: NotRequired[SeedsSaid | None]  # the row of several checkpoints that this one belongs to


class Manifest(TypedDict):
    rows: NotRequired[dict[str, RowSaid]]
    run_id: NotRequired[str]
    command: NotRequired[str]
    commands: NotRequired[dict[str, str]]  # of every call into the folder, by the run_id that its records have


@dataclass
class Record:
    """One cell: one output of one metric for one model.

    Arguments:
        status: ok, error (the model or metric raised), skipped (the metric does not apply), crashed (its process died),
            timeout (it was stopped at a limit of time).
        value: the number in `metric["unit"]`; None where it is not finite or not there.
        kind: exact, upper_bound, lower_bound or estimate.
        complete: False if a limit cut the data short.
        arrays: {stage: content key} of the arrays behind the value, in the run's `arrays/`.
    """

    cell_id: Annotated[str, As(Name)]
    run_id: str
    status: Annotated[str, As(Status)]
    model: Annotated[dict[str, Any], As(ModelSaid)]
    dataset: Annotated[dict[str, Any], As(DatasetSaid)]
    metric: Annotated[dict[str, Any], As(MetricSaid)]
    protocol: Annotated[dict[str, Any], As(ProtocolSaid)]
    value: float | None = None
    kind: Annotated[str | None, As(Kind | None)] = None
    stderr: Annotated[float, Within(0)] | None = None
    ci95: Annotated[tuple[float, float] | None, As(Ends | None)] = None
    ci_method: str = ""
    n_nonfinite: Count = 0
    complete: bool = True
    details: Annotated[dict[str, Any], As(DetailsSaid)] = field(default_factory=dict)
    arrays: dict[str, Key] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)
    env: Annotated[dict[str, Any], As(EnvSaid)] = field(default_factory=dict)
    started: str = ""
    ended: str = ""
    error: Annotated[dict[str, str] | None, As(ErrorSaid | None)] = None
    warnings: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """JSON in which NaN and infinities are null, each with a warning that names the field."""
        warnings = list(self.warnings)
        body = finite({**asdict(self), "warnings": None}, "", warnings)
        return json.dumps({**body, "warnings": warnings}, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @property
    def alone(self) -> bool:
        """Whether it was measured without the interval that there is of it."""
        return not self.metric.get("intervals", True)

    @property
    def half_width(self) -> float | None:
        """The wider half of the 95 % interval, None where there is none."""
        if self.value is None or self.ci95 is None or None in self.ci95:
            return None
        return max(self.ci95[1] - self.value, self.value - self.ci95[0])

    @classmethod
    def from_json(cls, text: str, origin: str = "the record") -> Record:
        """The record in a text.

        Raises:
            GenbenchError: it is no JSON, of a newer schema, or a field is not what it should be.
        """
        return cls.of(parse_json(text, origin, REMEDY), origin)

    @classmethod
    def of(cls, content: Any, origin: str) -> Record:
        """The same of JSON that is parsed."""
        schema = content.get("schema_version", SCHEMA_VERSION) if isinstance(content, dict) else None
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise GenbenchError(
                f"{origin} has schema_version {reading.shown(schema)}, this genbench reads {SCHEMA_VERSION}",
                "Read it with the genbench that wrote it, or a newer one.",
            )
        record = reading.read(cls, content, origin, REMEDY)
        if record.status == "ok" and record.kind is None:
            raise GenbenchError(f"{origin}: kind is missing, of a record that is ok", REMEDY)
        if not record.model.keys() & {"key", "name"}:
            raise GenbenchError(f"{origin}: model has neither a key nor a name", REMEDY)
        return record


def usual(f: Field[Any]) -> Any:
    """What a field is where nothing is said of it."""
    return f.default if f.default_factory is MISSING else f.default_factory()


# What a pack leaves out of a record; its schema, whose usual one changes, is none of them.
UNSAID = {f.name: usual(f) for f in fields(Record) if f.name != "schema_version" and usual(f) is not MISSING}


class Run:
    """A folder of records. Opening it makes it; every write is atomic.

    Raises:
        GenbenchError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = folder / "cells"
        self.arrays = folder / "arrays"
        self.pictures = folder / "pictures"
        self.claims = folder / "claims"
        self.pack = folder / "records.jsonl"
        self.replicates = folder / "replicates.npz"
        self._known: dict[Path, tuple[tuple[int, ...], Record]] = {}  # what was read, and of which state of its file
        self._lines: tuple[dict[str, Record], list[str]] | None = None  # what the pack holds, once it was read

    def write(self, path: Path, data: bytes) -> None:
        try:
            try:
                write_atomically(path, data)
            except FileNotFoundError:  # its folder, of blocks, went at this moment: another has the whole array
                write_atomically(path, data)
        except OSError as error:
            raise GenbenchError(
                f"cannot write {path}: {error.strerror or error}",
                "Free some space or choose another folder with -o; finished records are kept, and a rerun goes on.",
            ) from error

    def check(self) -> None:
        """Whether it can be written to, before the long work; leaves nothing behind.

        Raises:
            GenbenchError: it cannot.
        """
        for folder in (self.folder, self.cells, self.arrays, self.pictures):
            check_folder(folder)

    def write_rows(self, rows: dict[str, dict[str, Any]]) -> None:
        """Adds rows to the manifest of a call that measures nothing, if it has not planned them already."""
        before = self.manifest()
        known = before.get("rows", {})
        if any(key not in known or row["cells"].keys() - known[key]["cells"].keys() for key, row in rows.items()):
            self.write_manifest({"rows": rows}, part=True)

    def write_manifest(self, manifest: dict[str, Any], part: bool = False) -> None:
        """Writes the manifest; rows, cells and commands of other calls into the same folder stay in it.

        Arguments:
            part: whether what it does not say of the run stays as well.
        """
        with ExitStack() as held:
            with suppress(OSError):  # where nothing can be written, writing says so
                held.enter_context(Lock(self.folder / "manifest.lock"))
            try:
                before = self.manifest()
            except GenbenchError as error:
                warnings.warn(f"{error.problem}; it is written anew", stacklevel=2)
                before = {}
            new = finite(manifest, "", [])
            joined = join_manifests(before, {**before, **new} if part else new)
            self.replace_manifest(joined)

    def replace_manifest(self, manifest: dict[str, Any]) -> None:
        """Writes the manifest in the place of the one that is there."""
        self.write(self.folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")

    def claim(self, cell_id: str, **says: Any) -> Lock | None:
        """The right to measure a cell, None while somebody else has it; a dead owner has none.

        Raises:
            GenbenchError: nothing can be written.
        """
        lock = Lock(self.claims / cell_id, **says)
        try:
            return lock if lock.take() else None
        except OSError as error:
            raise GenbenchError(
                f"cannot write {lock.path}: {error.strerror or error}", "Choose another folder with -o."
            ) from error

    def claimed(self) -> dict[str, dict[str, Any]]:
        """What the living owners of claims say of themselves, by cell."""
        found = {path.name: owner(path) for path in self.claims.glob("*")}
        return {cell_id: said for cell_id, said in found.items() if said is not None}

    def sweep(self) -> None:
        """Removes what processes that died have left: unfinished files, blocks of what is whole, and claims to it."""
        for blocks in self.arrays.glob("*.blocks"):
            if blocks.with_suffix(".npz").is_file():
                shutil.rmtree(blocks, ignore_errors=True)
        sweep(self.folder, self.cells, self.arrays, *self.arrays.glob("*.blocks"), self.pictures)
        for path in self.arrays.glob("*.lock"):
            if owner(path) is None:
                path.unlink(missing_ok=True)
        for path in self.claims.glob("*"):
            if owner(path) is None and (self.cells / f"{path.name}.json").is_file():
                path.unlink(missing_ok=True)

    def manifest(self) -> dict[str, Any]:
        """What the run says of itself; nothing where it says nothing.

        Raises:
            GenbenchError: its file cannot be read.
        """
        path = self.folder / "manifest.json"
        if not path.is_file():
            return {}
        remedy = "Remove the file: the next `genbench evaluate` into this folder writes it anew."
        content = parse_json(text_of(path, "manifest", remedy), str(path), remedy)
        return dict(reading.read(Manifest, content, str(path), remedy))

    def rows(self) -> dict[str, dict[str, Any]]:
        """Those of the manifest, none where it cannot be read; `unreadable` then says so."""
        try:
            return self.manifest().get("rows", {})
        except GenbenchError:
            return {}

    def put(self, record: Record) -> None:
        self.write(self.cells / f"{record.cell_id}.json", record.to_json().encode())

    def get(self, cell_id: str) -> Record | None:
        """The record of a cell, None if there is none or its file cannot be read: either way it is to be measured."""
        path = self.cells / f"{cell_id}.json"
        try:
            return self.read(path)
        except GenbenchError:
            return None if path.exists() else self.packed()[0].get(cell_id)

    def read(self, path: Path) -> Record:
        """The record in one of the run's files.

        Raises:
            GenbenchError: it cannot be read, or is that of another cell.
        """
        state = state_of(path)
        if path in self._known and self._known[path][0] == state:
            return self._known[path][1]
        record = Record.from_json(text_of(path, "record", REMEDY), str(path))
        if record.cell_id != path.stem:
            raise GenbenchError(f"{path} holds the record of another cell, {record.cell_id}", REMEDY)
        self._known[path] = state, record
        return record

    def records(self) -> list[Record]:
        """Every record that can be read, in the order of their cell ids; `unreadable` says which cannot."""
        found = (self.get(cell_id) for cell_id in sorted({*(path.stem for path in self.files()), *self.packed()[0]}))
        return [record for record in found if record is not None]

    def packed(self) -> tuple[dict[str, Record], list[str]]:
        """The records of the pack by their cell ids, and of every line that cannot be read why; read once."""
        if self._lines is None:
            self._lines = read_pack(self.pack) if self.pack.is_file() else ({}, [])
        return self._lines

    def unreadable(self, cells: Container[str] | None = None) -> list[tuple[Path, str]]:
        """The files of records, and the manifest, that are there and cannot be read, each with the reason in a line.

        Arguments:
            cells: only the records of these, and what holds for all.
        """
        found = []
        for path in self.files():
            if cells is not None and path.stem not in cells:
                continue
            try:
                self.read(path)
            except GenbenchError as error:
                found.append((path, error.problem))
        found += [(self.pack, why) for why in self.packed()[1]]
        try:
            self.manifest()
        except GenbenchError as error:
            found.append((self.folder / "manifest.json", error.problem))
        return found

    def files(self) -> list[Path]:
        """Those of the records, in the order of their names."""
        return sorted(self.cells.glob("*.json"))

    def put_arrays(self, key: str, arrays: Arrays) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(self.arrays / f"{key}.npz", buffer.getvalue())

    def kept_block(
        self,
        key: str,
        number: int,
        make: Callable[[], Arrays],
        stands: Callable[[Arrays | None], Arrays | None] = lambda arrays: arrays,
        alone: bool = False,
        helping: bool = False,
    ) -> Arrays | None:
        """Block `number` of the arrays under a content key: from the run, or made and put there at once.

        None while another process makes it: a block is locked by whoever is at it.

        Arguments:
            stands: of what the run has of it what may stand, None for nothing.
            alone: make it whatever others do.
            helping: give none of those that are there, until the arrays are whole: somebody else puts them together.

        Raises:
            Whole: the arrays are.
        """
        name = f"{key}.blocks/{number:08d}"
        path, whole = self.arrays / f"{name}.npz", self.arrays / f"{key}.npz"
        if not alone and whole.is_file():
            raise Whole
        if helping and path.is_file():
            return None
        arrays = stands(self.get_arrays(name))
        if arrays is not None:
            return arrays
        lock = Lock(self.arrays / f"{name}.lock")
        if not alone:
            with suppress(OSError):  # where nothing can be written, writing says so
                if not lock.take():
                    return None
        try:
            if not alone and whole.is_file():  # since a moment ago
                raise Whole
            if not alone and (arrays := stands(self.get_arrays(name))) is not None:
                return None if helping else arrays
            arrays = make()
            self.put_arrays(name, arrays)
        finally:
            lock.free()
        return None if helping else arrays

    def forget(self, key: str) -> None:
        """Removes the arrays under a content key."""
        with suppress(OSError):
            (self.arrays / f"{key}.npz").unlink()

    def drop_blocks(self, key: str) -> None:
        """Forgets the blocks under a content key, once their arrays are whole."""
        shutil.rmtree(self.arrays / f"{key}.blocks", ignore_errors=True)

    def get_arrays(self, key: str) -> Arrays | None:
        """The arrays under a content key, None if they are not there or not whole."""
        try:
            return read_arrays(self.arrays / f"{key}.npz")
        except GenbenchError:
            return None

    def example_values(self, key: str) -> np.ndarray | None:
        """What the arrays under a content key say of every test example `[n]`, None where nothing is kept of it.

        Of what stands for parts of an example (the characters of a window) it is the sum.

        Of a published board it is rounded to float32: enough to compare with, and never used to measure.
        """
        arrays = self.get_arrays(key)
        if arrays is not None:
            values = arrays.get("values")
            if values is None or values.ndim == 0 or values.size == 0:
                return None
            return values if values.ndim == 1 else values.reshape(len(values), -1).sum(1)
        try:
            kept = stored(self.replicates)
            found = kept[key] if key in kept and kept[key].dtype.kind == "f" else None
            return None if found is None else found.load().astype(np.float64)
        except GenbenchError:
            return None


def example_values(runs: Iterable[Run], key: str) -> np.ndarray | None:
    """What the first of the runs that keeps it says of every test example `[n]`."""
    return next((values for run in runs if (values := run.example_values(key)) is not None), None)


def pack(records: Iterable[Record]) -> bytes:
    """The lines of a published board: what its records say alike, by content key, then the records in the order given.

    A line of the former is {"part": KEY, "says": ...}; the latter have the key in its place. So a board of three
    thousand records is half as large, and a change of one of them is a change of one line. Fields that say nothing
    (UNSAID) are left out.
    """
    parts, lines = {}, []
    for record in records:
        content = json.loads(record.to_json())
        for name, unsaid in UNSAID.items():
            if content[name] == unsaid:
                del content[name]
        for name in PARTS & content.keys():
            key = content_key(content[name])
            parts[key], content[name] = content[name], key
        lines.append(canonical(content))
    shared = [canonical({"part": key, "says": says}) for key, says in sorted(parts.items())]
    return "".join(f"{line}\n" for line in (*shared, *lines)).encode()


def read_pack(path: Path) -> tuple[dict[str, Record], list[str]]:
    """The records in a file of lines, by their cell ids, and of every line that cannot be read why."""
    found: dict[str, Record] = {}
    wrong: list[str] = []
    parts: dict[str, Any] = {}
    contents: dict[str, Any] = {}  # of records, by what an error calls them
    try:
        lines = text_of(path, "records", REPUBLISH).split("\n")
    except GenbenchError as error:
        return {}, [error.problem]
    for number, line in enumerate(lines, 1):
        origin = f"{path}, line {number}"
        try:
            content = parse_json(line, origin, REPUBLISH) if line else None
        except GenbenchError as error:
            wrong.append(error.problem)
            continue
        if isinstance(content, dict) and content.keys() == {"part", "says"}:
            if stands_for(content["part"], content["says"]):
                parts[content["part"]] = content["says"]
            else:
                wrong.append(f"{origin} does not say what its key stands for")
        elif line:
            contents[origin] = content
    for origin, content in contents.items():
        if isinstance(content, dict):
            for name in PARTS & content.keys():
                if isinstance(key := content[name], str) and key in parts:
                    content[name] = copy(parts[key])
        try:
            record = Record.of(content, origin)
        except GenbenchError as error:
            wrong.append(error.problem)
            continue
        if record.cell_id in found:
            wrong.append(f"{origin} is a second record of cell {record.cell_id}")
        found.setdefault(record.cell_id, record)
    return found, wrong


def stands_for(key: Any, says: Any) -> bool:
    """Whether `key` is the content key of what a line says."""
    try:
        return content_key(says) == key
    except ValueError:  # 1e999, which is read as an infinity
        return False


def join_manifests(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` with the rows, the planned cells and the commands of `before` as well."""
    rows = dict(before.get("rows", {}))
    for key, row in new.get("rows", {}).items():
        rows[key] = {**row, "cells": {**rows.get(key, {}).get("cells", {}), **row["cells"]}}
    return {**new, "rows": rows, "commands": commands_of(before) | commands_of(new)}


def commands_of(manifest: dict[str, Any]) -> dict[str, str]:
    """The command behind every run_id; a manifest of version 0.1 says only that of its last call."""
    last = {manifest["run_id"]: manifest["command"]} if {"run_id", "command"} <= manifest.keys() else {}
    return last | manifest.get("commands", {})


def said_of(intervals: bool) -> dict[str, bool]:
    """What an identity and a record say of intervals: nothing where there are, as of all that were ever measured."""
    return {} if intervals else {"intervals": False}


def named(record: Record, name: str, seeds: dict[str, Any] | None = None, ours: bool | None = None) -> Record:
    """The record under the name of a row: on disk it has none, since one model may have several.

    Arguments:
        seeds: of one of several checkpoints that make a row together: its name and their keys, and when that was
            planned.
        ours: whether no code but that of genbench answers for the model, where that is known.
    """
    believed = RULES in record.env or record.kind != "exact" or (seems_ours(record.model) if ours is None else ours)
    return replace(
        record,
        model={**record.model, "name": name, **({"seeds": seeds} if seeds else {})},
        warnings=record.warnings if believed else [*record.warnings, UNASKED],
    )


def seems_ours(model: dict[str, Any]) -> bool:
    """Whether no code but that of genbench can have answered for a model, as far as its record says."""
    adapter = model.get("adapter", "checkpoint")
    return adapter in OURS and (adapter != "checkpoint" or model["family"] in catalog.families())


def in_rows(runs: Iterable[Run]) -> list[Record]:
    """The records of several runs, each under the name of every row that shows it; of one measured twice, the later.

    A row is a model *and* the name that it was given. Where one name was given to several models of one dataset, the
    latest has it, and the others have the beginning of their keys beside it.
    """
    latest: dict[tuple[str, str, str], str] = {}  # when a dataset, name and model were last planned together
    together: dict[tuple[str, str, str], dict[str, Any] | None] = {}  # and as one of which several checkpoints
    found: dict[tuple[str, str, str], Record] = {}  # by model, name and cell
    for run in runs:
        rows = list(run.rows().values())
        for record in run.records():
            key = model_key(record)
            mine = [(row["name"], row["planned"], row.get("seeds")) for row in rows if row["model"] == key]
            if not mine:  # a record of version 0.1 has its name in itself
                mine = [(record.model.get("name", record.model.get("source", "model")), record.ended, None)]
            for name, planned, seeds in mine:
                at = (record.dataset["name"], name, key)
                if planned >= latest.get(at, ""):
                    latest[at] = planned
                    together[at] = {**seeds, "planned": planned} if seeds else None
                if (old := found.get((key, name, record.cell_id))) is None or old.ended <= record.ended:
                    found[key, name, record.cell_id] = record
    named_so: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (dataset, name, key), planned in latest.items():
        named_so.setdefault((dataset, name), []).append((planned, key))

    def label(record: Record, name: str, key: str) -> str:
        _, owner = max(named_so[record.dataset["name"], name])
        return name if key == owner else f"{name} [{key[:6]}]"

    return [
        named(record, label(record, name, key), together[record.dataset["name"], name, key])
        for (key, name, _), record in found.items()
    ]


def model_key(record: Record) -> str:
    """What the model of a record is known by; of a record of version 0.1, the key that its fields give."""
    if "key" in record.model:
        return record.model["key"]
    return content_key([record.model.get(name) for name in ("sha256", "adapter", "args")])


def open_run(path: Path) -> Run:
    """An existing run.

    Raises:
        GenbenchError: the folder has no records.
    """
    run = Run(path)
    if not run.cells.is_dir() and not run.pack.is_file() and not run.manifest():
        raise GenbenchError(f"no run at {path}", "`genbench evaluate -o FOLDER` makes one.")
    return run


def read_runs(paths: Iterable[Path]) -> list[Record]:
    """The records of the runs in these folders, by the rows they stand in."""
    return in_rows(open_run(path) for path in paths)
