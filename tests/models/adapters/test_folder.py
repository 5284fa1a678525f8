"""Folders of other frameworks as data, whether or not their libraries are installed."""

import json
import struct
import sys

import pytest

from genbench.errors import GenbenchError
from genbench.models.adapters import _folder, takers


def refused(call, problem):
    with pytest.raises(GenbenchError) as caught:
        call()
    assert problem in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2
    return caught.value.remedy


def put(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def tensors(**shapes):
    """A safetensors file of zeros."""
    header, end = {}, 0
    for name, n in shapes.items():
        header[name] = {"dtype": "F32", "shape": [n], "data_offsets": [end, end + 4 * n]}
        end += 4 * n
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def test_a_library_that_is_not_there_is_named_with_the_way_to_get_it():
    assert refused(lambda: _folder.installed("no_such_library"), "not installed") == (
        "pip install -c constraints.txt 'genbench[no_such_library]'"
    )


@pytest.mark.parametrize(
    ("code", "problem", "remedy"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "torchvision, which does not fit",
            "remove it",
        ),
        ("import no_such_part", "No module named 'no_such_part'", "tested versions"),
        ("Something = 1", "has no attribute 'Class'", "tested versions"),
    ],
)  # fmt: skip
def test_a_library_that_cannot_be_imported_is_an_error_of_two_lines(tmp_path, monkeypatch, code, problem, remedy):
    (tmp_path / "broken_library.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_library", raising=False)  # of another case, which was no failure to import
    assert remedy in refused(lambda: _folder.imported("broken_library", ["Class"]), problem)


def test_weights_are_one_file_or_what_the_index_beside_it_names(tmp_path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").write_bytes(tensors(a=3, c=4))
    (tmp_path / "model-2.safetensors").write_bytes(tensors(b=5))
    found = _folder.weights_of(tmp_path, "model")
    assert [file.name for file in found] == ["model-1.safetensors", "model-2.safetensors"]
    assert _folder.count(_folder.tensors_of(found)) == 12
    (tmp_path / "model.safetensors").write_bytes(tensors(a=1))
    assert [file.name for file in _folder.weights_of(tmp_path, "model")] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "model.bin", "missing.safetensors"])
def test_an_index_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    put(tmp_path, model__safetensors=tensors(a=1))
    put(tmp_path / "in", model__bin=b"\x80\x04.")
    (tmp_path / "in" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(lambda: _folder.weights_of(tmp_path / "in", "model"), "no safetensors file beside it")


@pytest.mark.parametrize("suffix", [s for s in _folder.PICKLES if s not in (".msgpack", ".h5")])
def test_pickles_in_place_of_weights_are_refused(tmp_path, suffix):
    (tmp_path / f"pytorch_model{suffix}").write_bytes(b"\x80\x04.")
    remedy = refused(lambda: _folder.weights_of(tmp_path, "model"), "can run code when it is loaded: refused")
    assert "save_pretrained" in remedy


def test_weights_of_another_name_are_named(tmp_path):
    put(tmp_path, **{"model.fp16__safetensors": tensors(a=1)})
    assert "Rename" in refused(lambda: _folder.weights_of(tmp_path, "model"), "there is model.fp16.safetensors")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_a_configuration_that_is_no_table_is_refused(tmp_path, content):
    put(tmp_path, config__json=content)
    with pytest.raises(GenbenchError, match=r"config\.json"):
        _folder.json_of(tmp_path / "config.json")


def test_a_scheme_is_for_the_adapter_of_its_name():
    for scheme in ("diffusers", "transformers", "onnx", "samples", "data"):
        assert list(takers(f"{scheme}:model")) == [scheme]
    assert list(takers("onnx:model.pt")) == ["onnx"]
    assert list(takers("diffusers:model.safetensors")) == ["diffusers"]
    assert list(takers("package.module:Model")) == ["code"]
