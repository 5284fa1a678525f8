"""What the command line calls a model: taken apart only where that leads to something that is there."""

from pathlib import Path

import numpy as np
import pytest

from genbench import datasets
from genbench.datasets._files import called
from genbench.errors import GenbenchError
from genbench.models.adapters import parse, split
from genbench.models.checkpoint import read_card
from genbench.query import literal


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and a way to put something at a path in it."""
    monkeypatch.chdir(tmp_path)

    def put(path: str, content: bytes = b""):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    return put


# A path that exists -> arguments that mean it, with the name and the arguments they give beside it.
PATHS = [
    "epoch=3-step=100.safetensors",
    "what?.npy",
    "a=b/c.npy",
    "a=b=c?d=e.npy",
    "?.npy",
    "=x",
    "a b.npy",
    "50%.npy",
    "a&b=c.npy",
    "a+b.npy",
    "x?y=1",
    "runs:3/x.npy",
    r"C:\models\x.npy",
    "a|b<i>$$`x`.npy",
    "line\nbreak.npy",
    "-dash.npy",
    "β=1.npy",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_exists_is_meant_as_it_stands(path, here):
    here(path)
    assert split(path) == ("", path, {})
    assert split(f"samples:{path}") == ("", f"samples:{path}", {})
    assert split(f"my model={path}") == ("my model", path, {})
    assert split(f"a|b=samples:{path}") == ("a|b", f"samples:{path}", {})
    assert split(f"{path}?beta=2&name=x+y") == ("", path, {"beta": 2, "name": "x+y"})
    assert split(f"n={path}?beta=2") == ("n", path, {"beta": 2})


def test_a_whole_path_comes_before_its_parts(here):
    for path in ("a=b.npy", "b.npy", "b.npy?c=1", "a=b.npy?c=1"):
        here(path)
    assert split("a=b.npy") == ("", "a=b.npy", {})
    assert split("x=b.npy?c=1") == ("x", "b.npy?c=1", {})
    assert split("a=b.npy?c=1") == ("", "a=b.npy?c=1", {})
    assert split("a=b.npy?d=1") == ("", "a=b.npy", {"d": 1})


# Where nothing is there, the first = ends a name and the first ? begins arguments.
@pytest.mark.parametrize(
    ("spec", "name", "what", "args"),
    [
        ("x.safetensors", "", "x.safetensors", {}),
        ("n=x.safetensors", "n", "x.safetensors", {}),
        (" a name = x.npy", "a name", " x.npy", {}),
        ("data:test", "", "data:test", {}),
        ("a|b $$=data:test", "a|b $$", "data:test", {}),
        ("m:M?a=1", "", "m:M", {"a": 1}),
        ("n=pkg.m:M?a=1&b=x", "n", "pkg.m:M", {"a": 1, "b": "x"}),
        ("m:M?", "", "m:M", {}),
        ("runs/lr=0.1/x.npy", "", "runs/lr=0.1/x.npy", {}),
        ("m.py:M?path=runs:best", "", "m.py:M", {"path": "runs:best"}),
        ("m:M?path=a+b", "", "m:M", {"path": "a+b"}),
        ("m:M?path=a=b", "", "m:M", {"path": "a=b"}),
        ("m:M?path=a%26b", "", "m:M", {"path": "a&b"}),
        ("m:M?path=what?", "", "m:M", {"path": "what?"}),
        ("m:M?a=&b=None", "", "m:M", {"a": "", "b": None}),
    ],
)
def test_an_argument_of_which_nothing_is_there(spec, name, what, args, here):
    assert split(spec) == (name, what, args)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("=x.npy", "has an empty name"),
        ("  =data:test", "has an empty name"),
        ("m:M?a=1&a=2", "argument 'a' stands twice"),
        ("m:M?a=1&b=1&%61=1", "argument 'a' stands twice"),
        ("m:M?a", "'a' in 'm:M?a' is no argument"),
        ("m:M?a=1&", "'' in 'm:M?a=1&' is no argument"),
        ("m:M?=1", "'=1' in 'm:M?=1' is no argument"),
        ("what?.npy", "'.npy' in 'what?.npy' is no argument"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(spec, words, here):
    with pytest.raises(GenbenchError) as caught:
        split(spec)
    assert words in caught.value.problem


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("True", True), ("None", None), ("[1, 2]", [1, 2]), ("'1'", "1"), ("{'a': 1}", {"a": 1})],
)
def test_a_value_is_a_literal(text, value):
    assert literal(text, "a") == value


@pytest.mark.parametrize("text", ["a b", "{[]: 1}", "(" * 300, "-'a'", "0x", ""])
def test_what_is_no_literal_is_text(text):
    assert literal(text, "a") == text


@pytest.mark.parametrize("text", ["{1, 2}", "1e999", "b'x'", "1j", "...", "{1: 2, 'a': 3}"])
def test_what_no_record_could_hold_is_refused(text):
    with pytest.raises(GenbenchError, match="argument a="):
        literal(text, "a")


# --- What it is called


@pytest.mark.parametrize("name", ["guidance-7.5", "v1.0", "a.npy.d", "x.npz", "plain", "a=b"])
def test_a_folder_is_called_by_its_whole_name(name, here, digits):
    from PIL import Image

    here(f"{name}/1.png")
    Image.fromarray(digits.train[0, 0]).save(f"{name}/1.png")
    assert parse(f"samples:{name}", digits).name == name
    assert parse(f"samples:{name}/", digits).name == name
    assert parse(f"other=samples:{name}", digits).name == "other"


@pytest.mark.parametrize("name", ["guidance-7.5", "plain", "a=b", "epoch=3-step=100", "what?"])
def test_a_file_is_called_without_its_suffix(name, here, digits, pixels_checkpoint):
    np.save(f"{name}.npy", digits.train[:3])
    here(f"{name}.safetensors", pixels_checkpoint.read_bytes())
    assert parse(f"samples:{name}.npy", digits).name == name
    assert parse(f"{name}.safetensors", digits).name == name
    assert parse(f"./{name}.safetensors", digits).extra == read_card(pixels_checkpoint)


def test_a_dataset_is_called_as_samples_are(here, digits):
    here("cifar-0.5/1.png")
    here("cifar-0.5.npz")
    assert called(Path("cifar-0.5")) == called(Path("cifar-0.5/")) == called(Path("cifar-0.5.npz")) == "cifar-0.5"


@pytest.mark.parametrize(
    "spec", ["samples:", "x=samples:", "samples:absent", "absent.safetensors", "absent", "a" * 400]
)
def test_what_is_not_there_is_said(spec, here, digits):
    with pytest.raises(GenbenchError, match=r"no (path|samples|checkpoint)"):
        parse(spec, digits)


# --- Code


MODEL = """
import torch
from genbench.space import Space
class Model:
    version = 1
    space = Space((1, 8, 8), levels=17)
    def __init__(self, value=0):
        self.value = value
    def sample(self, n, generator):
        return torch.full((n, 1, 8, 8), self.value)
class Outer:
    class Inner(Model):
        pass
instance = Model(5)
"""


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("model.py", "model.py:{}"),
        ("a b/my=model.py", "a b/my=model.py:{}"),
        ("runs:3/model.py", "runs:3/model.py:{}"),
        ("what?/model.py", "what?/model.py:{}"),
        ("pkg/model.py", "pkg.model:{}"),
        ("model.v2.py", "model.v2.py:{}"),
    ],
)
def test_an_object_is_found_in_a_file_or_module_of_the_current_folder(file, what, here, digits):
    here(file, MODEL.encode())
    for name, value in (("Model", 0), ("Model?value=3", 3), ("Outer.Inner?value=2", 2), ("instance", 5)):
        source = parse(what.format(name), digits)
        assert source.name == name.partition("?")[0]
        assert source.open(digits, "cpu").sample(2, None).unique().tolist() == [value]


@pytest.mark.parametrize(
    ("what", "words", "remedy"),
    [
        ("model.py:Modle", "model.py has no 'Modle'", "Did you mean 'Model'?"),
        ("model.py:Outer.Iner", "model.py has no 'Outer.Iner'", "Did you mean 'Inner'?"),
        ("model.py:Model.x.y", "model.py has no 'Model.x.y'", "Known"),
        ("model:absent", "model has no 'absent'", "Known"),
        ("absent.py:Model", "no code at absent.py", "Give FILE.py:OBJECT"),
        ("absent:Model", "no code at absent", "Give FILE.py:OBJECT"),
        ("model.py:instance?value=1", "takes no arguments, and value are given", "Name the class"),
    ],
)
def test_an_object_that_is_not_there_is_said(what, words, remedy, here, digits):
    here("model.py", MODEL.encode())
    with pytest.raises(GenbenchError) as caught:
        parse(what, digits)
    assert words in caught.value.problem
    assert caught.value.remedy.startswith(remedy)


def test_a_file_that_looks_like_an_object_is_a_file(here, digits, pixels_checkpoint):
    here("run:best", pixels_checkpoint.read_bytes())
    source = parse("run:best", digits)
    assert (source.adapter, source.name) == ("checkpoint", "run:best")
