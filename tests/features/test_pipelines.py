"""Extractors that stand for published numbers: every step equal to the peer's own code, on random weights.

What a peer's package does is asked of it where it is installed. dgm-eval, CMMD's reference and ADM's evaluator are no
packages: their steps are written down here once more, with torchvision and PIL as they use them.
"""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genbench import catalog
from genbench.features import _dinov2, _pipelines, _torchvision, inceptionv3, load
from genbench.space import Space

SIZES = (32, 256)
ODD = Space((3, 21, 34), levels=256)  # crops at half pixels


def extremes(space: Space) -> np.ndarray:
    """Black, white, stripes and checks of 0 and 255, an edge, noise: where kernels overshoot, and rounding shows."""
    _, h, w = space.shape
    rows, columns = np.mgrid[:h, :w]
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, h, w))
    patterns = [np.zeros((h, w)), np.full((h, w), 1), columns % 2, (rows + columns) % 2, rows // 3 % 2, columns < w / 2]
    bright = np.array([1, 0.6, 0.2])[:, None, None]  # colours that differ
    plain = [255 * np.broadcast_to(p, (3, h, w)) for p in patterns]
    return np.concatenate([plain, noise, [255 * patterns[3] * bright]]).astype(np.uint8)


SPACES = [Space((3, size, size), levels=256) for size in SIZES]


def pictures(x: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(np.moveaxis(image, 0, -1)) for image in x]


def prepared(prepare, x: np.ndarray) -> np.ndarray:
    return np.stack([prepare(image) for image in x])


@pytest.fixture(scope="module")
def transforms():
    _torchvision.make_importable()
    return pytest.importorskip("torchvision.transforms", reason="torchvision is not installed")


@pytest.fixture(scope="module")
def registry() -> dict:
    _torchvision.make_importable()
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    return FEATURE_EXTRACTORS_REGISTRY


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 1e-5 of the largest value."""
    assert ours.shape == theirs.shape
    assert theirs.std(0).max() > 0.01 * abs(theirs).max(), "features that tell the images apart"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * abs(theirs).max())


# Resizes, by their definition


def weights_of(n: int, size: int) -> np.ndarray:
    """The rows of a bicubic resize with antialias `[size, n]`: Keys' kernel with a = -1/2, widened where it shrinks."""
    scale = n / size
    wide = max(scale, 1.0)
    at = (np.arange(size)[:, None] + 0.5) * scale
    s = np.abs((np.arange(n) + 0.5 - at) / wide)
    inner, outer = 1.5 * s**3 - 2.5 * s**2 + 1, -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2
    kernel = np.where(s < 1, inner, np.where(s < 2, outer, 0.0))
    # PIL takes the points whose centres lie within the support, both ends rounded to the nearest
    first, last = ((end + 0.5).astype(int).clip(0, n) for end in (at - 2 * wide, at + 2 * wide))
    kernel[(np.arange(n) < first) | (np.arange(n) >= last)] = 0
    return kernel / kernel.sum(1, keepdims=True)


@pytest.mark.parametrize("space", [*SPACES, ODD])
def test_the_float_resize_is_bicubic_with_antialias_by_its_definition(space):
    x = extremes(space)
    R, C = weights_of(space.shape[1], 299), weights_of(space.shape[2], 299)
    expected = np.einsum("ih,nchw,jw->ncij", R, x.astype(np.float64), C, optimize=True)
    found = np.stack([_pipelines.resized_in_float(image, 299) for image in x])
    assert expected.min() < 0 < 255 < expected.max(), "the kernel overshoots"
    # two passes rounded to float32, of numbers up to 400
    np.testing.assert_allclose(found, expected.clip(0, 255), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(224, 224), (336, 336)])
@pytest.mark.parametrize("space", [*SPACES, ODD])
def test_the_resize_of_bytes_is_the_same_rounded_after_each_pass(space, size):
    x = extremes(space)
    R, C = weights_of(space.shape[1], size[0]), weights_of(space.shape[2], size[1])
    across = np.floor((x.astype(np.float64) @ C.T).clip(0, 255) + 0.5)
    expected = np.floor(np.einsum("ih,nchw->nciw", R, across).clip(0, 255) + 0.5)
    found = prepared(lambda image: _pipelines.resized(image, size), x)
    # PIL's weights have 22 bits: a value within 1e-3 of a half may be rounded the other way
    off = np.abs(found - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-2


# Step by step against the peers


@pytest.mark.parametrize("space", [*SPACES, ODD])
def test_dgm_evals_steps(space, transforms):
    """dgm_eval/models/dinov2.py, `transform`: Resize, ToTensor, Normalize."""
    steps = transforms.Compose([
        transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])),
    ])  # fmt: skip
    theirs = torch.stack([steps(picture) for picture in pictures(extremes(space))]).numpy()
    np.testing.assert_allclose(prepared(_pipelines.of_dgm_eval, extremes(space)), theirs, rtol=0, atol=1e-6)


def cmmds(picture: Image.Image) -> np.ndarray:
    """cmmd/io_util.py, `_center_crop_and_resize`, and cmmd/embedding.py, `_clip_preprocess` at equal sizes."""
    w, h = picture.size
    side = min(w, h)
    top, left = (h - side) // 2, (w - side) // 2
    cut = picture.crop((left, top, left + side, top + side)).resize((336, 336), resample=Image.BICUBIC)
    x = np.asarray(cut).astype(np.float32) / 255.0
    mean, sd = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    return np.moveaxis((x - mean) / sd, -1, 0)


@pytest.mark.parametrize("space", [*SPACES, ODD, Space((3, 34, 21), levels=256)])
def test_cmmds_steps(space):
    theirs = np.stack([cmmds(picture) for picture in pictures(extremes(space))])
    np.testing.assert_allclose(prepared(_pipelines.of_cmmd, extremes(space)), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("space", [*SPACES, ODD, Space((3, 34, 21), levels=256)])
def test_clips_own_transform(space, transforms):
    """clip/clip.py, `_transform`."""
    steps = transforms.Compose([
        transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ])  # fmt: skip
    theirs = torch.stack([steps(picture) for picture in pictures(extremes(space))]).numpy()
    np.testing.assert_allclose(prepared(_pipelines.of_clip_fid, extremes(space)), theirs, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("space", [*SPACES, ODD])
def test_clean_fids_own_resizers(space):
    _torchvision.make_importable()
    theirs = pytest.importorskip("cleanfid.resize", reason="clean-fid is not installed")
    x = extremes(space)
    resize = theirs.build_resizer("clean")
    found = prepared(_pipelines.of_clean_fid, x)
    expected = np.stack([resize(np.asarray(picture)) for picture in pictures(x)])
    np.testing.assert_array_equal(found, (np.moveaxis(expected, -1, 1) - np.float32(128)) / np.float32(128))
    clip_features = pytest.importorskip("cleanfid.clip_features", reason="clip, which clean-fid uses, is not installed")
    bytes_ = [np.moveaxis(clip_features.img_preprocess_clip(np.asarray(picture)), -1, 0) for picture in pictures(x)]
    expected = np.stack([_pipelines.standardised(image, _pipelines.CLIP) for image in bytes_])
    np.testing.assert_array_equal(prepared(_pipelines.of_clip_fid, x), expected)


@pytest.mark.parametrize("size", SIZES)
def test_torch_fidelitys_resize_is_tensorflows_as_in_adms_graph(size, registry):
    """The graph that ADM's evaluator loads resizes as TensorFlow 1 did: ResizeBilinear without half-pixel centres."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

    x = extremes(Space((3, size, size), 256)).astype(np.float32)
    theirs = tf.compat.v1.image.resize_bilinear(np.moveaxis(x, 1, -1), (299, 299), align_corners=False).numpy()
    ours = resize(torch.from_numpy(x), size=(299, 299), align_corners=False).numpy()
    np.testing.assert_allclose(ours, np.moveaxis(theirs, -1, 1), rtol=0, atol=1e-5 * 255)


# Features


def few(space: Space) -> np.ndarray:
    """Checks, an edge, noise and coloured checks: what networks have to look at is slow."""
    return extremes(space)[[3, 5, 6, 8]]


@pytest.fixture(scope="module")
def inception(registry, tmp_path_factory):
    """The path of random weights that keep the size of activations, and torch-fidelity's network with them."""

    class Unfilled(registry["inception-v3-compat"]):
        def load_state_dict(self, *_, **__):
            """Stays as it was initialised."""

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    model = Unfilled("inception-v3-compat", ["2048"], feature_extractor_weights_path=empty)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(model.state_dict(), path)
    return path, model


@torch.no_grad()
def test_the_layers_behind_the_resize_are_torch_fidelitys(inception):
    """At 299x299 its resize does nothing, so its whole forward is that of the layers."""
    _, model = inception
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 299, 299), dtype=np.uint8))
    (theirs,) = model(x)
    np.testing.assert_array_equal(_pipelines.pooled(model, (x.float() - 128) / 128).numpy(), theirs.numpy())


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_clean_features_are_those_of_the_layers_on_the_resized_images(space, inception):
    path, model = inception
    x = few(space)
    R, C = weights_of(space.shape[1], 299), weights_of(space.shape[2], 299)
    images = np.einsum("ih,nchw,jw->ncij", R, x.astype(np.float64), C, optimize=True).clip(0, 255)
    theirs = _pipelines.pooled(model, torch.from_numpy((images - 128) / 128).float()).numpy()
    features, logits = load("inceptionv3-clean", space, path)(x)
    assert logits is None, "nobody publishes the inception score behind this resize"
    assert_equal(features, theirs)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("space", SPACES)
def test_clean_features_are_those_of_clean_fids_resize_and_pytorch_fids_network(space, inception, monkeypatch):
    _torchvision.make_importable()
    cleanfid = pytest.importorskip("cleanfid.resize", reason="clean-fid is not installed")
    peer = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    path, _ = inception
    monkeypatch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: torch.load(path, weights_only=True))
    network = peer.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    x = few(space)
    resized = np.stack([cleanfid.build_resizer("clean")(np.asarray(picture)) for picture in pictures(x)])
    images = (torch.from_numpy(np.moveaxis(resized, -1, 1)) - 128) / 128
    theirs = network(images)[0].flatten(1).numpy()
    assert_equal(load("inceptionv3-clean", space, path)(x)[0], theirs)


def between(n: int, size: int) -> np.ndarray:
    """The rows of a bilinear resize with half-pixel centres, edges repeated, no antialias: `[size, n]`."""
    at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, None)
    low = np.minimum(at.astype(int), n - 1)
    share = at - low
    rows = np.zeros((size, n))
    rows[np.arange(size), low] += 1 - share
    rows[np.arange(size), np.minimum(low + 1, n - 1)] += share
    return rows


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_pytorch_fids_features_are_those_of_the_layers_on_bilinear_images(space, inception):
    path, model = inception
    x = few(space)
    R, C = between(space.shape[1], 299), between(space.shape[2], 299)
    images = 2 * np.einsum("ih,nchw,jw->ncij", R, x / 255.0, C, optimize=True) - 1
    theirs = _pipelines.pooled(model, torch.from_numpy(images).float()).numpy()
    features, _ = load("inceptionv3-pytorch-fid", space, path)(x)
    assert_equal(features, theirs)
    others = load("inceptionv3", space, path)(x)[0]
    assert abs(features - others).max() > 1e-3 * abs(others).max(), "torch-fidelity's resize is another"


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_pytorch_fids_features_are_its_own(space, inception, monkeypatch):
    _torchvision.make_importable()
    peer = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    path, _ = inception
    monkeypatch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: torch.load(path, weights_only=True))
    assert inceptionv3.NETWORK.weights.sha256 in peer.FID_WEIGHTS_URL, "its weights have the same checksum"
    x = few(space)
    theirs = peer.InceptionV3([3]).eval()(torch.from_numpy(x).float() / 255)[0].flatten(1).numpy()
    assert_equal(load("inceptionv3-pytorch-fid", space, path)(x)[0], theirs)


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_spatial_features_are_what_passes_through_torch_fidelitys_own_forward(space, inception):
    """evaluator.py: mixed_6/conv, `spatial[..., :7]`, reshaped from height, width, channel."""
    path, model = inception
    seen = []
    hook = model.Mixed_6d.branch1x1.register_forward_hook(lambda module, given, found: seen.append(found.clone()))
    x = few(space)
    model(torch.from_numpy(x))
    hook.remove()
    channels_last = np.moveaxis(seen[0].numpy(), 1, -1)
    assert channels_last.shape == (len(x), 17, 17, 192)
    features, _ = load("inceptionv3-spatial", space, path)(x)
    assert_equal(features, channels_last[..., :7].reshape(len(x), -1))


def dinov2_large() -> _dinov2.VisionTransformer:
    torch.manual_seed(0)
    model = _dinov2.VisionTransformer(1024, 1, patch=14, grid=37)
    for name, weights in model.named_parameters():
        if name.endswith("gamma"):
            nn.init.uniform_(weights, 0.2, 2.0)
        elif "norm" not in name:
            nn.init.normal_(weights, std=0.05)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_features_of_dgm_evals_pipeline(space, transforms, registry, tmp_path):
    model, x = dinov2_large(), few(space)
    torch.save(model.state_dict(), tmp_path / "random.pth")
    steps = transforms.Compose([
        transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])),
    ])  # fmt: skip
    theirs = model(torch.stack([steps(picture) for picture in pictures(x)])).numpy()
    assert_equal(load("dinov2-vit-l-14-dgm", space, tmp_path / "random.pth")(x)[0], theirs)


def clip_state(width: int, patch: int, grid: int, out: int) -> dict[str, torch.Tensor]:
    """Random weights of an image tower of one layer, as half floats hold them, which is how CLIP is published."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    torch.manual_seed(0)
    tower = CLIPVisual(out, patch * grid, 1, width, patch).state_dict()
    return {name: w.half().float() for name, w in {**tower, "text_projection": torch.zeros(8, out)}.items()}


def clips_tower(state: dict[str, torch.Tensor], size: int) -> nn.Module:
    """OpenAI's own image tower with these weights."""
    _torchvision.make_importable()
    model = pytest.importorskip("clip.model", reason="OpenAI's clip is not installed")
    w = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
    width, patch = w["conv1.weight"].shape[0], w["conv1.weight"].shape[-1]
    peer = model.VisionTransformer(size, patch, width, 1, width // 64, w["proj"].shape[1])
    peer.load_state_dict(w)
    return peer.eval()


@torch.no_grad()
@pytest.mark.parametrize("peer", ["torch-fidelity's tower", "OpenAI's"])
@pytest.mark.parametrize("space", SPACES)
def test_features_of_cmmds_pipeline_have_length_1(space, peer, registry, tmp_path):
    from torch_fidelity.feature_extractor_clip import build_model

    state, x = clip_state(1024, 14, 24, 768), few(space)
    torch.save(state, tmp_path / "random.pth")
    network = clips_tower(state, 336) if peer == "OpenAI's" else build_model(dict(state), torch.float32).visual.eval()
    embedded = network(torch.from_numpy(np.stack([cmmds(picture) for picture in pictures(x)])).float()).numpy()
    theirs = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    features, _ = load("clip-vit-l-14-336px-cmmd", space, tmp_path / "random.pth")(x)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=0, atol=1e-6)
    assert_equal(features, theirs)


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_features_of_clip_fid_are_those_of_openais_transform_and_tower(space, registry, tmp_path):
    state, x = clip_state(768, 32, 7, 512), few(space)
    network = clips_tower(state, 224)
    torch.save(state, tmp_path / "random.pth")
    import clip

    steps = clip.clip._transform(224)
    theirs = network(torch.stack([steps(picture) for picture in pictures(x)])).numpy()
    assert_equal(load("clip-vit-b-32-clean", space, tmp_path / "random.pth")(x)[0], theirs)


# What the record says


SISTERS = {
    "clip-vit-b-32-clean": "clip-vit-b-32",
    "clip-vit-l-14-336px-cmmd": "clip-vit-l-14-336px",
    "dinov2-vit-l-14-dgm": "dinov2-vit-l-14",
    "inceptionv3-clean": "inceptionv3",
    "inceptionv3-pytorch-fid": "inceptionv3",
    "inceptionv3-spatial": "inceptionv3",
}


@pytest.mark.parametrize("name", SISTERS)
def test_each_has_the_weights_of_its_sister_and_a_rule_of_its_own(name, registry):
    network = catalog.load("extractors", name).NETWORK
    sister = catalog.load("extractors", SISTERS[name]).NETWORK
    assert network.name == name
    assert network.weights == sister.weights
    assert network.resize != sister.resize


def test_two_pipelines_on_one_file_of_weights_are_two_extractors(inception, registry):
    path, _ = inception
    found = {name: load(name, SPACES[0], path) for name in ("inceptionv3", "inceptionv3-clean", "inceptionv3-spatial")}
    assert len({one.sha256 for one in found.values()}) == 3
    assert len({one.weights for one in found.values()}) == 1
    assert "PIL bicubic" in found["inceptionv3-clean"].preprocessing
    assert "17x17x7" in found["inceptionv3-spatial"].preprocessing
