"""FLD: the reference formula by automatic differentiation, the density against SciPy, simulation."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from genbench.errors import GenbenchError, ModelError, Unavailable
from genbench.metrics import fld
from genbench.numerics.points import Points


def data(n=60, n_train=100, n_test=80, d=5, seed=0, scale=1.1):
    rng = np.random.default_rng(seed)
    sd = np.linspace(0.5, 2, d)
    return tuple((rng.standard_normal((k, d)) * sd * c) for k, c in ((n, scale), (n_train, 1.0), (n_test, 1.0)))


def differences(x, g):
    return torch.from_numpy(((x[:, None] - g[None]) ** 2).sum(2))  # [n, m], by the definition


def log_components(d2, s, d):
    """log N(x; g_j, exp(s_j) I): [n, m]."""
    return -0.5 * d2 / s.exp() - d / 2 * s - d / 2 * math.log(2 * math.pi)


def reference_fit(g, x, batch):
    """The definition, written from the paper and its code's conventions: every distance, autograd, Adam."""
    (m, d), x = g.shape, x[np.random.RandomState(0).permutation(len(x))]
    d2, origin = differences(x, g), 0.81 * differences(x, x.mean(0)[None])
    s = ((d2.min(0).values + 1e-3) / d).log().requires_grad_()
    s0 = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s, s0], lr=0.5)
    for _ in range(50):
        for i in range(0, len(x), batch):
            adam.zero_grad()
            near = log_components(d2[i : i + batch], s, d) - math.log(m)
            far = log_components(origin[i : i + batch], s0, d)
            (-torch.logsumexp(torch.cat([near, far], 1), 1).mean() / d).backward()
            adam.step()
            with torch.no_grad():
                s.clamp_(-40, 20)
    return s.detach()


def reference(g, x, y, batch=10_000):
    mean, sd = y.mean(0), y.std(0, ddof=1)
    g, x, y = ((a - mean) / sd for a in (g, x, y))
    d = y.shape[1]

    def nll(centres, s, at):
        log_q = torch.logsumexp(log_components(differences(at, centres), s, d), 1) - math.log(len(centres))
        return -float(log_q.mean())

    shuffled = x[np.random.RandomState(0).permutation(len(x))]
    half = min(len(g), len(x) // 2)
    baseline = nll(shuffled[:half], reference_fit(shuffled[:half], shuffled[half:], batch), y)
    s = reference_fit(g, x, batch)
    return 100 * (nll(g, s, y) - baseline) / d, 100 * (nll(g, s, x) - nll(g, s, y)) / d


@pytest.mark.parametrize("batch", [10_000, 30])
def test_fld_is_the_reference_formula(monkeypatch, batch):
    # The distances are kept as float32: 6e-8 relative, which moves a log-density of some 100 nats by 1e-5 at
    # most; the fit stands near its optimum, where s is free to move by that much. The rest is float64.
    monkeypatch.setattr(fld, "BATCH", batch)
    found = fld.compute(*data())
    value, gap = reference(*data(), batch=batch)
    assert found["fld"].value == pytest.approx(value, abs=1e-4)
    assert found["fld_gap"].value == pytest.approx(gap, abs=1e-4)


def test_distances_that_do_not_fit_are_computed_again(monkeypatch):
    kept = fld.compute(*data())["fld"]
    monkeypatch.setattr(fld, "CACHE", 0)
    again = fld.compute(*data())["fld"]
    assert again.value == pytest.approx(kept.value, abs=1e-4)  # float64 in place of float32
    monkeypatch.setattr(fld, "BLOCK", 300)
    assert fld.compute(*data())["fld"].value == pytest.approx(again.value, rel=1e-10)


def test_the_gradient_is_that_of_automatic_differentiation():
    g, x, _ = data(n=7, n_train=12, d=3)
    s = torch.linspace(-1, 1, 8, dtype=torch.float64).requires_grad_()
    log_w = torch.tensor([-math.log(7)] * 7 + [0.0], dtype=torch.float64)
    squares = fld.Squares(x, g, with_origin=True, keep=False)
    d2 = torch.cat([differences(x, g), 0.81 * differences(x, x.mean(0)[None])], 1)
    (-torch.logsumexp(log_components(d2, s, 3) + log_w, 1).mean() / 3).backward()
    ours = fld.gradient(squares, slice(0, 12), s.detach(), log_w, 3)
    torch.testing.assert_close(ours, s.grad, rtol=1e-10, atol=1e-15)


def test_the_density_is_scipys_and_shares_average_to_one():
    g, x, _ = data(n=4, n_train=9, d=3)
    s = np.array([-1.0, 0.0, 0.5, 2.0])
    p = sum(multivariate_normal(c, math.exp(v)).pdf(x) for c, v in zip(g, s, strict=True)) / 4
    score = fld.Mixture(g, torch.from_numpy(s)).score(x)
    np.testing.assert_allclose(score.nll, -np.log(p), rtol=1e-12)
    assert score.shares.mean() == pytest.approx(1, rel=1e-12)


def test_a_share_says_what_leaving_out_a_centre_does():
    # Without centre j, -log q rises by -log(1 - r_j) + log(1 - 1/m), r_j of the order of 1/m: the mean by
    # (share_j - 1)/m up to the squares of r_j.
    g, x, _ = data(n=400, n_train=300, d=2)
    s = torch.zeros(400, dtype=torch.float64)
    whole = fld.Mixture(g, s).score(x)
    without = fld.Mixture(np.delete(g, 5, 0), s[1:]).score(x)
    rise = without.nll.mean() - whole.nll.mean()
    assert rise == pytest.approx((whole.shares[5] - 1) / 400, abs=10 / 400**2)
    assert abs(rise) > 20 / 400**2


def test_scales_are_held_within_their_range(monkeypatch):
    # 500 steps of one half push the scale of a centre on ten copies of a training example down without end, and that
    # of a centre so far away that it begins at log(1e10) is cut at once.
    monkeypatch.setattr(fld, "BATCH", 10)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 3))
    x[:10] = x[0]
    far = np.array([[1e5, 1e5, 1e5]])
    s = fld.Mixture.fitted(np.concatenate([x[:1], rng.standard_normal((20, 3)), far]), x).s
    assert s.min() == s[0] == -40
    assert s.max() == s[-1] == 20


def test_of_many_samples_a_seeded_part_are_the_centres(monkeypatch):
    monkeypatch.setattr(fld, "CENTRES", 30)
    g, x, y = data()
    found = fld.compute(g, x, y)["fld"]
    chosen = g[np.random.RandomState(0).permutation(60)[:30]]
    assert found.details["centres"] == 30
    assert found.details["n_samples"] == 60
    assert found.value == pytest.approx(fld.compute(chosen, x, y)["fld"].value, rel=1e-12)


def test_the_baseline_has_no_more_centres_than_there_are_samples():
    g, x, y = data(n=20)
    assert fld.compute(g, x, y)["fld"].value == pytest.approx(reference(g, x, y)[0], abs=1e-4)


def test_errors_add_up_over_test_data_and_samples():
    g, x, y = data()
    found = fld.compute(g, x, y)
    mean, sd = y.mean(0), y.std(0, ddof=1)
    g, x, y = ((a - mean) / sd for a in (g, x, y))
    mixture, shuffled = fld.Mixture.fitted(g, x), x[np.random.RandomState(0).permutation(100)]
    base = fld.Mixture.fitted(shuffled[:50], shuffled[50:]).score(y).nll
    on_train, on_test = mixture.score(x), mixture.score(y)
    fld_error = math.hypot((on_test.nll - base).std(ddof=1) / 80**0.5, on_test.shares.std(ddof=1) / 60**0.5)
    gap_error = math.hypot(on_test.nll.std(ddof=1) / 80**0.5, (on_train.shares - on_test.shares).std(ddof=1) / 60**0.5)
    assert found["fld"].stderr == pytest.approx(20 * fld_error, rel=1e-12)
    assert found["fld_gap"].stderr == pytest.approx(20 * gap_error, rel=1e-12)


def test_equal_distributions_are_near_zero_and_copies_far_from_it():
    rng = np.random.default_rng(1)
    x, train, test = (rng.standard_normal((n, 8)) for n in (300, 600, 400))
    fresh = fld.compute(x, train, test)
    assert abs(fresh["fld"].value) < 3 * fresh["fld"].stderr
    assert -20 < fresh["fld_gap"].value < 0  # 300 numbers were fitted on the training data
    assert fresh["fld"].warnings == ()
    copies = fld.compute(train[:300], train, test)
    assert copies["fld"].value > 1000
    assert copies["fld_gap"].value < -1000
    assert "copies" in copies["fld"].warnings[0]


def test_distances_between_copies_are_exactly_zero_far_from_the_origin():
    x = np.random.default_rng(2).standard_normal((50, 16)) + 5
    d2 = fld.Squares(x, x[::5], keep=False).made(0, 50).numpy()
    assert (d2[np.arange(0, 50, 5), np.arange(10)] == 0).all()
    np.testing.assert_allclose(d2, differences(x, x[::5]).numpy(), rtol=1e-9)


def test_rows_may_come_in_any_order():
    g, x, y = data()
    value = fld.compute(g, x, y)["fld"].value
    assert fld.compute(g[::-1].copy(), x, y[::-1].copy())["fld"].value == pytest.approx(value, rel=1e-10)


def test_the_baseline_is_computed_once_for_all_models(monkeypatch):
    g, x, y = data()
    x, y = Points(x), Points(y)
    alone = fld.compute(g, x, y)["fld"].value
    monkeypatch.setattr(fld, "_baseline", lambda *_: pytest.fail("computed again"))
    assert fld.compute(g, x, y)["fld"].value == alone


def test_a_constant_feature_is_only_centred():
    g, x, y = (np.column_stack([a, np.full(len(a), 0.3)]) for a in data())
    found = fld.compute(g, x, y)
    assert math.isfinite(found["fld"].value)
    assert found["fld"].details["dimension"] == 6


@pytest.mark.parametrize(("n", "d"), [(2, 3), (10, 50)])
def test_few_samples_and_wide_features_give_a_number(n, d):
    found = fld.compute(*data(n=n, n_train=12, n_test=11, d=d))
    assert all(math.isfinite(m.value) and math.isfinite(m.stderr) for m in found.values())


def test_identical_points_give_a_number():
    same = np.ones((10, 3))
    found = fld.compute(2 * same, same, same)
    assert math.isfinite(found["fld"].value)
    assert found["fld_gap"].value == 0


def test_test_examples_as_samples_have_no_value():
    _, x, y = data()
    with pytest.raises(Unavailable, match="samples are test examples"):
        fld.compute(y[5:50], x, y)


def test_bad_inputs_are_errors():
    g, x, y = data()
    with pytest.raises(ModelError, match="1 values are NaN"):
        fld.compute(np.where(np.arange(300).reshape(60, 5) == 7, np.nan, g), x, y)
    with pytest.raises(ValueError, match="widths"):
        fld.compute(g[:, :4], x, y)
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        fld.compute(g[:, 0], x, y)
    with pytest.raises(GenbenchError, match="at least 4"):
        fld.compute(g, x[:3], y)


def test_fld_standard_error_is_within_a_quarter_of_the_true_spread():
    # 60 replicates know their own spread to 1/sqrt(2 60) = 9 %.
    rng = np.random.default_rng(3)
    train = Points(rng.standard_normal((400, 4)))
    runs = [fld.compute(1.3 * rng.standard_normal((150, 4)), train, rng.standard_normal((150, 4))) for _ in range(60)]
    for name in ("fld", "fld_gap"):
        spread = np.std([r[name].value for r in runs], ddof=1)
        assert np.mean([r[name].stderr for r in runs]) == pytest.approx(spread, rel=0.25)
