"""Codes with few labels, neighbours, information and disentanglement: closed forms, peers, and what changes nothing."""

import math

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

from genbench import datasets, evaluate
from genbench.cli import shipped
from genbench.errors import Unavailable
from genbench.metrics import disentanglement, label_efficiency, latent_neighbours, mutual_information, probe
from genbench.models.checkpoint import load
from genbench.models.sampling import encode


def codes(n: int, seed: int = 0, classes: int = 4, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    centres = np.random.default_rng(9).standard_normal((classes, d))
    return 1.5 * centres[labels] + rng.standard_normal((n, d)), labels


def few(train, test, raw=None, **options):
    raw = raw or (train[0], test[0])
    return label_efficiency.compute(*train, *test, *raw, **options)


# Few labels


def test_with_100_labels_it_is_the_mean_accuracy_of_probes_of_as_many_of_each_class():
    (x, known), (y, asked) = train, test = codes(400), codes(100, seed=1)
    draws = label_efficiency.drawn(known, 100, 3)
    assert all((np.bincount(known[rows]) == 25).all() for rows in draws)
    right = np.array([probe.Probe(x[rows], known[rows])(y) == asked for rows in draws])
    found = few(train, test, draws=3)
    assert found["probe_100"].value == pytest.approx(right.mean())
    variance = right.mean(0).var(ddof=1) / 100 + right.mean(1).var(ddof=1) / 3
    assert found["probe_100"].stderr == pytest.approx(math.sqrt(variance))
    by_labels = found["probe_100"].details["by_labels"]
    assert list(by_labels) == ["20", "100", "200", "all"]  # 10 and 50 are no multiples of four classes
    assert by_labels["all"]["codes"] == probe.compute(*train, *test)["probe"].value


def test_codes_that_are_the_raw_values_gain_nothing_and_codes_that_are_the_class_gain_what_is_left():
    train, test = codes(400), codes(100, seed=1)
    same = few(train, test, draws=2)
    assert (same["probe_gain"].value, same["probe_gain_100"].value, same["probe_gain_100"].stderr) == (0, 0, 0)
    told = few((np.eye(4)[train[1]], train[1]), (np.eye(4)[test[1]], test[1]), (train[0], test[0]), draws=2)
    assert told["probe_100"].value == 1
    assert told["probe_gain_100"].value == pytest.approx(1 - same["probe_100"].value)
    assert told["probe_gain"].value == pytest.approx(1 - told["probe_gain"].details["raw"])


def test_the_principal_components_beside_are_those_of_scikit_learn():
    train, test = codes(400)[0], codes(100, seed=1)[0]
    found = label_efficiency.projected(label_efficiency.Sets(train, test), 3)
    peer = PCA(3, svd_solver="full").fit(train)
    np.testing.assert_allclose(abs(found.test), abs(peer.transform(test)), atol=1e-9)


def test_the_paired_interval_is_agresti_and_min_s_by_hand():
    """Section 2: half a pair more in each cell; 12 and 5 discordant pairs of 100 become 12.5 and 5.5 of 102."""
    one = np.repeat([1.0, 0.0, 1.0], [12, 5, 83])
    other = np.repeat([0.0, 1.0, 1.0], [12, 5, 83])
    found = label_efficiency.gain(one, other)
    centre, se = 7 / 102, math.sqrt((12.5 + 5.5) - 49 / 102) / 102
    assert found.value == pytest.approx(0.07)
    assert found.ci95 == pytest.approx((centre - 1.959964 * se, centre + 1.959964 * se), rel=1e-6)


def test_too_few_examples_of_a_class_are_refused():
    (x, known), test = codes(400), codes(100, seed=1)
    kept = np.concatenate([np.flatnonzero(known != 3), np.flatnonzero(known == 3)[:20]])
    with pytest.raises(Unavailable, match="100 labels"):
        few((x[kept], known[kept]), test)


def test_a_denoiser_s_codes_are_above_raw_pixels_with_100_labels_by_a_clear_margin():
    """The measure: the best representation above raw pixels, paired over test examples."""
    data = datasets.load("digits")
    raw = [data.split(split) for split in ("train", "test")]
    labels = [data.labels_of(split) for split in ("train", "test")]
    found = {}
    for name in ("ddpm", "pixelcnn"):
        model = load(next(path for path in shipped("digits") if path.endswith(f"/{name}.safetensors")))
        train, test = (encode(model, x) for x in raw)
        found[name] = label_efficiency.compute(train, labels[0], test, labels[1], *raw, draws=4)
    assert found["ddpm"]["probe_gain_100"].ci95[0] > 0.03
    assert found["pixelcnn"]["probe_gain"].ci95[0] > 0


# Neighbours


@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_vote_as_scikit_learn_s_do(k):
    (x, known), (y, asked) = codes(200), codes(150, seed=1)
    found = latent_neighbours.compute(x, known, y, asked, x, y, k=k)["knn"]
    peer = KNeighborsClassifier(k).fit(x, known)
    votes = peer.predict_proba(y)
    clear = (votes == votes.max(1, keepdims=True)).sum(1) == 1  # of as many votes scikit-learn takes the lowest class
    ours = latent_neighbours.voted(known[latent_neighbours.nearest(y, x, k)])
    np.testing.assert_array_equal(ours[clear], peer.predict(y)[clear])
    assert clear.mean() > 0.9
    assert found.value == (ours == asked).mean()
    assert found.details["raw"] == found.value
    near = peer.kneighbors(y)[1]
    assert found.details["precision_at_k"] == pytest.approx((known[near] == asked[:, None]).mean())


def test_of_as_many_votes_the_nearer_wins():
    assert latent_neighbours.voted(np.array([[3, 1, 1, 3, 0], [2, 0, 0, 1, 1], [1, 2, 3, 4, 5]])).tolist() == [3, 0, 1]


def test_turning_and_moving_the_codes_moves_no_neighbour_and_stretching_does():
    (x, known), (y, asked) = codes(200), codes(150, seed=1)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    value = latent_neighbours.compute(x, known, y, asked, x, y)["knn"]
    turned = latent_neighbours.compute(3 * x @ Q + 1, known, 3 * y @ Q + 1, asked, x, y)["knn"]
    assert turned.value == value.value
    far = np.concatenate([x, 1e4 * np.random.default_rng(1).standard_normal((200, 1))], 1)
    lost = latent_neighbours.compute(far, known, np.pad(y, ((0, 0), (0, 1))), asked, x, y)["knn"]
    assert lost.value < value.value


# Information


def posteriors(n: int, d: int, sd: float, seed: int = 0) -> dict[str, np.ndarray]:
    mean = np.random.default_rng(seed).standard_normal((n, d))
    return {"mean": mean, "log_sd": np.full((n, d), math.log(sd))}


@pytest.mark.parametrize("sd", [0.5, 1.0, 2.0])
def test_the_bounds_hold_the_information_of_a_gaussian_channel(sd):
    """I = d/2 log(1 + 1/sd^2), of means that are N(0, I); far below log n both bounds are close."""
    truth = math.log(1 + 1 / sd**2)
    found = [mutual_information.compute(posteriors(600, 2, sd, seed))["mutual_information"] for seed in range(8)]
    low, high = (np.array(x) for x in zip(*[(m.value, m.details["upper_bound"]) for m in found], strict=True))
    assert low.mean() <= truth + 4 * low.std() / math.sqrt(8)
    assert high.mean() >= truth - 4 * high.std() / math.sqrt(8)
    assert low.mean() == pytest.approx(truth, abs=0.1)
    assert found[0].kind == "lower_bound"
    assert "note" not in found[0].details


def test_at_its_ceiling_the_bound_says_so_and_no_more():
    found = mutual_information.compute(posteriors(200, 20, 1e-3))["mutual_information"]
    assert found.value == pytest.approx(math.log(200))
    assert found.ci95[1] <= found.details["ceiling"] == pytest.approx(math.log(200))
    assert "at the ceiling of 5.30 nats" in found.details["note"]
    assert found.details["rate"] > 100


def test_latents_that_say_nothing_have_none():
    q = {"mean": np.zeros((100, 3)), "log_sd": np.zeros((100, 3))}
    found = mutual_information.compute(q)["mutual_information"]
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.details["rate"] == 0


def test_the_bound_and_its_jackknife_are_those_of_the_definition():
    q = posteriors(30, 2, 0.7)
    mean, sd = q["mean"], np.exp(q["log_sd"])
    z = mean + sd * np.random.default_rng(0).standard_normal(mean.shape)

    def bound(kept):
        log_q = np.array(
            [[-0.5 * (((z[i] - mean[j]) / sd[j]) ** 2).sum() - np.log(sd[j]).sum() for j in kept] for i in kept]
        )
        return float(np.mean(np.diag(log_q) - np.log(np.exp(log_q).mean(1))))

    found = mutual_information.compute(q, draws=1)["mutual_information"]
    assert found.value == pytest.approx(bound(range(30)))
    without = np.array([bound([j for j in range(30) if j != i]) for i in range(30)])
    assert found.stderr == pytest.approx(math.sqrt(29 / 30 * ((without - without.mean()) ** 2).sum()), rel=1e-8)


# Disentanglement


def grid(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(4, size=(n, 3))


def scored(train, test, known=None, asked=None, **options):
    return disentanglement.compute(train, known, test, asked, **options)


def test_a_coordinate_for_each_factor_is_perfect_and_turned_codes_are_not():
    known, asked = grid(600), grid(600, 1)
    own = scored(known.astype(float), asked.astype(float), known, asked)
    assert own["mig"].value == pytest.approx(1, abs=0.02)
    for name in ("dci_disentanglement", "dci_completeness", "dci_informativeness"):
        assert own[name].value == pytest.approx(1, abs=0.02)
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    turned = scored(known @ Q, asked @ Q, known, asked)
    for name in ("mig", "dci_disentanglement", "dci_completeness"):
        assert turned[name].value < 0.7


def test_codes_of_chance_have_no_gap_and_a_copied_coordinate_takes_it_away():
    v = grid(2000)
    chance = disentanglement.gap(np.random.default_rng(5).standard_normal((2000, 3)), v, 20)
    assert abs(chance.value) < 0.02
    assert disentanglement.gap(np.concatenate([v, v], 1).astype(float), v, 20).value == pytest.approx(0, abs=1e-12)


def test_monotone_maps_of_coordinates_change_no_gap():
    v = grid(500)
    z = v + np.random.default_rng(3).standard_normal(v.shape)
    assert disentanglement.gap(np.exp(z), v, 20).value == pytest.approx(disentanglement.gap(z, v, 20).value, rel=1e-12)


def test_information_is_scikit_learn_s_less_its_bias():
    rng = np.random.default_rng(0)
    a, b = rng.integers(6, size=300), rng.integers(4, size=300)
    value, pointwise = disentanglement.information(a, b)
    assert pointwise.mean() == pytest.approx(mutual_info_score(a, b))
    assert value == pytest.approx(mutual_info_score(a, b) - (24 - 6 - 4 + 1) / 600)
    found = np.array([disentanglement.information(rng.permutation(a), b)[0] for _ in range(300)])
    assert found.mean() == pytest.approx(0, abs=4 * found.std() / math.sqrt(300))


def test_scores_of_importances_by_hand():
    # Two coordinates: the first all of factor 1, the second shared by 1 and 2 in halves.
    R = np.array([[0.5, 0.0], [0.5, 1.0]])
    disentangled, complete = disentanglement.scores(R)
    h = lambda *p: -sum(q * math.log2(q) for q in p if q)  # noqa: E731
    assert disentangled == pytest.approx(0.25 * 1 + 0.75 * (1 - h(1 / 3, 2 / 3)))
    assert complete == pytest.approx(0.5 * (1 - 1) + 0.5 * 1)
    assert disentanglement.scores(np.zeros((2, 2))) == (0.0, 0.0)
    assert disentanglement.scores(np.eye(3)) == (1.0, 1.0)


def test_dci_says_that_it_has_no_interval_and_data_without_factors_that_they_have_none():
    known, asked = grid(100), grid(100, 1)
    found = scored(known.astype(float), asked.astype(float), known, asked, trees=2)
    for name in ("dci_disentanglement", "dci_completeness"):
        assert found[name].ci_method.startswith("none: ")
    records = evaluate("data:test", "digits", metrics=["mig"])
    assert records[0].status == "skipped"
    assert "not made of known factors" in str(records[0].error)
    with pytest.raises(Unavailable, match="never varies"):
        scored(known.astype(float), asked.astype(float), known * 0, asked)


def test_shapes_are_measured_from_end_to_end():
    (path,) = (path for path in shipped("shapes") if path.endswith("/pca.safetensors"))
    found = {r.metric["name"]: r for r in evaluate(path, "shapes", metrics=["disentanglement"], limit=300)}
    assert {record.status for record in found.values()} == {"ok"}
    assert found["mig"].details["by_factor"][0]["told"] < 0.3  # the kind of shape lies in no axis
    assert found["mig"].details["dimension"] == 8
