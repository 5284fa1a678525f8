"""A plugin that cannot be used is one warning with its name, its distribution and the reason; the rest works."""

import py_compile
import textwrap
import warnings
from pathlib import Path

import pytest

from genbench import catalog, plugins
from genbench.errors import GenbenchError

CARD = {"unit": "share", "direction": "lower", "title": "of the coin"}
METRIC = f'''
"""A coin."""
from genbench.metrics import Measure

VERSION = 1
NEEDS = ("samples",)
OUTPUTS = {{"coin": {CARD}}}
REFERENCE = "nobody"

def compute(samples, sides=2):
    return {{"coin": Measure(0.5, "exact", None, None, "none")}}
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs files as a distribution `name` with entry points {name: module} of one kind."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(kind: str, points: dict[str, str], files: dict[str, str | bytes], name: str = "acme") -> Path:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{point} = {module}\n" for point, module in points.items())
        (info / "entry_points.txt").write_text(f"[genbench.{kind}]\n{lines}")
        for file, content in files.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return install


# name: (the entry point's module, files, words of the reason)
UNREADABLE = {
    "missing": ("acme_missing", {}, "there is no module acme_missing"),
    "missing-in-a-package": ("acme_pkg.gone", {"acme_pkg/__init__.py": ""}, "there is no module acme_pkg.gone"),
    "missing-package": ("acme_absent.metric", {}, "ModuleNotFoundError"),
    "compiled": ("acme_so", {"acme_so.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"}, "no source"),
    "namespace": ("acme_space", {"acme_space/x.txt": ""}, "no source"),
    "built-in": ("sys", {}, "no source"),
    "syntax": ("acme_syntax", {"acme_syntax.py": "OUTPUTS = {\n"}, "not valid Python"),
    "null": ("acme_null", {"acme_null.py": b"X = 1\0"}, "not valid Python"),
    "deep": ("acme_deep", {"acme_deep.py": "X = " + "(" * 500 + ")" * 500}, "not valid Python"),
    "not-utf-8": ("acme_latin", {"acme_latin.py": b"X = '\xe9'\n"}, "not valid Python"),
    "raises": ("acme_raises.m", {"acme_raises/__init__.py": "1 / 0", "acme_raises/m.py": METRIC}, "ZeroDivisionError"),
    "exits": ("acme_exits.m", {"acme_exits/__init__.py": "exit(0)", "acme_exits/m.py": METRIC}, r"sys\.exit"),
    "no-module": ("acme fails", {}, "Error"),
}


@pytest.mark.parametrize("kind", ["metrics", "baselines", "datasets", "extractors", "adapters"])
@pytest.mark.parametrize("fault", UNREADABLE)
def test_what_cannot_be_read_is_one_warning_that_names_it(fault, kind, installed):
    module, files, why = UNREADABLE[fault]
    before = catalog.names(kind)
    installed(kind, {"acme-one": module}, files)
    with pytest.warns(catalog.PluginWarning, match=f"{kind[:-1]} 'acme-one' of acme cannot be used: .*{why}") as caught:
        assert catalog.names(kind) == before
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        assert catalog.names(kind) == before
    for use in (catalog.find, catalog.load):
        with pytest.raises(GenbenchError, match=f"'acme-one' of acme cannot be used: .*{why}"):
            use(kind, "acme_one")


def test_a_module_without_source_is_named(installed):
    folder = installed("metrics", {"coin": "acme_pyc"}, {"source.py": METRIC})
    py_compile.compile(str(folder / "source.py"), str(folder / "acme_pyc.pyc"))
    with pytest.warns(catalog.PluginWarning, match=r"no source to read: it is .*acme_pyc\.pyc"):
        assert "coin" not in catalog.names("metrics")


def card(**changes):
    return {"coin": {**CARD, **changes}}


def without(field):
    return {"coin": {name: value for name, value in CARD.items() if name != field}}


# (line of METRIC, what stands there instead, words of the reason)
CARDS = [
    ("VERSION", "", "no VERSION that is a literal"),
    ("VERSION", "VERSION = int('1')", "no VERSION that is a literal"),
    ("VERSION", "VERSION = '1'", "VERSION is '1', no whole number"),
    ("VERSION", "VERSION = True", "VERSION is True"),
    ("VERSION", "VERSION = 1.5", "VERSION is 1.5"),
    ("VERSION", "VERSION = None", "VERSION is None"),
    ("NEEDS", "", "no NEEDS"),
    ("NEEDS", "NEEDS = ('smaples',)", "NEEDS names 'smaples', which is none of"),
    ("NEEDS", "NEEDS = 'samples'", "NEEDS is 'samples', no tuple"),
    ("NEEDS", "NEEDS = ('samples', 3)", "NEEDS names 3"),
    ("NEEDS", "NEEDS = ()", "NEEDS is (), no tuple"),
    ("NEEDS", "NEEDS = ('samples', [])", "NEEDS names []"),
    ("OUTPUTS", "", "no OUTPUTS"),
    ("OUTPUTS", "OUTPUTS = dict(coin=1)", "no OUTPUTS that is a literal"),
    ("OUTPUTS", "OUTPUTS = {}", "OUTPUTS is {}"),
    ("OUTPUTS", "OUTPUTS = ('coin',)", "OUTPUTS is ('coin',), no {name: card}"),
    ("OUTPUTS", "OUTPUTS = {'coin': 1}", "the card of output 'coin' is 1"),
    ("OUTPUTS", "OUTPUTS = {1: {}}", "OUTPUTS has 1: a name has"),
    ("OUTPUTS", "OUTPUTS = {'a|b': {}}", "OUTPUTS has 'a|b': a name has"),
    ("OUTPUTS", "OUTPUTS = {'_coin': {}}", "OUTPUTS has '_coin': a name has"),
    ("OUTPUTS", "OUTPUTS = {'all': {}}", "OUTPUTS has 'all': a name has"),
    ("OUTPUTS", f"OUTPUTS = {{'a_b': {CARD}, 'a-b': {CARD}}}", "OUTPUTS has 'a_b' twice"),
    *[("OUTPUTS", f"OUTPUTS = {without(f)}", f"output 'coin' has no {f}") for f in ("unit", "direction", "title")],
    ("OUTPUTS", f"OUTPUTS = {card(unit=None)}", "output 'coin' has no unit"),
    ("OUTPUTS", f"OUTPUTS = {card(direction='up')}", "is 'up', none of lower, higher, none"),
    ("OUTPUTS", f"OUTPUTS = {card(group='luck')}", "group of output 'coin' is 'luck'"),
    ("OUTPUTS", f"OUTPUTS = {card(group=[])}", "group of output 'coin' is []"),
    ("OUTPUTS", f"OUTPUTS = {card(place='last')}", "place of output 'coin' is 'last'"),
    ("OUTPUTS", f"OUTPUTS = {card(place=True)}", "place of output 'coin' is True"),
    *[
        ("OUTPUTS", f"OUTPUTS = {card(range=odd)}", f"range of output 'coin' is {odd!r}")
        for odd in (None, 1, (0,), (0, 1, 2), ("0", 1), (1, 0), (True, None), "01")
    ],
    ("REFERENCE", "DOMAINS = ('sides',)", "DOMAINS is ('sides',)"),
    ("REFERENCE", "DOMAINS = {'sides': 'a few'}", "the domain of 'sides' is 'a few'"),
    ("REFERENCE", "DOMAINS = {'sides': 3}", "the domain of 'sides' is 3"),
    ("OUTPUTS", f"OUTPUTS = {{**{card()}}}", "no OUTPUTS that is a literal"),
    ("OUTPUTS", f"OUTPUTS = {card()}; OUTPUTS = make()", "no OUTPUTS that is a literal"),
    ("OUTPUTS", f"OUTPUTS = {{'fd': {CARD}}}", "its output 'fd' is one of metric 'fd'"),
    ("OUTPUTS", f"OUTPUTS = {{'nll_ais': {CARD}}}", "its output 'nll-ais' is one of metric 'nll-ais'"),
    ("REFERENCE", "MIN_SAMPLES = 0", "MIN_SAMPLES is 0"),
    ("REFERENCE", "MIN_SAMPLES = '2'", "MIN_SAMPLES is '2'"),
    ("REFERENCE", "FAMILY = 3", "FAMILY is 3"),
    ("def", "def compute(samples, sides):", "'sides', which is neither in NEEDS nor has a default"),
    ("def", "def compute(samples, *, sides):", "'sides', which is neither in NEEDS nor has a default"),
    ("def", "def compute(samples, sides=len('ab')):", "a default of compute() is no literal"),
    ("def", "def compute(samples, *, sides={[]: 1}):", "a default of compute() is no literal"),
]


def changed(line: str, text: str) -> str:
    """The metric with other text in place of the line that begins so."""
    lines = METRIC.splitlines()
    assert sum(one.startswith(line) for one in lines) == 1
    return "\n".join(text if one.startswith(line) else one for one in lines)


@pytest.mark.parametrize(("line", "text", "why"), CARDS, ids=[f"{text or 'no ' + line}" for line, text, _ in CARDS])
def test_a_metric_says_what_it_is_or_is_left_out(line, text, why, installed):
    installed("metrics", {"acme-coin": "acme_metric"}, {"acme_metric.py": changed(line, text)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "acme-coin" not in catalog.names("metrics")
    assert len(caught) == 1
    assert str(caught[0].message).startswith("metric 'acme-coin' of acme cannot be used: ")
    assert why in str(caught[0].message)


GOOD = [
    ("OUTPUTS", f"OUTPUTS: dict = {card()}"),
    ("OUTPUTS", f"OUTPUTS: dict[str, dict] = {card(place=1, group='cost')}"),
    ("OUTPUTS", f"OUTPUTS = KEPT = {card()}"),
    ("OUTPUTS", f"OUTPUTS, OTHER = {card()}, 1"),
    ("OUTPUTS", f"OUTPUTS = make(); OUTPUTS = {card()}"),
    ("VERSION", "VERSION: int = 1"),
    ("NEEDS", "NEEDS: tuple[str, ...] = ('samples',)"),
    ("NEEDS", "NEEDS = ['samples']"),
    ("REFERENCE", "# nobody"),
    ("REFERENCE", "DOMAINS = {'sides': 'a whole number in [1, inf)'}"),
    *[("OUTPUTS", f"OUTPUTS = {card(range=fine)}") for fine in ((None, None), [0, None], (None, 1.5), (0, 0))],
    ("REFERENCE", "A: int"),
    ("def", "def compute(samples, *, sides=2):"),
    ("def", "def compute(*, samples, sides: int = 2):"),
]


@pytest.mark.parametrize(("line", "text"), GOOD, ids=[text for _, text in GOOD])
def test_constants_are_read_however_they_are_bound(line, text, installed):
    installed("metrics", {"acme-coin": "acme_metric"}, {"acme_metric.py": changed(line, text)})
    entry = catalog.find("metrics", "acme-coin")
    assert list(entry.constants["OUTPUTS"]) == ["coin"]
    assert entry.constants["VERSION"] == 1
    assert list(entry.constants["NEEDS"]) == ["samples"]
    assert entry.parameters == {"sides": 2}


def test_a_metric_does_not_take_the_name_of_anothers_output(installed):
    installed("metrics", {"precision": "acme_metric"}, {"acme_metric.py": METRIC})
    with pytest.warns(catalog.PluginWarning, match="its name is an output of metric 'precision-recall'"):
        assert "precision" not in catalog.names("metrics")


def test_a_source_is_read_in_the_encoding_that_it_declares(installed):
    head = b'# -*- coding: latin-1 -*-\n"""Caf\xe9."""\ndef build(space):\n    pass\n'
    bom = b'\xef\xbb\xbf"""A mark first."""\ndef build(space):\n    pass\n'
    installed("baselines", {"one": "acme_one", "two": "acme_two"}, {"acme_one.py": head, "acme_two.py": bom})
    assert [catalog.find("baselines", name).summary for name in ("one", "two")] == ["Café.", "A mark first."]


def test_what_metrics_may_need_is_what_artifacts_declare():
    from genbench.run.artifacts import ARTIFACTS

    assert plugins.artifact_names() == tuple(ARTIFACTS)


# --- Names


NAMELESS = ["co:in", "a,b", "a b", "coin[x]", "a?b", "a=b", "-coin", "_coin", "a%b", "coin.npz", "coin.safetensors"]
BODIES = {
    "metrics": METRIC,
    "baselines": "def build(space):\n    pass\n",
    "datasets": "def load(root):\n    pass\n",
    "extractors": "def extractor(space):\n    pass\n",
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("name", NAMELESS)
def test_a_name_that_nobody_could_ask_for_is_refused_when_the_plugin_is_named(name, kind, cli, tmp_path):
    """A colon means code, a comma a list, a bracket an extractor, a question mark arguments, an ending a file."""
    path = tmp_path / f"{name}.py"
    path.write_text(BODIES[kind])
    code, _, err = cli("list", kind, "--plugin", path)
    assert code == 2
    assert "cannot be asked for" in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("name", ["co:in", "a,b", "a b", "coin.npz"])
def test_of_an_installed_one_it_is_a_warning(name, kind, installed):
    before = catalog.names(kind)
    installed(kind, {name: "acme_one"}, {"acme_one.py": BODIES[kind]})
    with pytest.warns(catalog.PluginWarning, match="cannot be asked for") as caught:
        assert catalog.names(kind) == before
    assert len(caught) == 1


def test_a_metric_is_not_called_as_all_of_them_are(cli, tmp_path):
    (tmp_path / "all.py").write_text(METRIC)
    code, _, err = cli("list", "metrics", "--plugin", tmp_path / "all.py")
    assert (code, "stands for every metric" in err) == (2, True)
    code, _, err = cli("new", "metric", "all")
    assert code == 2
    assert "Choose another name" in err


@pytest.mark.parametrize("name", ["größe", "2d", "v1.5", "a-b_c"])
def test_other_names_are_fine(name, cli, tmp_path):
    (tmp_path / f"{name}.py").write_text(BODIES["baselines"])
    code, out, err = cli("list", "baselines", "--plugin", tmp_path / f"{name}.py")
    assert code == 0, err
    assert name.replace("_", "-") in out


@pytest.mark.parametrize("name", ["my_coin", "my-coin"])
def test_an_entry_point_answers_to_hyphens_and_underscores(name, installed):
    installed("baselines", {name: "acme_coin"}, {"acme_coin.py": "def build(space):\n    pass\n"})
    assert "my-coin" in catalog.names("baselines")
    assert catalog.find("baselines", "my_coin") == catalog.find("baselines", "my-coin")


def test_of_two_plugins_with_one_name_the_first_is_used_and_the_other_told(installed):
    installed("baselines", {"my_coin": "acme_a"}, {"acme_a.py": '"""First."""'}, "acme-a")
    installed("baselines", {"my-coin": "acme_b"}, {"acme_b.py": '"""Second."""'}, "acme-b")
    with pytest.warns(catalog.PluginWarning, match=r"'my-coin' of acme-[ab] is hidden by the one of acme-[ab]") as told:
        assert "my-coin" in catalog.names("baselines")
    assert len(told) == 1


def test_a_plugin_that_is_found_twice_is_one(installed):
    files = {"acme_a.py": '"""One."""'}
    installed("baselines", {"coin": "acme_a"}, files, "acme-a")
    installed("baselines", {"coin": "acme_a"}, files, "acme-b")  # as an old folder of metadata leaves it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "coin" in catalog.names("baselines")


def test_a_broken_plugin_does_not_stand_in_the_way_of_one_of_its_name(installed):
    installed("baselines", {"coin": "acme_gone", "Mixture": "acme_gone"}, {}, "acme-a")
    installed("baselines", {"coin": "acme_b"}, {"acme_b.py": '"""Whole."""'}, "acme-b")
    with pytest.warns(catalog.PluginWarning, match="acme-a cannot be used"):
        assert catalog.find("baselines", "coin").summary == "Whole."


def test_entry_points_that_cannot_be_parsed_hide_no_others(installed):
    folder = installed("baselines", {"coin": "acme_a"}, {"acme_a.py": '"""One."""'}, "acme-a")
    installed("baselines", {}, {}, "acme-b")
    (folder / "acme_b-1.0.dist-info" / "entry_points.txt").write_text("[genbench.baselines]\nno equals sign\n")
    with pytest.warns(catalog.PluginWarning, match="the entry points of acme-b cannot be read"):
        assert "coin" in catalog.names("baselines")


# --- Files


@pytest.mark.parametrize(("line", "text", "why"), CARDS[:3] + CARDS[12:14])
def test_a_plugin_file_is_refused_with_the_reason(line, text, why, cli, tmp_path):
    (tmp_path / "coin.py").write_text(changed(line, text))
    code, out, err = cli("evaluate", "--plugin", "coin.py", "data:test", "--metrics", "coin")
    assert (code, out) == (2, "")
    assert err.startswith("genbench: metric plugin ")
    assert why in err
    assert len(err.splitlines()) == 2


# --- All commands


def test_commands_work_beside_broken_plugins_of_every_kind(installed, cli):
    """Each is told once by a command that reads its kind."""
    for kind in catalog.PACKAGES:
        points = {f"acme-{fault}": module for fault, (module, *_) in UNREADABLE.items()}
        files = {file: content for _, some, _ in UNREADABLE.values() for file, content in some.items()}
        installed(kind, points, files, f"acme-{kind}")
    for command in (
        ("list", "metrics"),
        ("list", "plugins"),
        ("describe", "fd"),
        ("train", "independent-pixels", "-o", "p.safetensors"),
        ("evaluate", "p.safetensors", "--metrics", "copies", "--samples", "20"),
        ("leaderboard", "runs/digits"),
    ):
        catalog._told.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # each command stands for a process of its own
            code, _, err = cli(*command)
        assert code == 0, (command, err)
        told = [line for line in err.splitlines() if line.startswith("warning: ")]
        assert len(told) == len(set(told)), command
        assert len(told) % len(UNREADABLE) == 0, (command, err)
        assert told, command
    for command in (("describe", "acme-syntax"), ("train", "acme-syntax"), ("evaluate", "--metrics", "acme-syntax")):
        code, _, err = cli(*command)
        assert code == 2, command
        last = err.splitlines()[-2:]
        assert "'acme-syntax' of acme-" in last[0], command
        assert "is not valid Python" in last[0], command


ADAPTERS = {
    "raises when it is imported": "1 / 0\n",
    "exits when it is imported": "import sys\nsys.exit(3)\n",
    "has no handles": "x = 1\n",
    "raises when it is asked": "def handles(what):\n    raise KeyError(what)\n",
}


@pytest.mark.parametrize("fault", ADAPTERS)
def test_an_adapter_that_breaks_is_in_nobodys_way(fault, installed, cli, pixels_checkpoint):
    installed("adapters", {"acme": "acme_adapter"}, {"acme_adapter.py": textwrap.dedent(ADAPTERS[fault])})
    code, out, err = cli("evaluate", pixels_checkpoint, "--metrics", "copies", "--samples", "20")
    assert code == 0, err
    assert "pixels " in out
    assert sum("adapter 'acme' of acme" in line for line in err.splitlines()) == 1
