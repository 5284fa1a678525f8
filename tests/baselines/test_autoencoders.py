"""Autoencoders: the linear one is PCA, sparse ones pay for activity, the deep one learns a layer at a time."""

import math

import pytest
import torch
from sklearn.decomposition import PCA

from genbench.baselines.autoencoders import autoencoder, layerwise_autoencoder, sparse_autoencoder
from genbench.models.capabilities import capabilities
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=17)


def built(module, space: Space = SPACE, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module.build(space, **options)


def images(n: int) -> torch.Tensor:
    return torch.randint(17, (n, *SPACE.shape), generator=seeded("images"))


def minimise(parameters, loss, steps: int = 500) -> None:
    """By L-BFGS with a line search, to its end."""
    optimiser = torch.optim.LBFGS(
        list(parameters), max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=1e-14
    )

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


@pytest.mark.parametrize("module", [autoencoder, sparse_autoencoder, layerwise_autoencoder])
def test_they_claim_no_likelihood(module):
    assert capabilities(built(module)) == ["sample", "encode", "reconstruct"]


# The bottleneck


def test_a_linear_autoencoder_at_its_optimum_projects_onto_the_subspace_of_pca():
    """Baldi and Hornik (1989): one global minimum up to the choice of coordinates, and no other minimum."""
    generator = seeded("data")
    axes = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))[0]
    spread = torch.tensor([3.0, 2.0, 1.4, 0.8, 0.5, 0.3], dtype=torch.float64)
    x = (torch.randn(200, 6, generator=generator, dtype=torch.float64) * spread) @ axes + 1
    model = built(autoencoder, Space((6,)), latent=3, hidden=0).double()
    minimise([*model.f.parameters(), *model.g.parameters()], lambda: model.squared_error(x, seeded("unused")))
    pca = PCA(3, svd_solver="full").fit(x.numpy())
    with torch.no_grad():
        expected = torch.from_numpy(pca.inverse_transform(pca.transform(x.numpy())))
        torch.testing.assert_close(model.reconstruct(x), expected, rtol=0, atol=1e-4)
        axes_of_codes = torch.linalg.qr(model.g[0].weight)[0]
        components = torch.from_numpy(pca.components_)
        # the cosines of the angles between the two subspaces are all one
        torch.testing.assert_close(
            torch.linalg.svdvals(components @ axes_of_codes), torch.ones(3).double(), atol=1e-6, rtol=0
        )
        error = float(model.squared_error(x, seeded("unused")))
    left = pca.inverse_transform(pca.transform(x.numpy())) - x.numpy()
    assert error == pytest.approx(float((left**2).sum(1).mean()), rel=1e-6)


def test_a_linear_autoencoder_is_never_better_than_pca_and_one_with_a_hidden_layer_can_be():
    """Points on a circle: one linear code leaves half of their variance, 1/2; one angle could leave nothing."""
    angle = torch.linspace(0, 2 * math.pi, 65)[:64]
    x = torch.stack([angle.cos(), angle.sin()], 1)
    errors = []
    for hidden in (0, 32):
        model = built(autoencoder, Space((2,)), latent=1, hidden=hidden)
        minimise([*model.f.parameters(), *model.g.parameters()], lambda m=model: m.squared_error(x, seeded("unused")))
        errors.append(float(model.squared_error(x, seeded("unused")).detach()))
    assert errors[0] == pytest.approx(0.5, abs=1e-4)
    assert errors[1] < 0.1


def test_a_code_without_values_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        built(autoencoder, latent=0)


# The sparse one


@torch.no_grad()
def test_the_price_of_kl_is_the_divergence_of_bernoullis_at_the_mean_activity():
    model = built(sparse_autoencoder, latent=5, rho=0.1)
    z = torch.rand(40, 5, generator=seeded("codes"))
    p, q = torch.distributions.Bernoulli(0.1), torch.distributions.Bernoulli(z.mean(0))
    torch.testing.assert_close(model.price(z), torch.distributions.kl_divergence(p, q).sum())
    assert float(model.price(torch.full((8, 5), 0.1))) == pytest.approx(0, abs=1e-6)
    for dead in (0.0, 1.0):  # a sigmoid that saturates costs much, and not infinity
        assert 0.5 < float(model.price(torch.full((8, 5), dead))) < math.inf


@torch.no_grad()
def test_the_price_of_l1_is_activity_and_cannot_be_dodged_by_a_larger_decoder():
    model = built(sparse_autoencoder, latent=5, penalty="l1")
    z = torch.randn(40, 5, generator=seeded("codes"))
    torch.testing.assert_close(model.price(z), z.abs().sum(1).mean())
    x = images(4)
    before = model.reconstruct(x)
    model.g[0].weight.mul_(3)
    torch.testing.assert_close(model.reconstruct(x), before)
    columns = model.g(torch.eye(5)) - model.g(torch.zeros(5, 5))
    torch.testing.assert_close(columns.norm(dim=1), torch.ones(5))


@torch.no_grad()
@pytest.mark.parametrize("penalty", ["kl", "l1"])
def test_the_sparse_loss_is_the_error_and_the_weighted_price(penalty):
    model, x = built(sparse_autoencoder, penalty=penalty, weight=0.7), images(8)
    expected = model.squared_error(x, seeded("unused")) + 0.7 * model.price(model.encode(x))
    torch.testing.assert_close(model.sparse_error(x, seeded("unused")), expected)


@pytest.mark.parametrize("penalty", ["kl", "l1"])
def test_a_dearer_code_is_less_active(penalty):
    x, active = images(60), []
    for weight in (0.0, 3.0):
        model = built(sparse_autoencoder, latent=24, penalty=penalty, weight=weight)
        minimise(
            [*model.f.parameters(), *model.g.parameters()], lambda m=model: m.sparse_error(x, seeded("unused")), 60
        )
        active.append(float(model.encode(x).detach().abs().mean()))
    assert active[1] < 0.6 * active[0]


@torch.no_grad()
def test_dead_rectified_units_have_the_gaussian_of_the_jitter():
    """Its entropy, log sd + log(2 pi e) / 2 for every unit, is the least that the loss can be."""
    model, sd = built(sparse_autoencoder, latent=5, penalty="l1"), sparse_autoencoder.JITTER
    model.f[0].bias.fill_(-1e3)
    model.codes.log_diagonal.fill_(-math.log(sd))
    loss = model.latent_loss(images(2000), seeded("jitter"))
    expected = 5 * (math.log(sd) + 0.5 * math.log(2 * math.pi * math.e))
    assert float(loss) == pytest.approx(expected, abs=4 * (5 / 2 / 2000) ** 0.5)


@pytest.mark.parametrize(("options", "why"), [({"penalty": "l0"}, "kl, l1"), ({"rho": 1.0}, "above 0 and below 1")])
def test_a_penalty_that_is_none_is_refused(options, why):
    with pytest.raises(ValueError, match=why):
        built(sparse_autoencoder, **options)


# Layer by layer


def test_a_layer_learns_to_give_back_what_rests_below_it_and_touches_nothing_else():
    model, x = built(layerwise_autoencoder, hidden=12, latent=3), images(8)
    stages = model.stages()
    assert [s.name for s in stages] == ["layer 1", "layer 2", "layer 3", "fine-tuning", "latent"]
    for k, stage in enumerate(stages[:3], 1):
        model.zero_grad()
        h = model.f[: k - 1](model.clean(x)).detach()
        f, g = model.pair(k)
        loss = stage.objectives[0].loss(x, seeded("unused"))
        torch.testing.assert_close(loss, ((g(f(h)) - h) ** 2).sum(1).mean())
        loss.backward()
        own = {*f.parameters(), *g.parameters()}
        assert own == set(stage.objectives[0].parameters)
        assert all((p.grad is not None) == (p in own) for p in model.parameters())


def test_pairs_undo_each_other_in_the_order_of_the_whole():
    model, x = built(layerwise_autoencoder, hidden=12, latent=3), images(4)
    z = model.clean(x)
    for k in (1, 2, 3):
        z = model.pair(k)[0](z)
    torch.testing.assert_close(z, model.encode(x))
    for k in (3, 2, 1):
        z = model.pair(k)[1](z)
    torch.testing.assert_close(z, model.g(model.encode(x)))
    assert float(z.detach().abs().max()) > 1, "the output is linear: no tanh keeps it inside"


def test_without_pretraining_fine_tuning_has_its_steps():
    with_, without = (built(layerwise_autoencoder, pretraining=p).stages() for p in (True, False))
    assert [s.name for s in without] == ["fine-tuning", "latent"]
    assert sum(s.fraction for s in with_) == pytest.approx(sum(s.fraction for s in without))
    assert with_[-1].fraction == without[-1].fraction


def test_an_encoder_without_layers_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        built(layerwise_autoencoder, depth=0)
