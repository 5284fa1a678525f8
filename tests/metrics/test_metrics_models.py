"""Metrics of what a model does beyond sampling: reconstruction, paths between latents, samples by class."""

import functools
import math
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from genbench import datasets
from genbench.cli import shipped
from genbench.datasets._files import load_labelled
from genbench.errors import GenbenchError, ModelError, Unavailable
from genbench.features import Extractor, _torchvision, load
from genbench.metrics import (
    class_agreement,
    density_coverage,
    fd,
    path_length,
    per_class,
    precision_recall,
    reconstruction,
    rfd,
)
from genbench.models.adapters import parse
from genbench.models.interpolation import lerp, path_lengths, slerp
from genbench.models.sampling import draw, reconstruct, to_tensor
from genbench.numerics.choice import chosen
from genbench.numerics.points import Points
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows
from genbench.space import Space

BYTES = Space((1, 28, 28), levels=256)


def images(n, shape=(1, 28, 28), levels=256, seed=0):
    """Smooth random images and noisy versions of them, real-valued."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, *shape))
    for axis in (2, 3):
        x = correlate1d(x, np.ones(5) / 5, axis=axis)
    x = np.rint((levels - 1) * (x - x.min()) / np.ptp(x))
    return x.astype(np.uint8), (0.9 * x + 0.05 * levels * rng.standard_normal(x.shape)).astype(np.float32)


# Reconstruction


def test_ssim_and_psnr_are_those_of_torchmetrics():
    _torchvision.make_importable()
    peers = pytest.importorskip("torchmetrics.functional.image")
    x, y = images(6, (3, 28, 30))
    found = reconstruction.compute(y, x, Space((3, 28, 30), levels=256), None)
    a, b = (torch.from_numpy(z.astype(np.float64)) for z in (y, x))
    options = {"data_range": 255.0, "reduction": None, "return_full_image": True}
    _, places = peers.structural_similarity_index_measure(a, b, **options)
    inside = places[..., 5:-5, 5:-5]  # the peer goes on to the borders, where it mirrors the image
    assert found["ssim"].value == pytest.approx(float(inside.mean()), rel=1e-10)
    peer = peers.peak_signal_noise_ratio(a, b, data_range=255.0, reduction=None, dim=(1, 2, 3))
    assert found["psnr"].value == pytest.approx(float(peer.mean()), rel=1e-6)
    assert found["mse"].value == pytest.approx(float(((a - b) / 255).square().mean()), rel=1e-12)


def wangs_ssim(x, y, side):
    """Equation 13 by direct convolutions of one image [H, W] on [0, 1], at places whose window lies inside."""
    at = np.arange(side) - side // 2
    w = np.exp(-(at**2) / (2 * 1.5**2))
    edge = slice(side // 2, -(side // 2) or None)

    def local(z):
        return correlate1d(correlate1d(z, w / w.sum(), axis=0), w / w.sum(), axis=1)[edge, edge]

    mx, my = local(x), local(y)
    vx, vy, c = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
    return ((2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean()


@pytest.mark.parametrize(("size", "side"), [(28, 11), (11, 11), (8, 7), (3, 3), (1, 1)])
def test_ssim_is_wangs_by_direct_convolution_and_its_window_shrinks_to_fit(size, side):
    x, y = images(3, (1, size, size + 2), levels=17)
    found = reconstruction.compute(y, x, Space((1, size, size + 2), levels=17), None)["ssim"]
    expected = np.mean([wangs_ssim(a[0] / 16, b[0] / 16, side) for a, b in zip(y.astype(float), x, strict=True)])
    assert found.value == pytest.approx(expected, rel=1e-10)
    assert found.details["window"] == side


def test_reconstruction_of_constant_images_by_hand():
    # x = 0.2, y = 0.6 everywhere: MSE 0.16, PSNR -10 log10 0.16; no variance, so SSIM is the first factor,
    # (2 0.2 0.6 + C1)/(0.2^2 + 0.6^2 + C1) = 0.2401/0.4001. A second image is given back exactly.
    x = np.stack([np.full((1, 28, 28), 51), np.full((1, 28, 28), 7)]).astype(np.uint8)
    y = np.stack([np.full((1, 28, 28), 153.0), np.full((1, 28, 28), 7.0)])
    found = reconstruction.compute(y, x, BYTES, None)
    assert found["mse"].value == pytest.approx(0.08, rel=1e-12)
    assert found["ssim"].value == pytest.approx((0.2401 / 0.4001 + 1) / 2, rel=1e-9)
    assert found["psnr"].value == math.inf
    assert found["psnr"].n_nonfinite == 1
    assert found["psnr"].details["of_mean_mse"] == pytest.approx(-10 * math.log10(0.08))
    assert reconstruction.compute(y[:1], x[:1], BYTES, None)["psnr"].value == pytest.approx(-10 * math.log10(0.16))


def test_an_exact_reconstruction_is_the_best_there_is():
    x, _ = images(4)
    found = reconstruction.compute(x.astype(np.float32), x, BYTES, None)
    assert (found["mse"].value, found["psnr"].value) == (0, math.inf)
    assert found["ssim"].value == pytest.approx(1, abs=1e-12)
    assert found["psnr"].details["of_mean_mse"] is None


def test_blocks_of_images_change_nothing(monkeypatch):
    x, y = images(7)
    whole = reconstruction.compute(y, x, BYTES, None)["ssim"].value
    monkeypatch.setattr(reconstruction, "BLOCK", 2 * 784)
    assert reconstruction.compute(y, x, BYTES, None)["ssim"].value == pytest.approx(whole, rel=1e-12)


def test_bad_reconstructions_are_errors():
    x, y = images(3)
    with pytest.raises(ModelError, match="1 values are NaN"):
        reconstruction.compute(np.where(np.arange(y.size).reshape(y.shape) == 5, np.nan, y), x, BYTES, None)
    with pytest.raises(ValueError, match=r"expected numbers \[3, 1, 28, 28\]"):
        reconstruction.compute(y[:2], x, BYTES, None)
    with pytest.raises(Unavailable, match="whole levels"):
        reconstruction.compute(np.zeros((3, 2)), np.zeros((3, 2)), Space((2,)), None)


def pairs(n, d, rng, shrink=0.9, noise=0.2):
    y = rng.standard_normal((n, d))
    return shrink * y + noise * rng.standard_normal((n, d)), y


def test_rfd_is_the_frechet_distance():
    x, y = pairs(50, 6, np.random.default_rng(0))
    assert rfd.compute(x, y)["rfd"].value == fd.compute(x, y)["fd"].value
    assert abs(rfd.compute(y, y.copy())["rfd"].value) < 1e-9


def test_rfd_standard_error_counts_pairs():
    # 200 replicates know their own spread to 5 %. That of independent sets would be more than twice too wide.
    rng = np.random.default_rng(1)
    found = [(rfd.compute(*p)["rfd"], fd.compute(*p)["fd"]) for p in (pairs(300, 8, rng) for _ in range(200))]
    spread = np.std([ours.value for ours, _ in found])
    assert np.mean([ours.stderr for ours, _ in found]) == pytest.approx(spread, rel=0.2)
    assert np.mean([independent.stderr for _, independent in found]) > 2 * spread


def test_rfd_of_few_or_unpaired_rows():
    assert rfd.compute(np.eye(3), np.eye(3))["rfd"].ci_method.startswith("none: ")
    with pytest.raises(ValueError, match="4 reconstructions of 3 images"):
        rfd.compute(np.eye(4)[:, :3], np.eye(3))


class Halver:
    space = Space((2,))

    def reconstruct(self, x):
        return x / 2


def test_reconstructions_are_checked():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.testing.assert_array_equal(reconstruct(Halver(), x), x / 2)
    model = types.SimpleNamespace(space=Space((2,)), reconstruct=lambda x: x[:1])
    with pytest.raises(ModelError, match="given 5 examples, got 1"):
        reconstruct(model, x)
    model.reconstruct = lambda x: x * math.nan
    with pytest.raises(ModelError, match="NaN"):
        reconstruct(model, x)


# Paths


class Linear(torch.nn.Module):
    """G(z) = A z, on points of three dimensions."""

    space = Space((3,))

    def __init__(self, A):
        super().__init__()
        self.A = torch.nn.Parameter(torch.as_tensor(A, dtype=torch.float32))

    def sample_prior(self, n, generator):
        return torch.randn(n, self.A.shape[1], generator=generator)

    def expected(self, z):
        return z @ self.A.T


@functools.cache
def pixels():
    return load("pixels", Space((3,)))


def test_paths_of_a_linear_generator_in_closed_form():
    # On a straight line the speed is |A (z1 - z0)| everywhere; z1 - z0 ~ N(0, 2 I), so its square has mean
    # 2 tr AA' = 28 and variance 8 tr (AA')^2 = 784 for A = diag(1, 2, 3).
    model = Linear(np.diag([1.0, 2, 3]))
    lengths = path_lengths(model, pixels(), 4000, 0, 500, path="lerp")
    assert lengths.mean() == pytest.approx(28, abs=4 * 28 / math.sqrt(4000))
    assert lengths.var() == pytest.approx(784, rel=0.2)
    # The difference quotient of a linear map is exact: what rounding leaves is 2e-16 |x| / 1e-4 of |x'|.
    np.testing.assert_allclose(path_lengths(model, pixels(), 4000, 0, 500, step=0.5, path="lerp"), lengths, rtol=1e-9)


def test_the_speed_on_a_great_circle_is_its_angle():
    # Latents of length 1: |path'| is the angle w itself, up to eps.
    model = Linear(np.eye(3))
    model.sample_prior = lambda n, g: torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    lengths = path_lengths(model, pixels(), 500, 0, 500, step=1e-5)
    assert lengths.max() <= math.pi**2 * (1 + 1e-6)
    # The angle of two random directions in three dimensions has density sin(w)/2: E w^2 = (pi^2 - 4)/2.
    assert lengths.mean() == pytest.approx((math.pi**2 - 4) / 2, abs=4 * lengths.std() / math.sqrt(500))


def test_great_circles_are_torch_fidelitys():
    _torchvision.make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.noise import batch_slerp_any
    a, b = torch.randn(2, 20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a[0], b[1], b[2] = 0, 2 * a[1], -a[2]  # no great circle through 0, nor a single one through collinear points
    for t in (0.0, 0.3, 1.0):
        ours = slerp(a, b, torch.full((20,), t, dtype=torch.float64))
        torch.testing.assert_close(ours, batch_slerp_any(a, b, t), rtol=1e-10, atol=1e-10)
    along = lerp(a[:, :4].view(20, 2, 2), b[:, :4].view(20, 2, 2), torch.full((20,), 0.25, dtype=torch.float64))
    torch.testing.assert_close(along, (0.75 * a[:, :4] + 0.25 * b[:, :4]).view(20, 2, 2))


def test_ppl_is_torch_fidelitys_on_the_same_paths(monkeypatch):
    _torchvision.make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity import metric_ppl, registry, sample_similarity_base
        from torch_fidelity.generative_model_modulewrapper import GenerativeModelModuleWrapper

    class Squared(sample_similarity_base.SampleSimilarityBase):
        def __init__(self, name, **kwargs):
            super().__init__(name)

        def forward(self, a, b):
            return (a - b).square().sum(1)

    def percentile(x, q, interpolation):  # the keyword's name before NumPy 2.4
        return np.percentile(x, q, method=interpolation)

    monkeypatch.setitem(registry.SAMPLE_SIMILARITY_REGISTRY, "squared", Squared)
    monkeypatch.setattr(metric_ppl, "np", types.SimpleNamespace(**{**vars(np), "percentile": percentile}))
    A = torch.nn.Linear(4, 3, bias=False)
    peer = metric_ppl.calculate_ppl(
        1, input1=GenerativeModelModuleWrapper(A, 4, "normal", 0), input1_model_num_samples=300, cuda=False,
        ppl_epsilon=0.5, ppl_sample_similarity="squared", rng_seed=7, verbose=False,
    )  # fmt: skip
    rng = np.random.RandomState(7)
    z0, z1 = (rng.randn(300, 4) for _ in range(2))
    lengths = (((z1 - z0) @ A.weight.detach().numpy().T.astype(np.float64)) ** 2).sum(1)
    ours = path_length.compute(lengths)["ppl"]
    assert ours.details["kept"] == 296  # of 300, those from the 3rd to the 298th
    assert ours.value == pytest.approx(peer["perceptual_path_length_mean"], rel=1e-5)  # float32 there


def test_ppl_by_hand():
    # Of 0..9 the 15th percentile lies between the 1st and 2nd of the order statistics, the 85th between the
    # 7th and 8th (counted from 0): kept are 1..8, mean 4.5.
    found = path_length.compute(np.arange(10.0)[::-1], discard_below=15, discard_above=85)["ppl"]
    assert found.value == 4.5
    assert found.details["kept"] == 8
    # A trimmed mean's influence is that of values pulled to 1 and to 8, times 10/8.
    pulled = np.array([1, 1, 2, 3, 4, 5, 6, 7, 8, 8])
    assert found.stderr == pytest.approx(10 / 8 * pulled.std(ddof=1) / math.sqrt(10), rel=1e-12)
    assert found.ci95[1] - 4.5 == pytest.approx(4.5 - found.ci95[0], rel=1e-12)
    whole = path_length.compute(np.arange(10.0), discard_below=0, discard_above=100)["ppl"]
    assert whole.value == 4.5
    assert whole.stderr == pytest.approx(np.arange(10.0).std(ddof=1) / math.sqrt(10))


def test_ppl_standard_error_is_that_of_simulation():
    # 600 replicates know their own spread to 3 %; the interval misses 5 % +- 4 * 0.9 %.
    rng = np.random.default_rng(0)
    found = [path_length.compute(rng.lognormal(0, 1, 400))["ppl"] for _ in range(600)]
    values = np.array([f.value for f in found])
    assert np.mean([f.stderr for f in found]) == pytest.approx(values.std(), rel=0.12)
    held = [f.ci95[0] <= values.mean() <= f.ci95[1] for f in found]
    assert 0.914 < np.mean(held) < 0.986


def test_path_lengths_that_are_no_numbers_are_errors():
    with pytest.raises(ModelError, match="1 values"):
        path_length.compute(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"\[n\]"):
        path_length.compute(np.ones((2, 2)))
    with pytest.raises(GenbenchError, match="at least 2"):
        path_length.compute(np.ones(1))


class WithPrior(Linear):
    """Latents by a network from noise."""

    def __init__(self):
        super().__init__(np.eye(3))
        self.prior = torch.nn.Linear(3, 3)

    def sample_prior(self, n, generator):
        return self.prior(torch.randn(n, 3, generator=generator))


def test_a_prior_that_is_a_network_is_drawn_from_in_its_own_precision():
    """Noise is float32 as for samples; a copy of the network in float64 would refuse it."""
    assert (path_lengths(WithPrior(), pixels(), 20, 0, 10) > 0).all()


def test_a_generator_that_stands_still_has_no_length():
    found = path_length.compute(path_lengths(Linear(np.zeros((3, 3))), pixels(), 20, 0, 10))["ppl"]
    assert (found.value, found.stderr) == (0, 0)


def test_a_length_depends_on_its_block_alone():
    model = Linear(np.eye(3))
    many = path_lengths(model, pixels(), 12, 0, 5)
    np.testing.assert_array_equal(path_lengths(model, pixels(), 3, 0, 5), many[:3])
    assert not np.array_equal(path_lengths(model, pixels(), 3, 1, 5), many[:3])
    assert model.A.dtype == torch.float32  # the model itself stays as it was


def test_what_has_no_path_says_so():
    model = Linear(np.eye(3))
    levels_only = Extractor("bytes", "", "", lambda x: (x, None))
    with pytest.raises(Unavailable, match="sees whole levels only"):
        path_lengths(model, levels_only, 2, 0, 2)
    with pytest.raises(Unavailable, match="needs sample_prior and expected; the model provides: reconstruct"):
        path_lengths(Halver(), pixels(), 2, 0, 2)
    with pytest.raises(GenbenchError, match="no path 'spline'"):
        path_lengths(model, pixels(), 2, 0, 2, path="spline")
    with pytest.raises(GenbenchError, match="a step of 0"):
        path_lengths(model, pixels(), 2, 0, 2, step=0)
    model.sample_prior = lambda n, g: torch.zeros(n, 3, dtype=torch.int64)
    with pytest.raises(Unavailable, match="whole numbers"):
        path_lengths(model, pixels(), 2, 0, 2)
    single = types.SimpleNamespace(
        space=Space((3,)), sample_prior=lambda n, g: torch.ones(n, 3), expected=lambda z: z.float()
    )
    with pytest.raises(Unavailable, match="lost in its rounding"):
        path_lengths(single, pixels(), 2, 0, 2)


@pytest.mark.parametrize("name", ["pixels", "digits-cnn"])
def test_features_between_levels_are_those_at_the_levels(name):
    digits = datasets.load("digits")
    extractor = load(name, digits.space)
    at_levels, _ = extractor(digits.test[:20])
    between = extractor.between(torch.from_numpy(digits.test[:20].astype(np.float64)))
    assert between.dtype == torch.float64
    # The float32 network errs by some 1e-7 of its sums in every layer.
    np.testing.assert_allclose(between.numpy(), at_levels, rtol=1e-4, atol=1e-5)


# Classes


def by_class(n, m, d=3, classes=3, seed=0, scale=1.2):
    rng = np.random.default_rng(seed)
    centres = 5 * np.random.default_rng(99).standard_normal((classes, d))
    x, y = np.arange(n) % classes, rng.permutation(np.arange(m) % classes)
    return centres[x] + scale * rng.standard_normal((n, d)), x, centres[y] + rng.standard_normal((m, d)), y


def test_values_per_class_are_the_means_of_the_classes_own():
    x, asked, y, known = by_class(120, 150)
    found = per_class.compute(x, asked, y, known)
    for name, module in (
        ("fd", fd),
        ("precision", precision_recall),
        ("recall", precision_recall),
        ("coverage", density_coverage),
    ):
        own = {str(c): module.compute(x[asked == c], y[known == c])[name].value for c in range(3)}
        measure = found[f"{name}_per_class"]
        assert measure.details["classes"] == own
        assert measure.value == pytest.approx(np.mean(list(own.values())), rel=1e-12)
    assert fd.compute(x, y)["fd"].value != pytest.approx(found["fd_per_class"].value, rel=0.1)


def test_samples_of_the_wrong_class_show_in_each_class_only():
    x, asked, y, known = by_class(300, 300, scale=1.0)
    right, wrong = (per_class.compute(x, a, y, known) for a in (asked, (asked + 1) % 3))
    assert wrong["fd_per_class"].value > 20 * right["fd_per_class"].value
    assert wrong["precision_per_class"].value == 0


def test_the_interval_of_a_mean_is_put_together_by_hand():
    # Two classes, 0.5 in (0.4, 0.7) and 0.9 in (0.6, 0.95): mean 0.7, less sqrt(0.1^2 + 0.3^2)/2, plus
    # sqrt(0.2^2 + 0.05^2)/2; standard errors 0.03 and 0.04 give 0.05/2.
    measures = [
        per_class.Measure(0.5, "estimate", 0.03, (0.4, 0.7), "Wilson"),
        per_class.Measure(0.9, "estimate", 0.04, (0.6, 0.95), "Wilson"),
    ]
    found = per_class.average(dict(enumerate(measures)), most=1.0)
    assert found.value == pytest.approx(0.7)
    assert found.stderr == pytest.approx(0.025)
    assert found.ci95 == pytest.approx((0.7 - math.sqrt(0.1) / 2, 0.7 + math.sqrt(0.0425) / 2))
    none = replace(measures[1], stderr=None, ci95=None, ci_method="none: too few")
    assert per_class.average({0: measures[0], 7: none}, most=1.0).ci_method == "none: class 7 has none: too few"


def test_fd_per_class_has_the_standard_error_of_simulation():
    # 60 replicates know their own spread to 9 %.
    found = [per_class.compute(*by_class(90, 90, seed=seed))["fd_per_class"] for seed in range(60)]
    assert np.mean([f.stderr for f in found]) == pytest.approx(np.std([f.value for f in found]), rel=0.25)


def test_the_training_data_are_parted_once():
    x, asked, y, known = by_class(60, 60)
    y = Points(y)
    per_class.compute(x, asked, y, known)
    parts = y.remember(("classes", known.tobytes()), lambda: pytest.fail("parted again"))
    assert {c: len(rows) for c, rows in parts.items()} == {0: 20, 1: 20, 2: 20}


def test_labels_that_cannot_be_are_errors():
    x, asked, y, known = by_class(60, 60)
    with pytest.raises(GenbenchError, match="class 2 of the samples: this metric needs at least 6 rows, got 0"):
        per_class.compute(x, asked % 2, y, known)
    with pytest.raises(GenbenchError, match=r"classes \[2\], which the training data lack"):
        per_class.compute(x, asked, y, known % 2)
    with pytest.raises(ValueError, match=r"class_labels: expected integers 0 \[60\], got int64 \[59\]"):
        per_class.compute(x, asked[:59], y, known)
    with pytest.raises(ModelError, match="NaN"):
        per_class.compute(x * np.nan, asked, y, known)


def test_class_agreement_by_hand():
    # Predicted 0, 1, 1, 2 of the asked 0, 1, 2, 2: three of four; class 2 one of two.
    found = class_agreement.compute(np.eye(3)[[0, 1, 1, 2]], np.array([0, 1, 2, 2]))["class_agreement"]
    assert found.value == 0.75
    assert found.details["classes"] == {"0": 1.0, "1": 1.0, "2": 0.5}
    assert found.ci_method == "Wilson"
    with pytest.raises(ValueError, match=r"integers 0\.\.2"):
        class_agreement.compute(np.eye(3), np.array([0, 1, 3]))


def test_a_conditional_model_is_asked_for_labels_block_by_block():
    class Echo:
        space = Space((1,), levels=10)

        def sample(self, n, generator, labels):
            return labels[:, None]

    labels = np.arange(25) % 10
    np.testing.assert_array_equal(draw(Echo(), 25, 0, 4, labels=labels)[:, 0], labels)


# Through the evaluator


def measured(tmp_path, sources, metrics, protocol):
    digits = datasets.load("digits")
    paths = {path.rpartition("/")[2].partition(".")[0]: path for path in shipped("digits")}
    run = Run(tmp_path / "run")
    todo = plan(
        Suite("digits", metrics, "digits-cnn", protocol=protocol),
        digits,
        [parse(paths.get(s, s), digits) for s in sources],
    )
    assert evaluate(todo, run, "cpu").failed == 0
    return {(r.model["name"], r.metric["name"]): r for r in in_rows([run])}


def test_autoencoders_give_back_test_images(tmp_path):
    found = measured(
        tmp_path, ["vae", "denoising-autoencoder", "vqvae", "mixture"], ("mse", "ssim", "rfd"), Protocol(limit=100)
    )
    for name in ("vae", "denoising-autoencoder", "vqvae"):
        assert 0.001 < found[name, "mse"].value < 0.05
        assert 0.5 < found[name, "ssim"].value < 1
        assert found[name, "rfd[digits-cnn]"].value > 0
    assert found["mixture", "mse"].status == "skipped"
    digits = datasets.load("digits")
    model = parse(next(p for p in shipped("digits") if "vqvae" in p), digits).open(digits, "cpu")
    some = chosen(digits.test, 100, 0, digits.labels["test"])
    x = to_tensor(digits.test[some], digits.space)
    with torch.no_grad():
        mse = ((model.reconstruct(x) - x) / 16).square().mean()
    assert found["vqvae", "mse"].value == pytest.approx(float(mse), rel=1e-5)


def test_generators_have_a_path_length_and_others_say_why_not(tmp_path):
    found = measured(
        tmp_path, ["gan", "vae", "vqvae", "data:test"], ("ppl", "ppl[pixels]"), Protocol(n_samples=100, block_size=50)
    )
    for name in ("gan", "vae"):
        for metric in ("ppl[pixels]", "ppl[digits-cnn]"):
            assert 0 < found[name, metric].value < math.inf
    assert found["vqvae", "ppl[pixels]"].status == "skipped"
    assert "fixed samples" in found["real test data", "ppl[pixels]"].error["message"]


def test_the_step_of_a_path_is_small_enough_and_not_too_small(tmp_path):
    # An error in eps of first order, of 1e-4 of the length or so, and none from rounding.
    values = [
        measured(tmp_path / str(step), ["gan"], ("ppl",), Protocol(n_samples=50, block_size=50, step=step))
        for step in (1e-4, 1e-5, 1e-6)
    ]
    coarse, usual, fine = (v["gan", "ppl[digits-cnn]"].value for v in values)
    assert usual == pytest.approx(fine, rel=1e-4)
    assert coarse == pytest.approx(fine, rel=1e-3)


CLASS_METRICS = ("fd-per-class", "class-agreement", "coverage-per-class")


def test_a_conditional_model_is_measured_class_by_class(tmp_path):
    digits = datasets.load("digits")
    x, y = digits.test, digits.labels["test"]
    np.savez(tmp_path / "labelled.npz", x=x, labels=y)
    np.savez(tmp_path / "swapped.npz", x=x, labels=(y + 1) % 10)
    np.savez(tmp_path / "plain.npz", x=x)
    names = ["conditional-gated-pixelcnn", "data:test", "mixture"]
    files = [f"samples:{tmp_path / name}.npz" for name in ("labelled", "swapped", "plain")]
    found = measured(tmp_path, names + files, CLASS_METRICS, Protocol(n_samples=200, block_size=100))
    model, real = "conditional-gated-pixelcnn", "real test data"
    assert found[real, "class-agreement[digits-cnn]"].value > 0.97
    assert found[model, "class-agreement[digits-cnn]"].value > 0.85
    assert found["swapped", "class-agreement[digits-cnn]"].value < 0.05
    for metric in ("fd-per-class[digits-cnn]", "coverage-per-class[digits-cnn]"):
        assert found["labelled", metric].value == found[real, metric].value
    assert found["swapped", "fd-per-class[digits-cnn]"].value > 3 * found[real, "fd-per-class[digits-cnn]"].value
    assert "not class-conditional" in found["mixture", "class-agreement[digits-cnn]"].error["message"]
    assert "no labels" in found["plain", "class-agreement[digits-cnn]"].error["message"]


def test_labels_of_samples_are_checked(tmp_path):
    space = Space((1, 8, 8), levels=17)
    np.savez(tmp_path / "short.npz", x=np.zeros((4, 1, 8, 8), np.uint8), labels=np.arange(3))
    with pytest.raises(GenbenchError, match="no labels of 4 examples"):
        load_labelled(tmp_path / "short.npz", space)
