"""Everything that reads what a user, or a stranger, may have written: each with valid content, and how that is damaged.

A reader is prepared once, in an empty folder; it then gives one malformed input after another, each by a generator that
its number seeds, and reads it. What it raises, or does not, is judged in `fuzzing.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import damage
from fuzz import mutators
from genbench import catalog, cli, datasets, features, locks, query
from genbench.boards.reproduction import figures_of
from genbench.datasets import _archives, _download, _idx, _labels, _records
from genbench.datasets._files import count_samples, load_labelled, load_path
from genbench.datasets._images import read_image
from genbench.environment import threads
from genbench.errors import GenbenchError
from genbench.features import _weights
from genbench.models import checkpoint
from genbench.models.adapters import _folder, parse_all
from genbench.models.adapters.samples import hash_path
from genbench.models.resuming import Resume
from genbench.numpy_files import read_arrays
from genbench.run import reference
from genbench.run.plan import read_cells
from genbench.run.protocol import Suite
from genbench.run.records import Run, open_run, read_pack
from genbench.run.records import pack as pack_of
from genbench.space import Space
from genbench.studies.claims import decide, page
from genbench.studies.profiling import results

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
GREY = RNG.integers(256, size=(20, 1, 5, 4), dtype=np.uint8)
ENDINGS = {0, 1, 2, 3, 4}  # of a command; 70 is a bug of genbench

Make = Callable[[random.Random], Any]
Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Reader:
    """One way in.

    Arguments:
        prepare: given an empty folder, how a malformed input is made, and how one is read.
        weight: its share of the inputs.
    """

    prepare: Callable[[Path], tuple[Make, Read]]
    weight: float = 1.0


READERS: dict[str, Reader] = {}
SLOW = ("board", "sources", "flags", "environment", "plugins", "pickles")  # whole commands, or a look at every adapter


def reader(weight: float = 1.0) -> Callable[[Callable], Callable]:
    def declare(prepare: Callable[[Path], tuple[Make, Read]]) -> Callable:
        READERS[prepare.__name__.replace("_", "-")] = Reader(prepare, weight)
        return prepare

    return declare


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def npy(x: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(x))
    return out.getvalue()


def picture(x: np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(x[0] if len(x) == 1 else np.moveaxis(x, 0, -1)).save(out, kind, **options)
    return out.getvalue()


class Ended(Exception):
    """A command that ended with a code that it may not end with."""


def command(*arguments: str) -> None:
    """One call of the command line, in this process; what it says on stderr as it refuses something is raised."""
    with redirect_stdout(io.StringIO()), redirect_stderr(err := io.StringIO()):
        try:
            code = cli.main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    if code not in ENDINGS:
        raise Ended(f"exit code {code}: {' '.join(err.getvalue().split())[-300:]}")
    if code == 2:
        problem, _, remedy = "\n".join(err.getvalue().splitlines()[-2:]).partition("\n  ")
        raise GenbenchError(problem, remedy)


# --- Records, packs, manifests


def some_records(n: int = 12) -> list[dict[str, Any]]:
    found = open_run(ROOT / "leaderboards" / "ring8").records()
    return [json.loads(record.to_json()) for record in found[:: max(1, len(found) // n)][:n]]


@reader(8)
def record(folder: Path) -> tuple[Make, Read]:
    """RUN/cells/ID.json."""
    contents = some_records()
    run = Run(folder)
    run.cells.mkdir()

    def read(case: tuple[str, bytes]) -> Any:
        return run.read(put(run.cells / f"{case[0]}.json", case[1]))

    def make(rng: random.Random) -> tuple[str, bytes]:
        content = rng.choice(contents)
        return content["cell_id"], mutators.json_text(content, rng)

    return make, read


@reader(2)
def pack(folder: Path) -> tuple[Make, Read]:
    """PAGE/records.jsonl: a line that cannot be read is named, the others are read."""
    whole = pack_of(open_run(ROOT / "leaderboards" / "ring8").records()[:4])
    contents = [json.loads(line) for line in whole.splitlines()]  # parts and records

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return mutators.damaged(whole, rng)
        lines = whole.splitlines()
        lines[rng.randrange(len(lines))] = mutators.json_text(rng.choice(contents), rng)
        return b"\n".join(lines)

    def read(case: bytes) -> None:
        _, wrong = read_pack(put(folder / "records.jsonl", case))
        assert all(isinstance(line, str) for line in wrong)

    return make, read


@reader(2)
def manifest(folder: Path) -> tuple[Make, Read]:
    """RUN/manifest.json, read, joined with new rows and written again."""
    content = json.loads((ROOT / "leaderboards" / "ring8" / "manifest.json").read_text())
    content["rows"] = {key: content["rows"][key] for key in sorted(content["rows"])[:3]}

    def read(case: bytes) -> Any:
        put(folder / "manifest.json", case)
        run = Run(folder)
        with suppress(GenbenchError):
            run.manifest()
        run.rows()
        run.write_rows({"x": {"name": "x", "model": "0" * 16, "planned": "now", "cells": {"0" * 16: "fd"}}})
        return run.manifest()

    return lambda rng: mutators.json_text(content, rng), read


@reader(0.4)
def board(folder: Path) -> tuple[Make, Read]:
    """A run with records that can be read and say odd things: what shows them (tables, pages, comparisons) has to."""
    contents = some_records(8)
    said = json.loads((ROOT / "leaderboards" / "ring8" / "manifest.json").read_text())
    keys = {content["model"].get("key") for content in contents}
    said["rows"] = {k: row for k, row in said["rows"].items() if row["model"] in keys}
    shutil.copy(ROOT / "leaderboards" / "ring8" / "replicates.npz", folder / "replicates.npz")

    def make(rng: random.Random) -> tuple[bytes, bytes, int]:
        lines = [json.dumps(one).encode() for one in contents]
        for i in rng.sample(range(len(lines)), rng.choice([1, 2, 4])):
            lines[i] = json.dumps(mutators.damage.changed(contents[i], rng)).encode()
        rows = mutators.damage.changed(said, rng) if rng.random() < 0.3 else said
        return b"\n".join(lines), json.dumps(rows).encode(), rng.randrange(5)

    def read(case: tuple[bytes, bytes, int]) -> None:
        put(folder / "records.jsonl", case[0])
        put(folder / "manifest.json", case[1])
        if case[2] == 0:
            command("leaderboard", str(folder), "--format", ("md", "csv", "json", "html")[len(case[0]) % 4])
        elif case[2] == 1:
            command("compare", str(folder), str(folder))
        elif case[2] == 2:
            command("status", str(folder))
        elif case[2] == 3:
            command("publish", str(folder), "-o", str(folder / "page"))
        else:
            command("leaderboard", str(folder), "--format", ("latex", "hub", "model-index")[len(case[0]) % 3])

    return make, read


@reader()
def claims(folder: Path) -> tuple[Make, Read]:
    """RUN/claims/ID: what the owner of a lock says, or wrote as it died."""
    said = {"pid": 123, "since": 1.5, "run_id": "digits-1"}

    def read(case: bytes) -> None:
        path = put(folder / "claim", case)
        locks.owner(path)
        lock = locks.Lock(path)
        assert lock.take()
        assert locks.owner(path) is None or isinstance(locks.owner(path), dict)
        lock.free()

    return lambda rng: mutators.json_text(said, rng), read


# --- Small files of settings


@reader(4)
def suite(folder: Path) -> tuple[Make, Read]:
    """SUITE.toml."""
    texts = [path.read_text() for path in sorted((ROOT / "genbench" / "suites").glob("*.toml"))]

    def make(rng: random.Random) -> bytes:
        data = rng.choice(texts).encode()
        if rng.random() < 0.5:
            return mutators.damaged(data, rng)
        if rng.random() < 0.5:
            value = rng.choice(
                [b"nan", b"inf", b"-1", b"0", b"1e999", b"9" * 400, b"true", b'""', b"[]", b"{}", b"1979-05-27"]
            )
            return mutators.swapped(data, b"0123456789", value, rng)
        return mutators.text(data.decode(), rng).encode("utf-8", "surrogatepass")

    return make, lambda case: Suite.read(put(folder / "suite.toml", case))


@reader()
def figures(folder: Path) -> tuple[Make, Read]:
    """leaderboards/reproduction.toml."""
    whole = (ROOT / "leaderboards" / "reproduction.toml").read_bytes()
    whole = whole[: whole.index(b"[[figure]]", 4000)]

    def make(rng: random.Random) -> bytes:
        return (
            mutators.damaged(whole, rng) if rng.random() < 0.5 else mutators.swapped(whole, b"0123456789", b"nan", rng)
        )

    return make, lambda case: figures_of(put(folder / "figures.toml", case))


@reader(2)
def cells(folder: Path) -> tuple[Make, Read]:
    """--cells FILE."""
    content = ["0123456789abcdef", {"id": "fedcba9876543210", "model": "m", "metric": "fd"}]
    return lambda rng: mutators.json_text(content, rng), lambda case: read_cells(put(folder / "cells.json", case))


KEPT = ("collapse_without_overfitting", "narrow_codes_memorise", "pretraining_by_layers")  # by trials alone


@reader()
def trials(folder: Path) -> tuple[Make, Read]:
    """docs/claims.jsonl, the kept trials that decide claims."""
    lines = [json.loads(line) for line in (ROOT / "docs" / "claims.jsonl").read_text().splitlines()]
    of = {name: [one for one in lines if one["claim"] == name] for name in KEPT}

    def make(rng: random.Random) -> tuple[str, bytes]:
        name = rng.choice(KEPT)
        said = [json.dumps(one).encode() for one in of[name]]
        for i in rng.sample(range(len(said)), rng.choice([1, 1, 2])):
            content = of[name][i]
            if rng.random() < 0.5:  # what is no number of a trial is refused early
                said[i] = json.dumps({**content, "found": damage.changed(content["found"], rng)}).encode()
            else:
                said[i] = mutators.json_text(content, rng)
        return name, b"\n".join(said)

    def read(case: tuple[str, bytes]) -> None:
        found = decide(folder, put(folder / "claims.jsonl", case[1]), [case[0]])
        page(found)

    return make, read


@reader(2)
def profile(folder: Path) -> tuple[Make, Read]:
    """What `genbench profile --json` writes."""
    path = ROOT / "leaderboards" / "profile" / "amd-epyc-2-cores.json"
    content = json.loads(path.read_text())
    content["rows"] = [{**row, "times_s": row["times_s"][:3]} for row in content["rows"][:3]]

    def read(case: bytes) -> None:
        path = put(folder / "profile.json", case)
        results.read(path)
        command("compare", str(path), str(path))

    return lambda rng: mutators.json_text(content, rng), read


# --- Arguments, variables, plugins

SPECS = [
    "samples:{here}/x.npy?labels={here}/labels.txt", "name={here}/model.safetensors?k=3", "{here}/*.safetensors",
    "all={here}/m*.safetensors", "{here}/own.py:Model?shift=1,2&scale=0.5", "data:test", "x={here}/own.py:model",
    "samples:{here}/images?size=4&crop=center&filter=box", "diffusers:{here}/images", "transformers:{here}",
    "onnx:{here}/x.npy",
    "{here}/model.safetensors?temperature=0.7,1&seed=1,2", "{here}/x.pt", "chain:{here}/model.safetensors",
]  # fmt: skip
OWN = """
import torch
from genbench import Space

class Model(torch.nn.Module):
    version = 1
    space = Space((1, 5, 4), 256)
    def __init__(self, shift=0.0, scale=1.0):
        super().__init__()
        self.shift = shift
    def sample(self, n, generator):
        return torch.randint(256, (n, 1, 5, 4), generator=generator)

model = Model()
"""


def small_files(folder: Path) -> datasets.Dataset:
    """Files of every kind that a source can name, and the data that they are of."""
    put(folder / "x.npy", npy(GREY))
    put(folder / "labels.txt", b"".join(b"%d\n" % (i % 3) for i in range(20)))
    put(folder / "own.py", OWN.encode())
    put(folder / "model.safetensors", weights())
    (folder / "images").mkdir()
    for i in range(3):
        put(folder / "images" / f"{i}.png", picture(GREY[i], "PNG"))
    return datasets.Dataset("own", Space((1, 5, 4), 256), GREY, GREY, GREY, "none", "here")


@reader(1.0)
def sources(folder: Path) -> tuple[Make, Read]:
    """[name=]WHAT[?key=value&...], sweeps among them, and what opens behind it."""
    data = small_files(folder)

    def make(rng: random.Random) -> str:
        spec = rng.choice(SPECS)
        for _ in range(rng.choice([1, 1, 2, 3])):
            spec = mutators.text(spec, rng)
        return spec.replace("{here}", str(folder))

    def read(case: str) -> None:
        query.parted(case)
        query.sweep(case)
        for one in parse_all(case, data):
            if one.adapter in ("samples", "checkpoint"):
                one.describe()
                one.open(data, "cpu")

    return make, read


MEASURE = ["evaluate", "--dry-run", "-o", "{out}", "--dataset", "ring8", "{here}/model.safetensors"]  # fmt: skip
FLAGS = [
    [*MEASURE, "--samples", "20", "--limit", "10", "--seed", "3", "--rerun", "always"],
    [*MEASURE, "--metrics", "fd,kd", "--extractor", "pixels", "--sort", "fd"],
    [*MEASURE, "--metrics", "fd", "--reference", "pixels={here}/x.npz", "--reference-count", "20"],
    [*MEASURE, "--extractor-weights", "digits-cnn={here}/model.safetensors", "--device", "cpu"],
    [*MEASURE, "--time-limit", "1.5h", "--cell-time-limit", "90s", "--memory-limit", "2G", "--start-method", "spawn"],
    [*MEASURE, "--workers", "2", "--labels", "{here}/labels.txt", "--k", "5", "--outside", "noise"],
    [*MEASURE, "--suite", "ring8", "--cells", "{here}/cells.json", "--batch-size", "10"],
    [*MEASURE, "--plugin", "{here}/own.py", "--data-root", "{here}", "--json"],
    [*MEASURE[:4], "--dataset", "{here}/x.npy", "x={here}/own.py:Model?shift=2", "--start-method", "none"],
    ["leaderboard", "{board}", "--sort", "fd", "--model", "ring", "--format", "csv", "-o", "{out}.csv"],
    ["leaderboard", "{board}", "--sort", "nll", "--format", "latex"],
    ["compare", "{board}:vae", "{board}:gan", "--fail-if", "fd:+2%", "--fail-if", "nll:-0.1", "--json"],
    ["describe", "digits", "--data-root", "{here}"], ["describe", "{here}/model.safetensors"], ["status", "{board}"],
    ["list", "metrics", "--json"], ["publish", "{board}", "-o", "{out}"], ["env", "--json"],
    ["split", "{here}/x.npy", "-o", "{out}.npz", "--test", "0.2", "--validation", "0.1", "--seed", "4"],
    ["card", "{here}/bare.safetensors", "--baseline", "vae", "--set", "latent=2", "-o", "{out}.st"],
    ["statistics", "{here}/x.npy", "--extractor", "pixels", "--features", "--split", "test", "-o", "{out}.npz"],
    ["verify", "{board}", "--cells", "0", "--seed", "2"],
    ["profile", "--list", "--threads", "1"], ["new", "baseline", "fuzzed"],
    ["train", "independent-pixels", "--dataset", "{here}/x.npy", "--seed", "3", "--device", "cpu", "-o", "{out}.s"],
    ["train", "independent-pixels", "--seeds", "2", "--dataset", "{here}/x.npy", "--set", "smoothing=0.5"],
    ["train", "vae", "--dataset", "{here}/none.npy", "--steps", "5", "--minutes", "0.1", "--set", "latent=2"],
    ["check", "{here}/own.py"], ["check", "independent-pixels"],
    ["claims", "narrow_codes_memorise", "--boards", "{here}", "--records", "{here}/claims.jsonl"],
    ["claims", "losses_at_a_distance", "--boards", "{here}", "--check", "-o", "{out}.md"],
    ["audit", "--faults", "x", "--strengths", "0,0.5", "--samples", "5", "--dataset", "{here}/x.npy"],
]  # fmt: skip


@reader(0.4)
def flags(folder: Path) -> tuple[Make, Read]:
    """Arguments of every command that measures nothing; `--dry-run` of the one that does."""
    small_files(folder)
    put(folder / "cells.json", b'["0123456789abcdef"]')
    shutil.copytree(ROOT / "leaderboards" / "ring8", folder / "board")

    def make(rng: random.Random) -> list[str]:
        line = list(rng.choice(FLAGS))
        for _ in range(rng.choice([1, 1, 2, 3])):
            i = rng.randrange(1, len(line))
            if line[i] in ("--dry-run", "--list", "--seeds") or (line[0] == "audit" and i < 7):
                continue
            kind = rng.random()
            if kind < 0.75:
                line[i] = mutators.text(line[i], rng)
            elif kind < 0.85 and line[0] != "verify":
                line[i:i] = [rng.choice(line[1:])]
            elif line[0] != "verify":
                del line[i]
            if "--seeds" in line[:-1] and line[line.index("--seeds") + 1].isdecimal():
                line[line.index("--seeds") + 1] = rng.choice(["1", "2"])  # no more trainings than that
            if len(line) < 2 or (line[0] == "evaluate" and ("--dry-run" not in line or len(line) < 7)):
                return ["evaluate", "--dry-run", "--no-such-flag"]
        told = {"here": str(folder), "out": str(folder / "out"), "board": str(folder / "board")}
        for name, path in told.items():
            line = [one.replace(f"{{{name}}}", path) for one in line]
        return line

    def read(case: list[str]) -> None:
        before = os.getcwd()
        os.chdir(folder)
        plugins = list(catalog._plugins)
        try:
            command(*case)
        finally:
            catalog._plugins[:] = plugins
            os.environ["GENBENCH_OFFLINE"] = "1"
            os.chdir(before)

    return make, read


VARIABLES = {
    "GENBENCH_DATA": "{here}", "GENBENCH_CACHE": "{here}/cache", "GENBENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    "TORCH_HOME": "{here}", "XDG_CACHE_HOME": "{here}", "HOME": "{here}", "COLUMNS": "80", "LINES": "20",
    "NO_COLOR": "1", "PYTHONPATH": "{here}", "LANG": "C", "TZ": "UTC",
}  # fmt: skip
CALLS = [["env"], ["describe", "mnist"], ["list", "datasets"], ["status", "."], ["describe", "inceptionv3"]]


@reader(0.3)
def environment(folder: Path) -> tuple[Make, Read]:
    """Variables of the environment."""

    def make(rng: random.Random) -> dict[str, str]:
        names = rng.sample(sorted(VARIABLES), rng.choice([1, 1, 2, 4]))
        found = {name: mutators.text(VARIABLES[name].replace("{here}", str(folder)), rng) for name in names}
        # As the system gives them: no zero byte, and bytes that are no UTF-8 as surrogates.
        return {
            name: os.fsdecode(os.fsencode(v.replace("\0", "").replace("\ud800", "\udc80"))) for name, v in found.items()
        }

    def read(case: dict[str, str]) -> None:
        before = dict(os.environ)
        os.environ.update({**case, "GENBENCH_OFFLINE": "1"})
        try:
            _download.data_root(None)
            _download.cache_root()
            _weights.torch_cache()
            threads()
            shutil.get_terminal_size()
            command(*CALLS[len(str(case)) % len(CALLS)])
        finally:
            os.environ.clear()
            os.environ.update(before)

    return make, read


PLUGINS = {
    "data.py": '"""Points."""\nimport numpy as np\nfrom genbench.datasets import Dataset\n'
    'from genbench.space import Space\nLICENCE = "CC0"\nSOURCE = "here"\nDOWNLOAD = 0\n'
    'X = np.zeros((30, 2), np.float32)\n\n'
    'def load(root):\n    return Dataset("own", Space((2,)), X[:10], X[10:20], X[20:], LICENCE, SOURCE)\n',
    "metric.py": '"""A number."""\nfrom genbench.metrics import Measure\nVERSION = 1\nNEEDS = ("samples", "train")\n'
    'OUTPUTS = {"number": {"unit": "1", "direction": "lower", "title": "a number", "place": 3.5, "range": (0, None)}}\n'
    'DOMAINS = {"k": {"above": 0}}\nMIN_SAMPLES = 3\n\n'
    'def compute(samples, train, k=3):\n    return {"number": Measure(float(k), "estimate")}\n',
}  # fmt: skip


@reader(0.3)
def plugins(folder: Path) -> tuple[Make, Read]:
    """A --plugin FILE: what it says of itself is read before it runs, and what it raises as it runs is told."""

    def make(rng: random.Random) -> tuple[str, bytes]:
        name = rng.choice(sorted(PLUGINS))
        if rng.random() < 0.3:
            return name, mutators.damaged(PLUGINS[name].encode(), rng)
        return name, mutators.text(PLUGINS[name], rng).encode("utf-8", "surrogatepass")

    def read(case: tuple[str, bytes]) -> None:
        path, before = put(folder / case[0], case[1]), list(catalog._plugins)
        try:
            command("list", "datasets", "--plugin", str(path))
            catalog.use_plugin(str(path))
            kind = "datasets" if case[0] == "data.py" else "metrics"
            if path.stem in catalog.names(kind):
                with suppress(MemoryError):  # its own code asks for it, and every command says so
                    catalog.load(kind, path.stem)
                if kind == "datasets":
                    command("describe", path.stem, "--plugin", str(path))
        finally:
            catalog._plugins[:] = before

    return make, read


# --- Weights


def weights() -> bytes:
    """A checkpoint of a few kilobytes."""
    paths = (ROOT / "baselines" / "checkpoints" / "ring8").glob("*.safetensors")
    return min(paths, key=lambda path: path.stat().st_size).read_bytes()


def card_text(card: str, rng: random.Random) -> str:
    return mutators.json_text(json.loads(card), rng).decode("utf-8", "replace")


@reader(2)
def checkpoints(folder: Path) -> tuple[Make, Read]:
    """FILE.safetensors: its header, its card, and the model that it becomes."""
    paths = sorted((ROOT / "baselines" / "checkpoints" / "ring8").glob("*.safetensors"), key=lambda p: p.stat().st_size)
    contents = [path.read_bytes() for path in paths[:6]]

    def read(case: bytes) -> None:
        path = put(folder / "model.safetensors", case)
        checkpoint.read_card(path)
        checkpoint.load(path)

    return lambda rng: mutators.safetensors(rng.choice(contents), rng, card_text), read


@reader(0.4)
def extractor_weights(folder: Path) -> tuple[Make, Read]:
    """--extractor-weights digits-cnn=FILE."""
    whole = (ROOT / "genbench" / "features" / "digits_cnn.safetensors").read_bytes()
    space = Space((1, 8, 8), 17)

    def read(case: bytes) -> None:
        found = features.load("digits-cnn", space, put(folder / "w.safetensors", case))
        found.seen(np.zeros((2, 1, 8, 8), np.uint8))

    return lambda rng: mutators.safetensors(whole, rng, card_text), read


@reader()
def state_dicts(folder: Path) -> tuple[Make, Read]:
    """--extractor-weights of a published network, as torch.save writes them."""
    import torch

    from genbench.features import _fidelity
    from genbench.features.inceptionv3 import NETWORK

    out = io.BytesIO()
    torch.save({"a": torch.zeros(3), "b": {"c": [1, 2]}, "d": torch.ones(2, 2)}, out)
    whole = out.getvalue()

    def make(rng: random.Random) -> bytes:
        import zipfile

        if rng.random() < 0.5:
            return mutators.damaged(whole, rng)
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        i = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
        members[i] = (members[i][0], mutators.damaged(members[i][1], rng))
        return mutators.zipped(members)

    return make, lambda case: _fidelity.read(NETWORK, put(folder / "w.pt", case))


@reader()
def pickles(folder: Path) -> tuple[Make, Read]:
    """FILE.pt as a model and as a reference: an archive of pickles, which is refused unopened."""
    whole = mutators.zipped([("x/data.pkl", b"\x80\x04."), ("x/code/a.py", b"pass"), ("x/data/0", bytes(8))])
    data = datasets.Dataset("own", Space((1, 5, 4), 256), GREY, GREY, GREY, "none", "here")

    def read(case: bytes) -> None:
        with suppress(GenbenchError):
            parse_all(str(put(folder / "x.pt", case)), data)
        reference.read(put(folder / "x.npz", case), "pixels")

    return lambda rng: mutators.damaged(whole, rng), read


@reader(2)
def resume(folder: Path) -> tuple[Make, Read]:
    """FILE.resume of an interrupted training."""
    import zipfile

    import torch

    state = Resume(folder / "x.resume", ["a", 1])
    loop = {"step": 5, "best_step": 2, "averaged": 0, "seconds": 1.0, "model": {"w": torch.zeros(3)}}
    state.save(0, {"loss": 1.0}, loop)
    whole = (folder / "x.resume").read_bytes()

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return mutators.damaged(whole, rng)
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        i = rng.randrange(len(members))
        members[i] = (members[i][0], mutators.damaged(members[i][1], rng))
        return mutators.zipped(members)

    def read(case: bytes) -> None:
        put(folder / "x.resume", case)
        with redirect_stderr(io.StringIO()):
            state.load(torch.device("cpu"))

    return make, read


@reader()
def folders_of_weights(folder: Path) -> tuple[Make, Read]:
    """A folder of another framework: a configuration, an index, and the headers of its weights."""
    index = {"metadata": {"total_size": 5}, "weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}
    put(folder / "x-1.safetensors", weights())
    put(folder / "x-2.safetensors", weights())

    def make(rng: random.Random) -> tuple[bytes, bytes]:
        return mutators.json_text(index, rng), mutators.safetensors(weights(), rng, card_text)

    def read(case: tuple[bytes, bytes]) -> None:
        put(folder / "x.safetensors.index.json", case[0])
        files = _folder.weights_of(folder, "x")
        put(folder / "x-2.safetensors", case[1])
        _folder.hash_of(folder, files)
        _folder.count(_folder.tensors_of(files))

    return make, read


# --- Arrays


def of_arrays(read: Callable[[Path], Any], folder: Path, bombs: bool = True, **arrays: Any) -> tuple[Make, Read]:
    """A reader of `.npz` and, of the first of the arrays alone, `.npy`."""
    packed = {name: npy(x) for name, x in arrays.items()}
    first = next(iter(packed.values()))

    def make(rng: random.Random) -> tuple[str, bytes]:
        if rng.random() < 0.4:
            return "x.npy", mutators.npy(first, rng)
        return "x.npz", mutators.npz(packed, rng, bombs)

    return make, lambda case: read(put(folder / case[0], case[1]))


@reader(3)
def cached_arrays(folder: Path) -> tuple[Make, Read]:
    """RUN/arrays/KEY.npz and its blocks: what is damaged is made anew."""
    run = Run(folder)
    run.arrays.mkdir()

    def read(path: Path) -> None:
        if path.suffix == ".npz":
            shutil.move(path, run.arrays / f"{'0' * 16}.npz")
            run.get_arrays("0" * 16)
            run.example_values("0" * 16)
        else:
            with suppress(GenbenchError):
                read_arrays(path)

    return of_arrays(read, folder, False, values=np.zeros(7), made_on=np.array("here"), warnings=np.array("[]"))


@reader()
def replicates(folder: Path) -> tuple[Make, Read]:
    """PAGE/replicates.npz."""

    def read(path: Path) -> None:
        if path.suffix == ".npz":
            shutil.move(path, folder / "replicates.npz")
            for key in ("0" * 16, "f" * 16):
                Run(folder).example_values(key)

    return of_arrays(read, folder, **{"0" * 16: np.zeros(7, np.float32), "f" * 16: np.ones((3, 2), np.float32)})


@reader(4)
def data_in_arrays(folder: Path) -> tuple[Make, Read]:
    """A dataset in an .npz or .npy."""
    parts = {"train": GREY[:12], "validation": GREY[12:16], "test": GREY[16:], "levels": np.array(256)}
    labels = {f"{split}_labels": np.arange(n) for split, n in (("train", 12), ("validation", 4), ("test", 4))}
    splits, read = of_arrays(load_path, folder, **parts, **labels)
    alone, _ = of_arrays(load_path, folder, x=GREY, labels=np.arange(20))
    points, _ = of_arrays(load_path, folder, x=RNG.standard_normal((30, 2)))
    return lambda rng: rng.choice([splits, alone, points])(rng), read


@reader(3)
def samples_in_arrays(folder: Path) -> tuple[Make, Read]:
    """samples:FILE.npz."""

    def read(path: Path) -> None:
        hash_path(path)
        count_samples(path)
        load_labelled(path, Space((1, 5, 4), 256))

    return of_arrays(read, folder, samples=GREY, labels=np.arange(20))


@reader(2)
def labels(folder: Path) -> tuple[Make, Read]:
    """--labels FILE, as an array or as text."""
    arrays, read = of_arrays(_labels.labels_at, folder, labels=np.arange(9))
    lines = "".join(f"{i % 3}\n" for i in range(9))

    def make(rng: random.Random) -> tuple[str, bytes]:
        if rng.random() < 0.5:
            return arrays(rng)
        if rng.random() < 0.5:
            return "x.txt", mutators.damaged(lines.encode(), rng)
        return "x.txt", mutators.text(lines, rng).encode("utf-8", "surrogatepass")

    return make, read


@reader(2)
def statistics(folder: Path) -> tuple[Make, Read]:
    """--reference FILE.npz."""
    rows = RNG.standard_normal((9, 3)).astype(np.float32)
    said = {"count": 9, "extractor": {"name": "pixels", "sha256": "0" * 64, "preprocessing": ""}}
    moments = {"mu": rows.mean(0, np.float64), "sigma": np.cov(rows.T), "features": rows}
    arrays = {name: npy(x) for name, x in moments.items()}

    def make(rng: random.Random) -> bytes:
        card = mutators.json_text(said, rng).decode("utf-8", "replace") if rng.random() < 0.5 else json.dumps(said)
        with suppress(ValueError):
            return mutators.npz({**arrays, "card": npy(card)}, rng)
        return b""

    def read(case: bytes) -> None:
        found = reference.read(put(folder / "x.npz", case), "pixels")
        json.dumps(found.said)

    return make, read


# --- Pictures, archives, text, sound


@reader(10)
def images(folder: Path) -> tuple[Make, Read]:
    """One picture of any format."""
    colour = RNG.integers(256, size=(3, 9, 7), dtype=np.uint8)
    smooth = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    whole = [
        picture(x, kind) for kind in ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM") for x in (colour, smooth)
    ]
    whole += [
        picture(colour, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    ]
    whole += [picture(colour, "JPEG", progressive=True), picture(smooth, "PNG", optimize=True)]
    pngs = [data for data in whole if data.startswith(b"\x89PNG")]

    def make(rng: random.Random) -> bytes:
        return mutators.png(rng.choice(pngs), rng) if rng.random() < 0.4 else mutators.damaged(rng.choice(whole), rng)

    return make, lambda case: read_image(case, "x")


@reader(1)
def folder_of_images(folder: Path) -> tuple[Make, Read]:
    """A folder with odd names, links, folders within, and pictures that are none."""
    good = [picture(GREY[i], "PNG") for i in range(12)]

    def make(rng: random.Random) -> list[tuple[bytes, bytes | str]]:
        split = rng.choice([b"", b"", b"train/", b"a/"])
        found: list[tuple[bytes, bytes | str]] = [(split + b"%02d.png" % i, data) for i, data in enumerate(good)]
        for _ in range(rng.choice([1, 2])):
            name = rng.choice(
                [*mutators.NAMES, "test/0.png", "b/0.png", "x.tar", "x.parquet", "x.npz", "._0.png", "0.png/x.png"]
            )
            ending = rng.choice(["", ".png", ".jpg", "/0.png"])
            path = os.fsencode((name + ending).replace("\0", "0").lstrip("/").replace("../", ".."))[:200]
            content = rng.choice(
                [rng.choice(good), mutators.damaged(rng.choice(good), rng), "link", "loop", "folder", "pipe"]
            )
            found.insert(rng.randrange(len(found)), (path, content))
        return found

    def read(case: list[tuple[bytes, bytes | str]]) -> None:
        root = folder / "images"
        shutil.rmtree(root, ignore_errors=True)
        for name, content in case:
            path = os.fsencode(root) + b"/" + name
            with suppress(OSError, ValueError):  # names that no file can have
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if os.path.lexists(path):  # a pipe of that name would wait for a reader
                    continue
                if content == "link":
                    os.symlink("/etc/passwd", path)
                elif content == "loop":
                    os.symlink(b".", path)
                elif content == "folder":
                    os.mkdir(path)
                elif content == "pipe":
                    os.mkfifo(path)
                else:
                    Path(os.fsdecode(path)).write_bytes(content)  # type: ignore[arg-type]
        try:
            load_path(root)
        finally:
            hash_path(root)
            load_labelled(root, Space((1, 5, 4), 256))

    return make, read


@reader(3)
def shards(folder: Path) -> tuple[Make, Read]:
    """WebDataset .tar."""
    good = [(f"{i:03d}.png", picture(GREY[i], "PNG")) for i in range(12)]
    members = [one for i, pair in enumerate(good) for one in (pair, (f"{i:03d}.cls", b"%d" % (i % 2)))]
    said = [
        one
        for i, pair in enumerate(good)
        for one in (pair, (f"{i:03d}.json", b'{"label": %d, "caption": "x"}' % (i % 2)))
    ]

    def make(rng: random.Random) -> bytes:
        chosen = list(rng.choice([members, said, good]))
        if rng.random() < 0.35:
            return mutators.damaged(mutators.tarred(chosen), rng)
        if rng.random() < 0.6:
            return mutators.tarred(chosen, rng)
        i = rng.randrange(len(chosen))
        name, data = chosen[i]
        content = mutators.json_text(json.loads(data), rng) if name.endswith(".json") else mutators.damaged(data, rng)
        chosen[i] = (name, content)
        return mutators.tarred(chosen)

    return make, lambda case: load_path(put(folder / "x.tar", case))


@reader(2)
def parquet(folder: Path) -> tuple[Make, Read]:
    """Parquet files of the Hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"bytes": picture(GREY[i], "PNG"), "path": f"{i}.png"} for i in range(12)]
    hub = {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    numbers = [i % 2 for i in range(12)]

    def written(image: Any, label: Any, said: bytes) -> bytes:
        table = pa.table({"image": image, "label": label}).replace_schema_metadata({"huggingface": said})
        out = io.BytesIO()
        pq.write_table(table, out)
        return out.getvalue()

    whole = written(rows, numbers, json.dumps(hub).encode())

    def make(rng: random.Random) -> bytes:
        kind = rng.random()
        if kind < 0.6:
            return mutators.damaged(whole, rng)
        if kind < 0.75:
            return written(rows, numbers, mutators.json_text(hub, rng))
        some = [dict(row) for row in rows]
        some[rng.randrange(12)]["bytes"] = mutators.damaged(rows[0]["bytes"], rng) if rng.random() < 0.7 else None
        odd = [[None] * 12, [-1] * 12, [2**40] * 12, ["x"] * 12, [0.5] * 12, numbers]
        return written(some, rng.choice(odd), json.dumps(hub).encode())

    return make, lambda case: load_path(put(folder / "x.parquet", case))


@reader(4)
def idx(folder: Path) -> tuple[Make, Read]:
    """A file of MNIST: an array behind its shape, in gzip."""
    image = struct.pack(">4B3I", 0, 0, 8, 3, 4, 5, 6) + bytes(120)
    packed = gzip.compress(image)

    def make(rng: random.Random) -> tuple[bool, bytes]:
        kind = rng.random()
        if kind < 0.5:
            return False, mutators.damaged(image, rng)
        if kind < 0.55:
            return True, gzip.compress(bytes(10**7), 1) * rng.choice([1, 50])
        return True, mutators.damaged(packed, rng) if kind < 0.8 else gzip.compress(mutators.damaged(image, rng))

    def read(case: tuple[bool, bytes]) -> None:
        data = case[1]
        if case[0]:  # whose checksum somebody has published, so that damage is behind it
            put(folder / "x.gz", data)
            data = _download.fetch(_download.Remote("x.gz", (), "sha256", sha256(data), len(data), len(image)), folder)
        _idx.parse(data, "x")

    return make, read


@reader()
def binaries(folder: Path) -> tuple[Make, Read]:
    """Binary CIFAR in its .tar.gz, and a .zip with one file."""
    rows = b"".join(bytes([i]) + RNG.bytes(3072) for i in range(3))
    member = {"batches/data.bin": len(rows)}

    def make(rng: random.Random) -> tuple[str, bytes]:
        kind = rng.random()
        if kind < 0.3:
            return "x.bin", mutators.damaged(rows, rng)
        inner = mutators.damaged(rows, rng) if rng.random() < 0.5 else rows
        if kind < 0.7:
            tar = mutators.tarred(
                [("batches/data.bin", inner), ("batches/readme", b"x")], rng if rng.random() < 0.5 else None
            )
            packed = gzip.compress(tar, 1)
            return "x.tar.gz", mutators.damaged(packed, rng) if rng.random() < 0.4 else packed
        packed = mutators.zipped([("batches/data.bin", inner)])
        return "x.zip", mutators.damaged(packed, rng) if rng.random() < 0.6 else packed

    def read(case: tuple[str, bytes]) -> None:
        path, data = put(folder / case[0], case[1]), case[1]
        if path.suffix != ".bin":
            remote = _download.Remote(path.name, (), "sha256", sha256(data), len(data))
            data = _archives.Archive(remote, member, {}).read(folder)["batches/data.bin"]
        _records.records(data, 1, 10, case[0])

    return make, read


@reader(2)
def texts(folder: Path) -> tuple[Make, Read]:
    """A dataset in a .txt."""
    whole = ("To be, or not to be: that is the question.\n" * 130).encode()

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mutators.damaged(whole, rng)
        return mutators.text(whole.decode(), rng).encode(
            rng.choice(["utf-8", "utf-8", "utf-16", "utf-32"]), "surrogatepass"
        )

    return make, lambda case: load_path(put(folder / "x.txt", case))


@reader()
def sound(folder: Path) -> tuple[Make, Read]:
    """A WAV file of the spoken digits, which says what is wrong by a ValueError that its dataset turns."""
    from genbench.numerics.speech import read_wav, write_wav

    whole = write_wav(np.sin(np.arange(800) / 9), 8000)

    def read(case: bytes) -> None:
        try:
            read_wav(case)
        except ValueError as error:
            raise GenbenchError(f"x: {error}", "Replace it.") from error

    return lambda rng: mutators.damaged(whole, rng), read
