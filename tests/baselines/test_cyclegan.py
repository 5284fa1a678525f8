"""CycleGAN: its losses by hand, what each player moves, the pool, the patch of the critic, and a run that goes on."""

from dataclasses import replace

import pytest
import torch

from genbench.baselines.adversarial.cyclegan import CycleGAN, Pool, critic_of, generator_of
from genbench.errors import GenbenchError
from genbench.models.capabilities import Translator
from genbench.models.checkpoint import load, read_header
from genbench.models.conformance import toy
from genbench.models.sampling import seeded, to_tensor
from genbench.models.training import Loop, Preset, stages_of, train
from genbench.space import Space

SPACE = Space((1, 8, 8), levels=17)


def small(**options) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(SPACE, width=2, critic_width=3, **options)


def batches(n: int = 6):
    data = toy("digits", SPACE)
    return to_tensor(data.train[:n], SPACE), to_tensor(data.target.train[:n], SPACE)


def test_the_losses_are_those_of_the_paper():
    """Each term by its own call of a network, where the model joins calls."""
    model, (x, y), lam, iota = small(cycle=3.0, identity=2.0), batches(), 3.0, 2.0
    a, b = x.float() / 8 - 1, y.float() / 8 - 1
    G, F, D_x, D_y = model.forth, model.back, model.critic_x, model.critic_y

    def l1(u, v):
        return (u - v).abs().mean()

    expected = ((D_y(G(a)) - 1) ** 2).mean() + ((D_x(F(b)) - 1) ** 2).mean()
    expected = expected + lam * (l1(F(G(a)), a) + l1(G(F(b)), b)) + iota * (l1(F(a), a) + l1(G(b), b))
    torch.testing.assert_close(model.generators_step(x, seeded(0), y), expected, rtol=1e-4, atol=1e-5)
    # The pools are empty: the critics see the translations of this very step.
    expected = (((D_y(b) - 1) ** 2).mean() + (D_y(G(a)) ** 2).mean()) / 2
    expected = expected + (((D_x(a) - 1) ** 2).mean() + (D_x(F(b)) ** 2).mean()) / 2
    torch.testing.assert_close(model.critics_step(x, seeded(0), y), expected, rtol=1e-4, atol=1e-5)


def test_each_objective_moves_its_own_networks_and_the_critics_move_nobody_else():
    model, (x, y) = small(), batches()
    (stage,) = stages_of(model)
    generators, critics = (set(map(id, o.parameters)) for o in stage.objectives)
    of = {name: set(map(id, part.parameters())) for name, part in model.named_children()}
    assert generators == of["forth"] | of["back"]
    assert critics == of["critic_x"] | of["critic_y"]
    model.generators_step(x, seeded(0), y)
    model.critics_step(x, seeded(0), y).backward()
    for part in (model.forth, model.back):
        assert all(p.grad is None for p in part.parameters())


def test_noise_stands_between_there_and_back_alone():
    """The critics and the identity see none, and what comes back is of the translation with the noise of the seed."""
    model, (x, y) = small(noise=0.5, identity=0.0), batches()
    a, b = x.float() / 8 - 1, y.float() / 8 - 1
    G, F = model.forth, model.back
    draws = seeded(3)
    y_seen, x_seen = (made + 0.5 * torch.randn(made.shape, generator=draws) for made in (G(a), F(b)))
    expected = ((model.critic_y(G(a)) - 1) ** 2).mean() + ((model.critic_x(F(b)) - 1) ** 2).mean()
    expected = expected + 10 * ((F(y_seen) - a).abs().mean() + (G(x_seen) - b).abs().mean())
    torch.testing.assert_close(model.generators_step(x, seeded(3), y), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.made[1], G(a).detach(), rtol=1e-4, atol=1e-5)


def test_the_beginning_is_a_stage_in_which_the_generators_learn_to_change_nothing():
    model, (x, y) = small(beginning=0.25), batches()
    first, game = stages_of(model)
    assert (first.fraction, game.fraction) == (0.25, 0.75)
    assert stages_of(small())[0].fraction == 1
    (alone,) = first.objectives
    both = torch.cat([x, y]).float() / 8 - 1
    expected = ((model.forth(both) - both).abs().mean() + (model.back(both) - both).abs().mean()) / 2
    torch.testing.assert_close(alone.loss(x, seeded(0), y), expected)
    assert not {id(p) for p in alone.parameters} & {id(p) for p in model.critic_x.parameters()}
    with pytest.raises(ValueError, match="give a share below 1"):
        small(beginning=1.0)


@pytest.mark.parametrize("weight", ["cycle", "identity"])
def test_a_weight_of_zero_takes_its_loss_away(weight):
    one, none = small(), small(**{weight: 0.0})
    x, y = batches()
    gap = one.generators_step(x, seeded(0), y) - none.generators_step(x, seeded(0), y)
    a, b = x.float() / 8 - 1, y.float() / 8 - 1
    G, F = one.forth, one.back
    cycle = 10 * ((F(G(a)) - a).abs().mean() + (G(F(b)) - b).abs().mean())
    identity = 5 * ((F(a) - a).abs().mean() + (G(b) - b).abs().mean())
    torch.testing.assert_close(gap, {"cycle": cycle, "identity": identity}[weight], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("depth", "side"), [(1, 8), (2, 18), (3, 38)])
def test_a_score_sees_a_patch(depth, side):
    critic = critic_of(1, 4, depth).double().eval()
    for m in critic:  # the normalisation sees the whole image: it is left out to see what the filters see
        if isinstance(m, torch.nn.InstanceNorm2d):
            m.forward = lambda x: x
    x = torch.rand(1, 1, 64, 64, generator=seeded(0), dtype=torch.float64).requires_grad_(True)
    middle = 32 // 2**depth
    critic(x)[0, 0, middle, middle].backward()
    seen = x.grad[0, 0] != 0
    assert (int(seen.any(1).sum()), int(seen.any(0).sum())) == (side, side)


@pytest.mark.parametrize("size", [(8, 8), (40, 64), (28, 28)])
def test_sizes_come_back(size):
    x = torch.zeros(2, 3, *size)
    assert generator_of(3, 2, 1)(x).shape == x.shape
    assert critic_of(3, 2, 2)(x).shape == (2, 1, size[0] // 4, size[1] // 4)


# ---- the pool


def test_the_pool_shows_what_comes_until_it_is_full_and_then_old_ones_half_of_the_time():
    pool, size = Pool(50, (1,)), 50
    first = torch.arange(size).float()[:, None]
    assert torch.equal(pool(first, seeded(0)), first)
    assert torch.equal(pool.images, first)
    n = 4_000
    fresh = 1000 + torch.arange(n).float()[:, None]
    shown = pool(fresh, seeded(1))[:, 0]
    old = shown != fresh[:, 0]
    assert float(old.float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / n**0.5)
    assert (shown[old] < fresh[old, 0]).all()  # what is shown in its place came earlier
    assert len(set(shown[old].tolist())) == int(old.sum())  # and is shown once, since it then leaves
    kept, taken = set(pool.images[:, 0].tolist()), set(shown.tolist())
    assert len(kept) == size
    assert kept | taken == set(first[:, 0].tolist()) | set(fresh[:, 0].tolist())  # nothing is lost
    waited = (fresh[old, 0] - shown[old])[-1000:]  # in steps; each leaves with probability 1 / (2 size) at a step
    assert float(waited.mean()) == pytest.approx(2 * size, abs=4 * 2 * size / 1000**0.5 * 2)


def test_the_pool_is_no_part_of_a_checkpoint(tmp_path):
    path = tmp_path / "m.safetensors"
    train("cyclegan", toy("digits", SPACE), Preset({"width": 2}, steps=2, batch_size=4), path)
    tensors, _ = read_header(path)
    assert not [name for name in tensors if "pool" in name]
    assert isinstance(load(path), Translator)


def test_an_interrupted_run_goes_on_with_its_pool(tmp_path, monkeypatch):
    data = toy("digits", SPACE)
    preset = Preset({"width": 2, "pool": 8}, steps=8, batch_size=4, validate_every=4)
    whole, parted = tmp_path / "whole.safetensors", tmp_path / "parted.safetensors"
    train("cyclegan", data, preset, whole)
    monkeypatch.setattr("genbench.models.training.KEEP_EVERY", -1.0)  # after every step
    original, steps = Loop.take_step, []

    def stop(loop, done):
        steps.append(done)
        if len(steps) == 6:
            raise KeyboardInterrupt
        original(loop, done)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "take_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train("cyclegan", data, preset, parted)
    train("cyclegan", data, preset, parted)
    a, b = load(whole).state_dict(), load(parted).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_data_of_one_domain_and_odd_images_are_refused(tmp_path):
    with pytest.raises(GenbenchError, match="has one domain"):
        train("cyclegan", replace(toy("digits", SPACE), target=None), Preset(steps=2), tmp_path / "m.safetensors")
    for space in (Space((1, 10, 8), 17), Space((1, 8, 8)), Space((64,), 17), Space((1, 4, 4), 17)):
        with pytest.raises(ValueError, match="it needs images"):
            CycleGAN(space)
