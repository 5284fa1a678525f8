"""What decides a model in code besides its text is in its identity, or what was measured of it is not used again."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import types
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest

from genbench import catalog, datasets
from genbench.importing import import_file
from genbench.models.adapters import parse
from genbench.models.adapters.object import held
from genbench.models.checkpoint import Card, save
from genbench.models.reach import variables_in
from genbench.models.witness import unwatched, watching
from genbench.run.evaluate import evaluate
from genbench.run.isolation import Isolation
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import READ, Run

# One categorical distribution for every pixel, tilted by a number that comes from elsewhere.
MODEL = """
import functools, importlib, json, os, sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from genbench import Space

HERE = Path(__file__).parent
{top}

def part(safe_open):
    with safe_open(HERE / "k.safetensors", "pt") as file:
        return file.get_tensor("k")

class Model(nn.Module):
    space = Space((1, 8, 8), levels=17)
    {attribute}

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(64, 17))
        {made}

    def tilted(self):
        return (self.logits - float({tilt}) * torch.arange(17)).log_softmax(1)

    def sample(self, n, generator):
        x = torch.multinomial(self.tilted().exp(), n, replacement=True, generator=generator)
        return x.T.reshape(n, 1, 8, 8)

    def log_prob(self, x):
        return self.tilted().expand(len(x), -1, -1).gather(2, x.flatten(1).unsqueeze(2)).sum((1, 2))
"""
FILE = "float((HERE / 'k.txt').read_text())"
KNOWN = {  # where the number is when the model has been opened
    "a global from a file": dict(top=f"K = {FILE}", tilt="K"),
    "a global from the environment": dict(top="K = float(os.environ['TILT'])", tilt="K"),
    "an array from a file": dict(top="K = np.load(HERE / 'k.npy')", tilt="K[0]"),
    "in a list in a dictionary": dict(top=f"CONFIG = {{'a': [{FILE}]}}", tilt="CONFIG['a'][0]"),
    "of an object": dict(top=f"class Config:\n    pass\n\nc = Config()\nc.k = {FILE}", tilt="c.k"),
    "of a class": dict(attribute=f"K = {FILE}", tilt="self.K"),
    "of a class above": dict(top=f"class Above:\n    K = {FILE}", tilt="Above.K"),
    "the default of an argument": dict(top=f"def f(k={FILE}):\n    return k", tilt="f()"),
    "a closure": dict(
        top=f"def outer(k):\n    def f():\n        return k\n    return f\n\nf = outer({FILE})", tilt="f()"
    ),
    "behind a decorator": dict(top=f"@functools.cache\ndef f(k={FILE}):\n    return k", tilt="f()"),
    "a partial": dict(top=f"f = functools.partial(float, {FILE})", tilt="f()"),
    "of a module beside it": dict(top="import beside", tilt="beside.K"),
    "of a folder that it adds itself": dict(
        top="sys.path.append(str(HERE / 'lib'))\nlib = importlib.import_module('far_away')",
        tilt="lib.f()",
    ),
    "the environment as it runs": dict(tilt="os.environ['TILT']"),
    "the environment as it runs, by get": dict(tilt="os.environ.get('TILT', '1')"),
    "the environment as it runs, by getenv": dict(tilt="os.getenv('TILT', '1')"),
}
READS = {  # what it reads as it runs
    "a file": dict(tilt=FILE),
    "an array": dict(tilt="np.load(HERE / 'k.npy')[0]"),
    "JSON": dict(tilt="json.load(open(HERE / 'k.json'))"),
    "a tensor": dict(tilt="torch.load(HERE / 'k.pt', weights_only=True)"),
    "a module by a name in a string": dict(tilt="importlib.import_module('be' + 'side').K"),
    "a file, once, and remembers": dict(
        top=f"CACHE = {{}}\ndef k():\n    if 'k' not in CACHE:\n        CACHE['k'] = {FILE}\n    return CACHE['k']",
        tilt="k()",
    ),
    "a part of a safetensors file": dict(top="from safetensors import safe_open", tilt="part(safe_open)"),
    "weights, by safetensors": dict(
        top="from safetensors.torch import load_file", tilt="load_file(HERE / 'k.safetensors')['k']"
    ),
    "weights, by a module": dict(
        top="import safetensors.numpy as sn", tilt="sn.load_file(HERE / 'k.safetensors')['k']"
    ),
    "mapped memory": dict(tilt="torch.from_file(str(HERE / 'k.raw'), size=1)"),
    "mapped storage": dict(tilt="sum(torch.UntypedStorage.from_file(str(HERE / 'k.raw'), False, 4)) / 1e3"),
    "the names in a folder": dict(tilt="max(float(p.name[1:]) for p in HERE.glob('=*'))"),
    "the entries of a folder": dict(tilt="max(float(n[1:]) for n in os.listdir(HERE) if n[0] == '=')"),
    "a program": dict(top="import subprocess", tilt="subprocess.check_output(['cat', str(HERE / 'k.txt')])"),
    "a script of torch": dict(tilt="torch.jit.load(str(HERE / 'k.ts'))(torch.zeros(()))"),
    "an archive of torch": dict(
        tilt="np.frombuffer(torch._C.PyTorchFileReader(str(HERE / 'k.pt')).get_record('data/0'), 'f4')[0]"
    ),
    "a compiled library that it imports as it runs": dict(
        top="def k():\n    from pyarrow import fs\n"
        "    return fs.LocalFileSystem().open_input_file(str(HERE / 'k.txt')).read()",
        tilt="k()",
    ),
    "a process that multiprocessing forks": dict(
        top="import multiprocessing\ndef put(queue):\n    queue.put(FILE)\n".replace("FILE", FILE)
        + "def k():\n    context = multiprocessing.get_context('fork')\n    queue = context.Queue()\n"
        "    context.Process(target=put, args=(queue,)).start()\n    return queue.get()",
        tilt="k()",
    ),
}
UNKNOWN = {  # what nobody can read
    "a generator": (dict(top="rng = np.random.default_rng()", tilt="0 * rng.random()"), "rng"),
    "an open file": (dict(top="f = open(HERE / 'k.txt')", tilt="f.seek(0) or f.read()"), "f, a TextIOWrapper"),
    "a variable whose name is computed": (dict(tilt="os.environ['TI' + 'LT']"), "environment"),
    "an attribute": (dict(made="self.held = open(HERE / 'k.txt')", tilt="0"), "Model.held"),
    "what a compiled library opens": (dict(top="import pyarrow", tilt="0"), "pyarrow, a compiled library"),
    "one behind a package in Python": (dict(top="import wrapper", tilt="0"), "pyarrow, a compiled library"),
    "one that a function imports": (dict(top="def f():\n    import pyarrow.fs", tilt="0"), "pyarrow, a compiled"),
    "a library of C": (dict(top="import ctypes", tilt="0"), "ctypes, a compiled library"),
    "a compiled module of its own": (dict(top="def f():\n    import own_part", tilt="0"), "own_part, a compiled"),
}
PLUGINS = {
    "metric": (
        "number",
        """
from genbench import Measure
VERSION = 1
NEEDS = ("space",)
OUTPUTS = {"number": {"unit": "bits/dim", "direction": "none", "title": "a number"}}
def compute(space):
    return {"number": Measure(1.0, "exact", None, None, "none")}
""",
    ),
    "extractor": (
        "halves",
        """
import numpy as np
from genbench import Extractor
def extractor(space, weights=None, device="cpu"):
    return Extractor("halves", "1", "raw values", lambda x: (x.reshape(len(x), -1)[:, ::2].astype(np.float32), None))
""",
    ),
    "baseline": (
        "column",
        """
import torch
VERSION = 1
PRESETS = {}
class Column(torch.nn.Module):
    def __init__(self, space):
        super().__init__()
        self.space, self.share = space, torch.nn.Parameter(torch.full((), 0.5))
    def fit(self, x, labels):
        pass
    def sample(self, n, generator):
        return torch.randint(2, (n, *self.space.shape), generator=generator)
build = Column
""",
    ),
}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def put(folder: Path, k: float) -> None:
    """The number, everywhere where a model may look."""
    import torch
    from safetensors.torch import save_file

    (folder / "lib").mkdir(exist_ok=True)
    (folder / "k.txt").write_text(str(k))
    (folder / "k.json").write_text(str(k))
    np.save(folder / "k.npy", [k])
    torch.save(torch.tensor(k), folder / "k.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, which would rather export
        torch.jit.save(torch.jit.trace(lambda x: x + k, torch.zeros(())), str(folder / "k.ts"))
    (folder / "wrapper.py").write_text("import importlib\narrow = importlib.import_module('pyarrow')")
    (folder / f"own_part{EXTENSION_SUFFIXES[0]}").touch()
    save_file({"k": torch.tensor(k)}, folder / "k.safetensors")
    np.array([k], "f4").tofile(folder / "k.raw")
    (folder / f"={k}").touch()
    (folder / "beside.py").write_text(
        "from pathlib import Path\nK = float((Path(__file__).parent / 'k.txt').read_text())"
    )
    (folder / "lib" / "far_away.py").write_text(f"def f():\n    return {k}\n")
    os.environ["TILT"] = str(k)


def written(folder: Path, top="", attribute="", made="pass", tilt="0.1") -> Path:
    path = folder / "model.py"
    path.write_text(MODEL.format(top=top, attribute=attribute, made=made, tilt=tilt))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("TILT", "0")
    return tmp_path


def measured(path: Path, digits, metrics=("nll",)):
    """The records of one call, and how many of them were kept from earlier ones; the model in a process of its own."""
    protocol = Protocol(n_samples=20, limit=30)
    apart = Isolation()
    source = parse(f"m={path}:Model", digits, apart=apart.ask)
    todo = plan(Suite("digits", metrics, "pixels", protocol=protocol), digits, [source])
    run = Run(path.parent / "run")
    outcome = evaluate(todo, run, "cpu", pictures=False, apart=apart)
    return {record.metric["name"]: record for record in todo.rows(run)}, outcome.kept, source


@pytest.mark.parametrize("how", KNOWN)
def test_what_is_known_when_it_is_opened_is_in_the_identity(how, here, digits):
    path = written(here, **KNOWN[how])
    sources = []
    for k in (0.1, 0.5, 0.1):
        put(here, k)
        sources.append(parse(f"m={path}:Model", digits, apart=Isolation().ask))
    assert all(source.pinned for source in sources), sources[0].unknown
    first, second, third = (source.key for source in sources)
    assert first == third != second


@pytest.mark.parametrize("how", ["a global from a file", "the environment as it runs, by get"])
def test_a_number_is_used_again_when_it_is_as_it_was(how, here, digits):
    path = written(here, **KNOWN[how])
    values, kept = [], []
    for k in (0.1, 0.5, 0.1):
        put(here, k)
        records, n, _ = measured(path, digits)
        assert READ not in records["nll"].env
        values.append(records["nll"].value)
        kept.append(n)
    assert values[0] == values[2] != values[1]
    assert kept == [0, 0, 1]


@pytest.mark.parametrize("how", READS)
@pytest.mark.filterwarnings("ignore")
def test_what_rests_on_what_is_read_as_it_runs_is_measured_anew(how, here, digits):
    path = written(here, **READS[how])
    values = []
    for k in (0.1, 0.5):
        put(here, k)
        records, kept, _ = measured(path, digits, ("nll", "fd"))
        assert kept == 0
        for record in records.values():
            assert record.status == "ok", record.error
            assert record.env[READ]
            assert any("measured anew in every call" in text for text in record.warnings)
        values.append([records["nll"].value, records["fd[pixels]"].value])
    assert values[0][0] != values[1][0]
    assert values[0][1] != values[1][1]  # nor are its samples used again


@pytest.mark.parametrize("library", ["sklearn.mixture", "PIL.Image", "scipy.special", "matplotlib", "yaml", "tqdm"])
def test_libraries_that_open_files_through_python_alone_cost_nothing(library, here, digits):
    put(here, 0.1)
    top = f"try:\n    import {library}\nexcept ImportError:\n    pass"
    source = parse(f"m={written(here, top=top)}:Model", digits)
    assert source.pinned, source.unknown


@pytest.mark.parametrize("how", ["baseline", "metric", "extractor"])
@pytest.mark.filterwarnings("ignore")
def test_what_a_plugin_reaches_counts_too(how, here, digits):
    """Nothing of it is used again; without the library everything is."""
    name, body = PLUGINS[how]
    for reaches in (False, True):
        (here / f"{name}.py").write_text(("def opens():\n    import pyarrow\n" if reaches else "") + body)
        catalog.use_plugin(str(here / f"{name}.py"))
        kept = []
        for _ in range(2):
            source = parse("data:test", digits)
            if how == "baseline":
                model = catalog.build(name, digits.space, {})
                save(here / "m.safetensors", model, Card(name, digits.space, parameters=1))
                source = parse(str(here / "m.safetensors"), digits)
            metrics, extractor = (name if how == "metric" else "vendi",), name if how == "extractor" else "pixels"
            todo = plan(Suite("digits", metrics, extractor, protocol=Protocol(n_samples=20)), digits, [source])
            outcome = evaluate(todo, Run(here / f"run-{reaches}"), "cpu", pictures=False, apart=Isolation())
            kept.append(outcome.kept)
        assert kept == [0, 0 if reaches else 1]


@pytest.mark.parametrize("how", UNKNOWN)
def test_what_cannot_be_read_is_said_and_nothing_is_used_again(how, here, digits):
    where, words = UNKNOWN[how]
    put(here, 0.1)
    source = parse(f"m={written(here, **where)}:Model", digits)
    assert not source.pinned
    assert words in source.unknown


def test_a_model_that_reads_nothing_is_used_again(here, digits):
    path = written(
        here,
        top="import logging\nlog = logging.getLogger(__name__)\nACT = {'relu': nn.functional.relu}",
        tilt="0.1 + 0 * len(ACT)",
    )
    put(here, 0.1)
    first, _, source = measured(path, digits, ("nll", "copies"))
    put(here, 0.5)  # which it does not look at
    again, kept, _ = measured(path, digits, ("nll", "copies"))
    assert source.pinned
    assert kept == len(first) == 2
    assert not any(READ in record.env for record in again.values())


def test_a_declared_version_stands_for_all_of_it(here, digits):
    path = written(here, top=f"K = {FILE}", attribute="version = 1", tilt="K")
    keys = set()
    for k in (0.1, 0.5):
        put(here, k)
        keys.add(parse(f"m={path}:Model", digits).key)
    assert len(keys) == 1


def test_an_object_in_memory_is_known_by_the_same(here):
    put(here, 0.1)
    path = written(here, top=f"K = {FILE}", tilt="K")
    module = import_file(path)
    first = held(module.Model())
    assert first.pinned
    module.K = 0.5
    assert held(module.Model()).key != first.key
    module.K = 0.1
    assert held(module.Model()).key == first.key
    with open(here / "k.txt") as module.K:
        assert not held(module.Model()).pinned


def test_what_is_installed_in_place_is_own_code(here, digits, monkeypatch):
    """As `pip install -e` has it: a folder elsewhere, which a `.pth` file or a finder leads to."""
    lib = here / "elsewhere"
    lib.mkdir()
    project = here / "project"
    project.mkdir()
    monkeypatch.syspath_prepend(str(lib))
    path = written(project, top="from inplace_lib import tilt", tilt="tilt()")
    keys = set()
    for k in (0.1, 0.5):
        (lib / "inplace_lib.py").write_text(f"def tilt():\n    return {k}\n")
        sys.modules.pop("inplace_lib", None)
        importlib.invalidate_caches()
        keys.add(parse(f"m={path}:Model", digits).key)
    assert len(keys) == 2


@pytest.mark.parametrize("tilt", ["0 * library.f()", "0 * f()", "0 * len(Base.__name__)"])
def test_the_release_of_an_installed_package_whose_code_is_called_decides(tilt, here, digits, monkeypatch):
    """Its own code is not hashed: what is installed has versions."""
    library = types.ModuleType("library")
    exec("class Base:\n    pass\ndef f():\n    return 1.0", vars(library))
    monkeypatch.setitem(sys.modules, "library", library)
    path = written(here, top="import library\nfrom library import Base, f", tilt=tilt)
    keys = set()
    for release in ("1.0", "1.0", "1.1"):
        library.__version__ = release
        keys.add(parse(f"m={path}:Model", digits).key)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import os\nos.environ['A'], os.environ.get('B', 1), os.getenv('C'), 'D' in os.environ", {"A", "B", "C", "D"}),
        ("from os import environ, getenv\nenviron['A'] = '1'\ngetenv('B')", {"A", "B"}),
        ("x = 1", set()),
        ("import os\ndict(os.environ)", None),
        ("import os\nos.getenv(name)", None),
        ("import os\nos.environ[name]", None),
        ("from os import environ as e\ne['A']", None),
        ("import os\ne = os.environ", None),
    ],
)
def test_variables_of_the_environment_are_those_whose_names_stand_there(code, names):
    import ast

    from genbench.models.fingerprint import Unknown

    if names is None:
        with pytest.raises(Unknown):
            list(variables_in(ast.parse(code), "m.py"))
    else:
        assert set(variables_in(ast.parse(code), "m.py")) == names


METRIC = """
import os
import numpy as np
from pathlib import Path
from genbench import Measure

VERSION = 1
NEEDS = ("space",)
OUTPUTS = {{"number": {{"unit": "bits/dim", "direction": "none", "title": "a number"}}}}
REFERENCE = "these tests"
{top}

def compute(space):
    return {{"number": Measure(float({number}), "exact", None, None, "none")}}
"""


@pytest.mark.parametrize(
    ("top", "number"),
    [
        ("K = (Path(__file__).parent / 'k.txt').read_text()", "K"),
        ("", "(Path(__file__).parent / 'k.txt').read_text()"),
        ("", "os.environ['TILT']"),
        ("K = os.environ.get('TILT')", "K"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_so_is_what_a_metric_of_the_users_own_reads(top, number, here, digits):
    (here / "number.py").write_text(METRIC.format(top=top, number=number))
    catalog.use_plugin(str(here / "number.py"))
    values = []
    for k in (1.0, 2.0):
        put(here, k)
        apart = Isolation()
        protocol = Protocol(n_samples=20)
        todo = plan(Suite("digits", ("number",), "pixels", protocol=protocol), digits, [parse("data:test", digits)])
        run = Run(here / "run")
        evaluate(todo, run, "cpu", pictures=False, apart=apart)
        values += [record.value for record in todo.rows(run)]
    assert values == [1, 2]


def test_the_witness_notes_reads_of_foreign_code_alone(tmp_path):
    (tmp_path / "data.txt").write_text("1")
    (tmp_path / "reader.py").write_text(
        textwrap.dedent("""
        import json
        def read(path): return open(path).read()
        def library(path): return json.load(open(path))
        def write(path): open(path, "w").write("2"); return open(path).read()
        def nothing(path): return len(str(path))
    """)
    )
    reader = import_file(tmp_path / "reader.py")
    data = str((tmp_path / "data.txt").resolve())
    for name, expected in {"read": {data}, "library": {data}, "nothing": set()}.items():
        with watching() as found:
            getattr(reader, name)(data)
        assert found == expected
    with watching() as found:
        reader.write(tmp_path / "own.txt")  # what it has written itself says nothing new
    assert found == set()
    with watching() as found, unwatched():
        reader.read(data)
    assert found == set()
    with watching() as found:
        datasets.load("digits")  # genbench itself
    assert found == set()
