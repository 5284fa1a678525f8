"""What was measured of other people's models before their answers were asked for again is measured anew, or marked."""

import json
from pathlib import Path

import numpy as np
import pytest

from genbench.models import steady
from genbench.run.records import RULES, UNASKED, Run, in_rows

MODEL = """
import pathlib
import torch
from genbench import Space

class Coins(torch.nn.Module):
    '''Every value is a fair coin, and every batch that is asked about leaves a mark.'''

    space = Space((8,), levels=2)
    version = 1

    def sample(self, n, generator):
        return torch.randint(2, (n, 8), generator=generator)

    def log_prob(self, x):
        with open(pathlib.Path(__file__).with_name("asked"), "a") as file:
            file.write(".")
        return torch.full((len(x),), -8 * 0.6931472)
"""
COLUMN = '''
"""Coins: the same as a baseline of a plugin."""
import torch

VERSION = 1
PRESETS = {}

class Coins(torch.nn.Module):
    def __init__(self, space):
        super().__init__()
        self.space, self.share = space, torch.nn.Parameter(torch.full((), 0.5))

    def fit(self, x, labels):
        pass

    def sample(self, n, generator):
        return torch.randint(2, (n, 8), generator=generator)

    def log_prob(self, x):
        return torch.full((len(x),), 8 * float(self.share.log()))

build = Coins
'''


@pytest.fixture
def coins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).integers(2, size=(60, 8), dtype=np.uint8)
    np.savez("coins.npz", train=x[:30], validation=x[30:40], test=x[40:], levels=2)
    np.save("drawn.npy", x[::-1])
    (tmp_path / "coins.py").write_text(MODEL)
    (tmp_path / "column.py").write_text(COLUMN)
    return tmp_path


def as_before(folder, value):
    """The records as a genbench wrote them that asked nothing again, with a value that no example has."""
    for path in (folder / "cells").glob("*.json"):
        record = json.loads(path.read_text())
        record["env"].pop(RULES, None)
        if record["metric"]["name"] == "nll" and record["status"] == "ok":
            record["value"] = value
        path.write_text(json.dumps(record))


def evaluation(metrics, *asked):
    return ["evaluate", *asked, "--dataset", "coins.npz", "--metrics", metrics, "--start-method", "none", "-o", "r"]


def values(folder, metric="nll"):
    return {
        r.model["family"]: r.value for r in Run(folder).records() if r.metric["name"] == metric and r.status == "ok"
    }


@pytest.mark.parametrize("kind", ["code", "plugin"])
def test_what_nobody_asked_twice_is_measured_anew(coins, cli, kind):
    if kind == "code":
        asked = ["mine=coins.py:Coins"]
    else:
        asked = ["mine.safetensors", "--plugin", "column.py"]
        code, _, err = cli(
            "train", "column", "--dataset", "coins.npz", "--plugin", "column.py", "-o", "mine.safetensors"
        )
        assert code == 0, err
    asked = evaluation("nll,copies", *asked)
    assert cli(*asked)[0] == 0
    (first,) = values(coins / "r").values()
    assert first == pytest.approx(1, abs=1e-6)  # bits of a fair coin
    assert "nothing to measure" in cli(*asked)[2]
    as_before(coins / "r", 0.25)
    code, _, err = cli(*asked)
    assert (code, "2 cells measured" in err) == (0, True), err
    assert list(values(coins / "r").values()) == [first]


def test_neither_are_the_arrays_behind_it(coins, cli, monkeypatch):
    asked = evaluation("nll", "mine=coins.py:Coins")
    assert cli(*asked)[0] == 0
    before = (coins / "asked").read_text()
    monkeypatch.setattr(steady, "RULES", steady.RULES + 1)
    assert cli(*asked)[0] == 0
    assert (coins / "asked").read_text() == 2 * before  # the model was asked all again
    assert "nothing to measure" in cli(*asked)[2]


@pytest.mark.parametrize("kind", ["shipped baseline", "samples"])
def test_what_no_foreign_code_answers_stays(coins, cli, kind):
    asked = ["mine=samples:drawn.npy"]
    if kind != "samples":
        asked = ["mine.safetensors"]
        assert cli("train", "independent-pixels", "--dataset", "coins.npz", "-o", "mine.safetensors")[0] == 0
    asked = evaluation("nll,copies", *asked)
    assert cli(*asked)[0] == 0
    as_before(coins / "r", 0.25)
    assert "nothing to measure" in cli(*asked)[2]


@pytest.mark.parametrize("kind", ["code", "plugin", "plugin of a family of ours"])
def test_a_page_of_such_a_run_says_so(coins, cli, kind):
    """Of a plugin whose family is one of ours the record alone does not say that it is one; a call that knows does."""
    asked = ["mine=coins.py:Coins"]
    if kind != "code":
        if kind != "plugin":
            (coins / "column.py").write_text(COLUMN.replace("VERSION = 1", "VERSION = 1\nFAMILY = 'flow'"))
        trained = ["--dataset", "coins.npz", "--plugin", "column.py", "-o", "mine.safetensors"]
        assert cli("train", "column", *trained)[0] == 0
        asked = ["mine.safetensors", "--plugin", "column.py"]
    asked = evaluation("nll", *asked)
    assert cli(*asked)[0] == 0
    assert UNASKED not in cli("leaderboard", "r")[1]
    as_before(coins / "r", 0.25)
    if kind != "plugin of a family of ours":
        assert UNASKED in cli("leaderboard", "r")[1]
    assert UNASKED in " ".join(cli(*asked, "-o", "r", "--rerun", "never", "--wide")[1].split())


def test_boards_that_ship_hold_nothing_of_other_peoples_models():
    """Records of them were made before answers were asked for twice, by baselines that tests hold to what they say."""
    for board in Path(__file__).parents[2].joinpath("leaderboards").glob("*/records.jsonl"):
        assert not any(UNASKED in record.warnings for record in in_rows([Run(board.parent)]))
