"""What a user installs is all there, and small."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import genbench
from genbench.catalog import BASELINES, HERE
from genbench.cli import shipped
from genbench.models.checkpoint import read_card

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = (".py", ".toml", ".safetensors", ".html", ".css", ".js")
CHECKPOINTS = [Path(p) for dataset in ("digits", "patches", "ring8", "tinyshakespeare") for p in shipped(dataset)]


def test_public_names_are_those_in_all():
    assert sorted(genbench.__all__) == sorted(name for name in dir(genbench) if not name.startswith("_"))
    for name in genbench.__all__:
        assert getattr(genbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = genbench.nothing


def test_type_checkers_find_the_public_names_where_they_are_imported_from():
    (block,) = (node for node in ast.parse(Path(genbench.__file__).read_text()).body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    homes = {
        alias.asname or alias.name: f"{node.module}:{alias.name}" if alias.asname else node.module
        for node in block.body
        for alias in node.names
    }
    assert homes == genbench._HOMES


def test_the_wheel_holds_weights_and_suites(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(tmp_path), str(REPOSITORY)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    inside = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    ours = {f"genbench/{p.relative_to(HERE)}" for p in HERE.rglob("*") if p.suffix in SHIPPED}
    baselines = {f"genbench/baselines/{p.relative_to(BASELINES)}" for p in BASELINES.rglob("*") if p.suffix in SHIPPED}
    assert ours | baselines <= inside
    assert {name.partition("/")[0] for name in inside if not name.startswith("genbench-")} == {"genbench"}


LARGEST = {"mnist-binary": 3_000_000, "mnist": 3_000_000}  # bytes; of others less


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_shipped_checkpoint_is_small_and_says_how_it_was_made(path):
    assert path.stat().st_size < LARGEST.get(path.parent.name, 400_000)
    card = read_card(path)
    relative = path.relative_to(HERE.parent).as_posix()
    assert card.training["command"].startswith(f"genbench train {card.baseline} ")
    assert card.training["command"].endswith(f"-o {relative}")
    assert card.dataset["name"] == path.parent.name


def test_at_least_eleven_models_ship_on_digits():
    names = {p.stem for p in CHECKPOINTS if p.parent.name == "digits"}
    assert len(names) >= 11
