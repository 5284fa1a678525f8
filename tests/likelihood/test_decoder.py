"""Annealing as the evaluator runs it: noise for a generator, the gap, and going on where it stopped."""

from pathlib import Path

import pytest

from genbench import catalog, datasets
from genbench.cli import shipped
from genbench.errors import Unavailable
from genbench.likelihood.ais import Settings
from genbench.likelihood.decoder import anneal_decoder
from genbench.metrics.nll_ais import compute
from genbench.models.checkpoint import load

SETTINGS = Settings(temperatures=20, chains=2, leapfrog=2, adaptation=20)


class Memory:
    """A store that remembers what had to be made."""

    def __init__(self):
        self.kept, self.made = {}, []

    def __call__(self, what, identity, make):
        key = (what, tuple(sorted(identity.items())))
        if key not in self.kept:
            self.made.append(what)
            self.kept[key] = make()
        return self.kept[key]


def anneal(name, store):
    digits = datasets.load("digits")
    if name == "gan":  # a small one: sigma takes many decodes
        model = catalog.build("gan", digits.space, {"width": 4, "latent": 4}).eval()
    else:
        model = load(next(Path(p) for p in shipped("digits") if Path(p).stem == name))
    return model.space, anneal_decoder(model, digits.test[:5], digits.validation, 4, SETTINGS, 0, 3, "cpu", store)


def test_a_decoder_is_annealed_block_by_block_and_goes_on_where_it_stopped():
    store = Memory()
    space, first = anneal("vae", store)
    assert store.made == ["annealed", "annealed", "bdmc", "bdmc"]
    for key in [k for k in store.kept if k[0] == "bdmc"][:1]:
        del store.kept[key]
    _, again = anneal("vae", store)
    assert store.made[4:] == ["bdmc"]
    assert (first.values == again.values).all()
    assert (first.upper == again.upper).all()
    measures = compute(first, space)
    assert measures["nll_ais"].kind == "upper_bound"
    assert measures["nll_ais"].value == pytest.approx(space.bits_per_dim(-first.values.mean()))
    assert measures["ais_gap"].value == pytest.approx((first.upper - first.lower).mean())


def test_a_generator_is_given_noise_and_its_sigma_is_reported():
    store = Memory()
    _, found = anneal("gan", store)
    assert store.made[0] == "sigma"
    assert found.details["observation"] == "Gaussian"
    assert 0.01 < found.details["sigma"] < 2


@pytest.mark.parametrize("name", ["vqvae", "realnvp"])
def test_what_has_no_continuous_latents_is_not_annealed(name):
    with pytest.raises(Unavailable, match="anneal"):
        anneal(name, Memory())
