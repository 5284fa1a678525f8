"""Probabilistic PCA: scikit-learn's, EM against the closed form, integers against integrals over the latent."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch.distributions import Normal

from draws import assert_drawn, assert_means, assert_moments, assert_standard_normal, every
from genbench.baselines.mixtures import ppca
from genbench.errors import GenbenchError
from genbench.models.sampling import seeded
from genbench.space import Space

N = 60


def data(d: int = 6) -> torch.Tensor:
    """Correlated rows [N, d] in float64, spread differently along d axes."""
    generator = seeded("data", d)
    z, axes = (torch.randn(m, d, generator=generator, dtype=torch.float64) for m in (N, d))
    return (z * torch.logspace(1, -0.5, d)) @ torch.linalg.qr(axes)[0] + torch.arange(d)


def fitted(x: torch.Tensor, latent: int, levels: int | None = None, **options) -> ppca.PPCA:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ppca.build(Space(tuple(x.shape[1:]), levels), latent=latent, **options).double()
    model.fit(x)
    return model


def of_scikit_learn(x: torch.Tensor, latent: int) -> PCA:
    """Its variances divide by N - 1; those of maximum likelihood divide by N, and so do ours."""
    pca = PCA(latent, svd_solver="full").fit(x.numpy())
    pca.explained_variance_ *= (N - 1) / N
    pca.noise_variance_ *= (N - 1) / N
    return pca


def of_integers(space: Space, latent: int) -> ppca.IntegerPPCA:
    y, top = data(space.dim), space.levels - 1
    x = ((y - y.mean(0)) / y.std(0) * (0.5 + space.levels / 6) + top / 2).round().clamp(0, top).long()
    return fitted(x.view(N, *space.shape), latent, space.levels)


def log_mass(model: ppca.IntegerPPCA, x: torch.Tensor) -> torch.Tensor:
    """log int P(x | z) N(z; 0, 1) dz of a model with one latent -> [B], by the trapezoid rule, exact to rounding."""
    z = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    log_p = model.log_likelihood(x, z[:, None, None].expand(-1, len(x), 1))  # [m, B]
    return torch.logsumexp(log_p + Normal(0.0, 1.0).log_prob(z)[:, None], 0) + np.log(20 / 2000)


@pytest.mark.parametrize("latent", [1, 3, 5])
@pytest.mark.parametrize("method", ["closed-form", "em"])
def test_covariance_and_likelihood_are_those_of_scikit_learn(latent, method):
    x = data()
    model, pca = fitted(x, latent, method=method, em_steps=20_000), of_scikit_learn(x, latent)
    np.testing.assert_allclose(model.covariance(), pca.get_covariance(), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(model.log_prob(x).numpy(), pca.score_samples(x), rtol=1e-8, atol=1e-8)
    assert float(model.log_prob(x).mean()) == pytest.approx(pca.score(x), rel=1e-8)


def test_em_finds_the_closed_form_up_to_a_rotation():
    x = data()
    a, b = fitted(x, 3), fitted(x, 3, method="em", em_steps=20_000)
    rotation = torch.linalg.lstsq(b.W, a.W).solution
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-8)
    torch.testing.assert_close(b.W @ rotation, a.W, rtol=0, atol=1e-8)
    torch.testing.assert_close(b.log_sd, a.log_sd, rtol=0, atol=1e-10)


def test_every_step_of_em_raises_the_likelihood():
    x = data()
    reached = [float(fitted(x, 2, method="em", em_steps=steps).log_prob(x).mean()) for steps in (1, 2, 3, 5, 10, 50)]
    assert reached == sorted(reached)
    assert reached[-1] - reached[0] > 0.01
    assert reached[-1] < float(fitted(x, 2).log_prob(x).mean()) + 1e-12


def test_axes_are_those_of_pca_and_their_largest_entries_positive():
    x = data()
    W = fitted(x, 3).W.numpy()
    of_pca = of_scikit_learn(x, 3).components_.T
    np.testing.assert_allclose(np.abs((W / np.linalg.norm(W, axis=0) * of_pca).sum(0)), 1, rtol=1e-10)
    assert (W[np.abs(W).argmax(0), range(3)] > 0).all()


def test_density_integrates_to_one():
    model = fitted(data(2), 1)
    L = torch.linalg.cholesky(model.covariance())
    line = torch.linspace(-9, 9, 361, dtype=torch.float64)
    points = model.mean + torch.cartesian_prod(line, line) @ L.T
    total = float(model.log_prob(points).exp().sum() * (line[1] - line[0]) ** 2 * L.diagonal().prod())
    assert total == pytest.approx(1, abs=1e-10)


def test_draws_have_the_moments_of_the_model_and_latents_are_standard():
    model = fitted(data(4), 2)
    assert_moments(model.sample(20_000, seeded("x")), model.mean, model.covariance())
    z = model.sample_prior(20_000, seeded("z"))
    assert_standard_normal(z)
    torch.testing.assert_close(model.log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(1))


def test_bayes_rule_holds_between_prior_likelihood_and_posterior():
    """log p(x) = log p(x | z) + log p(z) - log p(z | x) at every z, with N(E[z | x], s^2 M^-1) by SciPy."""
    x, z = data(4), torch.randn(N, 2, generator=seeded("z"), dtype=torch.float64)
    model = fitted(x, 2)
    variance = float((2 * model.log_sd).exp())
    inverse = torch.linalg.inv(model.W.T @ model.W + variance * model.eye()).numpy()
    posterior = stats.multivariate_normal(np.zeros(2), variance * inverse).logpdf(z - model.encode(x))
    joint = model.log_likelihood(x, z) + model.log_prior(z)
    np.testing.assert_allclose(joint.numpy() - posterior, model.log_prob(x), rtol=1e-9, atol=1e-9)


def test_reconstruction_is_that_of_pca():
    x = data()
    pca = of_scikit_learn(x, 3)
    np.testing.assert_allclose(fitted(x, 3).reconstruct(x), pca.inverse_transform(pca.transform(x)), atol=1e-9)


def test_single_precision_agrees_with_double():
    x = data().float()
    model = ppca.build(Space((6,)), latent=3)
    model.fit(x)
    expected = fitted(x.double(), 3).log_prob(x.double())
    torch.testing.assert_close(model.log_prob(x).double(), expected, rtol=1e-4, atol=1e-4)


# ---- integers


@pytest.mark.parametrize("space", [Space((3,), levels=4), Space((1, 2, 2), levels=3), Space((6,), levels=2)])
def test_integers_sum_to_one_and_are_drawn_as_they_are_scored(space):
    model = of_integers(space, latent=1)
    log_p = log_mass(model, every(space))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-6)  # levels on [-1, 1] are float32
    assert_drawn(model.sample(20_000, seeded("x")), log_p, space)


def test_mass_of_a_cell_is_that_of_the_rounded_normal():
    space = Space((2,), levels=5)
    model, x = of_integers(space, latent=1), every(space)
    edges = np.array([-np.inf, -0.75, -0.25, 0.25, 0.75, np.inf])
    low, high = edges[x], edges[x + 1]
    normal = stats.multivariate_normal(model.mean, model.covariance())
    mass = [normal.cdf(b, lower_limit=a) for a, b in zip(low, high, strict=True)]
    np.testing.assert_allclose(log_mass(model, x).exp(), mass, atol=1e-5)  # SciPy's own tolerance


@pytest.mark.parametrize("space", [Space((3,), levels=4), Space((1, 3, 3), levels=2)])
def test_mean_of_the_weights_is_the_mass(space):
    model, k = of_integers(space, latent=1), 2000
    x = every(space)[:: space.levels**space.dim // 16]
    relative = (model.log_weights(x, k, seeded("z")) - log_mass(model, x)).exp()  # [k, B], mean one
    assert_means(relative, 1.0)
    assert float(relative.std()) < 0.5  # an encoder that is off would spread them far more


def test_with_narrow_cells_every_weight_is_the_mass():
    """Where rounding is little, p(z | x) is normal, and its Laplace approximation exact."""
    space = Space((4,), levels=256)
    y = data(4)
    x = (128 + 20 * (y - y.mean(0)) / y.std(0)).round().long()
    model = fitted(x, 1, 256)
    weights = model.log_weights(x, 5, seeded("z"))
    s = float(model.log_sd.exp()) * 255 / 2  # in levels
    assert s > 1
    torch.testing.assert_close(weights, log_mass(model, x).expand(5, -1), rtol=0, atol=0.05)
    torch.testing.assert_close(log_mass(model, x), weights.logsumexp(0) - np.log(5), rtol=0, atol=0.02)
    assert space == model.space


def test_posterior_is_the_mode_and_its_curvature():
    model = of_integers(Space((5,), levels=4), latent=2)
    x = torch.tensor([[0, 1, 2, 3, 3], [0, 0, 0, 0, 0], [3, 0, 3, 0, 1], [1, 2, 1, 2, 1]])
    mode, R = model.posterior(x)
    for i in range(len(x)):

        def joint(z, i=i):
            return (model.log_likelihood(x[i : i + 1], z[None]) + model.log_prior(z[None]))[0]

        gradient = torch.autograd.functional.jacobian(joint, mode[i])
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)
        hessian = torch.autograd.functional.hessian(joint, mode[i])
        torch.testing.assert_close(R[i] @ R[i].T, -hessian, rtol=1e-4, atol=1e-5)


def test_posterior_of_an_example_far_out_is_found_in_single_precision():
    """Two hundred standard deviations out, where densities underflow and variances cancel."""
    model = of_integers(Space((5,), levels=17), latent=2)
    model.log_sd.fill_(-5.0)
    x = torch.tensor([[0, 16, 0, 16, 0], [16, 16, 16, 0, 0]])
    expected, _ = model.posterior(x)
    mode, R = model.float().posterior(x)
    torch.testing.assert_close(mode, expected.float(), rtol=1e-2, atol=1e-2)
    assert torch.isfinite(R).all()


def test_posterior_is_what_the_weights_take():
    model = of_integers(Space((3,), levels=4), latent=2)
    x = every(model.space)[:5]
    given = model.log_weights(x, 7, seeded("z"), model.posterior(x))
    assert torch.equal(given, model.log_weights(x, 7, seeded("z")))


def test_expected_value_is_the_mean_over_levels():
    space = Space((1, 1, 2), levels=5)
    model = of_integers(space, latent=1)
    z = torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    states = every(space)
    for i in range(2):
        p = model.log_likelihood(states, z[i].expand(len(states), 1)).exp()
        mean = (p[:, None] * states.flatten(1)).sum(0)
        torch.testing.assert_close(model.expected(z)[i].flatten(), mean, rtol=1e-9, atol=1e-9)


def test_reconstruction_of_integers_is_in_their_range():
    model = of_integers(Space((1, 2, 2), levels=4), latent=1)
    y = model.reconstruct(every(model.space))
    assert y.shape == (256, 1, 2, 2)
    assert float(y.min()) >= 0
    assert float(y.max()) <= 3


@pytest.mark.parametrize(
    ("options", "problem"), [({"latent": 0}, "not 0"), ({"latent": 4}, "not 4"), ({"method": "svd"}, "not 'svd'")]
)
def test_other_options_are_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        ppca.build(Space((4,)), **options)


@pytest.mark.parametrize("method", ["closed-form", "em"])
def test_data_in_a_plane_are_refused(method):
    x = data(2) @ torch.randn(2, 5, generator=seeded("plane"), dtype=torch.float64)
    with pytest.raises(GenbenchError, match="2 dimensions hold all of the data"):
        fitted(x, 2, method=method)
