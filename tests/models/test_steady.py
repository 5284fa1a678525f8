"""What a model says of an example is that of the example alone: asked again, or beside others, it is the same."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import genbench
from genbench import catalog
from genbench.errors import GenbenchError, ModelError
from genbench.features import Extractor
from genbench.likelihood import log_likelihood
from genbench.likelihood.bayes import class_log_likelihoods
from genbench.likelihood.completion import completion
from genbench.likelihood.probability_flow import probability_flow
from genbench.models import steady
from genbench.models.sampling import draw, encode, reconstruct, translate
from genbench.space import Space

SPACE = Space((1, 4, 3), levels=5)
N = 40
X = np.random.default_rng(0).integers(5, size=(N, 1, 4, 3)).astype(np.uint8)


def training_mode(x):
    """Statistics of the batch, by a layer that nobody put into evaluation mode."""
    layer = nn.BatchNorm1d(12).train()
    return layer(x.flatten(1).float()).mul(2)


def dropout(x):
    return nn.Dropout(0.5).train()(x.flatten(1).float() + 1)


def noise(x):
    return x.flatten(1) + 0.5 * torch.rand(len(x), 12)


def numpy_noise(x):
    return x.flatten(1) + torch.from_numpy(np.random.default_rng().random((len(x), 12)))


class Counter:
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x.flatten(1).float() + 0.3 * self.calls


def mixed_up(x):
    return x.flatten(1).float().sort(0).values


def of_the_first(x):
    return x[:1].flatten(1).float().expand(len(x), -1)


def by_place(x):
    return x.flatten(1) + torch.arange(len(x))[:, None] / len(x)


# What a model may do to its examples, and whether asking again shows it.
FAULTS = {
    "batch normalisation": (training_mode, False),
    "dropout": (dropout, True),
    "noise": (noise, True),
    "noise of NumPy": (numpy_noise, True),
    "a counter": (Counter(), True),
    "sorted rows": (mixed_up, False),
    "the first row for all": (of_the_first, False),
    "by the place": (by_place, False),
}


class Model:
    """Whatever is asked of it, by what `look` makes of examples `[B, 12]`."""

    space, n_classes = SPACE, 2

    def __init__(self, look, *does):
        self.look = look
        for name in does:
            setattr(self, name, getattr(self, f"_{name}"))
        if "log_likelihood" in does:
            self.latent_space = Space((1,), levels=2)

    def of(self, x):
        return -10 - self.look(x).square().sum(1)

    def _log_prob(self, x, labels=None):
        return self.of(x)

    def _elbo(self, x, generator):
        return self.of(x) - torch.rand(len(x), generator=generator)

    def _log_weights(self, x, k, generator):
        return self.of(x) - torch.rand(k, len(x), generator=generator)

    def _log_prior(self, z):
        return torch.full((len(z),), -np.log(2))

    def _log_likelihood(self, x, z):
        return self.of(x)

    def _log_conditionals(self, x, labels=None):
        return -1 - self.look(x).square().view(x.shape)

    def _encode(self, x):
        return self.look(x).float()

    def _reconstruct(self, x):
        return self.look(x).float().view(x.shape)

    def _translate(self, x, back):
        return self.look(x).round().long().clamp(0, 4).view(x.shape)


EXACT = {
    "log_prob": lambda m: log_likelihood(m, X, 5, 0, N),
    "log_prior log_likelihood": lambda m: log_likelihood(m, X, 5, 0, N),
    "log_prob ": lambda m: class_log_likelihoods(m, X),
}
DRAWN = {
    "elbo": lambda m: log_likelihood(m, X, 5, 0, N),
    "log_weights": lambda m: log_likelihood(m, X, 5, 0, N),
}
ANSWERS = {
    "encode": lambda m: encode(m, X),
    "reconstruct": lambda m: reconstruct(m, X),
    "translate": lambda m: translate(m, X, False),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("does", EXACT)
def test_an_exact_likelihood_that_is_not_of_the_example_is_refused(does, fault):
    look, again = FAULTS[fault]
    with pytest.raises(ModelError, match="asked twice" if again else "examples beside it"):
        EXACT[does](Model(look, *does.split()))


@pytest.mark.parametrize("fault", ["batch normalisation", "sorted rows", "by the place"])
def test_conditionals_are_held_to_the_same(fault):
    with pytest.raises(ModelError, match="examples beside it"):
        completion(Model(lambda x: FAULTS[fault][0](x).float() + 1, "log_conditionals"), X)


@pytest.mark.parametrize("fault", ["batch normalisation", "dropout", "noise", "noise of NumPy", "a counter"])
@pytest.mark.parametrize("does", DRAWN)
def test_a_bound_that_is_not_of_the_example_and_the_generator_says_so(does, fault):
    look, again = FAULTS[fault]
    found = DRAWN[does](Model(look, does))
    assert [text for text in found.warnings if ("asked twice" if again else "examples beside it") in text]


class Flow:
    """A flow of points whose velocity is `look` of them."""

    space, eps = Space((2,)), 1e-3

    def __init__(self, look):
        self.look = look

    def velocity(self, x, t):
        return self.look(x)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (lambda x: -x, ""),
        (lambda x: -x + x.mean(0), "examples beside it"),
        (lambda x: -x / x.std(0, correction=0).clamp(min=0.1), "examples beside it"),
    ],
)
def test_a_velocity_that_looks_beside_its_point_is_said_to(look, said):
    points = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    found = probability_flow(Flow(look), points, 0, probes=0)
    assert [text for text in found.warnings if "velocity of" in text and said in text] if said else not found.warnings


def test_a_kind_that_is_not_exact_may_be_drawn_and_says_so():
    model = Model(noise, "log_prob")
    model.log_prob_kind = "lower_bound"
    found = log_likelihood(model, X, 5, 0, N)
    assert found.kind == "lower_bound"
    assert "asked twice" in found.warnings[0]


@pytest.mark.parametrize("fault", ["batch normalisation", "dropout", "sorted rows", "the first row for all"])
@pytest.mark.parametrize("method", ANSWERS)
def test_codes_reconstructions_and_translations_say_so(method, fault):
    with pytest.warns(UserWarning, match=f"{method} of .*(asked twice|examples beside it)"):
        ANSWERS[method](Model(FAULTS[fault][0], method))


def plain(x):
    return x.flatten(1).float() * 0.7


def half(x):
    return plain(x).half().float()


def of_other_sizes(x):
    """Rounded otherwise in a batch of another size, as products of matrices are."""
    return plain(x) * (1 + 1e-6 * np.sin(len(x)))


def random_but_seeded(x):
    return plain(x) + torch.rand(12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("look", [plain, half, of_other_sizes, random_but_seeded])
def test_what_rounds_or_seeds_itself_is_left_alone(look):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for does, ask in {**EXACT, **DRAWN, **ANSWERS}.items():
            found = ask(Model(look, *does.split()))
            assert not [text for text in getattr(found, "warnings", ()) if "examples" in text and "size" not in text]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_few_digits_are_no_dependence(dtype):
    class Coarse(Model):
        def _log_prob(self, x, labels=None):
            return (self.of(x) * (1 + 1e-4 * len(x))).to(dtype)

    assert log_likelihood(Coarse(plain, "log_prob"), X, 5, 0, N).kind == "exact"


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 500])
def test_some_are_never_all_and_infinities_are_equal_to_themselves(n):
    x = np.zeros((n, 2))
    places = steady.some(x)
    assert len(places) == min(16, -(-n // 2))
    assert len(set(places)) == len(places)
    answers = np.array([np.inf, -np.inf, np.nan, 1.0])
    assert steady.moved(answers, answers, 1.0) is None
    assert steady.moved(answers, np.array([np.inf, -np.inf, np.nan, -np.inf]), 1.0)[0] == np.inf
    assert steady.moved(answers, np.array([np.inf, np.inf, np.nan, 1.0]), 1.0)[0] == np.inf


# --- Samples


class Sampler:
    space = Space((3,), levels=50)

    def __init__(self, of):
        self.of, self.last = of, None

    def sample(self, n, generator):
        return self.of(self, n, generator)


def fresh(model, n, generator):
    return torch.randint(50, (n, 3), generator=generator)


def same_seed(model, n, generator):
    return fresh(model, n, torch.Generator().manual_seed(0))


def globally_seeded(model, n, generator):
    torch.manual_seed(0)
    return fresh(model, n, None)


def same_latents(model, n, generator):
    """Half of what decides a sample comes from a table."""
    x = fresh(model, n, generator)
    x[::2] = same_seed(model, n, generator)[::2]
    return x


def chain(model, n, generator):
    """Chains that go on from block to block, and seldom move."""
    x = fresh(model, n, generator)
    if model.last is not None:
        stays = torch.rand(n, generator=generator) < 0.8
        x[stays] = model.last[stays]
    model.last = x
    return x


def alternating(model, n, generator):
    model.last = not model.last
    return fresh(model, n, torch.Generator().manual_seed(int(model.last)))


@pytest.mark.parametrize("of", [same_seed, globally_seeded, same_latents, chain, alternating])
@pytest.mark.parametrize("n", [90, 120])
def test_blocks_that_repeat_each_other_are_no_samples(of, n):
    with pytest.raises(ModelError, match="in common with"):
        draw(Sampler(of), n, 0, 30)


@pytest.mark.parametrize(
    "of",
    [
        fresh,
        lambda model, n, generator: torch.zeros(n, 3, dtype=torch.int64),
        lambda model, n, generator: (torch.rand(n, 1, generator=generator) < 0.01).long().expand(-1, 3),
        lambda model, n, generator: (torch.rand(n, 1, generator=generator) < 0.5).long().expand(-1, 3),
        lambda model, n, generator: torch.randint(20, (n, 1), generator=generator).expand(-1, 3),
    ],
    ids=["many", "one", "one and seldom another", "two", "twenty"],
)
@pytest.mark.parametrize("block", [1, 7, 100])
def test_few_different_samples_are_samples(of, block):
    for seed in range(20):
        draw(Sampler(of), 300, seed, block)


def test_classes_that_are_asked_for_in_turn_may_have_one_sample_each():
    class Collapsed:
        space, n_classes = Sampler.space, 10

        def sample(self, n, generator, labels):
            return labels[:, None].expand(-1, 3)

    draw(Collapsed(), 300, 0, 100, labels=np.arange(10))


class Layered(nn.Module):
    """A generator with a layer that acts otherwise in training."""

    space = Space((3,))

    def __init__(self, layer, where):
        super().__init__()
        if where in ("list", "dict"):  # which no `eval()` reaches
            self.layers = [layer] if where == "list" else {"a": (nn.Sequential(layer),)}
        else:
            self.layer = layer
        self.where, self.look = where, lambda x: layer(x)

    def sample(self, n, generator):
        if self.where == "switched by itself":
            self.train()
        return self.look(torch.randn(n, 3, generator=generator)).detach()


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout(0.3)], ids=["BatchNorm1d", "Dropout"])
@pytest.mark.parametrize("where", ["list", "dict", "switched by itself"])
def test_layers_in_training_mode_are_named(layer, where):
    layer.train()
    model = Layered(layer, where).eval()
    with pytest.warns(UserWarning, match=f"{type(layer).__name__} of the model is in training mode"):
        draw(model, 40, 0, 20)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout(0.3), nn.LayerNorm(3)])
def test_layers_in_evaluation_mode_are_not(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(Layered(layer.train(), "child").eval(), 40, 0, 20)
        draw(Layered(nn.LayerNorm(3).train(), "list").eval(), 40, 0, 20)


# --- Extractors, metrics


def seen(look):
    return lambda x: (look(torch.from_numpy(x.astype(np.int64))).float().detach().numpy(), None)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_extractor_that_looks_beside_an_image_is_refused(fault):
    with pytest.raises(GenbenchError, match="images beside it, or when it is seen again"):
        Extractor("e", "0" * 64, "as it is", seen(FAULTS[fault][0])).check_each(X[:8])


@pytest.mark.parametrize("n", [1, 2, 8])
def test_one_that_does_not_is_taken(n):
    Extractor("e", "0" * 64, "as it is", seen(plain)).check_each(X[:n])


class Uniform(nn.Module):
    space = Space((1, 8, 8), levels=17)

    def sample(self, n, generator):
        return torch.randint(17, (n, 1, 8, 8), generator=generator)

    def log_prob(self, x):
        return torch.full((len(x),), -64 * np.log(17.0)) + x[:, 0, 0, 0] / 100


def test_an_extractor_in_code_is_tried_before_the_long_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "def whiten(x):\n    x = x.reshape(len(x), -1).astype('float32')\n    return x - x.mean(0)\n"
    (tmp_path / "whiten.py").write_text(code)
    with pytest.raises(GenbenchError, match="extractor 'whiten': features of an image change"):
        genbench.evaluate(Uniform(), "digits", metrics=["fd"], samples=20, extractor="whiten.py:whiten")


METRIC = """
import random
import numpy as np
import torch
from genbench import Measure
VERSION = 1
NEEDS = ("samples", "test", "sample_features", "log_likelihood")
OUTPUTS = {{"{name}": {{"unit": "share", "direction": "lower", "title": "t", "group": "fidelity", "place": 1}}}}
def compute(samples, test, sample_features, log_likelihood):
    {body}
    return {{"{name}": Measure(float(value), "estimate", None, None, "none")}}
"""
BODIES = {
    "samples[:] = 0; value = 1": "",
    "test += 1; log_likelihood.values[:] = 0; value = 1": "",
    "torch.from_numpy(samples).zero_(); value = 1": "",
    "value = np.random.rand()": "no seed decides",
    "value = random.random() + torch.rand(1)": "no seed decides",
    "np.random.seed(3); value = np.random.rand()": "",
    "value = np.random.default_rng(0).random()": "",
    "sample_features.x[:] = 0; value = 1": "read-only",
}


def test_a_metric_of_others_changes_nothing_for_those_after_it_and_says_what_it_draws(tmp_path):
    names = [f"odd-{i}" for i in range(len(BODIES))]
    for name, body in zip(names, BODIES, strict=True):
        path = tmp_path / f"{name}.py"
        path.write_text(METRIC.format(name=name, body=body))
        catalog.use_plugin(str(path))

    def values(*before):
        records = genbench.evaluate(Uniform(), "digits", metrics=[*before, "fd", "copies", "nll"], samples=40)
        return {r.metric["name"].partition("[")[0]: r for r in records}

    alone, after = values(), values(*names)
    for name, record in alone.items():
        assert (after[name].value, after[name].ci95) == (record.value, record.ci95), name
    for name, (body, why) in zip(names, BODIES.items(), strict=True):
        said = " ".join([*after[name].warnings, (after[name].error or {}).get("message", "")])
        assert (why in said) if why else ("no seed" not in said and after[name].status == "ok"), (body, said)
