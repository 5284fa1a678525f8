"""Foreign code is imported as `python FILE.py` would, and two folders never share a module by mistake."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from genbench import importing
from genbench.errors import ModelError


@pytest.fixture(autouse=True)
def no_module_of_another_test():
    """Also those that a test has imported as Python does, and no folder knows: each test has a `net` of its own."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    """Modules in a folder, `_in_` in a name for the folder it lies in: `init_in_net` is net/__init__.py."""
    for name, text in files.items():
        module, _, package = name.partition("_in_")
        path = folder / package / f"{'__init__' if module == 'init' else module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


WRITES = {"PYTHONDONTWRITEBYTECODE": ""}
LAZY = "import net\nmine = net.W\ndef later():\n    import net\n    return net.W\n"


def test_two_folders_with_modules_of_the_same_names_do_not_mix(tmp_path):
    found = {}
    for name in ("a", "b"):
        folder = write(tmp_path / name, model=LAZY, net=f"W = {name!r}\n")
        found[name] = importing.import_file(folder / "model.py")
    assert [found[name].mine for name in "ab"] == ["a", "b"]
    for name in ("b", "a", "b"):  # in any order, and again
        importing.enter(tmp_path / name)
        assert found[name].later() == name
        assert sys.modules["model"] is found[name]  # so that its objects can be pickled


@pytest.mark.parametrize(
    "net", [{"net": "W = 1\n"}, {"w_in_net": "W = 1\n"}, {"init_in_net": "", "w_in_net": "W = 1\n"}], ids=str
)
def test_modules_packages_and_packages_without_init_are_found_beside_a_file(net, tmp_path):
    line = "from net import W\n" if "net" in net else "from net.w import W\n"
    for name in ("a", "b"):
        folder = write(
            tmp_path / name, model=line, **{file: text.replace("1", repr(name)) for file, text in net.items()}
        )
        assert name == importing.import_file(folder / "model.py").W


def test_what_one_folder_has_alone_is_found_while_another_is_in_use(tmp_path):
    first = importing.import_file(write(tmp_path / "a", model=LAZY, net="W = 1\n") / "model.py")
    importing.enter(write(tmp_path / "b", other="W = 2\n"))
    assert first.later() == 1


def test_an_import_leaves_the_folder_in_use_that_was(tmp_path):
    model = importing.import_file(write(tmp_path / "a", model=LAZY, net="W = 1\n") / "model.py")
    importing.enter(tmp_path / "a")
    importing.import_file(write(tmp_path / "b", metric=LAZY, net="W = 2\n") / "metric.py")
    assert model.later() == 1


@pytest.mark.parametrize("changed", ["model", "net"])
def test_an_edited_file_is_imported_anew_also_within_a_second_and_of_one_size(changed, tmp_path):
    write(tmp_path, model="import net\nX = net.W, 1\n", net="W = 1\n")
    before = importing.import_file(tmp_path / "model.py")
    assert importing.import_file(tmp_path / "model.py") is before
    path = tmp_path / f"{changed}.py"
    path.write_text(path.read_text().replace("1", "2"))
    assert sorted(importing.import_file(tmp_path / "model.py").X) == [1, 2]


@pytest.mark.parametrize("bytecode", [True, False])
def test_a_module_that_was_imported_late_is_read_again_if_it_was_edited(bytecode, tmp_path, monkeypatch):
    """Of one size and age, and whether or not Python may write byte code, which would be taken for that of the edit."""
    monkeypatch.setattr(sys, "dont_write_bytecode", not bytecode)
    write(tmp_path, model="def later():\n    import net\n    return net.W\n", net="W = 1\n")
    before = importing.import_file(tmp_path / "model.py")
    assert before.later() == 1
    assert importing.import_file(tmp_path / "model.py") is before
    age = (tmp_path / "net.py").stat()
    write(tmp_path, net="W = 2\n")
    os.utime(tmp_path / "net.py", ns=(age.st_atime_ns, age.st_mtime_ns))
    assert importing.import_file(tmp_path / "model.py").later() == 2


def test_byte_code_that_is_there_is_not_believed(tmp_path):
    """As a run of Python itself leaves it, of a source that was edited within a second and kept its size."""
    file = write(tmp_path, model="W = 1\n") / "model.py"
    subprocess.run([sys.executable, "-c", "import model"], cwd=tmp_path, check=True, env={**os.environ, **WRITES})
    assert list(tmp_path.glob("__pycache__/*"))
    age = file.stat()
    file.write_text("W = 2\n")
    os.utime(file, ns=(age.st_atime_ns, age.st_mtime_ns))
    assert importing.import_file(file).W == 2


def test_what_is_installed_below_a_folder_is_imported_as_ever(tmp_path, monkeypatch):
    """A virtual environment in a project is large, and nobody edits it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write(tmp_path / ".venv", installed="W = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / ".venv"))
    importing.import_file(write(tmp_path, model="import installed\nimport net\n", net="W = 1\n") / "model.py")
    assert list(tmp_path.glob(".venv/__pycache__/installed*"))
    assert not list(tmp_path.glob("__pycache__/*"))


def test_a_file_knows_itself_but_not_our_arguments(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["genbench", "evaluate", "--json"])
    body = """
import argparse, sys
from dataclasses import dataclass
options = argparse.ArgumentParser()
options.add_argument("--width", type=int, default=3)
width = options.parse_args().width
argv = sys.argv
print("a line")
@dataclass
class Point:
    x: "int" = 1
"""
    module = importing.import_file(write(tmp_path, model=body) / "model.py")
    assert module.__name__ == "model"
    assert module.__file__ == str(tmp_path / "model.py")
    assert module.width == 3
    assert module.argv == [str(tmp_path / "model.py")]
    assert sys.argv == ["genbench", "evaluate", "--json"]
    assert pickle.loads(pickle.dumps(module.Point())) == module.Point()
    assert capsys.readouterr() == ("", "a line\n")


@pytest.mark.parametrize("code", ["0", "3", "'no data'", ""])
def test_an_exit_is_an_error_of_the_file(code, tmp_path):
    path = write(tmp_path, model=f"import sys\nsys.exit({code})\n") / "model.py"
    with pytest.raises(ModelError, match=r"model\.py calls sys\.exit"):
        importing.import_file(path)
    assert "model" not in sys.modules


def test_a_file_that_raises_is_tried_again(tmp_path):
    path = write(tmp_path, model="1 / 0\n") / "model.py"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            importing.import_file(path)
    write(tmp_path, model="X = 1\n")
    assert importing.import_file(path).X == 1


@pytest.mark.parametrize("stem", ["json", "torch", "model.v2", "my-model", "pytest"])
def test_a_file_may_have_any_name_and_takes_no_others_place(stem, tmp_path):
    before = sys.modules.get(stem)
    (tmp_path / f"{stem}.py").write_text("class X:\n    pass\n")
    module = importing.import_file(tmp_path / f"{stem}.py")
    assert pickle.loads(pickle.dumps(module.X)) is module.X
    assert before is None or sys.modules[stem] is before


def test_a_package_beside_a_file_of_its_name_stays_importable(tmp_path):
    write(tmp_path, net="import net.part\nX = net.part.Y\n", init_in_net="", part_in_net="Y = 5\n")
    assert importing.import_file(tmp_path / "net.py").X == 5


def test_nothing_that_was_there_before_is_taken_out_of_sight(tmp_path, monkeypatch):
    write(tmp_path / "a", host="X = 'host'\n")
    monkeypatch.syspath_prepend(tmp_path / "a")
    host = __import__("host")
    importing.enter(tmp_path / "a")
    importing.enter(write(tmp_path / "b", host="X = 'other'\n"))
    assert sys.modules["host"] is host


def test_a_module_is_looked_for_in_the_current_folder_first(tmp_path, monkeypatch):
    write(tmp_path / "far", init_in_pkg="", model_in_pkg="X = 'far'\n")
    write(tmp_path / "near", init_in_pkg="raise RuntimeError('run')\n", model_in_pkg="X = 'near'\n")
    monkeypatch.syspath_prepend(tmp_path / "far")
    monkeypatch.chdir(tmp_path / "near")
    assert importing.source_file("pkg.model") == tmp_path / "near" / "pkg" / "model.py"  # without running pkg
    (tmp_path / "near" / "pkg" / "__init__.py").write_text("")
    assert importing.import_module("pkg.model").X == "near"


@pytest.mark.parametrize("where", ["no_such", "pkg.no_such", "net.part", "sys", "space", "absent.py"])
def test_what_has_no_source_is_not_found(where, tmp_path, monkeypatch):
    write(tmp_path, init_in_pkg="", net="", x_in_space="")
    monkeypatch.chdir(tmp_path)
    assert importing.source_file(where) is None


def test_a_package_that_makes_its_own_path_is_followed():
    assert importing.source_file("genbench.baselines.flows.realnvp").name == "realnvp.py"


CHILD = """
import sys
def work(x):
    import net
    return x + net.W
class Model:
    def sample(self):
        return work
"""


@pytest.mark.parametrize("how", ["file", "module"])
def test_a_child_process_imports_it_again(how, tmp_path, monkeypatch):
    write(tmp_path, model=CHILD, net="W = 40\n")
    monkeypatch.chdir(tmp_path)
    module = importing.import_file(tmp_path / "model.py") if how == "file" else importing.import_module("model")
    importing.enter(tmp_path)
    # What `spawn` does: the parent's sys.path, then the pickle of the work.
    script = "import pickle, sys; sys.path[:] = {!r}; print(pickle.loads({!r})(2))"
    text = script.format(sys.path, pickle.dumps(module.Model().sample()))
    done = subprocess.run([sys.executable, "-S", "-c", text], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.stdout == "42\n", done.stderr
