"""What a user brings: the page on it runs as it stands, scaffolds work, and public names are those that it lists."""

import hashlib
import importlib
import json
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import genbench
from genbench import catalog, datasets
from genbench.models.adapters import parse
from genbench.models.checkpoint import read_card
from genbench.models.scaffold import SCAFFOLDS
from genbench.run import showing
from genbench.run.artifacts import ARTIFACTS
from genbench.run.protocol import fitted, suite_for

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "own.md").read_text(encoding="utf-8")
PAGES = ("own.md", "data.md", "training-loop.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(showing, "show_all", lambda *given: None)  # they take longest, and have tests of their own
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as of `python` in that folder
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or __file__).parent == Path.cwd():
            del sys.modules[name]


def lines(block: str) -> list[list[str]]:
    """The commands of a shell block, as words."""
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(page, cli):
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = FENCE.findall(text)
    assert len(blocks) == text.count("\n```") / 2
    for language, body in blocks:
        if language == "python" and (named := re.match(r"# (\w+\.py)\n", body)):
            Path(named[1]).write_text(body)
        elif language == "python":
            importlib.invalidate_caches()
            exec(compile(body, f"docs/{page}", "exec"), {})
        else:
            assert language == "sh"
            for command, *arguments in lines(body):
                assert command == "genbench"
                code, out, err = cli(*arguments)
                assert code == 0, f"{arguments}\n{out}\n{err}"


def test_the_table_of_datasets_is_what_the_catalog_says():
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| `.*\|$", text, re.MULTILINE)]
    for name, downloads, licence, source, path in rows:
        constants = catalog.find("datasets", name.strip("`")).constants
        size = constants["DOWNLOAD"]
        assert downloads == (f"{size / 1e6:,.1f} MB" if size else "nothing")
        assert (licence, source) == (constants["LICENCE"], constants["SOURCE"])
        assert path or not size
    assert [row[0].strip("`") for row in rows] == catalog.names("datasets")


def test_a_loop_is_not_disturbed_by_being_watched(monkeypatch, tmp_path):
    """Its weights, its random numbers and its mode are those of the loop that measures nothing."""
    monkeypatch.chdir(tmp_path)
    body = next(b for _, b in FENCE.findall((DOCS / "training-loop.md").read_text()) if b.startswith("# pixels.py"))
    Path("pixels.py").write_text(body)
    importlib.invalidate_caches()
    from pixels import Pixels

    found = []
    for watched in (False, True):
        torch.manual_seed(0)
        np.random.seed(0)
        model = Pixels().train()
        if watched:
            genbench.evaluate(model, "digits", ["nll", "fd", "copies"], samples=100)
        assert model.training
        assert all(p.grad is None for p in model.parameters())
        found.append((torch.rand(3).tolist(), np.random.rand(3).tolist(), model.logits.detach().clone()))
    assert found[0][:2] == found[1][:2]
    assert torch.equal(found[0][2], found[1][2])


def test_public_names_are_those_that_the_page_lists():
    table = PAGE[PAGE.index("## Names that stay") :]
    listed = [
        name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == sorted(genbench.__all__)
    for name in listed:
        assert getattr(genbench, name) is not None


# --- Scaffolds


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_the_commands_that_a_scaffold_names_work(kind, cli):
    """On little of the data, and in few steps."""
    code, out, _ = cli("new", kind, "my-thing")
    assert code == 0
    commands = lines(out.partition("\n")[2])
    assert len(commands) == len(SCAFFOLDS[kind].commands)
    few = {"evaluate": ["--limit", "20", "--samples", "80"], "train": ["--steps", "3"]}
    for command, verb, *arguments in commands:
        assert command == "genbench"
        if "--metrics" in arguments:
            arguments.insert(0, "data:train")  # in place of every model that ships
        code, out, err = cli(verb, *arguments, *few.get(verb, []))
        assert code == 0, f"{arguments}\n{out}\n{err}"
    if kind in ("metric", "extractor"):
        assert "real train data" in out
        assert {"metric": "my-thing", "extractor": "[my_thing]"}[kind] in out


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_scaffold_imports_public_names_alone(kind, cli, tmp_path):
    cli("new", kind, "my-thing")
    text = (tmp_path / "my_thing.py").read_text()
    found = re.findall(r"^\s*(?:from (genbench\S*) import (.*)|import (genbench.*))$", text, re.MULTILINE)
    assert all(module == "genbench" and not plain for module, _, plain in found)
    names = {name for _, imported, _ in found for name in imported.split(", ")}
    assert names <= set(genbench.__all__)


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_scaffold_overwrites_nothing_and_refuses_what_cannot_be_a_name(kind, cli, tmp_path):
    (tmp_path / "mine.py").write_text("mine")
    code, _, err = cli("new", kind, "mine")
    assert (code, "mine.py exists" in err) == (2, True)
    assert (tmp_path / "mine.py").read_text() == "mine"
    for name in ("3d", "class", "a b", "../x"):
        assert cli("new", kind, name)[0] == 2


@pytest.mark.parametrize(
    ("kind", "name"), [("metric", "fd"), ("metric", "precision-recall"), ("dataset", "ring8"), ("baseline", "vae")]
)
def test_a_name_that_the_catalog_has_is_refused_for_a_scaffold(kind, name, cli, tmp_path):
    code, _, err = cli("new", kind, name)
    assert (code, [*tmp_path.iterdir()]) == (2, [])
    assert f"there is a {kind} '{name}', which would hide it" in err


@pytest.mark.parametrize("kind", sorted({*SCAFFOLDS} - {"baseline"}))
def test_check_of_what_is_no_baseline_names_how_to_try_it(kind, cli):
    cli("new", kind, "my-thing")
    code, _, err = cli("check", "my_thing.py")
    assert code == 2
    assert "my_thing.py is no baseline" in err
    (command,) = lines(err.partition("Try it: ")[2].partition(", or")[0])
    if kind in ("dataset", "metric"):
        few = ["--samples", "20"] if command[1] == "evaluate" else []
        assert cli(*command[1:], *few)[0] == 0
    else:
        assert f"my_thing.py:{'OBJECT' if kind == 'model' else 'FUNCTION'}" in err


def test_every_word_of_a_scaffold_is_filled_in(cli, tmp_path):
    for kind in SCAFFOLDS:
        _, out, _ = cli("new", kind, f"one-{kind}")
        assert "$" not in out + (tmp_path / f"one_{kind}.py").read_text()


# --- What lies at a path among the arguments of a model


READER = """
import torch
from genbench import Space


class Reader:  # keeps nothing that could be hashed; `version` stands for its code
    space, version = Space((1, 8, 8), levels=17), 1

    def __init__(self, weights, depth=1):
        self.level = int(torch.load(weights)) if not weights.endswith("d") else 3

    def sample(self, n, generator):
        return torch.full((n, 1, 8, 8), self.level)
"""


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Of a query the source."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reader.py").write_text(READER)
    digits = datasets.load("digits")
    return lambda query: parse(f"reader.py:Reader?{query}", digits)


def test_the_content_at_a_path_is_part_of_a_models_identity_and_the_path_is_not(reader, tmp_path):
    torch.save(torch.tensor(3), "w.pt")
    before = reader("weights=w.pt")
    assert before.made_of["files"] == {"weights": hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()}
    shutil.copy("w.pt", "copy.pt")
    assert reader("weights=copy.pt").key == before.key
    torch.save(torch.tensor(4), "w.pt")
    assert reader("weights=w.pt").key != before.key
    assert reader("weights=copy.pt&depth=2").key != before.key


def test_the_content_of_a_folder_is_too(reader, tmp_path):
    (tmp_path / "shards.d").mkdir()
    (tmp_path / "shards.d" / "1").write_text("one")
    before = reader("weights=shards.d").key
    (tmp_path / "shards.d" / "2").write_text("two")
    assert reader("weights=shards.d").key != before


def test_an_argument_that_is_no_path_is_known_by_its_value(reader):
    torch.save(torch.tensor(3), "w.pt")
    Path("2").write_text("a file that is called as a number is")
    assert set(reader("weights=w.pt&depth=2").files) == {"weights"}
    assert reader("weights=w.pt&depth=2").key != reader("weights=w.pt&depth=3").key


def test_numbers_of_other_weights_are_not_used_again(cli, reader):
    def measured() -> tuple[str, str]:
        code, out, err = cli(
            "evaluate", "m=reader.py:Reader?weights=w.pt", "--metrics", "fd[pixels]", "--samples", "40", "-o", "run"
        )
        assert code == 0, err
        return next(line for line in out.splitlines() if line.startswith("m ")), err

    torch.save(torch.tensor(3), "w.pt")
    first, _ = measured()
    again, err = measured()
    assert again == first
    assert "nothing to measure" in err
    torch.save(torch.tensor(9), "w.pt")
    other, err = measured()
    assert other != first
    assert "1 cells measured" in err


def test_a_record_tells_no_path_of_the_machine(reader, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-elsewhere.pt"
    torch.save(torch.tensor(3), outside)
    assert reader(f"weights={outside}").describe()["args"] == {"weights": outside.name}


# --- Weights without a card


@pytest.fixture
def bare(pixels_checkpoint, tmp_path, monkeypatch):
    """The weights of a baseline, without their card."""
    monkeypatch.chdir(tmp_path)
    save_file(load_file(pixels_checkpoint), "bare.safetensors")


def test_weights_without_a_card_are_refused_with_what_works(bare, cli):
    torch.save({}, "model.pt")
    for refused in ("bare.safetensors", "model.pt"):
        code, _, err = cli("evaluate", refused)
        name = Path(refused).with_suffix(".safetensors")
        assert code == 2
        assert len(err.strip().splitlines()) == 2
        assert f"'FILE.py:OBJECT?weights={name}'" in err
        assert f"genbench card {name} --baseline NAME -o OUT.safetensors" in err


def test_a_card_makes_bare_weights_the_checkpoint_they_were(bare, cli, pixels_checkpoint):
    command = ("card", "bare.safetensors", "--baseline", "independent-pixels", "-o", "out.safetensors")
    code, out, err = cli(*command, "--dataset", "digits")
    assert code == 0, err
    card, true = read_card(Path("out.safetensors")), read_card(pixels_checkpoint)
    assert (card.baseline, card.space, card.options, card.parameters, card.dataset) == (
        true.baseline, true.space, true.options, true.parameters, true.dataset,
    )  # fmt: skip
    assert f"{true.parameters:,} parameters" in out
    weights, expected = load_file("out.safetensors"), load_file(pixels_checkpoint)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert cli(*command)[0] == 0
    assert read_card(Path("out.safetensors")).dataset == {}, "nobody said what it was trained on"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--baseline", "mixture"), "name the data with --dataset"),
        (("--baseline", "independent-pixels", "--dataset", "checkerboard"), "name the data with --dataset"),
        (("--baseline", "independent-pixel"), "Did you mean 'independent-pixels'?"),
        (("--baseline", "independent-pixels", "--set", "width=3"), "unknown option"),
        (("--baseline", "independent-pixels", "--set", "width"), "has no value"),
    ],
)
def test_a_card_for_weights_that_do_not_fit_is_refused(arguments, problem, bare, cli):
    code, _, err = cli("card", "bare.safetensors", *arguments, "-o", "out.safetensors")
    assert code == 2
    assert problem in err
    assert not Path("out.safetensors").exists()


def test_options_on_a_card_are_those_that_were_set(cli):
    assert cli("train", "mixture", "--steps", "2", "--set", "components=3", "-o", "m.safetensors")[0] == 0
    save_file(load_file("m.safetensors"), "bare.safetensors")
    command = ("card", "bare.safetensors", "--baseline", "mixture", "-o", "out.safetensors")
    assert cli(*command)[0] == 2, "by default it has more components"
    assert cli(*command, "--set", "components=3")[0] == 0
    assert read_card(Path("out.safetensors")).options == read_card(Path("m.safetensors")).options


# --- As many samples as there are test examples


@pytest.mark.parametrize(
    ("n", "arguments", "samples"),
    [(40, (), 40), (1001, (), 1000), (1000, (), 1000), (40, ("--samples", "30"), 30)],
)
def test_on_own_data_as_many_samples_as_test_examples_at_most_a_thousand(n, arguments, samples, cli):
    rng = np.random.default_rng(0)
    parts = {"train": rng.normal(size=(30, 2)), "validation": rng.normal(size=(10, 2)), "test": rng.normal(size=(n, 2))}
    np.savez("own.npz", **parts)
    np.save("many.npy", rng.normal(size=(1100, 2)))
    code, out, err = cli("evaluate", "samples:many.npy", "--dataset", "own.npz", "--metrics", "fd", *arguments)
    assert code == 0, err
    assert f"{samples:,} from each model" in out.replace(f"{samples} from", f"{samples:,} from")
    assert err.count("samples are taken of every model") == (0 if arguments else 1)
    row = next(line for line in out.splitlines() if "real test data" in line)
    assert "n/a" not in row


def test_the_smallest_of_data_and_files_of_samples_decides(tmp_path, capsys):
    suite, data = suite_for(None, "own.npz"), replace(datasets.load("digits"), name="own")
    np.save(tmp_path / "few.npy", data.test[:7])
    few = parse(f"samples:{tmp_path / 'few.npy'}", data)
    assert fitted(suite, data, []).protocol.n_samples == 500
    assert fitted(suite, data, [few]).protocol.n_samples == 7
    assert fitted(suite_for("digits"), data, [few]).protocol.n_samples == 7
    assert capsys.readouterr().err.count("--samples says otherwise") == 2, "500 is what the suite says too"


@pytest.mark.parametrize("name", ["digits", "ring8", "checkerboard", "grid25", "mnist-binary"])
def test_data_that_ship_keep_the_number_of_their_suite(name, capsys):
    suite = suite_for(None, name)
    few = replace(datasets.load("digits"), name=name, test=datasets.load("digits").test[:50], labels=None)
    assert fitted(suite, few, []) == suite
    assert capsys.readouterr().err == ""


def test_a_suite_of_ones_own_names_its_number(tmp_path):
    (tmp_path / "mine.toml").write_text('dataset = "own.npz"\nmetrics = ["fd"]\n[protocol]\nn_samples = 12\n')
    suite = suite_for(str(tmp_path / "mine.toml"))
    assert fitted(suite, datasets.load("digits"), []) == suite


def test_python_does_as_the_command_does():
    rng = np.random.default_rng(0)
    x = rng.integers(3, size=(200, 2)).astype(np.uint8)
    data = genbench.Dataset("own", genbench.Space((2,), 3), x[:100], x[100:160], x[160:], "CC0", "made")

    class Uniform:
        space, version = data.space, 1

        def sample(self, n, generator):
            return torch.randint(3, (n, 2), generator=generator)

    (record,) = genbench.evaluate(Uniform(), data, metrics=["fd"])
    assert record.protocol["n_samples"] == 40


# --- What is said where


def test_artifacts_are_listed_with_all_that_decides_them(cli):
    listed = {row["name"]: row for row in json.loads(cli("list", "artifacts", "--json")[1])}
    assert listed.keys() == ARTIFACTS.keys()
    _, table, _ = cli("list", "artifacts")
    for name, declared in ARTIFACTS.items():
        row = listed[name]
        assert row["asks"] == declared.asks
        assert row["fields"] == [*declared.fields, *(["extractor"] if declared.extracted else [])]
        assert row["summary"] == declared.make.__doc__.splitlines()[0]
        assert row["summary"] in table


def test_advice_to_install_comes_with_constraints():
    """Without them pip replaces a torch for the CPU by gigabytes of CUDA."""
    files = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "genbench").rglob("*.py")]
    said = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert len(said) >= 3
    assert [line for line in said if "pip install -c constraints.txt" not in line] == []
