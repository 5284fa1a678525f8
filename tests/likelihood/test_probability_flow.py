"""Probability-flow ODE against data whose scores and densities are known at every time."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from genbench.baselines.diffusion.ddpm import build
from genbench.errors import ModelError, Unavailable
from genbench.likelihood.probability_flow import HasVelocity, NoisePrediction, cut_off, probability_flow
from genbench.models.sampling import seeded
from genbench.space import Space

LOG_2PI = math.log(2 * math.pi)
LINEAR = torch.linspace(6, -30, 50, dtype=torch.float64)  # so little of x_0 is left that p(x_T) = N(0, I) to 1e-6
# The cosine schedule (Nichol and Dhariwal, 2021), whose log-SNR is far from linear in the index, on to the same end.
COSINE = -2 * torch.tan(torch.linspace(0.03, 1, 50, dtype=torch.float64)[:-1] * math.pi / 2).log()
COSINE = torch.cat([COSINE, torch.tensor([-30.0], dtype=torch.float64)])


class Mixture:
    """sum_k pi_k N(m_k, s_k^2 I) as data of a diffusion: at every log-SNR a mixture again, with a closed score.

    Arguments:
        weights: `[K]`. means: `[K, D]`. sds: `[K]`.
    """

    def __init__(self, weights, means, sds, table=LINEAR):
        self.weights, self.means, self.sds = (torch.tensor(a, dtype=torch.float64) for a in (weights, means, sds))
        self.table = table
        self.space = Space((self.means.shape[1],))

    def log_components(self, x, log_snr):
        """log pi_k N(x; alpha m_k, v_k) `[B, K]` and v_k = alpha^2 s_k^2 + sigma^2 `[B, K]`."""
        alpha2, sigma2 = log_snr.sigmoid()[:, None], (-log_snr).sigmoid()[:, None]
        v = alpha2 * self.sds**2 + sigma2
        squares = (x[:, None] - alpha2.sqrt()[..., None] * self.means).square().sum(2)
        return self.weights.log() - 0.5 * (squares / v + x.shape[1] * (LOG_2PI + v.log())), v

    def log_density(self, x):
        """log p(x(eps)), `[B]`."""
        x = torch.as_tensor(x, dtype=torch.float64)
        return self.log_components(x, self.table[:1].expand(len(x)))[0].logsumexp(1).numpy()

    def predict(self, x, index):
        """E[e | x_t] = -sigma score, at the log-SNR that the table has at `index`."""
        log_snr = torch.from_numpy(np.interp(index.numpy(), np.arange(len(self.table)), self.table.numpy()))
        log_components, v = self.log_components(x, log_snr)
        share = (log_components.softmax(1) / v)[..., None]  # [B, K, 1]
        alpha, sigma = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        return sigma[:, None] * (share * (x[:, None] - alpha[:, None, None] * self.means)).sum(1)

    def flow(self):
        return NoisePrediction(self.space, self.predict, self.table)


def solved(flow, x, **options):
    options = {"seed": 0, "probes": 0, "rtol": 1e-6, "atol": 1e-6, "dtype": torch.float64, **options}
    return probability_flow(flow, np.asarray(x, np.float32), **options)


def allowed(found):
    """One local error of rtol |y| + atol for each step, |y| at most that of the value or of x, about 10 here; and 1e-5.

    The last is for p(x_T): alpha_T is 3e-7, and shifts log N(x_T) by alpha_T |m x|.
    """
    size = max(10.0, float(np.abs(found.values).max()))
    return 1e-5 + found.details["nfe_max"] / 6 * found.details["rtol"] * (1 + size)


POINTS_1D = np.linspace(-4, 4, 33)[:, None]
POINTS_2D = np.stack(np.meshgrid(np.linspace(-2, 2, 7), np.linspace(-2, 2, 7)), -1).reshape(-1, 2)
PAIR = Mixture([0.3, 0.7], [[-1.0, 0.5], [1.2, -0.3]], [0.3, 0.5])


@pytest.mark.parametrize("table", [LINEAR, COSINE])
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.5, 0.3), (-1.0, 2.0)])
def test_gaussian_data_have_their_exact_density(mean, sd, table):
    data = Mixture([1.0], [[mean]], [sd], table)
    found = solved(data.flow(), POINTS_1D)
    np.testing.assert_allclose(found.values, data.log_density(POINTS_1D.astype(np.float32)), atol=allowed(found))


def test_standard_normal_data_do_not_move():
    found = solved(Mixture([1.0], [[0.0]], [1.0]).flow(), POINTS_1D)
    np.testing.assert_allclose(found.values, norm.logpdf(POINTS_1D.astype(np.float32))[:, 0], atol=1e-12)
    assert found.details["nfe_max"] < 50  # from the shortest first step, 1/1000, each five times the last


@pytest.mark.parametrize(
    ("data", "points"), [(Mixture([0.4, 0.6], [[-1.0], [1.5]], [0.3, 0.6]), POINTS_1D), (PAIR, POINTS_2D)]
)
def test_a_mixture_of_two_gaussians_has_its_exact_density(data, points):
    found = solved(data.flow(), points)
    np.testing.assert_allclose(found.values, data.log_density(points.astype(np.float32)), atol=allowed(found))


def test_a_tighter_tolerance_converges_and_costs_more():
    errors, costs = [], []
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = solved(PAIR.flow(), POINTS_2D, rtol=tolerance, atol=tolerance)
        errors.append(np.abs(found.values - PAIR.log_density(POINTS_2D.astype(np.float32))).max())
        costs.append(found.details["nfe_mean"])
        assert errors[-1] < allowed(found)
    assert errors[0] > 10 * errors[1] > errors[2]
    assert costs[0] < costs[1] < costs[2]


def test_hutchinsons_trace_has_the_exact_one_as_its_mean_and_knows_its_error():
    exact = solved(PAIR.flow(), POINTS_2D).values
    found = solved(PAIR.flow(), POINTS_2D, probes=64, rtol=1e-5, atol=1e-5)  # far below what 64 probes leave
    z = (found.values - exact) / found.mc_stderr
    # 49 values that are nearly normal: beyond 4.5 one seed in 3,000. Their mean square is 1 with sd sqrt(2/49).
    assert np.abs(z).max() < 4.5
    assert abs((z**2).mean() - 1) < 4 * math.sqrt(2 / len(z))


def test_a_diagonal_jacobian_needs_one_probe():
    """e' J e = tr J for signs e where J is diagonal, as for one Gaussian."""
    data = Mixture([1.0], [[0.5, -0.2, 1.0]], [0.4])
    x = np.random.default_rng(0).normal(size=(8, 3))
    one, exact = solved(data.flow(), x, probes=1), solved(data.flow(), x)
    np.testing.assert_allclose(one.values, exact.values, atol=1e-12)
    assert one.mc_stderr is None


def test_the_signs_of_an_example_are_its_own_and_the_seeds():
    a, b = solved(PAIR.flow(), POINTS_2D, probes=1), solved(PAIR.flow(), POINTS_2D, probes=1, seed=1)
    assert np.abs(a.values - b.values).max() > 1e-3
    some = solved(PAIR.flow(), POINTS_2D[10:20], probes=1, first=10)
    np.testing.assert_allclose(some.values, a.values[10:20], atol=1e-10)
    one = solved(PAIR.flow(), POINTS_2D[17:18], probes=1, first=17)
    np.testing.assert_allclose(one.values, a.values[17:18], atol=1e-10)
    assert (one.rows["evaluations"] == a.rows["evaluations"][17:18]).all()


def randomised(space, T=20):
    torch.manual_seed(0)
    model = build(space, T=T, width=8, embedding=8, dropout=0.1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return model


@pytest.mark.parametrize("entry", ["uniform", "diffusion"])
def test_an_image_has_one_value_alone_and_among_32(entry):
    model = randomised(Space((1, 4, 4), 17))
    x = np.random.RandomState(0).randint(17, size=(32, 1, 4, 4)).astype(np.uint8)
    options = {"seed": 3, "rtol": 1e-4, "atol": 1e-4, "entry": entry}
    flow = model.probability_flow()
    together = probability_flow(flow, x, **options)
    alone = [probability_flow(flow, x[i : i + 1], first=i, **options).values[0] for i in (15, 31)]
    gap = model.space.bits_per_dim(np.abs(together.values[[15, 31]] - alone).max())
    assert gap < 1e-3
    assert len(set(together.rows["evaluations"].tolist())) > 1  # the examples did go at their own pace


@pytest.mark.parametrize("first", [3.5, 1.0])  # noise of deviation 0.17 and 0.52, of which a bin holds 1.5 and 0.4
@pytest.mark.parametrize("entry", ["uniform", "truncated"])
def test_integers_have_the_mass_of_their_bins_in_expectation(entry, first):
    """Data N(0, 1) stand still, so E exp(value) over the dequantisation is int N(y; 0, 1) dy over the bin of x.

    It is a discretised Gaussian; the bins of "truncated" are shrunk with the data by alpha.
    """
    levels, n = 5, 4000
    table = torch.linspace(first, -30, 50, dtype=torch.float64)
    flow = NoisePrediction(Space((1,), levels), Mixture([1.0], [[0.0]], [1.0], table).predict, table)
    edges = (np.arange(levels + 1) - 0.5) / 2 - 1  # bins of width 2/(L-1) about the levels
    if entry == "truncated":
        edges = edges * flow.noise_at_start[0]
    for level in range(levels):
        x = np.full((n, 1), level, np.uint8)
        p = np.exp(probability_flow(flow, x, seed=level, dtype=torch.float64, entry=entry).values)
        exact = norm.cdf(edges[level + 1]) - norm.cdf(edges[level])
        assert abs(p.mean() - exact) < 4.5 * p.std(ddof=1) / math.sqrt(n)


def test_truncated_noise_is_exact_where_it_is_the_posterior():
    """Data are the levels themselves, so p(y) is a sum of N(alpha level, sigma^2) / L: narrow, and nothing is cut off.

    Every draw then has the value log 1/L, where uniform noise would miss the mass nearly always.
    """
    levels = 3
    data = Mixture([1 / 3] * 3, [[-1.0], [0.0], [1.0]], [1e-9] * 3, torch.linspace(8, -30, 50, dtype=torch.float64))
    flow = NoisePrediction(Space((1,), levels), data.predict, data.table)
    x = np.repeat(np.arange(3, dtype=np.uint8), 10)[:, None]
    found = probability_flow(flow, x, 0, probes=0, rtol=1e-7, atol=1e-7, dtype=torch.float64, entry="truncated")
    np.testing.assert_allclose(found.values, -math.log(3), atol=2e-4)
    assert np.exp(probability_flow(flow, x, 0, rtol=1e-4, atol=1e-4, entry="uniform").values).std() > 0.1


def test_cut_off_noise_stays_in_its_cell_and_its_density_integrates_to_one():
    u = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    for sigma in (0.02, 0.3, 5.0):
        y, minus_log_q = cut_off(torch.full_like(u, 0.5), u, 0.25, 0.9, sigma)
        assert ((y - 0.45).abs() <= 0.9 * 0.125 + 1e-12).all()
        # u is uniform where y ~ q: the mean of 1/q over y is the length of the cell that q lives on
        cell = min(0.9 * 0.25, 100.0)
        if sigma >= 0.3:
            assert float(minus_log_q.exp().mean()) == pytest.approx(cell, rel=1e-3)
        slope = torch.diff(y[:, 0]) * 20_000  # dy/du = 1/q
        middle = (minus_log_q[1:] + minus_log_q[:-1]) / 2
        torch.testing.assert_close(slope[100:-100].log(), middle[100:-100], atol=1e-3, rtol=0)


def test_a_model_says_by_itself_how_its_integers_enter():
    class Plain:
        space, eps = Space((1,), 3), 0.0

        def velocity(self, x, t):
            return 0 * x

    class Noisy(Plain):
        noise_at_start = (1.0, 0.1)

    class Decoding(Noisy):
        def enter(self, x0, noise):
            return x0, torch.zeros(len(x0))

    x = np.zeros((2, 1), np.uint8)
    for model, entry in [(Plain(), "uniform"), (Noisy(), "truncated"), (Decoding(), "diffusion")]:
        assert probability_flow(model, x, 0).details["entry"] == entry
    with pytest.raises(Unavailable, match="noise_at_start"):
        probability_flow(Plain(), x, 0, entry="truncated")


def test_entering_by_diffusion_with_the_exact_last_step_gives_the_data_their_density_whatever_the_noise():
    """log p(y) + log p(x|y) - log q(y|x) = log p(x) for every y, by Bayes; no truncation is left."""
    mean, sd = 0.5, 0.3
    data = Mixture([1.0], [[mean]], [sd])
    alpha2, sigma2 = LINEAR[0].sigmoid(), (-LINEAR[0]).sigmoid()
    v = alpha2 * sd**2 + sigma2

    def log_decoder(x0, eps):
        y = alpha2.sqrt() * x0 + sigma2.sqrt() * eps
        centre = mean + alpha2.sqrt() * sd**2 / v * (y - alpha2.sqrt() * mean)
        variance = sd**2 * sigma2 / v
        return (-0.5 * (x0 - centre) ** 2 / variance - 0.5 * (LOG_2PI + variance.log())).sum(1)

    flow = NoisePrediction(data.space, data.predict, LINEAR, log_decoder)
    x = np.linspace(-0.5, 1.5, 9, dtype=np.float32)[:, None]
    for seed in range(3):
        found = solved(flow, x, entry="diffusion", seed=seed)
        np.testing.assert_allclose(found.values, norm.logpdf(x[:, 0], mean, sd), atol=allowed(found))


def test_the_chain_of_a_ddpm_is_met_at_its_steps():
    model = randomised(Space((1, 4, 4), 5))
    flow, T = model.probability_flow(), 20
    assert isinstance(flow, HasVelocity)
    t = torch.arange(1, T + 1, dtype=torch.float64) / T  # time is t/T where the log-SNR is linear in t
    torch.testing.assert_close(flow.index(flow.log_snr), torch.arange(T, dtype=torch.float64), atol=1e-6, rtol=0)
    x = torch.randn(T, 1, 4, 4, generator=seeded(0))
    with torch.no_grad():
        v = flow.velocity(x, t.float())
        eps = model.denoise(x, torch.arange(T))[0]
    sigma = model.schedule.noise.sqrt().view(-1, 1, 1, 1)
    rate = float(flow.log_snr[-1] - flow.log_snr[0]) / (1 - 1 / T)
    torch.testing.assert_close(v, 0.5 * rate * sigma * (sigma * x - eps), atol=1e-3, rtol=1e-4)


def test_a_step_of_the_flow_is_a_deterministic_step_of_the_chain():
    """DDIM (Song, Meng, Ermon, 2021, equation 12) is Euler's method in another coordinate: equal to first order."""
    data = Mixture([0.5, 0.5], [[-1.0], [1.0]], [0.4, 0.4])
    flow, h = data.flow(), 1e-5
    x, t = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], torch.full((9,), 0.3, dtype=torch.float64)
    rate = float(LINEAR[-1] - LINEAR[0]) / (1 - flow.eps)

    def coefficients(t):
        log_snr = LINEAR[0] + rate * (t - flow.eps)
        return log_snr.sigmoid().sqrt()[:, None], (-log_snr).sigmoid().sqrt()[:, None], log_snr

    (a, s, log_snr), (a_next, s_next, _) = coefficients(t), coefficients(t + h)
    e = data.predict(x, flow.index(log_snr))
    ddim = a_next * (x - s * e) / a + s_next * e
    torch.testing.assert_close((ddim - x) / h, flow.velocity(x, t), atol=1e-2, rtol=0)  # h rate^2 = 1e-2


def test_what_cannot_be_solved_is_nan_and_counted():
    class Torn:
        space, eps = Space((1,)), 0.0

        def velocity(self, x, t):
            return torch.where(x > 0, torch.nan, 1.0) * x

    found = probability_flow(Torn(), np.array([[1.0], [-1.0]], np.float32), seed=0)
    assert np.isnan(found.values[0])
    # x' = x from -1 ends at -e, and the divergence is 1.
    assert found.values[1] == pytest.approx(norm.logpdf(math.e) + 1, abs=1e-3)
    assert found.details["n_lost"] == 1


def test_it_says_what_it_is():
    found = solved(PAIR.flow(), POINTS_2D[:3], probes=2)
    assert found.kind == "estimate"
    assert found.values.dtype == np.float64
    assert found.mc_stderr.shape == (3,)
    assert found.details["eps"] == 1 / 50
    assert found.details["nfe_mean"] == found.rows["evaluations"].mean()
    assert (found.rows["evaluations"] % 6 == 1).all()


def test_a_velocity_of_the_wrong_shape_is_an_error():
    class Wrong:
        space, eps = Space((2,)), 0.1

        def velocity(self, x, t):
            return x[:, :1]

    with pytest.raises(ModelError, match="expected \\[3, 2\\]"):
        probability_flow(Wrong(), np.zeros((3, 2), np.float32), seed=0)


def test_a_model_without_a_last_step_cannot_be_entered_by_diffusion():
    with pytest.raises(Unavailable, match="x_0"):
        solved(PAIR.flow(), POINTS_2D, entry="diffusion")
