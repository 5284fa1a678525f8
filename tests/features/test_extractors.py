"""Extractors: equality with torch-fidelity's own on the same weights, images of any space, weights, code."""

import hashlib
import importlib.util
import io
import os
import textwrap
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from genbench import catalog, datasets
from genbench.errors import GenbenchError, ModelError
from genbench.features import Extractor, _dinov2, _fidelity, _images, _torchvision, clip_vit_b_32, load, mnist_cnn
from genbench.features._weights import Weights, find
from genbench.files import sha256_file
from genbench.models import checkpoint
from genbench.models.checkpoint import Card
from genbench.space import Space

GREY = Space((1, 28, 28), levels=256)
COLOUR = Space((3, 20, 24), levels=256)
PUBLISHED = ("inceptionv3", "vgg16", "clip-vit-b-32", "clip-vit-l-14-336px", "dinov2-vit-b-14", "dinov2-vit-l-14")


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Empty caches, and no network."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    return tmp_path


def images(space: Space, n: int = 4) -> np.ndarray:
    """Noise, from dark to bright, so that random networks tell the images apart."""
    noise = np.random.default_rng(0).random((n, *space.shape))
    brightness = np.linspace(0.2, 1, n).reshape(n, *(1 for _ in space.shape))
    return (space.levels * brightness * noise).astype(space.dtype)


def text(body: str) -> str:
    return textwrap.dedent(body)


# What every extractor promises


def made(extract) -> Extractor:
    return Extractor("mine", "0", "none", extract)


@pytest.mark.parametrize(
    ("extract", "words"),
    [
        (lambda x: (np.zeros((len(x), 2, 2)), None), "gave features [100, 2, 2]"),
        (lambda x: (np.zeros(len(x)), None), "gave features [100] for 100 images"),
        (lambda x: (np.zeros((len(x), 0)), None), "gave features [100, 0]"),
        (lambda x: (np.zeros((len(x) + 1, 2)), None), "gave features [101, 2]"),
        (lambda x: (np.full((len(x), 2), np.nan), None), "gave 200 features that are NaN or infinite"),
        (lambda x: (np.zeros((len(x), 2)), np.zeros(len(x))), "gave logits [100]"),
        (lambda x: (np.zeros((len(x), 2)), np.full((len(x), 2), np.inf)), "gave 200 logits that are NaN or infinite"),
        (lambda x: (np.zeros((len(x), 2)), np.zeros((3, 2))), "gave logits [3, 2] for 100"),
    ],
)
def test_features_that_are_not_one_finite_row_for_each_image_are_refused(extract, words):
    with pytest.raises(GenbenchError) as caught:
        made(extract)(images(GREY), batch_size=3)
    assert words in caught.value.problem
    assert "[n, d]" in caught.value.remedy


def test_no_images_are_refused():
    with pytest.raises(GenbenchError, match="got no images"):
        made(lambda x: (x.reshape(len(x), -1), None))(images(GREY)[:0])


def test_progress_is_told_after_every_block_and_ends_with_all():
    told = []
    x = np.arange(250, dtype=np.uint8).reshape(-1, 1, 1, 1)
    load("pixels", Space((1, 1, 1), levels=256))(x, progress=told.append)
    assert told == [100, 200, 250]


def test_an_extractor_without_weights_takes_none(tmp_path):
    with pytest.raises(GenbenchError, match="'pixels' has no weights"):
        load("pixels", GREY, tmp_path / "any.pth")


# Images of any space as networks take them


def test_grey_levels_are_scaled_to_bytes_by_hand_arithmetic():
    space = Space((1, 1, 5), levels=17)
    rgb = _images.to_rgb(np.array([[[[0, 1, 8, 15, 16]]]], dtype=np.uint8), space)
    # 255/16 = 15.94 -> 16; 8 * 255/16 = 127.5 -> 128; 15 * 255/16 = 239.06 -> 239
    assert rgb.dtype == np.uint8
    assert rgb.shape == (1, 3, 1, 5)
    for channel in rgb[0]:
        assert channel.tolist() == [[0, 16, 128, 239, 255]]


@pytest.mark.parametrize("levels", [2, 3, 10, 17, 255, 256, 257, 65536])
def test_scaling_is_monotone_onto_0_to_255_and_off_by_at_most_a_half(levels):
    x = np.arange(levels).reshape(levels, 1, 1, 1)
    scaled = _images.to_rgb(x, Space((1, 1, 1), levels))[:, 0, 0, 0].astype(float)
    assert (scaled[0], scaled[-1]) == (0, 255)
    assert (np.diff(scaled) >= 0).all()
    assert abs(scaled - np.arange(levels) * 255 / (levels - 1)).max() <= 0.5


def test_bytes_of_three_channels_stay_as_they_are():
    x = images(COLOUR)
    np.testing.assert_array_equal(_images.to_rgb(x, COLOUR), x)


def test_the_rule_says_what_was_done():
    assert _images.rule(COLOUR) == "levels 0..255"
    assert _images.rule(GREY) == "levels 0..255, the one channel three times"
    digits = "levels 0..16 scaled to 0..255 and rounded, the one channel three times"
    assert _images.rule(Space((1, 8, 8), 17)) == digits


def test_images_outside_of_the_space_are_refused():
    with pytest.raises(ModelError, match=r"expected values 0\.\.16"):
        _images.to_rgb(np.full((1, 1, 8, 8), 17), Space((1, 8, 8), 17))


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("space", [Space((1, 8, 8)), Space((2,)), Space((7,), 30), Space((2, 8, 8), 256)])
def test_networks_of_photographs_refuse_what_is_no_image_of_levels(name, space, alone):
    with pytest.raises(GenbenchError, match=f"'{name}' needs images") as caught:
        load(name, space)
    assert caught.value.remedy


# torch-fidelity's networks: the same weights in its own extractor


@pytest.fixture(scope="module")
def registry() -> dict:
    _torchvision.make_importable()
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    return FEATURE_EXTRACTORS_REGISTRY


@torch.no_grad()
def peers(extractor: nn.Module, x: np.ndarray, space: Space) -> list[np.ndarray]:
    rgb = np.repeat(x, 3, axis=1) if space.shape[0] == 1 else x
    return [output.numpy() for output in extractor(torch.from_numpy(rgb))]


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 1e-5 of the largest value: the same operations in the same order differ by rounding at most."""
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert theirs.std(0).max() > 0.01 * abs(theirs).max(), "random weights whose features tell images apart"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * abs(theirs).max())


@pytest.fixture(scope="module")
def inception_weights(registry, tmp_path_factory):
    """Random weights that keep the size of activations through the layers."""

    class Unfilled(registry["inception-v3-compat"]):
        def load_state_dict(self, *_, **__):
            """Stays as it was initialised."""

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    model = Unfilled("inception-v3-compat", ["2048"], feature_extractor_weights_path=empty)
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize("space", [GREY, COLOUR])
def test_inception_features_and_logits_equal_torch_fidelitys(registry, inception_weights, space):
    outputs = ["2048", "logits_unbiased"]
    peer = registry["inception-v3-compat"](
        "inception-v3-compat", outputs, feature_extractor_weights_path=inception_weights
    )
    x = images(space)
    features, logits = load("inceptionv3", space, inception_weights)(x)
    their_features, their_logits = peers(peer, x, space)
    assert (features.shape, logits.shape) == ((4, 2048), (4, 1008))
    assert_equal(features, their_features)
    assert_equal(logits, their_logits)


def test_inception_features_do_not_depend_on_the_batch(inception_weights):
    extractor = load("inceptionv3", GREY, inception_weights)
    x = images(GREY)
    together, _ = extractor(x)
    by_threes, _ = extractor(x, batch_size=3)
    # float32 sums of at most 4032 products through some 50 layers: 50 sqrt(4032) 6e-8 = 2e-4 at worst
    np.testing.assert_allclose(together, by_threes, rtol=0, atol=2e-4 * abs(together).max())


def short(shape: tuple[int, ...], scale: float) -> torch.Tensor:
    """Random weights as an overlapping view of few numbers: every row another one, in a small file."""
    if len(shape) != 2:
        return scale * torch.randn(shape)
    rows, columns = shape
    return (scale * torch.randn(7 * (rows - 1) + columns)).as_strided(shape, (7, 1))


def test_vgg16_features_equal_torch_fidelitys(registry, tmp_path):
    import torchvision

    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tuple(w.shape) for name, w in torchvision.models.vgg16().state_dict().items()}
    state = {name: short(shape, (2 / np.prod(shape[1:] or 200)) ** 0.5) for name, shape in shapes.items()}
    path = tmp_path / "random.pth"
    torch.save(state, path)
    x = images(COLOUR, 3)
    (theirs,) = peers(registry["vgg16"]("vgg16", ["fc2_relu"], feature_extractor_weights_path=path), x, COLOUR)
    features, logits = load("vgg16", COLOUR, path)(x)
    assert features.shape == (3, 4096)
    assert logits is None
    assert_equal(features, theirs)


def clip_state(depth: int = 1) -> dict[str, torch.Tensor]:
    """Random weights of the ViT-B/32 tower with fewer layers, and of what is beside it in the published file."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    torch.manual_seed(0)
    tower = CLIPVisual(512, 224, depth, 768, 32).state_dict()
    return {**tower, "text_projection": torch.randn(512, 512), "ln_final.bias": torch.zeros(512)}


def as_torchscript(state: dict[str, torch.Tensor], path) -> None:
    """The weights as CLIP publishes its own: in a TorchScript archive."""
    root = nn.Identity()
    for name, value in state.items():
        *parents, leaf = name.split(".")
        module: nn.Module = root
        for parent in parents:
            if parent not in module._modules:
                module.add_module(parent, nn.Identity())
            module = module._modules[parent]
        module.register_parameter(leaf, nn.Parameter(value, requires_grad=False))
    torch.jit.script(root).save(str(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_clip_features_equal_torch_fidelitys_from_either_kind_of_file(registry, tmp_path):
    state, x = clip_state(), images(GREY, 3)
    torch.save(state, tmp_path / "random.pth")
    as_torchscript(state, tmp_path / "random.pt")
    peer = registry["clip-vit-b-32"]("clip-vit-b-32", ["clip"], feature_extractor_weights_path=tmp_path / "random.pt")
    (theirs,) = peers(peer, x, GREY)
    features, logits = load("clip-vit-b-32", GREY, tmp_path / "random.pth")(x)
    assert features.shape == (3, 512)
    assert logits is None
    assert_equal(features, theirs)
    published = replace(clip_vit_b_32.NETWORK.weights, sha256=sha256_file(tmp_path / "random.pt"))
    network = replace(clip_vit_b_32.NETWORK, weights=published)
    again, _ = _fidelity.extractor_of(network, GREY, tmp_path / "random.pt", "cpu")(x)
    np.testing.assert_array_equal(features, again)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_that_is_not_the_published_one_is_not_opened(registry, tmp_path):
    as_torchscript(clip_state(), tmp_path / "mine.pt")
    with pytest.raises(GenbenchError, match="TorchScript, which is code, and not the published one"):
        load("clip-vit-b-32", GREY, tmp_path / "mine.pt")(images(GREY))


def dinov2_model(depth: int = 2) -> _dinov2.VisionTransformer:
    torch.manual_seed(0)
    model = _dinov2.VisionTransformer(768, depth, patch=14, grid=37)
    for name, weights in model.named_parameters():
        if name.endswith("gamma"):
            nn.init.uniform_(weights, 0.2, 2.0)
        elif "norm" not in name:
            nn.init.normal_(weights, std=0.05)
    return model.eval()


def as_torchvision(model: _dinov2.VisionTransformer) -> nn.Module:
    """The same function as torchvision's transformer: positions at 224x224, scales of channels folded into weights."""
    from torchvision.models.vision_transformer import VisionTransformer

    w = {name: value.detach() for name, value in model.state_dict().items()}
    peer = VisionTransformer(224, 14, len(model.blocks), 12, 768, 3072)
    peer.heads = nn.Identity()
    state = {
        "conv_proj.weight": w["patch_embed.proj.weight"],
        "conv_proj.bias": w["patch_embed.proj.bias"],
        "class_token": w["cls_token"],
        "encoder.pos_embedding": model.positions(16, 16).detach(),
        "encoder.ln.weight": w["norm.weight"],
        "encoder.ln.bias": w["norm.bias"],
    }
    for i in range(len(model.blocks)):
        ours, theirs = f"blocks.{i}.", f"encoder.layers.encoder_layer_{i}."
        for kind in ("weight", "bias"):
            g1, g2 = (w[f"{ours}ls{j}.gamma"] for j in (1, 2))
            g1, g2 = (g[:, None] if kind == "weight" else g for g in (g1, g2))
            state[f"{theirs}ln_1.{kind}"] = w[f"{ours}norm1.{kind}"]
            state[f"{theirs}self_attention.in_proj_{kind}"] = w[f"{ours}attn.qkv.{kind}"]
            state[f"{theirs}self_attention.out_proj.{kind}"] = g1 * w[f"{ours}attn.proj.{kind}"]
            state[f"{theirs}ln_2.{kind}"] = w[f"{ours}norm2.{kind}"]
            state[f"{theirs}mlp.0.{kind}"] = w[f"{ours}mlp.fc1.{kind}"]
            state[f"{theirs}mlp.3.{kind}"] = g2 * w[f"{ours}mlp.fc2.{kind}"]
    peer.load_state_dict(state)
    return peer.eval()


def test_dinov2_features_equal_torch_fidelitys_around_torchvisions_transformer(registry, tmp_path, monkeypatch):
    model, x = dinov2_model(), images(COLOUR, 3)
    torch.save(model.state_dict(), tmp_path / "random.pth")
    monkeypatch.setattr(torch.hub, "load", lambda repository, name: as_torchvision(model))
    monkeypatch.setenv("XFORMERS_DISABLED", "1")  # torch-fidelity sets it: undone after the test
    (theirs,) = peers(registry["dinov2-vit-b-14"]("dinov2-vit-b-14", ["dinov2"]), x, COLOUR)
    features, logits = load("dinov2-vit-b-14", COLOUR, tmp_path / "random.pth")(x)
    assert features.shape == (3, 768)
    assert logits is None
    assert_equal(features, theirs)


def cubic_row(at: float, n: int) -> np.ndarray:
    """Weights of n points in their cubic convolution at a place (Keys 1981, a = -3/4), the edges repeated."""
    row = np.zeros(n)
    first = int(np.floor(at)) - 1
    for i in range(first, first + 4):
        s = abs(at - i)
        a = -0.75
        near, far = (a + 2) * s**3 - (a + 3) * s**2 + 1, a * (s**3 - 5 * s**2 + 8 * s - 4)
        row[min(max(i, 0), n - 1)] += near if s <= 1 else far
    return row


def test_dinov2_positions_are_resized_by_cubic_convolution_with_the_published_offset():
    model = dinov2_model(1)
    found = model.positions(16, 16)[0].detach().numpy()
    grid = model.pos_embed[0, 1:].detach().numpy().reshape(37, 37, 768)
    R = np.array([cubic_row((i + 0.5) * 37 / 16.1 - 0.5, 37) for i in range(16)])
    expected = np.einsum("ih,jw,hwd->ijd", R, R, grid).reshape(256, 768)
    np.testing.assert_array_equal(found[0], model.pos_embed[0, 0].detach().numpy())
    # float32 sums of 16 products of numbers below 0.3, and places of up to 36 rounded to 2e-6
    np.testing.assert_allclose(found[1:], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(model.positions(37, 37)[0, 1:].detach().numpy(), grid.reshape(-1, 768))


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_addresses_and_checksums_are_those_of_torch_fidelity(name, registry):
    import torchvision
    from torch_fidelity import feature_extractor_clip, feature_extractor_dinov2, feature_extractor_inceptionv3

    network = catalog.load("extractors", name).NETWORK
    assert network.name == name
    assert issubclass(registry[network.registered], nn.Module)
    assert network.outputs[0] == registry[network.registered].get_default_feature_layer_for_metric("fid")
    weights = network.weights
    if name == "inceptionv3":
        assert network.outputs[1] == registry[network.registered].get_default_feature_layer_for_metric("isc")
        assert weights.url == feature_extractor_inceptionv3.URL_INCEPTION_V3
    elif name == "vgg16":
        assert weights.url == torchvision.models.VGG16_Weights.IMAGENET1K_V1.url
    elif name.startswith("clip"):
        assert weights.url == feature_extractor_clip.MODEL_URLS[name]
        assert weights.sha256 == feature_extractor_clip.MODEL_METADATA[name]["hash"]
        assert weights.file == f"{name}-{weights.sha256}.pt"
    else:
        assert weights.file == f"{feature_extractor_dinov2.MODEL_METADATA[name]}_pretrain.pth"
    assert weights.url.endswith(weights.file) or name.startswith("clip")


def test_hash_is_of_weights_and_rule_and_the_file_can_be_told_from_the_record(tmp_path, registry):
    torch.save(clip_state(), tmp_path / "a.pth")
    grey, colour = (load("clip-vit-b-32", space, tmp_path / "a.pth") for space in (GREY, COLOUR))
    assert grey.weights == colour.weights == hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()
    assert grey.sha256 != colour.sha256
    assert grey.preprocessing.startswith("levels 0..255, the one channel three times; bilinear to 224x224")


def test_without_torch_fidelity_the_error_says_how_to_get_it(monkeypatch, inception_weights):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch_fidelity" else found(name))
    with pytest.raises(GenbenchError, match="needs torch-fidelity") as caught:
        load("inceptionv3", GREY, inception_weights)
    assert "genbench[fidelity]" in caught.value.remedy


class Trap:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, registry):
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    with pytest.raises(GenbenchError, match="no state dict that loads without running code"):
        load("inceptionv3", GREY, tmp_path / "trap.pth")(images(GREY))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("body", [b"", b"no weights at all", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_refused_in_two_parts(tmp_path, registry, body, suffix):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(body)
    with pytest.raises(GenbenchError, match="does not hold the weights of extractor 'inceptionv3'") as caught:
        load("inceptionv3", GREY, path)(images(GREY))
    assert "weights-inception-2015-12-05-6726825d.pth" in caught.value.remedy


def test_weights_of_another_network_are_refused_by_name(tmp_path, registry):
    state = clip_state()
    torch.save({**state, "visual.conv1.weight": torch.zeros(768, 3, 16, 16)}, tmp_path / "patches-of-16.pth")
    with pytest.raises(GenbenchError, match=r"visual\.conv1\.weight is \(768, 3, 16, 16\), not \(768, 3, 32, 32\)"):
        load("clip-vit-b-32", GREY, tmp_path / "patches-of-16.pth")(images(GREY))
    with pytest.raises(GenbenchError, match=r"its fc\.weight is not there"):
        load("inceptionv3", GREY, tmp_path / "patches-of-16.pth")(images(GREY))
    del state["visual.ln_post.bias"]
    torch.save(state, tmp_path / "one-missing.pth")
    with pytest.raises(GenbenchError, match=r"Missing key.*ln_post\.bias"):
        load("clip-vit-b-32", GREY, tmp_path / "one-missing.pth")(images(GREY))


# Where weights come from

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_weights_are_found_in_the_cache_then_in_torchs(alone):
    weights = Weights("w.pth", "file:///nowhere", SHA256[:8])
    own, theirs = alone / "cache" / "extractors" / "w.pth", alone / "torch" / "hub" / "checkpoints" / "w.pth"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(CONTENT)
    assert find(weights, "x") == theirs
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    assert find(weights, "x") == own


@pytest.mark.parametrize("name", PUBLISHED)
def test_offline_the_missing_file_is_named_and_where_to_put_it(alone, registry, name):
    with pytest.raises(GenbenchError, match="GENBENCH_OFFLINE is set") as caught:
        load(name, GREY)
    weights = catalog.load("extractors", name).NETWORK.weights
    assert weights.file in caught.value.problem
    assert str(alone / "torch" / "hub" / "checkpoints") in caught.value.problem
    assert weights.url in caught.value.remedy
    assert str(alone / "cache" / "extractors") in caught.value.remedy


def test_a_download_is_kept_under_its_name_with_nothing_beside_it(alone, monkeypatch):
    monkeypatch.delenv("GENBENCH_OFFLINE")
    (alone / "published").write_bytes(CONTENT)
    found = find(Weights("w.pth", (alone / "published").as_uri(), SHA256), "x")
    assert found == alone / "cache" / "extractors" / "w.pth"
    assert found.read_bytes() == CONTENT
    (alone / "published").unlink()
    assert find(Weights("w.pth", (alone / "published").as_uri(), SHA256), "x") == found, "asked for once"
    assert [p.name for p in found.parent.iterdir()] == ["w.pth"]


@pytest.mark.parametrize(("body", "reason"), [(b"something else", "its sha256 is"), (None, "No such file")])
def test_a_bad_download_says_why_and_leaves_nothing(alone, monkeypatch, body, reason):
    monkeypatch.delenv("GENBENCH_OFFLINE")
    if body is not None:
        (alone / "published").write_bytes(body)
    with pytest.raises(GenbenchError, match=reason) as caught:
        find(Weights("w.pth", (alone / "published").as_uri(), SHA256), "inceptionv3")
    assert "inceptionv3" in caught.value.problem
    assert "--extractor-weights" in caught.value.remedy
    assert [p for p in alone.rglob("*w.pth*") if p.is_file()] == []


def test_a_corrupt_copy_of_ours_is_mended_and_one_of_torchs_is_named(alone, monkeypatch):
    weights = Weights("w.pth", (alone / "published").as_uri(), SHA256)
    own, theirs = alone / "cache" / "extractors" / "w.pth", alone / "torch" / "hub" / "checkpoints" / "w.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"rot")
    with pytest.raises(GenbenchError, match="the copy there is corrupt"):
        find(weights, "x")
    (alone / "published").write_bytes(CONTENT)
    monkeypatch.delenv("GENBENCH_OFFLINE")
    assert find(weights, "x").read_bytes() == CONTENT
    own.unlink()
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"rot")
    with pytest.raises(GenbenchError, match="is corrupt: its sha256 is"):
        find(weights, "x")
    assert theirs.read_bytes() == b"rot"


# A function in code

EMBED = """
    import numpy as np

    def embed(images):
        return images.reshape(len(images), -1)[:, :6] / 2

    def classify(images):
        features = embed(images)
        return features, features[:, :3]

    def overwrite(images):
        images[:] = 0
        return np.ones((len(images), 2))

    def torches(images):
        import torch
        return torch.ones(len(images), 2, requires_grad=True)

    def words(images):
        return [["a", "b"] for _ in images]

    def nothing(images):
        return None

    def one(images):
        return np.zeros(3)

    number = 3
"""


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "my_features.py"
    path.write_text(text(EMBED))
    return path


def test_a_function_in_a_file_is_an_extractor(code):
    x = images(GREY)
    extractor = load(f"{code}:embed", GREY)
    features, logits = extractor(x, batch_size=3)
    np.testing.assert_array_equal(features, x.reshape(4, -1)[:, :6] / np.float32(2))
    assert features.dtype == np.float32
    assert logits is None
    assert extractor.name == "embed"


def test_a_function_may_give_logits_or_tensors_and_cannot_change_the_images(code):
    x = images(GREY)
    features, logits = load(f"{code}:classify", GREY)(x)
    assert (features.shape, logits.shape) == ((4, 6), (4, 3))
    np.testing.assert_array_equal(load(f"{code}:torches", GREY)(x)[0], np.ones((4, 2), np.float32))
    load(f"{code}:overwrite", GREY)(x)
    np.testing.assert_array_equal(x, images(GREY))


def test_the_identity_of_a_function_is_its_file_and_its_name(code):
    one, other = (load(f"{code}:{name}", GREY).sha256 for name in ("embed", "classify"))
    assert one != other
    assert one == load(f"{code}:embed", GREY).sha256
    code.write_text(text(EMBED) + "# a comment\n")
    assert one == load(f"{code}:embed", GREY).sha256
    code.write_text(text(EMBED) + "CHANGED = 1\n")
    assert one != load(f"{code}:embed", GREY).sha256


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", "has no 'absent'"),
        ("number", "is a int, no function"),
        ("words", "returned a list of <U1, no real numbers"),
        ("nothing", "returned a NoneType of object, no real numbers"),
        ("one", "gave features [3] for 100 images"),
    ],
)
def test_what_is_no_function_of_images_is_an_error_in_two_parts(code, name, words):
    with pytest.raises(GenbenchError) as caught:
        load(f"{code}:{name}", GREY)(images(GREY))
    assert words in caught.value.problem
    assert caught.value.remedy


def test_code_that_is_not_there_or_does_not_import_is_an_error_in_two_parts(tmp_path, code):
    with pytest.raises(GenbenchError, match="no code at"):
        load(f"{tmp_path}/absent.py:embed", GREY)
    (tmp_path / "broken.py").write_text("import absent_module\n")
    with pytest.raises(GenbenchError, match="cannot be imported: ModuleNotFoundError"):
        load(f"{tmp_path}/broken.py:embed", GREY)
    with pytest.raises(GenbenchError, match="'embed' has no weights"):
        load(f"{code}:embed", GREY, code)


# On the command line, and in the record


def small(tmp_path) -> tuple[str, str]:
    """A dataset of 52 grey images and 24 samples, as files."""
    rng = np.random.default_rng(1)
    splits = {"train": 24, "validation": 4, "test": 24}
    np.savez(tmp_path / "data.npz", **{s: rng.integers(256, size=(n, 9, 9), dtype=np.uint8) for s, n in splits.items()})
    np.savez(tmp_path / "drawn.npz", images=rng.integers(256, size=(24, 9, 9), dtype=np.uint8))
    return str(tmp_path / "data.npz"), f"samples:{tmp_path / 'drawn.npz'}"


def records(tmp_path) -> dict:
    from genbench.run.records import Run, in_rows

    return {(r.model["name"], r.metric["name"]): r for r in in_rows([Run(tmp_path / "run")])}


def test_a_function_extracts_for_a_run_and_names_its_column(cli, tmp_path, code):
    data, drawn = small(tmp_path)
    options = ("--dataset", data, "--samples", 24, "--metrics", "precision,is", "-o", tmp_path / "run")
    result, out, err = cli("evaluate", drawn, *options, "--extractor", f"{code}:classify")
    assert result == 0, err
    assert "[classify]" in out
    record = records(tmp_path)["drawn", "precision[classify]"]
    assert record.metric["extractor"] == "my_features.py:classify"
    assert record.metric["preprocessing"] == "raw values of the space, as classify() takes them"
    assert record.metric["weights_sha256"] is None
    assert records(tmp_path)["drawn", "is[classify]"].status == "ok"
    assert str(tmp_path) not in (tmp_path / "run" / "cells" / f"{record.cell_id}.json").read_text()


def test_named_weights_extract_for_a_run_and_stand_in_the_record(cli, tmp_path, registry):
    data, drawn = small(tmp_path)
    torch.save(clip_state(), tmp_path / "random.pth")
    options = ("--dataset", data, "--samples", 24, "--metrics", "precision[clip_vit_b_32],precision", "-o", "run")
    result, out, err = cli("evaluate", drawn, *options, "--extractor-weights", f"clip-vit-b-32={tmp_path}/random.pth")
    assert result == 0, err
    assert "[clip-vit-b-32]" in out
    record = records(tmp_path)["drawn", "precision[clip-vit-b-32]"]
    assert record.metric["weights_sha256"] == sha256_file(tmp_path / "random.pth")
    assert "the one channel three times; bilinear to 224x224" in record.metric["preprocessing"]
    assert records(tmp_path)["drawn", "precision[pixels]"].metric["preprocessing"] == "raw values, flattened"


def test_extractors_that_cannot_work_are_errors_of_usage_before_the_long_work(cli, tmp_path, code, alone, registry):
    data, drawn = small(tmp_path)
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    start = ("evaluate", drawn, "--dataset", data, "--samples", 24, "--metrics", "precision", "-o", "run")
    for options, words in [
        (("--extractor", "inceptionv3"), "GENBENCH_OFFLINE is set"),
        (("--extractor", "inceptionv3", "--extractor-weights", tmp_path / "bad.pth"), "does not hold the weights"),
        (("--extractor", "inceptionv3", "--extractor-weights", "absent.pth"), "no weights at absent.pth"),
        (("--extractor-weights", f"vgg16={tmp_path}/bad.pth"), "no metric uses extractor 'vgg16'"),
        (("--extractor", "digits-cnn"), "'digits-cnn' needs images"),
        (("--extractor", f"{code}:one"), "gave features [3]"),
        (("--extractor", f"{code}:absent"), "has no 'absent'"),
    ]:
        result, out, err = cli(*start, *options)
        assert (result, out) == (2, ""), err
        assert len([line for line in err.strip().splitlines() if not line.startswith("warning: ")]) == 2, err
        assert words in err
    assert not (tmp_path / "run" / "cells").exists()


# mnist-cnn


def test_mnist_cnn_has_the_accuracy_that_its_card_says(data_root):
    data = datasets.load("mnist", data_root)
    features, logits = load("mnist-cnn", data.space)(data.test)
    card = checkpoint.read_card(mnist_cnn.WEIGHTS)
    accuracy = float((logits.argmax(1) == data.labels["test"]).mean())
    assert accuracy == card.training["test_accuracy"] >= 0.992
    assert card.dataset == {"name": "mnist", "sha256": data.sha256}
    assert features.shape == (10_000, 64)
    assert features.std(0).min() > 1e-3 * features.std()


def test_mnist_cnn_reads_binary_images_as_black_and_white(data_root):
    data = datasets.load("mnist-binary", data_root)
    extractor = load("mnist-cnn", data.space)
    _, logits = extractor(data.test)
    assert (logits.argmax(1) == data.labels["test"]).mean() > 0.98
    assert extractor.preprocessing == "28x28, no resize; levels 0..1 divided by 1"
    np.testing.assert_array_equal(extractor(data.test[:9])[0], load("mnist-cnn", GREY)(255 * data.test[:9])[0])


def test_mnist_cnn_ships_in_less_than_400_kb():
    assert mnist_cnn.WEIGHTS.stat().st_size < 400_000
    assert load("mnist-cnn", GREY).sha256 == sha256_file(mnist_cnn.WEIGHTS)


@pytest.mark.parametrize("space", [Space((1, 28, 28)), Space((1, 8, 8), 17), Space((3, 28, 28), 256), Space((2,))])
def test_mnist_cnn_refuses_other_shapes_and_real_numbers(space):
    with pytest.raises(GenbenchError, match="'mnist-cnn' needs images"):
        load("mnist-cnn", space)
    with pytest.raises(GenbenchError, match="cannot be built"):
        catalog.build("mnist-cnn", space, {})


def test_mnist_cnn_refuses_the_weights_of_another_network(tmp_path):
    other = catalog.build("independent-pixels", GREY, {})
    checkpoint.save(tmp_path / "other.safetensors", other, Card("independent-pixels", GREY))
    with pytest.raises(GenbenchError, match="holds no mnist-cnn but a independent-pixels"):
        load("mnist-cnn", GREY, tmp_path / "other.safetensors")


def test_mnist_cnn_learns_with_every_parameter():
    torch.manual_seed(0)
    model = mnist_cnn.build(GREY)
    x, y = torch.from_numpy(images(GREY, 16)).long(), torch.arange(16) % 10
    model.loss(x, torch.Generator().manual_seed(0), y).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1e39 * np.ones((len(x), 3))", "too large for float32"),
        ("np.full((len(x), 3), 10**39.)", "too large for float32"),
    ],
)
def test_features_that_float32_cannot_hold_are_an_error_of_the_function(tmp_path, value, words):
    path = tmp_path / "f.py"
    path.write_text(f"import numpy as np\ndef big(x):\n    return {value}\n")
    with pytest.raises(GenbenchError) as caught:
        load(f"{path}:big", GREY).extract(images(GREY))
    assert words in caught.value.problem
    assert "extractor 'big'" in caught.value.problem


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        ("1.7e9 + np.arange(len(x) * 2.0).reshape(-1, 2)", True),
        ("2**53 + np.arange(len(x) * 2).reshape(-1, 2)", True),
        ("np.arange(len(x) * 2.0).reshape(-1, 2)", False),
        ("np.full((len(x), 2), 1.7e9)", False),
        ("x.reshape(len(x), -1)", False),
    ],
)
def test_features_that_become_copies_in_float32_are_warned_of(tmp_path, value, warned):
    path = tmp_path / "f.py"
    path.write_text(f"import numpy as np\ndef shifted(x):\n    return {value}\n")
    extractor = load(f"{path}:shifted", GREY)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        extractor.extract(images(GREY))
    assert any("equal as float32" in str(w.message) for w in said) == warned


@pytest.mark.parametrize(
    ("value", "blind"),
    [
        ("np.zeros((len(x), 2))", True),
        ("np.full((len(x), 3), 7)", True),
        ("[[1.0, 2.0]] * len(x)", True),
        ("np.minimum(x.reshape(len(x), -1).max(1, keepdims=True), 1)", True),
        ("x.reshape(len(x), -1)", False),
        ("np.zeros((len(x), 2)) + np.arange(len(x))[:, None]", False),
    ],
)
def test_features_that_tell_no_images_apart_are_warned_of(tmp_path, value, blind):
    """Any distance in them is 0, which looks best."""
    path = tmp_path / "f.py"
    path.write_text(f"import numpy as np\ndef blind(x):\n    return {value}\n")
    extractor = load(f"{path}:blind", GREY)
    for x in (images(GREY), np.repeat(images(GREY)[:1], 9, 0)):  # of one image there is nothing to tell apart
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            extractor(x)
        assert any("same features" in str(w.message) for w in said) == (blind and len(np.unique(x, axis=0)) > 1)


def test_images_are_not_those_of_an_extractor_that_writes_into_them():
    def scrub(x):
        features = x.reshape(len(x), -1).astype(np.float32)
        x[...] = 0
        return features, None

    extractor, x = Extractor("scrub", "0", "none", scrub), images(GREY)
    before = x.copy()
    extractor.check_each(x)
    assert np.array_equal(extractor(x)[0], before.reshape(len(x), -1))
    assert np.array_equal(x, before)
