"""KL of posteriors and active units: closed forms, collapse, and models that have neither."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genbench import datasets, evaluate
from genbench.baselines.latent_variable import conditional_vae, flow_posterior_vae, vae, vampprior_vae
from genbench.errors import ModelError
from genbench.metrics import latent
from genbench.models.sampling import gaussian_posteriors
from genbench.space import Space

SPACE = Space((1, 8, 8), levels=17)


def posteriors(n: int = 200, d: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"mean": rng.standard_normal((n, d)), "log_sd": 0.5 * rng.standard_normal((n, d))}


def test_the_kl_is_that_of_torch_summed_over_units():
    q = posteriors()
    mean, log_sd = (torch.from_numpy(q[name]) for name in ("mean", "log_sd"))
    expected = kl_divergence(Normal(mean, log_sd.exp()), Normal(torch.zeros(3).double(), torch.ones(3).double()))
    found = latent.compute(q, None)["latent_kl"]
    assert found.value == pytest.approx(float(expected.sum(1).mean()), rel=1e-12)
    assert found.details["kl_by_unit"] == pytest.approx(expected.mean(0).tolist(), rel=1e-12)
    assert found.stderr == pytest.approx(float(expected.sum(1).std()) / 200**0.5, rel=1e-9)


def test_a_collapsed_unit_has_no_kl_and_is_not_active():
    q = posteriors()
    q["mean"][:, 1], q["log_sd"][:, 1] = 0, 0
    found = latent.compute(q, None)
    assert found["latent_kl"].details["kl_by_unit"][1] == 0
    assert found["active_units"].value == 2
    q = {name: np.zeros((50, 4)) for name in q}
    found = latent.compute(q, None)
    assert (found["latent_kl"].value, found["active_units"].value) == (0, 0)


def test_a_unit_is_active_by_the_variance_of_its_mean_and_not_by_where_it_is():
    """Means of +-s have variance s^2, times n / (n - 1): on either side of 0.01 for s^2 = 0.0098 and 0.0102."""
    sign = np.tile([1.0, -1.0], 5000)
    mean = np.stack([0.0098**0.5 * sign, 0.0102**0.5 * sign, 7 + 0 * sign], 1)
    found = latent.compute({"mean": mean, "log_sd": np.zeros_like(mean)}, None)["active_units"]
    assert found.value == 1
    assert found.details["variance_by_unit"] == pytest.approx([0.0098, 0.0102, 0], abs=1e-5)
    assert found.ci95 is None
    assert found.ci_method.startswith("none: ")


def test_a_vae_is_measured_and_what_has_another_posterior_or_prior_is_not():
    def built(module):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return module.build(SPACE, latent=3, hidden=8).eval()

    model, x = built(vae), datasets.load("digits").test[:50]
    found = {r.metric["name"]: r for r in evaluate(model, "digits", metrics=["latent"], limit=50)}
    assert found["active-units"].details["of"] == 3
    assert found["latent-kl"].kind == "estimate"
    with torch.no_grad():
        mean, log_sd = model.posterior(torch.from_numpy(x.astype(np.int64)))
    q = gaussian_posteriors(model, x)
    np.testing.assert_allclose(q["mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(q["log_sd"], log_sd, rtol=1e-5, atol=1e-6)
    for module, why in (
        (flow_posterior_vae, "no Gaussian posterior"),
        (vampprior_vae, "no Gaussian posterior"),
        (conditional_vae, "of a given class"),
    ):
        for record in evaluate(built(module), "digits", metrics=["latent"], limit=50):
            assert record.status == "skipped"
            assert why in str(record.error)


def test_a_prior_that_is_no_standard_normal_is_an_error():
    class Wide(vae.VAE):
        def log_prior(self, z):
            return super().log_prior(z / 2)

    with pytest.raises(ModelError, match="not that of N"):
        gaussian_posteriors(Wide(SPACE, latent=3, hidden=8), datasets.load("digits").test[:5])


def test_means_and_deviations_of_different_shapes_are_an_error():
    class Odd(vae.VAE):
        def gaussian_posterior(self, x):
            mean, log_sd = self.posterior(x)
            return mean, log_sd[:, :1]

    with pytest.raises(ModelError, match="twice"):
        gaussian_posteriors(Odd(SPACE, latent=3, hidden=8), datasets.load("digits").test[:5])
