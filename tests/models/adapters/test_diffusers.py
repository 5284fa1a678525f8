"""Models of diffusers: the bound held against its terms computed another way, samples against the library's own."""

import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from optional import library
from scipy.stats import norm

from genbench import catalog, datasets
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, Unavailable
from genbench.likelihood import log_likelihood
from genbench.likelihood.probability_flow import HasVelocity, probability_flow
from genbench.models.adapters import parse, parse_all
from genbench.models.adapters._chain import Diffusion, FlowMatching
from genbench.models.checkpoint import load
from genbench.models.sampling import draw, seeded
from genbench.space import Space

diffusers = library("diffusers")

GREY = Space((1, 8, 8), 17)
COLOUR = Space((3, 32, 32), 256)
T = 12


def unet(space=GREY, out=1, **more):
    torch.manual_seed(0)
    c = space.shape[0]
    net = diffusers.UNet2DModel(
        sample_size=space.shape[1], in_channels=c, out_channels=out * c, block_out_channels=(8, 8), layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4, **more,
    )  # fmt: skip
    torch.nn.init.normal_(net.conv_out.weight, std=0.2)
    return net.eval()


def scheduler(kind="DDPM", **more):
    betas = {} if kind.startswith("Flow") else {"beta_start": 1e-3, "beta_end": 0.3}
    return getattr(diffusers, f"{kind}Scheduler")(num_train_timesteps=T, **betas, **more)


def images(space, n=2):
    return np.random.default_rng(0).integers(space.levels, size=(n, *space.shape)).astype(space.dtype)


def data(space, n=64):
    x = images(space, n)
    return Dataset("noise", space, x, x, x, "CC0", "test")


@pytest.fixture
def saved(tmp_path):
    """Saves a pipeline and gives its folder."""

    def save(net, plan, name="model"):
        pipeline = diffusers.DDIMPipeline if isinstance(plan, diffusers.DDIMScheduler) else diffusers.DDPMPipeline
        pipeline(net, plan).save_pretrained(tmp_path / name)
        return tmp_path / name

    return save


def opened(folder, space=GREY, query=""):
    source = parse(f"diffusers:{folder}{query}", data(space))
    return source.open(data(space), "cpu")


# --- The bound


def terms_by_hand(net, plan, x, steps, eta, levels, seed):
    """Every term of the bound from densities: posteriors by the rule of Bayes, KL and masses by torch and SciPy."""
    plan.set_timesteps(steps)
    times = [int(t) for t in plan.timesteps][::-1]
    abar = plan.alphas_cumprod.double()
    abar = [abar[t].item() for t in times]
    x0 = torch.from_numpy(x.astype(np.float64)) / (levels - 1) * 2 - 1
    generator = seeded(seed)
    N = torch.distributions.Normal
    standard, a, S = N(0.0, 1.0), abar[-1], len(times)
    found = [torch.distributions.kl_divergence(N(math.sqrt(a) * x0, torch.tensor(1 - a).sqrt()), standard)]
    btilde = [0.0] + [(1 - abar[i - 1]) / (1 - abar[i]) * (1 - abar[i] / abar[i - 1]) for i in range(1, S)]
    for i, t in enumerate(times):
        e = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
        a, before = abar[i], abar[i - 1] if i else 1.0
        beta = 1 - a / before
        xt = math.sqrt(a) * x0 + math.sqrt(1 - a) * e
        with torch.no_grad():
            out = net(xt, t).sample
        out, second = out.split(x0.shape[1], 1) if out.shape != x0.shape else (out, None)
        kind = plan.config.prediction_type
        start = {
            "epsilon": (xt - math.sqrt(1 - a) * out) / math.sqrt(a),
            "sample": out,
            "v_prediction": math.sqrt(a) * xt - math.sqrt(1 - a) * out,
        }[kind]
        noise = (xt - math.sqrt(a) * start) / math.sqrt(1 - a)
        if plan.config.clip_sample:
            start = start.clip(-1, 1)
        ddim = isinstance(plan, diffusers.DDIMScheduler)
        least = btilde[max(i, 1)] * (eta**2 if ddim else 1)

        def mean(x_0, noise, before=before, beta=beta, a=a, xt=xt, i=i, least=least, ddim=ddim):
            if i == 0:
                return x_0
            if ddim:
                return math.sqrt(before) * x_0 + math.sqrt(1 - before - least) * noise
            # q(x_{t-1} | x_t, x_0) is in proportion to q(x_t | x_{t-1}) q(x_{t-1} | x_0): precisions add up
            one, two = (1 - beta) / beta, 1 / (1 - before)
            return (one * xt / math.sqrt(1 - beta) + two * math.sqrt(before) * x_0) / (one + two)

        variance = torch.full_like(xt, least)
        if not ddim and plan.config.variance_type == "fixed_large" and i:
            variance = torch.full_like(xt, beta)
        if second is not None:
            share = (second + 1) / 2
            variance = beta**share * least ** (1 - share)
        p = N(mean(start, noise), variance.sqrt())
        if i:
            found.append(torch.distributions.kl_divergence(N(mean(x0, e), math.sqrt(least)), p))
            continue
        half = 1 / (levels - 1)
        upper, lower = (((x0 + s * half - p.loc) / p.scale).numpy() for s in (1, -1))
        upper[x == levels - 1], lower[x == 0] = np.inf, -np.inf
        flip = lower > 0  # the side on which a difference keeps its digits
        lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
        lower, upper = norm.logcdf(lower), norm.logcdf(upper)
        found.append(-torch.from_numpy(upper + np.log(-np.expm1(lower - upper))))
    return torch.stack([term.flatten(1).sum(1) for term in found])


CHAINS = {
    "fixed_small": (1, "DDPM", {}, T, 1.0),
    "fixed_large": (1, "DDPM", {"variance_type": "fixed_large"}, T, 1.0),
    "learned_range": (2, "DDPM", {"variance_type": "learned_range"}, T, 1.0),
    "without clipping": (1, "DDPM", {"clip_sample": False}, T, 1.0),
    "v": (1, "DDPM", {"prediction_type": "v_prediction"}, T, 1.0),
    "x_0": (1, "DDPM", {"prediction_type": "sample"}, T, 1.0),
    "fewer steps": (1, "DDPM", {"variance_type": "fixed_large"}, 4, 1.0),
    "trailing": (1, "DDPM", {"timestep_spacing": "trailing"}, 6, 1.0),
    "DDIM": (1, "DDIM", {}, T, 0.6),
    "DDIM, fewer steps": (1, "DDIM", {"prediction_type": "v_prediction"}, 4, 1.0),
}


@pytest.mark.parametrize("space", [GREY, COLOUR], ids=["8x8", "32x32"])
@pytest.mark.parametrize("chain", CHAINS)
def test_the_bound_is_the_sum_of_its_terms(chain, space):
    out, kind, more, steps, eta = CHAINS[chain]
    net, plan, x = unet(space, out).double(), scheduler(kind, **more), images(space)
    model = Diffusion(space, lambda x, t, labels: net(x, t).sample, plan, steps=steps, eta=eta, dtype=torch.float64)
    with torch.no_grad():
        found = model.terms(torch.from_numpy(x).long(), seeded(5))
        bound = model.elbo(torch.from_numpy(x).long(), seeded(5))
    expected = terms_by_hand(net, plan, x, steps, eta, space.levels, 5)
    assert found.shape == expected.shape == (1 + steps, 2)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(bound, -expected.sum(0), rtol=1e-6, atol=0)


PIXEL = Space((1, 1, 1), 3)


def fine(kind="DDPM"):
    """A chain of 100 short steps, whose bound is near the truth."""
    return getattr(diffusers, f"{kind}Scheduler")(num_train_timesteps=100, beta_start=1e-3, beta_end=0.08)


def knowing(x, t, labels):
    """The best network for one pixel of 3 levels: uniform, or given class y at level y with probability 0.8."""
    abar = fine().alphas_cumprod[t].view(-1, 1, 1, 1)
    levels = torch.tensor([-1.0, 0.0, 1.0])
    prior = torch.full((len(x), 3), 1 / 3) if labels is None else 0.1 + 0.7 * torch.eye(3)[labels]
    log_w = prior.log() - 0.5 * ((x - abar.sqrt() * levels) ** 2 / (1 - abar)).view(len(x), 3)
    mean = (log_w.softmax(1) * levels).sum(1).view(-1, 1, 1, 1)
    return (x - abar.sqrt() * mean) / (1 - abar).sqrt()


def of_each_level(model, n, labels=None):
    """Mean of n draws of the bound for each of the three images, and its standard error: `[3]` each."""
    x = torch.arange(3).repeat_interleave(n).view(-1, 1, 1, 1)
    bounds = model.elbo(x, seeded(0), labels=None if labels is None else torch.full((3 * n,), labels)).view(3, -1)
    return bounds.mean(1), bounds.std(1) / math.sqrt(n)


@pytest.mark.parametrize(
    "case", [("DDPM", 0.0, 0), ("DDIM", 0.9, 0), ("DDPM", 0.0, 3)], ids=["ddpm", "ddim", "classes"]
)
def test_the_bounds_of_all_images_have_no_more_mass_than_one(case):
    """sum_x exp(E bound) <= sum_x p(x) = 1, and near it for a network that knows all of one pixel."""
    kind, eta, classes = case
    model = Diffusion(PIXEL, knowing, fine(kind), steps=100, eta=eta, n_classes=classes)
    mean, stderr = of_each_level(model, 1500)
    mass, error = mean.exp().sum(), (mean.exp() * stderr).norm()
    assert 0.7 < float(mass) < 1 + 4 * float(error)


def test_without_a_label_the_bound_is_below_that_of_the_mixture_and_above_the_mean():
    """mean_y bound_y <= E_r [bound_y - log C r(y)] <= log mean_y exp(bound_y), where r is near enough to the best."""
    model = Diffusion(PIXEL, knowing, fine(), steps=100, n_classes=3)
    each = torch.stack([of_each_level(model, 1500, y)[0] for y in range(3)])
    low, high = each.mean(0), each.logsumexp(0) - math.log(3)
    found, stderr = of_each_level(model, 1500)
    assert (high - low > 10 * stderr).all()  # else this says nothing
    assert (found > low + 4 * stderr).all()
    assert (found < high + 4 * stderr).all()


@pytest.mark.parametrize(
    ("kind", "more", "steps", "eta", "why"),
    [
        ("DDIM", {}, T, 0.0, "eta=0"),
        ("EulerAncestralDiscrete", {}, T, 0.0, "known densities"),
        ("DDPM", {"thresholding": True}, T, 0.0, "thresholding"),
        ("DDPM", {}, 1, 0.0, "one step"),
        ("DDIM", {"timestep_spacing": "linspace"}, 5, 1.0, "as if to"),
    ],
)
def test_where_samples_come_from_no_chain_there_is_no_bound(kind, more, steps, eta, why):
    model = Diffusion(GREY, knowing, scheduler(kind, **more), steps=steps, eta=eta)
    with pytest.raises(Unavailable, match=why):
        model.elbo(torch.zeros(1, 1, 8, 8, dtype=torch.long), seeded(0))


def test_a_baseline_gives_the_same_number_by_both_roads():
    """The shipped DDPM by its own bound, and by a scheduler of diffusers with its betas."""
    path = catalog.BASELINES / "checkpoints" / "digits" / "ddpm.safetensors"
    own = load(path)
    s = own.schedule
    beta = -torch.expm1(torch.cat([s.alpha_bar[:1].double().log(), s.alpha_bar.double().log().diff()]))
    plan = diffusers.DDPMScheduler(
        num_train_timesteps=len(s), trained_betas=beta.tolist(), variance_type="learned_range"
    )

    def network(x, t, labels):
        eps, share = own.denoise(x, t)
        return torch.cat([eps, 2 * share - 1], 1)

    model = Diffusion(own.space, network, plan, steps=len(s), last_variance=float(s.log_smallest[0].exp()))
    x = datasets.load("digits").test[:20]
    ours, theirs = (log_likelihood(m, x, 1, 0, 20).values for m in (own, model))
    np.testing.assert_allclose(theirs, ours, rtol=2e-4)
    assert np.isclose(theirs.mean(), ours.mean(), rtol=2e-5)
    samples = [draw(m, 16, 3, 16) for m in (own, model)]
    # The scheduler draws no noise in its last step, ours does: the same image but for that
    assert np.abs(samples[0].astype(int) - samples[1].astype(int)).max() <= 2


# --- Samples


@pytest.mark.parametrize("space", [GREY, COLOUR], ids=["8x8", "32x32"])
@pytest.mark.parametrize(
    ("kind", "out", "more", "query", "call"),
    [
        ("DDPM", 1, {}, "", {"num_inference_steps": T}),
        ("DDPM", 2, {"variance_type": "learned_range"}, "?steps=5", {"num_inference_steps": 5}),
        ("DDPM", 1, {"thresholding": True}, "?steps=4", {"num_inference_steps": 4}),
        ("DDIM", 1, {}, "?steps=6&eta=0.4", {"num_inference_steps": 6, "eta": 0.4}),
        ("DDIM", 1, {}, "", {"num_inference_steps": T}),
    ],
)
def test_samples_are_those_of_the_pipeline(saved, space, kind, out, more, query, call):
    """Value by value in float64; in float32, where a convolution may round in two ways, but for a few by one level."""

    def of(pipeline):
        pipeline.set_progress_bar_config(disable=True)
        found = pipeline(batch_size=3, generator=seeded(4), output_type="np", **call).images
        return np.moveaxis((found * (space.levels - 1)).round().astype(int), -1, 1)

    pipeline, plan = getattr(diffusers, f"{kind}Pipeline"), scheduler(kind, **more)
    net = unet(space, out).double()
    steps, eta = call["num_inference_steps"], call.get("eta", 0.0)
    model = Diffusion(
        space, lambda x, t, labels: net(x, t).sample, scheduler(kind, **more), steps=steps, eta=eta, dtype=torch.float64
    )
    np.testing.assert_array_equal(model.sample(3, seeded(4)).numpy(), of(pipeline(net, plan)))

    folder = saved(unet(space, out), plan)
    off = opened(folder, space, query).sample(3, seeded(4)).numpy() - of(pipeline.from_pretrained(folder))
    assert np.abs(off).max() <= 1
    assert (off != 0).mean() < 0.01


@pytest.mark.parametrize("name", ["ddim", "pndm", "dpm-solver", "unipc", "euler", "euler-ancestral", "heun"])
def test_another_scheduler_may_sample(saved, name):
    model = opened(saved(unet(), scheduler()), GREY, f"?scheduler={name}&steps=6")
    one, two, other = (draw(model, 4, seed, 4) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_folder_may_name_a_scheduler_with_infinite_settings(saved):
    """DPM-Solver writes -Infinity, which is no JSON."""
    folder = saved(unet(), scheduler("DPMSolverMultistep"))
    assert "Infinity" in (folder / "scheduler" / "scheduler_config.json").read_text()
    assert draw(opened(folder, GREY, "?steps=5"), 2, 0, 2).shape == (2, 1, 8, 8)


def test_guidance_moves_from_the_null_class_to_the_class(saved):
    folder = saved(unet(num_class_embeds=4), scheduler())
    plain, guided = (opened(folder, GREY, f"?null_class=3{more}") for more in ("", "&guidance=2.5"))
    assert plain.n_classes == guided.n_classes == 3
    x, t, y = torch.randn(2, 1, 8, 8), torch.tensor([3, 3]), torch.tensor([0, 2])
    with torch.no_grad():
        given, free = plain.network(x, t, y), plain.network(x, t, torch.tensor([3, 3]))
        torch.testing.assert_close(guided.predict(x, t, y), free + 2.5 * (given - free))
        torch.testing.assert_close(plain.predict(x, t, y), given)
    assert (draw(guided, 4, 0, 4, labels=np.zeros(4, int)) != draw(guided, 4, 0, 4, labels=np.ones(4, int))).any()


# --- Flows


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_the_flow_does_not_depend_on_what_the_network_was_asked_to_predict(kind):
    """One noise e(x, t), told as v and as x_0."""
    plan = scheduler(clip_sample=False)
    abar = plan.alphas_cumprod.double()
    log_snr = abar.log() - (1 - abar).log()

    def e(x, t, labels):
        return 0.4 * x + 0.1 * t.view(-1, 1, 1, 1) / T

    def told(x, t, labels):
        before = t.floor().clamp(0, T - 2).long()
        here = log_snr[before] + (t - before) * (log_snr[before + 1] - log_snr[before])
        alpha, sigma = (part.sqrt().view(-1, 1, 1, 1).to(x) for part in (here.sigmoid(), (-here).sigmoid()))
        x0 = (x - sigma * e(x, t, labels)) / alpha
        return x0 if kind == "sample" else alpha * e(x, t, labels) - sigma * x0

    x = images(GREY, 3)
    values = [
        probability_flow(
            Diffusion(GREY, net, scheduler(clip_sample=False, prediction_type=p), steps=T).probability_flow(), x, 0
        ).values
        for net, p in ((e, "epsilon"), (told, kind))
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


def test_a_flow_that_stands_still_has_the_density_of_its_noise():
    """v = 0: log P(x) ~ log N(y; 0, I) + D log delta, y uniform in the cell of x; its mean over u is closed."""
    model = FlowMatching(GREY, lambda x, t, labels: 0 * x, scheduler("FlowMatchEulerDiscrete"), steps=4)
    assert isinstance(model, HasVelocity)
    x = images(GREY, 400)
    found = probability_flow(model, x, 0).values
    delta = 2 / 16
    x0 = x.reshape(400, -1) * delta - 1
    expected = (-0.5 * (x0**2 + delta**2 / 12 + math.log(2 * math.pi)) + math.log(delta)).sum(1)
    gap = found - expected
    assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(400)
    assert gap.std() < 2


def test_a_model_of_flow_matching_samples_as_its_scheduler_goes_and_tells_its_network_the_time(saved, tmp_path):
    net, plan = unet(), scheduler("FlowMatchEulerDiscrete", shift=2.0)
    folder = saved(net, plan)
    model = opened(folder, GREY, "?steps=5")
    x = torch.randn(2, 1, 8, 8, generator=seeded(0))
    plan.set_timesteps(5)
    with torch.no_grad():
        torch.testing.assert_close(
            model.velocity(x, torch.tensor([0.25, 0.5])), net(x, torch.tensor([3.0, 6.0])).sample
        )
        y = torch.randn(3, 1, 8, 8, generator=seeded(1))
        for t, (now, then) in zip(plan.timesteps, itertools.pairwise(plan.sigmas), strict=True):
            y = y + (then - now) * net(y, t).sample
    expected = ((y + 1) * 8).round().clip(0, 16).long()
    assert torch.equal(model.sample(3, seeded(1)), expected)


def test_what_has_no_flow_says_why():
    with pytest.raises(Unavailable, match="classes"):
        Diffusion(GREY, knowing, scheduler(), steps=T, n_classes=2).probability_flow()
    with pytest.raises(Unavailable, match="by number"):
        Diffusion(GREY, knowing, scheduler(), steps=T, continuous=False).probability_flow()
    with pytest.raises(Unavailable, match="terminal SNR"):
        Diffusion(GREY, knowing, scheduler(rescale_betas_zero_snr=True), steps=T).probability_flow()


# --- Autoencoders


def test_an_autoencoder_gives_its_means_and_what_it_decodes_of_them(tmp_path):
    torch.manual_seed(0)
    net = diffusers.AutoencoderKL(1, 1, block_out_channels=(8,), norm_num_groups=4, latent_channels=2).eval()
    net.save_pretrained(tmp_path / "vae")
    model = opened(tmp_path / "vae")
    x = torch.from_numpy(images(GREY)).long()
    with torch.no_grad():
        z = net.encode(x.float() / 8 - 1).latent_dist.mean
        torch.testing.assert_close(model.encode(x), z.flatten(1))
        torch.testing.assert_close(model.reconstruct(x), (net.decode(z).sample + 1) * 8)
    assert not hasattr(model, "sample")


def test_codes_of_a_vq_model_are_vectors_of_its_codebook(tmp_path):
    torch.manual_seed(0)
    net = diffusers.VQModel(
        1, 1, block_out_channels=(8,), norm_num_groups=4, latent_channels=2, num_vq_embeddings=5
    ).eval()
    net.save_pretrained(tmp_path / "vq")
    model = opened(tmp_path / "vq")
    x = torch.from_numpy(images(GREY)).long()
    with torch.no_grad():
        codes = model.encode(x).view(2, 2, -1).movedim(1, -1).flatten(0, 1)
        assert torch.cdist(codes, net.quantize.embedding.weight).min(1).values.max() < 1e-4  # they lie 0.02 apart
        torch.testing.assert_close(model.reconstruct(x), (net(x.float() / 8 - 1).sample + 1) * 8, rtol=1e-5, atol=1e-5)


# --- What is refused, and what decides


def change(folder, file, **values):
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def break_pickle(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")


def break_weights(folder, drop="", add=""):
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    if drop:
        del state[drop]
    if add:
        state[add] = torch.zeros(1)
    save_file(state, path)


BROKEN = {
    "a pickle": (break_pickle, "can run code"),
    "a missing weight": (lambda f: break_weights(f, drop="conv_in.weight"), "1 missing weights, first conv_in.weight"),
    "a weight too many": (lambda f: break_weights(f, add="extra"), "1 unexpected weights, first extra"),
    "code of its own": (lambda f: change(f, "model_index.json", unet=["my_unet", "MyUNet"]), "no code is fetched"),
    "another pipeline": (lambda f: change(f, "model_index.json", vae=["diffusers", "AutoencoderKL"]), "unet, vae"),
    "another network": (lambda f: change(f, "unet/config.json", _class_name="UNet3DModel"), "UNet3DModel"),
    "another scheduler": (
        lambda f: change(f, "scheduler/scheduler_config.json", _class_name="os.system"), "unknown scheduler 'os.system'"
    ),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "without a scheduler"),
    "a larger network": (
        lambda f: change(f, "unet/config.json", block_out_channels=[8, 100_000]), "larger than its weights"
    ),
    "NaN": (
        lambda f: change(f, "scheduler/scheduler_config.json", variance_type="fixed_large_log"), "samples are NaN"
    ),
    "a variance nobody gives": (
        lambda f: change(f, "scheduler/scheduler_config.json", variance_type="learned_range"), "gives no more"
    ),
    "betas of another chain": (
        lambda f: change(f, "scheduler/scheduler_config.json", trained_betas=[0.1] * 5), "5 betas for 12 steps"
    ),
    "an endless chain": (
        lambda f: change(f, "scheduler/scheduler_config.json", num_train_timesteps=10**12), "num_train_timesteps"
    ),
    "no schedule": (
        lambda f: change(f, "scheduler/scheduler_config.json", beta_schedule="none"), "cannot be built"
    ),
    "quantised": (lambda f: change(f, "unet/config.json", quantization_config={"quant_method": "x"}), "quantised"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_is_not_what_it_seems_is_refused_in_two_lines(saved, fault):
    folder = saved(unet(), scheduler())
    damage, why = BROKEN[fault]
    damage(folder)
    with pytest.raises(GenbenchError) as caught:
        opened(folder)
    assert why in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("?stesp=3", "unknown argument of diffusers:FOLDER 'stesp'"),
        ("?steps=0", "steps is 0"),
        ("?steps=13", "steps is 13"),
        ("?scheduler=dpm", "unknown scheduler"),
        ("?eta=0.5", "eta is the noise of DDIM"),
        ("?guidance=2", "the network has no classes"),
        ("?scheduler=flow-euler", "one is of flow matching"),
        ("?last_variance=-1", "last_variance is -1"),
    ],
)
def test_arguments_that_cannot_be_are_refused(saved, query, why):
    with pytest.raises(GenbenchError) as caught:
        opened(saved(unet(), scheduler()), GREY, query)
    assert why in caught.value.problem


def test_images_of_another_size_are_refused(saved):
    folder = saved(unet(), scheduler())
    with pytest.raises(GenbenchError, match="made for images of 1 x 8 x 8"):
        opened(folder, Space((1, 16, 16), 17))


def test_weights_scheduler_arguments_and_release_decide_the_identity_and_names_do_not(saved, tmp_path, monkeypatch):
    folder = saved(unet(), scheduler())
    keys = [parse(f"diffusers:{folder}{q}", data(GREY)).key for q in ("", "?steps=6", "?scheduler=ddim", "?steps=12")]
    assert keys[0] == keys[3]  # what it is by default
    assert len(set(keys)) == 3
    shutil.copytree(folder, tmp_path / "copy")
    assert parse(f"a=diffusers:{tmp_path / 'copy'}", data(GREY)).key == keys[0]
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda library: {"diffusers": "9.9"}[library])
        assert parse(f"diffusers:{folder}", data(GREY)).key != keys[0]
    change(folder, "scheduler/scheduler_config.json", beta_end=0.2)
    assert parse(f"diffusers:{folder}", data(GREY)).key != keys[0]
    with torch.no_grad():
        net = unet()
        net.conv_in.bias += 1e-3
    assert parse(f"diffusers:{saved(net, scheduler(), 'other')}", data(GREY)).key != keys[0]


def test_a_unet_may_lie_beside_its_scheduler(tmp_path):
    unet().save_pretrained(tmp_path)
    scheduler().save_pretrained(tmp_path)
    assert draw(opened(tmp_path), 2, 0, 2).shape == (2, 1, 8, 8)


def test_attention_under_its_names_of_2022_is_read(saved):
    """Weights that were saved before the parts of attention were renamed, as many published DDPMs are."""
    from safetensors.torch import load_file, save_file

    folder = saved(unet(), scheduler())
    expected = opened(folder).sample(2, seeded(0))
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        state = {name.replace(f".{new}.", f".{old}."): value for name, value in state.items()}
    assert any(".query." in name for name in state)
    save_file(state, path)
    assert torch.equal(opened(folder).sample(2, seeded(0)), expected)


def test_several_folders_of_one_run_are_seeds_of_one_row(saved, tmp_path):
    for seed in range(2):
        net = unet()
        with torch.no_grad():
            net.conv_in.bias += 0.1 * seed
        saved(net, scheduler(), f"runs/seed{seed}")
    found = parse_all(f"mine=diffusers:{tmp_path}/runs/*?steps=3", data(GREY))
    assert [(one.name, one.row, one.args["steps"]) for one in found] == [
        ("mine/seed0", "mine", 3),
        ("mine/seed1", "mine", 3),
    ]
    assert found[0].key != found[1].key


def test_the_command_measures_a_folder(saved, cli):
    folder = saved(unet(), scheduler())
    asked = "--metrics", "nll,nll-ode,copies", "--samples", 40, "--limit", 4
    assert cli("evaluate", f"mine=diffusers:{folder}?steps=6", *asked, "-o", "run")[0] == 0
    records = [json.loads(path.read_text()) for path in Path("run/cells").glob("*.json")]
    found = {r["metric"]["name"]: r for r in records if r["model"]["adapter"] == "diffusers"}
    assert {name: r["kind"] for name, r in found.items()}.items() >= {
        "nll": "upper_bound",
        "nll-ode": "estimate",
    }.items()
    assert found["nll"]["details"]["chain"] == "6 of 12 steps of DDPM"
    assert 0 < found["nll"]["details"]["last_sd"] < 0.1
    assert found["nll"]["model"]["args"]["steps"] == 6
    assert found["nll"]["model"]["parameters"] == sum(p.numel() for p in unet().parameters())
    assert found["nll"]["env"]["packages"]["diffusers"] == diffusers.__version__
