"""PCA against scikit-learn's, and what follows from its being the best linear code."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from draws import assert_moments
from genbench import datasets
from genbench.baselines.autoencoders import pca
from genbench.models.capabilities import capabilities
from genbench.models.sampling import seeded
from genbench.space import Space


def fitted(x: torch.Tensor, latent: int):
    model = pca.build(Space(tuple(x.shape[1:])), latent=latent).double()
    model.fit(x)
    return model


def points(n: int = 80, d: int = 6) -> torch.Tensor:
    generator = seeded("points")
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + 3


@pytest.mark.parametrize("latent", [1, 3, 6])
def test_codes_and_reconstructions_are_those_of_scikit_learn(latent):
    x = points()
    model, peer = fitted(x, latent), PCA(latent, svd_solver="full").fit(x.numpy())
    codes = peer.transform(x.numpy())
    sign = np.sign((codes * model.encode(x).numpy()).sum(0))
    np.testing.assert_allclose(model.encode(x).numpy(), codes * sign, rtol=0, atol=1e-9)
    back = peer.inverse_transform(codes)
    np.testing.assert_allclose(model.reconstruct(x).numpy(), back, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.sd.numpy() ** 2, peer.explained_variance_ * 79 / 80, rtol=1e-9)


def test_no_other_linear_code_of_as_many_values_has_less_error():
    x, generator = points(), seeded("others")
    least = (fitted(x, 2).reconstruct(x) - x).square().sum()
    centred = x - x.mean(0)
    for _ in range(50):
        Q = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64))[0]
        assert (centred - centred @ Q @ Q.T).square().sum() >= least


def test_samples_have_the_covariance_of_the_reconstructions():
    x = points()
    model = fitted(x, 2).float()
    back = model.reconstruct(x.float())
    centred = back - back.mean(0)
    assert_moments(model.sample(20_000, seeded(0)), x.mean(0), centred.T @ centred / len(x))


def test_digits_come_back_within_their_range_and_samples_are_levels():
    data = datasets.load("digits")
    model = pca.build(data.space, latent=16)
    x = torch.from_numpy(data.train.astype(np.int64))
    model.fit(x)
    back, drawn = model.reconstruct(x), model.sample(50, seeded(0))
    assert float(back.min()) >= 0
    assert float(back.max()) <= 16
    assert drawn.dtype == torch.int64
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) <= 16


def test_it_claims_no_likelihood_and_refuses_more_axes_than_there_are():
    model = pca.build(Space((4,)), latent=2)
    assert capabilities(model) == ["sample", "sample_prior", "expected", "encode", "reconstruct"]
    for latent in (0, 5):
        with pytest.raises(ValueError, match="latent"):
            pca.build(Space((4,)), latent=latent)
