"""Decoders to be annealed: themselves, or a generator with noise whose sigma is fitted and remembered."""

from pathlib import Path

import pytest

from genbench import catalog, datasets
from genbench.cli import shipped
from genbench.errors import Unavailable
from genbench.likelihood.decoder import annealable
from genbench.models.checkpoint import load


class Memory:
    """A way to keep blocks that counts how many had to be made."""

    def __init__(self):
        self.kept, self.made = {}, 0

    def __call__(self, number, make):
        if number not in self.kept:
            self.made += 1
            self.kept[number] = make()
        return self.kept[number]


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def model(name):
    return load(next(Path(p) for p in shipped("digits") if Path(p).stem == name))


def test_a_decoder_is_taken_as_it_is(digits):
    vae, memory = model("vae"), Memory()
    found = annealable(vae, digits.validation, seed=0, keep=memory)
    assert found.model is vae
    assert (found.details, found.warnings, memory.made) == ({}, (), 0)


def test_a_generator_is_given_noise_whose_sigma_is_fitted_once(digits):
    gan = catalog.build("gan", digits.space, {"width": 4, "latent": 4}).eval()  # small: sigma takes many decodes
    memory = Memory()
    found = annealable(gan, digits.validation, seed=0, keep=memory)
    again = annealable(gan, digits.validation, seed=0, keep=memory)
    assert memory.made == 1
    assert found.details == again.details
    assert found.details["observation"] == "Gaussian"
    assert 0.01 < found.details["sigma"] < 2
    assert found.model.sigma == found.details["sigma"]


def test_a_sigma_at_the_end_of_the_values_tried_is_a_warning(digits):
    class Constant:
        """Whatever the latent, the middle: no noise is too much."""

        space = digits.space

        def sample_prior(self, n, generator): ...

        def log_prior(self, z): ...

        def decode(self, z): ...

    def keep(number, make):
        return {"sigma": 2.0, "at_the_end": True}

    found = annealable(Constant(), digits.validation, seed=0, keep=keep)
    assert found.warnings == ("sigma lies at the end of the values tried",)


@pytest.mark.parametrize("name", ["gated-pixelcnn", "realnvp"])
def test_what_has_no_continuous_latents_is_no_decoder(name, digits):
    with pytest.raises(Unavailable, match="annealing needs log_prior, sample_prior and a decoder; the model provides"):
        annealable(model(name), digits.validation, seed=0)
