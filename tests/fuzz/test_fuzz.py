"""A short run of the fuzzer over every reader, and what it would find."""

import random

import pytest

from fuzz import fuzzing, mutators
from fuzz.readers import READERS, SLOW


def test_no_reader_does_anything_but_read_or_refuse():
    found = [one for name in READERS for one in fuzzing.fuzz(name, 4 if name in SLOW else 40, 0)[1]]
    assert found == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("raises", "KeyError at planted.py"),
        ("one-line", "an error that is not two lines"),
        ("hangs", "it takes more than"),
        ("dies", "the process ended with 0"),
        ("large", "GB of memory"),
    ],
)
def test_every_kind_of_fault_is_found_where_it_is_and_the_rest_is_read(name, what, monkeypatch):
    if name == "hangs":
        monkeypatch.setattr(fuzzing, "PATIENCE", 3.0)
    tally, (finding,) = fuzzing.fuzz(name, 7, 5, "fuzz.planted")
    assert (finding.reader, finding.seed, finding.number) == (name, 5, 3)
    assert what in finding.what
    assert tally.read + tally.refused == (7 if name in ("large", "one-line") else 6)


def test_an_input_comes_again_with_its_seed(tmp_path):
    for name in ("record", "images", "shards", "statistics"):
        (folder := tmp_path / name).mkdir()
        make, _ = READERS[name].prepare(folder)
        first, second = (fuzzing.case_of(make, name, 3, 17) for _ in range(2))
        assert first == second
        assert fuzzing.case_of(make, name, 4, 17) != first


def test_a_bomb_is_what_its_header_says(tmp_path):
    import zipfile

    path = tmp_path / "x.npz"
    path.write_bytes(mutators.bomb([("a.npy", b"1"), ("b.npy", b"2")], 0))
    assert path.stat().st_size < 3_000_000
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["a.npy", "b.npy"]
        assert archive.getinfo("a.npy").file_size > mutators.LARGE << 20
        with archive.open("a.npy") as file:
            assert file.read(8).startswith(b"\x93NUMPY")
        assert archive.read("b.npy") == b"2"
    assert len({mutators.damaged(b"x" * 500, random.Random(i)) for i in range(200)}) > 150
