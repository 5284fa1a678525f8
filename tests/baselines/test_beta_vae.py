"""beta-VAE: the schedule, and a reported bound that does not know beta."""

import pytest
import torch

from genbench.baselines.latent_variable import beta_vae, vae
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((3,), levels=4)
X = torch.randint(4, (50, 3), generator=seeded("x"))


def small(**options) -> beta_vae.BetaVAE:
    torch.manual_seed(0)
    return beta_vae.build(SPACE, latent=2, hidden=8, **options)


def test_beta_climbs_by_steps_and_stays():
    model, seen = small(beta=4.0, climb=8), []
    for _ in range(12):
        seen.append(float(model.weight()))
        model.weighted(X, seeded("z"))
    assert seen == [0.5 * t for t in range(8)] + [4.0] * 4
    assert float(small(beta=3.0, climb=0).weight()) == 3.0


def test_the_step_is_part_of_the_state():
    """A run that was interrupted goes on with the beta at which it stopped."""
    model, other = small(climb=8), small(climb=8)
    for _ in range(3):
        model.weighted(X, seeded("z"))
    other.load_state_dict(model.state_dict())
    assert other.weight() == model.weight() == 1.5


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_objective_is_the_bound_with_the_kl_counted_beta_times(beta):
    model = small(beta=beta, climb=0)
    mean, log_sd = model.posterior(X)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, log_sd.exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    bound = model.loss(X, seeded("z"))
    torch.testing.assert_close(model.weighted(X, seeded("z")), bound + (beta - 1) * kl.mean())


def test_the_report_does_not_know_beta():
    model, plain = small(beta=7.0), vae.build(SPACE, latent=2, hidden=8)
    weights = {name: value for name, value in model.state_dict().items() if name != "taken"}
    plain.load_state_dict(weights)
    (stage,) = model.stages()
    assert torch.equal(stage.validate(X, seeded("z")), plain.loss(X, seeded("z")))
    assert torch.equal(model.log_weights(X, 5, seeded("z")), plain.log_weights(X, 5, seeded("z")))
    assert int(model.taken) == 0  # judging is no step


def test_only_the_objective_trains():
    (stage,) = small(beta=2.0).stages()
    (objective,) = stage.objectives
    assert objective.loss != stage.validate


@pytest.mark.parametrize("options", [{"beta": -1.0}, {"climb": -1}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="at least 0"):
        small(**options)
