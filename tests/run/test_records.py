"""Records: written whole or not at all, strict JSON, readable by strangers."""

import json
import math

import numpy as np
import pytest

from genbench.errors import GenbenchError
from genbench.files import canonical, content_key
from genbench.run.records import Record, Run, open_run, read_runs, slug


def record(**changes):
    parts = dict(
        cell_id="a" * 16,
        run_id="run",
        status="ok",
        model={"name": "m"},
        dataset={"name": "d"},
        metric={"name": "nll"},
        protocol={},
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


def row(name, model, planned="2026-01-01", **cells):
    return {"name": name, "model": model, "planned": planned, "cells": cells}


def test_a_plan_grows_when_a_run_is_used_again(tmp_path):
    run = Run(tmp_path / "run")
    run.write_manifest({"rows": {"x": row("m", "k", a="nll")}})
    run.write_manifest({"rows": {"x": row("m", "k", "2026-02-01", b="fd"), "y": row("n", "l", c="fd")}})
    rows = run.manifest()["rows"]
    assert rows["x"] == row("m", "k", "2026-02-01", a="nll", b="fd")
    assert set(rows) == {"x", "y"}


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(GenbenchError, match="no run at"):
        open_run(tmp_path)


@pytest.mark.parametrize(("name", "file"), [("a b/c", "a-b-c"), ("../x", "x"), ("???", "model")])
def test_names_become_safe_file_names(name, file):
    assert slug(name) == file
