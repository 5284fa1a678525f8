"""The file that a run goes on from: whatever else lies in its place is named, and nothing of it is trained on."""

import math
import os
import re

import numpy as np
import pytest
import torch
from torch import nn

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import reserved
from genbench.models.training import Preset, train
from genbench.space import Space

X = np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32)
DATA = Dataset("points", Space((2,)), X, X, X, "CC0 (generated)", "this test")
PRESET = Preset(steps=8, batch_size=8, validate_every=4)


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))

    def loss(self, x, generator):
        return (x - self.mean).square().mean()


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Where a checkpoint is to be, and what the file beside it holds half-way through the run."""
    monkeypatch.setattr(catalog, "build", lambda *_: Mean())
    monkeypatch.setattr("genbench.models.training.KEEP_EVERY", -1.0)  # after every step
    out = tmp_path / "m.safetensors"
    steps = []

    def stop(loop, done):
        steps.append(done)
        if len(steps) == 5:
            raise KeyboardInterrupt
        original(loop, done)

    from genbench.models.training import Loop

    original = Loop.take_step
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "take_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train("mixture", DATA, PRESET, out)
    assert not out.exists()
    return out, torch.load(f"{out}.resume", weights_only=True)


def test_the_run_goes_on_from_the_file(interrupted, capsys):
    out, state = interrupted
    assert state["loop"]["step"] == 4
    train("mixture", DATA, PRESET, out)
    assert "resuming from step 4 of stage 1" in capsys.readouterr().err
    assert [p.name for p in out.parent.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), None), ((), []), ((), {}), (("settings",), None), (("stage",), "0"), (("stage",), -1), (("stage",), 1),
        (("stage",), None), (("values",), 3), (("values",), None), (("loop",), None), (("loop",), []), (("loop",), {}),
        (("loop", "step"), "4"), (("loop", "step"), -4), (("loop", "step"), 4.5), (("loop", "step"), math.nan),
        (("loop", "seconds"), math.inf), (("loop", "seconds"), None), (("loop", "seconds"), -1.0),
        (("loop", "best_step"), []), (("loop", "averaged"), "x"), (("loop", "model"), {}), (("loop", "model"), None),
        (("loop", "model"), {"mean": torch.zeros(3)}), (("loop", "model"), {"mean": "x"}),
        (("loop", "best"), {"average": torch.zeros(2)}), (("loop", "average"), {"mean": torch.zeros(2, 2)}),
        (("loop", "optimisers"), []), (("loop", "optimisers"), [1, 2]), (("loop", "optimisers"), [{}]),
    ],
)  # fmt: skip
def test_a_file_that_says_something_else_is_named_and_kept(interrupted, monkeypatch, place, value):
    out, state = interrupted
    holder = {"": state}
    for key in ("", *place)[:-1]:
        holder = holder[key]
    holder[("", *place)[-1]] = value
    changed = holder[""] if place == () else state
    torch.save(changed, f"{out}.resume")
    before = (out.parent / "m.safetensors.resume").read_bytes()
    monkeypatch.setattr("genbench.models.training.Loop.take_step", lambda *_: pytest.fail("trained"))
    with pytest.raises(GenbenchError) as caught:
        train("mixture", DATA, PRESET, out)
    assert "m.safetensors.resume" in caught.value.problem
    assert caught.value.remedy == "Delete it to start afresh."
    assert len(str(caught.value).splitlines()) == 2
    assert (out.parent / "m.safetensors.resume").read_bytes() == before
    assert not out.exists()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_file_is_named_or_gone_on_from_whole(interrupted, part, damage):
    out, _ = interrupted
    path = out.parent / "m.safetensors.resume"
    data = path.read_bytes()
    at = int(part * len(data))
    flipped = data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
    path.write_bytes({"cut": data[:at], "flipped": flipped, "text": b"[1, 2]" * at}[damage])
    try:
        train("mixture", DATA, PRESET, out)
    except GenbenchError as error:
        assert "m.safetensors.resume cannot be resumed from" in error.problem  # noqa: PT017
    else:
        assert damage == "flipped"  # of a byte on which nothing depends


def test_a_state_that_cannot_be_kept_is_a_warning_and_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "build", lambda *_: Mean())
    monkeypatch.setattr("genbench.models.training.KEEP_EVERY", -1.0)

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genbench.models.resuming.write_atomically", full)
    with pytest.warns(UserWarning, match="nothing to resume from: cannot write .* No space left"):
        train("mixture", DATA, PRESET, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").is_file()


def test_a_second_trainer_of_one_file_is_told_who_is_at_it(tmp_path, monkeypatch):
    """Through a link too; and a trainer that died is in nobody's way."""
    monkeypatch.setattr(catalog, "build", lambda *_: Mean())
    out, link = tmp_path / "m.safetensors", tmp_path / "link.safetensors"
    link.symlink_to(out)
    told = []

    def second(loop, done):
        if not told:
            for path in (out, link):
                with pytest.raises(GenbenchError) as caught:
                    train("mixture", DATA, PRESET, path)
                told.append(str(caught.value))
        original(loop, done)

    from genbench.models.training import Loop

    original = Loop.take_step
    monkeypatch.setattr(Loop, "take_step", second)
    train("mixture", DATA, PRESET, out)
    assert len(told) == 2
    for text in told:
        assert re.search(rf"m.safetensors is being made by another process, {os.getpid()}, since \d\d:\d\d\n", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.safetensors", "m.safetensors"]

    abandoned = reserved(out)
    os.close(abandoned.handle)  # as the system does when a process dies
    train("mixture", DATA, PRESET, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.safetensors", "m.safetensors"]


# --- The target


class Tied(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.same = self.mean


class Unsaveable(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("odd", torch.zeros(2).to_sparse())


def test_a_model_with_tied_weights_is_trained_saved_and_loaded(tmp_path, monkeypatch):
    from genbench.models.checkpoint import load

    monkeypatch.setattr(catalog, "build", lambda *_: Tied())
    out = tmp_path / "m.safetensors"
    card = train("mixture", DATA, PRESET, out)
    assert card.parameters == 2
    model = load(out)
    assert model.same is model.mean
    assert not torch.equal(model.mean, torch.zeros(2))


def test_a_model_that_cannot_be_saved_is_refused_before_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "build", lambda *_: Unsaveable())
    monkeypatch.setattr("genbench.models.training.train_stages", lambda *_: pytest.fail("trained"))
    with pytest.raises(GenbenchError, match="cannot be saved"):
        train("mixture", DATA, PRESET, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "build", lambda *_: Mean())
    out = tmp_path / "m.safetensors"
    out.write_bytes(b"old")

    def fails(*_):
        assert out.read_bytes() == b"old"
        raise GenbenchError("the loss is nan", "Try a smaller lr.")

    monkeypatch.setattr("genbench.models.training.train_stages", fails)
    with pytest.raises(GenbenchError, match="the loss is nan"):
        train("mixture", DATA, PRESET, out)
    assert out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
