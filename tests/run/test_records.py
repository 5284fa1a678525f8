"""Records: written whole or not at all, strict JSON, readable by strangers."""

import json
import math
import os

import numpy as np
import pytest

import damage
from genbench.errors import GenbenchError
from genbench.files import canonical, content_key
from genbench.run.records import Record, Run, open_run, read_runs


def record(**changes):
    parts = dict(
        cell_id="a" * 16,
        run_id="run",
        status="ok",
        model={"name": "m", "family": "flow", "parameters": 3},
        dataset={"name": "d", "n": 10, "sha256": "f" * 64},
        metric={"name": "nll", "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}},
        protocol={},
        env={"device": "cpu", "threads": 1},
        value=1.5,
        kind="exact",
        ended="2026-01-01",
    )
    return Record(**{**parts, **changes})


def test_a_record_survives_the_round_trip(tmp_path):
    run = Run(tmp_path / "run")
    run.put(record(ci95=(1.0, 2.0), details={"n": np.int64(3)}))
    found = run.get("a" * 16)
    assert (found.value, found.ci95, found.details) == (1.5, [1.0, 2.0], {"n": 3})


def test_numbers_that_are_not_finite_become_null_and_a_warning():
    body = json.loads(record(value=math.inf, details={"x": [1.0, math.nan]}).to_json())
    assert body["value"] is None
    assert body["details"] == {"x": [1.0, None]}
    assert body["warnings"] == ["value is inf", "details.x[1] is nan"]


def test_a_file_cut_short_counts_as_missing(tmp_path):
    run = Run(tmp_path / "run")
    run.put(record())
    path = run.cells / f"{'a' * 16}.json"
    path.write_text(path.read_text()[:50])
    assert run.get("a" * 16) is None
    assert run.records() == []


def test_identity_does_not_depend_on_the_order_of_keys():
    assert content_key({"a": 1, "b": [2.5, None]}) == content_key({"b": [2.5, None], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert canonical({"b": 1, "a": 2}) == '{"a":2,"b":1}'


def test_of_one_cell_measured_twice_the_later_counts(tmp_path):
    for name, value, ended in (("new", 2.0, "2026-02-01"), ("old", 1.0, "2026-01-01")):
        Run(tmp_path / name).put(record(value=value, ended=ended))
    assert [r.value for r in read_runs([tmp_path / "new", tmp_path / "old"])] == [2.0]


def test_arrays_come_back_or_are_missing(tmp_path):
    run = Run(tmp_path / "run")
    run.put_arrays("key", {"x": np.arange(4)})
    assert np.array_equal(run.get_arrays("key")["x"], np.arange(4))
    path = run.arrays / "key.npz"
    path.write_bytes(path.read_bytes()[:40])
    assert run.get_arrays("key") is None


A, B = "a" * 16, "b" * 16


def row(name, model, planned="2026-01-01", **cells):
    return {"name": name, "model": model, "planned": planned, "cells": cells}


def test_a_plan_grows_when_a_run_is_used_again(tmp_path):
    run = Run(tmp_path / "run")
    run.write_manifest({"rows": {"x": row("m", A, a="nll")}})
    run.write_manifest({"rows": {"x": row("m", A, "2026-02-01", b="fd"), "y": row("n", B, c="fd")}})
    rows = run.manifest()["rows"]
    assert rows["x"] == row("m", A, "2026-02-01", a="nll", b="fd")
    assert set(rows) == {"x", "y"}


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(GenbenchError, match="no run at"):
        open_run(tmp_path)


# --- What cannot be read


def unreadable(tmp_path, **changes) -> str:
    """Why a record with these changes cannot be read, in the words of `Run.unreadable`."""
    run = Run(tmp_path / "run")
    run.put(record())
    path = run.cells / f"{'a' * 16}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert run.get("a" * 16) is None, "it is to be measured again"
    assert run.records() == []
    ((found, why),) = run.unreadable()
    assert found == path
    assert str(path) in why
    assert "\n" not in why
    return why


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "1.0"),
        ("value", True),
        ("value", [1.0]),
        ("kind", "certain"),
        ("kind", None),  # of a record that is ok
        ("status", "fine"),
        ("ci95", [1.0]),
        ("ci95", [1.0, "2"]),
        ("ci95", {"low": 1}),
        ("stderr", -1.0),
        ("n_nonfinite", -1),
        ("complete", "yes"),
        ("warnings", "one"),
        ("warnings", [1]),
        ("error", {"type": "E"}),
        ("details", []),
        ("details", {"note": 3}),
        ("ended", 2026),
        ("model", {"family": "flow", "parameters": 3}),
        ("model", {"name": "", "family": "flow", "parameters": 3}),
        ("model", {"name": ["a"], "family": "flow", "parameters": 3}),
        ("model", {"name": "m", "family": "flow", "parameters": "3"}),
        ("dataset", {"name": "d", "n": 0, "sha256": "f"}),
        ("dataset", {"name": "d", "n": 1, "sha256": "f", "space": {"shape": [], "levels": 2}}),
        ("dataset", {"name": "d", "n": 1, "sha256": "f", "space": {"shape": [-1], "levels": 2}}),
        ("metric", {"name": "nll", "version": 1, "direction": "up", "unit": "", "params": {}}),
        ("protocol", {"n_samples": "many"}),
        ("protocol", {"seed": [0]}),
        ("env", {"device": "cpu", "threads": "1"}),
        ("arrays", {"samples": "../../secret"}),
        ("arrays", {"samples": "/etc/passwd"}),
        ("arrays", {"samples": "a" * 15}),
        ("arrays", {"samples": "a" * 16 + "\n"}),
        ("arrays", {"samples": "A" * 16}),
        ("arrays", ["a" * 16]),
        ("valeu", 1.0),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(tmp_path, field, value):
    assert field in unreadable(tmp_path, **{field: value})


@pytest.mark.parametrize("name", ["cell_id", "run_id", "status", "model", "dataset", "metric", "protocol"])
def test_a_field_that_is_missing_is_named(tmp_path, name):
    run = Run(tmp_path / "run")
    run.put(record())
    (path,) = run.files()
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    assert f"{name} is missing" in run.unreadable()[0][1]


def test_a_newer_schema_is_named_as_such(tmp_path):
    assert "has schema_version 99, this genbench reads 2" in unreadable(tmp_path, schema_version=99, novelty=[1])


@pytest.mark.parametrize("schema", ["2", 1.5, None, True, [2]])
def test_a_schema_that_is_no_number_is_an_error_like_any_other(tmp_path, schema):
    assert "schema_version" in unreadable(tmp_path, schema_version=schema)


def test_a_record_under_the_name_of_another_is_not_that_cell(tmp_path):
    run = Run(tmp_path / "run")
    run.put(record())
    path = run.cells / f"{'b' * 16}.json"
    (run.cells / f"{'a' * 16}.json").rename(path)
    assert run.get("b" * 16) is None
    assert "holds the record of another cell" in run.unreadable()[0][1]


def test_what_can_be_read_is_shown_beside_what_cannot(tmp_path):
    run = Run(tmp_path / "run")
    run.put(record())
    for name, data in (("b", b"\xff\xfe"), ("c", b""), ("d", b"{}"), ("e", b"null")):
        (run.cells / f"{name * 16}.json").write_bytes(data)
    (run.cells / "folder.json").mkdir()
    os.mkfifo(run.cells / "pipe.json")
    assert [r.cell_id for r in run.records()] == ["a" * 16]
    assert [path.stem[0] for path, _ in run.unreadable()] == ["b", "c", "d", "e", "f", "p"]


def test_a_damaged_record_raises_nothing_but_the_error_that_names_it(tmp_path):
    whole = json.loads(record(ci95=(1.0, 2.0), arrays={"samples": "0" * 16}, details={"note": "n"}).to_json())
    errors = []
    for text in damage.texts(whole, 600):
        try:
            found = Record.from_json(text)
        except GenbenchError as error:
            errors.append(str(error))
            continue
        assert isinstance(found.value, float | None)
        assert Record.from_json(found.to_json()) == found
    assert 300 < len(errors) < 600
    assert all(len(error.splitlines()) == 2 for error in errors)


def test_a_name_that_is_no_unicode_is_written_so_that_it_can_be_read(tmp_path):
    run = Run(tmp_path / "run")
    run.put(record(model={**record().model, "name": os.fsdecode(b"caf\xe9")}))
    assert run.records()[0].model["name"] == "caf\\udce9"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"rows": []}', '{"rows": {"a": {"name": "m"}}}', '{"rows": {"a": 1}}']
)
def test_a_damaged_manifest_is_named_and_written_anew(tmp_path, text):
    run = Run(tmp_path / "run")
    run.write_manifest({"rows": {"x": row("m", A, a="nll")}})
    path = run.folder / "manifest.json"
    path.write_text(text)
    with pytest.raises(GenbenchError, match=r"manifest\.json"):
        run.manifest()
    assert [found for found, _ in run.unreadable()] == [path]
    with pytest.warns(UserWarning, match="written anew"):
        run.write_manifest({"rows": {"y": row("n", B, b="fd")}})
    assert run.manifest()["rows"] == {"y": row("n", B, b="fd")}
    assert run.unreadable() == []


# --- Arrays


def test_arrays_that_are_no_npz_are_missing(tmp_path):
    run = Run(tmp_path / "run")
    run.put_arrays("key", {"x": np.arange(4), "y": np.ones((2, 3))})
    path = run.arrays / "key.npz"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):  # a flipped bit is seen, or lies where nothing depends on it (a date, the name of an array)
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        for name, x in (run.get_arrays("key") or {}).items():
            assert name not in "xy" or np.array_equal(x, {"x": np.arange(4), "y": np.ones((2, 3))}[name])
    path.write_bytes(b"\x80\x04.")
    assert run.get_arrays("key") is None


# --- Where a run can be


def test_a_run_is_checked_before_the_work_and_nothing_is_left(tmp_path):
    Run(tmp_path / "not" / "yet").check()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(GenbenchError, match="cannot write into"):
            Run(folder).check()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "arrays").write_text("")
    with pytest.raises(GenbenchError, match="cannot write into"):
        Run(tmp_path / "run").check()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(GenbenchError, match="cannot write into"):
        Run(tmp_path / "gone").check()


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.zeros(0), np.array(1.0)])
def test_arrays_without_values_say_nothing_of_examples(tmp_path, values):
    run = Run(tmp_path / "run")
    run.put_arrays("0" * 16, {"values": values})
    assert run.example_values("0" * 16) is None


def test_a_record_is_read_once_and_again_when_its_file_is_another(tmp_path, monkeypatch):
    run, read = Run(tmp_path / "run"), []
    from_json = Record.from_json
    monkeypatch.setattr(Record, "from_json", lambda text, where: read.append(where) or from_json(text, where))
    run.put(record(value=1.5))
    assert [run.get("a" * 16).value for _ in range(3)] == [1.5] * 3
    assert (len(read), run.unreadable()) == (1, [])
    run.put(record(value=2.5))  # of the same size
    assert run.get("a" * 16).value == 2.5
    path = run.cells / f"{'a' * 16}.json"
    path.write_text("{")
    assert run.get("a" * 16) is None
    assert [found for found, _ in run.unreadable()] == [path]
    assert run.unreadable(cells={"b" * 16}) == []
