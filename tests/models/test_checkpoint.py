"""Checkpoints: what is written is read, and what cannot be trusted is refused."""

import json
import pickle
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import damage
from genbench import catalog
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.models.checkpoint import BYTES, Card, load, load_weights, read_card, read_header, save
from genbench.models.sampling import draw
from genbench.space import Space

PIXELS = Card("independent-pixels", Space((1, 8, 8), 17))


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
    return caught.value.remedy


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


def test_the_state_of_an_interrupted_training_is_called_so(tmp_path):
    path = tmp_path / "a.safetensors.resume"
    path.write_bytes(pickle.dumps({}))
    assert "a.safetensors, goes on from there" in refused(path, "a training that did not end")


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path, pixels_checkpoint):
    """The first byte is the length's lowest: 0x80 of one file in 32, since headers are padded to 8 bytes."""
    weights, card = load_file(pixels_checkpoint), read_card(pixels_checkpoint)
    for padding in range(0, 256, 8):
        path = tmp_path / f"{padding}.safetensors"
        save_file(weights, path, metadata={"genbench": card.to_json(), "padding": "x" * padding})
        assert read_card(path) == card
    assert any(p.read_bytes()[0] == 0x80 for p in tmp_path.iterdir())


# --- What a header and a card can say


def written(path, header, body: bytes = b"", length: int | None = None):
    """A safetensors file with this header, JSON or bytes."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data) if length is None else length) + data + body)
    return path


def tensor(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def test_every_type_of_tensor_has_its_size():
    """By torch's own element sizes, for the types that this torch has under the same name."""
    names = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex"}
    for name, size in BYTES.items():
        kind = name.rstrip("0123456789")
        if name in ("BOOL", "F8_E5M2", "F8_E4M3"):
            assert size == 1
        else:
            assert getattr(torch, names[kind] + name[len(kind) :]).itemsize == size


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b"{\"x\": NaN}",
        {"__metadata__": None}, {"__metadata__": []}, {"__metadata__": {"genbench": {}}}, {"__metadata__": {"a": 1}},
        {"x": None}, {"x": []}, {"x": "F32"}, {"x": {"x": tensor()}}, {"x": tensor(extra=1)},
        {"x": tensor(dtype="F33")}, {"x": tensor(dtype=None)}, {"x": tensor(dtype=["F32"])},
        {"x": tensor(shape=None)}, {"x": tensor(shape=2)}, {"x": tensor(shape=["2"])}, {"x": tensor(shape=[-2])},
        {"x": tensor(shape=[2.0])}, {"x": tensor(shape=[10**30])}, {"x": tensor(shape=[3])},
        {"x": tensor(shape=[True])},
        {"x": tensor(data_offsets=["0", "8"])}, {"x": tensor(data_offsets=[8, 0])}, {"x": tensor(data_offsets=[0])},
        {"x": tensor(data_offsets=None)}, {"x": tensor(data_offsets=[4, 12])}, {"x": tensor(data_offsets=[0, 10**30])},
        {"x": tensor(), "y": tensor()}, {"x": tensor(data_offsets=[-8, 0])},
    ],
)  # fmt: skip
def test_refuses_a_header_that_is_none(tmp_path, header):
    with pytest.raises(GenbenchError) as caught:
        read_header(written(tmp_path / "x.safetensors", header, bytes(8)))
    assert "not a complete safetensors file" in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_reads_a_header_that_is_one(tmp_path):
    tensors, metadata = read_header(written(tmp_path / "x.safetensors", {"x": tensor()}, bytes(8)))
    assert (tensors["x"].shape, tensors["x"].numbers, metadata) == ([2], 2, {})
    with pytest.raises(GenbenchError, match=r"is truncated: .* its header promises"):
        read_header(written(tmp_path / "x.safetensors", {"x": tensor()}, bytes(9)))


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_refuses_a_header_of_another_length(tmp_path, length):
    with pytest.raises(GenbenchError, match="not a complete safetensors file"):
        read_header(written(tmp_path / "x.safetensors", {"x": tensor()}, bytes(8), length))


def carded(path, source, card: str):
    save_file(load_file(source), path, metadata={"genbench": card})
    return path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("baseline", ["vae"]), ("baseline", ""), ("baseline", None), ("space", None), ("space", {"levels": 17}),
        ("space", {"shape": [], "levels": 17}), ("space", {"shape": [0], "levels": 17}),
        ("space", {"shape": [10**6, 10**6], "levels": 17}), ("space", {"shape": [8.0], "levels": 17}),
        ("space", {"shape": [8], "levels": 1}), ("space", {"shape": [8], "levels": 10**12}),
        ("space", {"shape": "88", "levels": 17}), ("space", {"shape": [8], "levels": None, "more": 1}),
        ("options", []), ("options", None), ("dataset", "digits"), ("dataset", {"name": 3}),
        ("dataset", {"vocabulary": 5}), ("training", []), ("training", {"command": []}), ("training", {"seed": "0"}),
        ("parameters", -1), ("parameters", "7"), ("author", "me"),
    ],
)  # fmt: skip
def test_refuses_a_card_and_names_the_field(tmp_path, pixels_checkpoint, field, value):
    card = {**json.loads(PIXELS.to_json()), field: value}
    with pytest.raises(GenbenchError) as caught:
        read_card(carded(tmp_path / "x.safetensors", pixels_checkpoint, json.dumps(card)))
    assert "its card cannot be read" in caught.value.problem
    assert field in caught.value.problem


def test_damaged_headers_and_cards_raise_nothing_but_errors_that_say_so(tmp_path, pixels_checkpoint):
    path, errors = tmp_path / "x.safetensors", []
    whole = pixels_checkpoint.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    card = json.loads(header["__metadata__"]["genbench"]) | {"options": {"depth": 3}}
    cases: list = list(damage.texts(header, 150))
    for text in damage.texts(card, 150):
        cases.append({**header, "__metadata__": {"genbench": text.decode(errors="replace")}})
    for case in cases:
        try:
            read_card(written(path, case, body))
        except GenbenchError as error:
            errors.append(str(error))
    assert 200 < len(errors) < len(cases)
    assert all(len(error.splitlines()) == 2 for error in errors)


@pytest.mark.parametrize(
    ("baseline", "option", "value"),
    [
        ("gated-pixelcnn", "depth", 10**8),
        ("gated-pixelcnn", "width", 5000),
        ("gated-pixelcnn", "width", 10**5),
        ("gated-pixelcnn", "classes", 10**6),
        ("vae", "latent", 10**6),
        ("ddpm", "T", 10**8),
        ("realnvp", "depth", 10**6),
        ("mixture", "components", 10**9),
        ("resampler", "size", 10**7),
    ],
)
def test_a_card_that_describes_a_giant_is_refused_before_it_is_built(baseline, option, value, monkeypatch, tmp_path):
    shipped = catalog.BASELINES / "checkpoints" / "digits" / f"{baseline}.safetensors"
    card = read_card(shipped)
    giant = replace(card, options={**card.options, option: value})
    path = carded(tmp_path / "x.safetensors", shipped, giant.to_json())
    build = catalog.build

    def on_meta_alone(*arguments):
        assert torch.empty(0).device.type == "meta", "built for real"
        return build(*arguments)

    monkeypatch.setattr(catalog, "build", on_meta_alone)
    refused(path, "would be larger than what its file can hold")


@pytest.mark.parametrize(
    "shipped", ["gated-pixelcnn", "vae", "ddpm", "realnvp", "mixture", "resampler", "gan", "vqvae"]
)
def test_a_model_that_fits_its_file_is_within_the_limits(shipped):
    load(catalog.BASELINES / "checkpoints" / "digits" / f"{shipped}.safetensors")


@pytest.mark.parametrize(
    ("option", "value"), [("depth", "three"), ("depth", 2.5), ("depth", True), ("dropout", None), ("one_hot", 1)]
)
def test_an_option_of_another_type_is_named(option, value):
    with pytest.raises(GenbenchError, match=f"option of baseline 'gated-pixelcnn': {option} is"):
        catalog.build("gated-pixelcnn", Space((1, 8, 8), 17), {option: value})


# --- Weights


class Tied(nn.Module):
    """Two names for one matrix, and a view of a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
        self.register_buffer("part", self.a.weight.detach()[:2])


def test_tied_weights_are_kept_once_and_tied_again(tmp_path):
    path, model = tmp_path / "x.safetensors", Tied()
    save(path, model, PIXELS)
    assert sorted(load_file(path)) == ["a.weight", "part"]
    other = Tied()
    load_weights(path, other)
    assert other.a.weight is other.b.weight
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_a_file_with_every_name_or_the_other_name_fills_tied_weights(tmp_path):
    path, model = tmp_path / "x.safetensors", Tied()
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    for left_out in ("none", "a.weight", "b.weight"):
        other = Tied()
        save_file({n: v for n, v in state.items() if n != left_out}, path)
        load_weights(path, other)
        assert torch.equal(other.b.weight, model.a.weight)
    save_file({"part": state["part"]}, path)
    with pytest.raises(GenbenchError, match=r"first 'a\.weight': expected \(3, 3\), found none"):
        load_weights(path, Tied())


def test_weights_that_the_model_would_cut_are_refused_and_others_widened(tmp_path):
    path, model = tmp_path / "x.safetensors", nn.Linear(2, 2)
    for dtype, fits in ((torch.float64, False), (torch.float32, True), (torch.float16, True), (torch.int64, True)):
        save_file({name: value.detach().to(dtype) for name, value in model.state_dict().items()}, path)
        if fits:
            load_weights(path, nn.Linear(2, 2))
        else:
            with pytest.raises(GenbenchError, match=r"float64, which the model's torch\.float32 would cut"):
                load_weights(path, nn.Linear(2, 2))


class Odd(nn.Linear):
    def get_extra_state(self):
        return {"a": 1}


@pytest.mark.parametrize("make", [lambda: Odd(2, 2), lambda: nn.Linear(2, 2).to(torch.complex128)])
def test_what_the_format_cannot_hold_is_refused_at_the_save(tmp_path, make):
    with pytest.raises(GenbenchError, match="cannot be saved"):
        save(tmp_path / "x.safetensors", make(), PIXELS)
    assert not list(tmp_path.iterdir())


def test_a_card_says_nothing_that_is_no_json():
    card = replace(PIXELS, training={"validation": float("inf"), "command": "é\udcff"})
    assert json.loads(card.to_json())["training"] == {"validation": None, "command": "é\\udcff"}
