"""What a user brings: the page on it runs as it stands, scaffolds work, and public names are those that it lists."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import genbench
from genbench import catalog
from genbench.models.scaffold import SCAFFOLDS
from genbench.run import evaluate as measuring

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "own.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(catalog, "_plugins", [])
    monkeypatch.setattr(measuring, "picture", lambda artifacts: None)  # they take longest, and have tests of their own
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as of `python` in that folder
    yield
    for name in ("tilted", "edges", "ink", "coins"):
        sys.modules.pop(name, None)


def lines(block: str) -> list[list[str]]:
    """The commands of a shell block, as words."""
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def test_every_block_of_the_page_runs(cli):
    blocks = FENCE.findall(PAGE)
    assert len(blocks) == PAGE.count("\n```") / 2
    for language, body in blocks:
        if language == "python" and (named := re.match(r"# (\w+\.py)\n", body)):
            Path(named[1]).write_text(body)
        elif language == "python":
            exec(compile(body, "docs/own.md", "exec"), {})
        else:
            assert language == "sh"
            for command, *arguments in lines(body):
                assert command == "genbench"
                code, out, err = cli(*arguments)
                assert code == 0, f"{arguments}\n{out}\n{err}"


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
        assert {"metric": "my-thing", "extractor": "fd[my_thing]"}[kind] in out


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


def test_every_word_of_a_scaffold_is_filled_in(cli, tmp_path):
    for kind in SCAFFOLDS:
        _, out, _ = cli("new", kind, f"one-{kind}")
        assert "$" not in out + (tmp_path / f"one_{kind}.py").read_text()
