"""Checkpoints: what is written is read, and what cannot be trusted is refused."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import draw


def test_a_card_says_how_the_model_was_made(pixels_checkpoint):
    card = read_card(pixels_checkpoint)
    assert (card.baseline, card.dataset["name"], card.space.levels) == ("independent-pixels", "digits", 17)


def test_a_loaded_model_draws_what_the_weights_say(pixels_checkpoint):
    a, b = (draw(load(pixels_checkpoint), 20, 0, 10) for _ in range(2))
    assert (a == b).all()


def refused(path, words):
    with pytest.raises(GenbenchError) as caught:
        load(path)
    assert words in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_refuses_a_file_that_is_not_there(tmp_path):
    refused(tmp_path / "none.safetensors", "no checkpoint at")


@pytest.mark.parametrize("kept", [4, 40, 0.5, 0.999])
def test_refuses_a_truncated_file(tmp_path, pixels_checkpoint, kept):
    data = pixels_checkpoint.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: kept if kept > 1 else int(kept * len(data))])
    with pytest.raises(GenbenchError, match=r"truncated|not a complete"):
        load(path)


def test_refuses_a_header_without_a_card(tmp_path, pixels_checkpoint):
    path = tmp_path / "bare.safetensors"
    save_file(load_file(pixels_checkpoint), path)
    refused(path, "no genbench card")


def test_refuses_a_card_of_nonsense(tmp_path, pixels_checkpoint):
    path = tmp_path / "odd.safetensors"
    save_file(load_file(pixels_checkpoint), path, metadata={"genbench": '{"baseline": "vae"}'})
    refused(path, "its card cannot be read")


def test_refuses_a_pickle_of_either_kind_without_running_it(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    old, new = tmp_path / "old.pkl", tmp_path / "new.pt"
    old.write_bytes(pickle.dumps(Bomb()))
    torch.save({"x": torch.zeros(1)}, new)
    for path in (old, new):
        refused(path, "is a pickle")
    assert not (tmp_path / "exploded").exists()


def test_refuses_a_header_that_claims_to_be_enormous(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + json.dumps({}).encode())
    refused(path, "not a complete safetensors file")


def test_refuses_weights_whose_shapes_do_not_fit(tmp_path, pixels_checkpoint):
    weights = load_file(pixels_checkpoint)
    weights["log_p"] = weights["log_p"][:, :5].contiguous()
    path = tmp_path / "small.safetensors"
    save_file(weights, path, metadata={"genbench": read_card(pixels_checkpoint).to_json()})
    refused(path, "first 'log_p': expected (64, 17), found (64, 5)")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path, pixels_checkpoint):
    """The first byte is the length's lowest: 0x80 of one file in 32, since headers are padded to 8 bytes."""
    weights, card = load_file(pixels_checkpoint), read_card(pixels_checkpoint)
    for padding in range(0, 256, 8):
        path = tmp_path / f"{padding}.safetensors"
        save_file(weights, path, metadata={"genbench": card.to_json(), "padding": "x" * padding})
        assert read_card(path) == card
    assert any(p.read_bytes()[0] == 0x80 for p in tmp_path.iterdir())
