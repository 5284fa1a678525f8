"""Published statistics in place of training features: equal numbers, every layout, and what does not fit is refused."""

import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

import genbench
from genbench import datasets
from genbench.boards.columns import boards, columns_of
from genbench.boards.hub import notes
from genbench.boards.markdown import markdown
from genbench.errors import GenbenchError, Unavailable
from genbench.metrics import fd, fd_infinity, kd
from genbench.models.adapters import parse
from genbench.numerics.moments import moments
from genbench.numerics.points import Points, Summary
from genbench.run import reference
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run
from genbench.run.statistics import images_of, made, write
from genbench.studies.verification import NO_REFERENCE, comparable, verify

METRICS = ("fd", "fd-infinity", "kd", "near-duplicates")
PROTOCOL = Protocol(n_samples=60, block_size=20, limit=80)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Statistics of the digits' training images: moments alone, with features, and without the card."""
    folder = tmp_path_factory.mktemp("statistics")
    images, described = images_of("digits", "train")
    arrays = made(images, described, "digits-cnn", keep_features=True)
    write(folder / "whole.npz", arrays)
    write(folder / "moments.npz", {key: arrays[key] for key in ("mu", "sigma", "card")})
    write(folder / "published.npz", {key: arrays[key] for key in ("mu", "sigma")})
    return folder


def planned(digits, checkpoint, path=None, metrics=METRICS, count=None):
    suite = Suite("digits", metrics, "digits-cnn", protocol=PROTOCOL)
    found = {} if path is None else {"digits-cnn": reference.read(path, "digits-cnn", count)}
    return plan(suite, digits, [parse(str(checkpoint), digits)], references=found)


def measured(todo, folder):
    run = Run(folder)
    evaluate(todo, run, "cpu", pictures=False)
    return {record.metric["name"].partition("[")[0]: record for record in todo.rows(run)}


def features(n, d, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) if rank is None else rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    return (x * np.linspace(0.3, 2, d) + 0.2 * seed).astype(np.float32)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


# The same number


@pytest.mark.parametrize("known", ["count known", "count unknown"])
@pytest.mark.parametrize(
    ("n", "m", "d", "rank"), [(300, 400, 8, None), (30, 400, 40, None), (300, 30, 40, None), (20, 25, 40, None),
                              (300, 400, 12, 5)],
)  # fmt: skip
def test_fd_from_moments_is_fd_from_rows(n, m, d, rank, known):
    x, y = features(n, d, 1, rank), features(m, d, 2, rank)
    found = moments(y)
    of_rows = fd.compute(x, y)["fd"]
    summary = Summary(found.mean, found.covariance, m if known == "count known" else None)
    of_moments = fd.compute(x, summary)["fd"]
    assert of_moments.value == pytest.approx(of_rows.value, rel=1e-10)
    for term in ("mean_term", "covariance_term"):
        assert of_moments.details[term] == pytest.approx(of_rows.details[term], rel=1e-9, abs=1e-9)
    assert 0 < of_moments.stderr < of_rows.stderr, "the interval is that of the samples alone"


def test_fd_from_moments_is_what_everybody_computes():
    x, y = features(200, 10, 1), features(300, 10, 2)
    mu, sigma = y.astype(np.float64).mean(0), np.cov(y, rowvar=False)
    mu1, sigma1 = x.astype(np.float64).mean(0), np.cov(x, rowvar=False)
    expected = ((mu1 - mu) ** 2).sum() + np.trace(sigma1 + sigma - 2 * sqrtm(sigma1 @ sigma).real)
    assert fd.compute(x, Summary(mu, sigma))["fd"].value == pytest.approx(expected, rel=1e-10)


def test_the_interval_is_for_draws_of_the_samples_at_this_reference():
    """Its standard error is the spread of values over fresh samples; 400 of them know it to 1/sqrt(800) = 3.5 %."""
    n, d, replicates = 200, 4, 400
    rng = np.random.default_rng(0)
    summary = Summary(np.zeros(d), np.diag([1.0, 2.0, 0.5, 1.5]))
    found = [fd.compute(rng.standard_normal((n, d)) + 0.3, summary)["fd"] for _ in range(replicates)]
    values, errors = np.array([m.value for m in found]), np.array([m.stderr for m in found])
    assert errors.mean() == pytest.approx(values.std(), rel=4 * 0.036)
    hits = sum(m.ci95[0] <= values.mean() <= m.ci95[1] for m in found)
    assert 0.95 * replicates - 4 * np.sqrt(0.95 * 0.05 * replicates) <= hits
    assert "over the samples alone, at this reference" in found[0].ci_method


@pytest.mark.parametrize(("count", "words"), [(None, "of unknown size"), (5000, "of 5,000 rows")])
def test_the_record_says_what_the_interval_covers_and_how_large_the_reference_is(count, words):
    summary = Summary(np.zeros(3), np.eye(3), count, "adm.npz")
    for metric, name in ((fd, "fd"), (fd_infinity, "fd_infinity")):
        found = metric.compute(features(60, 3), summary)[name]
        assert found.details["n_reference"] == count
        assert found.details["note"] == f"against the moments of adm.npz, {words}: the interval covers the samples"
        assert "n_train" not in found.details


def test_widths_that_differ_are_an_error():
    with pytest.raises(ValueError, match="sample_features 3, adm 4"):
        fd.compute(features(20, 3), Summary(np.zeros(4), np.eye(4), called="adm"))


def test_a_run_has_the_same_numbers_from_rows_moments_and_the_training_set(digits, pixels_checkpoint, files, tmp_path):
    plain = measured(planned(digits, pixels_checkpoint), tmp_path / "run")
    for name in ("whole", "moments", "published"):
        found = measured(planned(digits, pixels_checkpoint, files / f"{name}.npz"), tmp_path / "run")
        for metric in ("fd", "fd-infinity"):
            assert found[metric].value == pytest.approx(plain[metric].value, rel=1e-10), (name, metric)
        if name == "whole":
            assert found["kd"].value == pytest.approx(plain["kd"].value, rel=1e-10)
            # rows of a file are known by themselves, not by images: other halves correct the standard error
            assert found["fd"].stderr == pytest.approx(plain["fd"].stderr, rel=0.05)
        else:
            assert found["kd"].status == "skipped"
            assert f"{name}.npz has their moments alone" in found["kd"].error["message"]
            assert found["fd"].stderr < plain["fd"].stderr
        assert found["near-duplicates"].cell_id == plain["near-duplicates"].cell_id, "copying is of training examples"


# Identities and columns


def test_two_references_never_share_a_column_and_the_header_tells_them_apart(
    digits, pixels_checkpoint, files, tmp_path
):
    other = dict(np.load(files / "published.npz"))
    saved(tmp_path / "other.npz", **{**other, "mu": other["mu"] + 1e-3})
    paths = [None, files / "published.npz", tmp_path / "other.npz"]
    todos = [planned(digits, pixels_checkpoint, path, ("fd",)) for path in paths]
    records = [measured(todo, tmp_path / "run")["fd"] for todo in todos]
    assert len({record.cell_id for record in records}) == 3
    assert len(columns_of(records)) == 3
    (board,) = boards(records)
    assert [column.title for column in board.columns if "no reference" in column.title]
    hashes = {record.metric["reference"]["sha256"][:8] for record in records[1:]}
    assert hashes == {column.differs[-8:] for column in board.columns if "reference=" in column.differs}
    (alone,) = boards(records[1:2])
    sha256 = records[1].metric["reference"]["sha256"]
    assert alone.columns[0].title == f"fd[digits-cnn] ↓ reference={sha256[:8]}", "said also where no other is beside it"
    assert f"against the statistics in published.npz with sha256 {sha256[:16]}" in notes(records[1], {})
    page = markdown([board])
    assert "Against the published statistics in published.npz (of unknown size, sha256 " in page
    assert "other.npz (of unknown size" in page


def test_the_hash_is_of_the_contents_and_the_count_is_part_of_the_identity(files, tmp_path):
    arrays = dict(np.load(files / "published.npz"))
    np.savez_compressed(tmp_path / "renamed.npz", unused=np.zeros(3), **arrays)
    one, other = (reference.read(p, "digits-cnn") for p in (files / "published.npz", tmp_path / "renamed.npz"))
    assert one.sha256 == other.sha256
    assert one.identity != reference.read(files / "published.npz", "digits-cnn", 1097).identity
    whole, alone = (reference.read(files / f"{name}.npz", "digits-cnn") for name in ("whole", "moments"))
    assert whole.sha256 != alone.sha256, "more can be measured with it"


def test_without_a_reference_identities_are_what_they_were(digits, pixels_checkpoint):
    todo = planned(digits, pixels_checkpoint)
    assert all("reference" not in cell.identity for cell in todo.cells(todo.sources[0]))


def test_the_record_carries_the_file_its_hash_and_its_card(digits, pixels_checkpoint, files, tmp_path):
    record = measured(planned(digits, pixels_checkpoint, files / "moments.npz"), tmp_path / "run")["fd"]
    said = record.metric["reference"]
    assert (said["file"], said["layout"], said["count"]) == ("moments.npz", ["mu", "sigma"], 1097)
    assert said["sha256"] == reference.read(files / "moments.npz", "digits-cnn").sha256
    card = said["card"]
    assert card["extractor"]["name"] == "digits-cnn"
    assert card["extractor"]["preprocessing"] == record.metric["preprocessing"]
    assert card["extractor"]["sha256"] == record.metric["extractor_sha256"]
    assert card["data"] == {"name": "digits", "split": "train", "sha256": digits.sha256}
    assert card["genbench"] == genbench.__version__


def test_verification_names_the_reference_that_it_lacks(digits, pixels_checkpoint, files, tmp_path):
    measured(planned(digits, pixels_checkpoint, files / "published.npz", ("fd",)), tmp_path / "run")
    run = Run(tmp_path / "run")
    (verdict,) = verify(comparable(run)[0], Run(tmp_path / "again"), digits, {})
    assert verdict.verdict == NO_REFERENCE
    assert "published.npz" in verdict.line


def test_a_reference_that_no_metric_asks_for_is_an_error(digits, pixels_checkpoint, files):
    with pytest.raises(GenbenchError, match="no metric compares samples with a reference in the features of"):
        planned(digits, pixels_checkpoint, files / "published.npz", ("near-duplicates",))


# Layouts


def layouts(y):
    """{layout: what its file holds}, each of the features y, as the published files have them."""
    mu, sigma = y.mean(0, dtype=np.float64), np.cov(y, rowvar=False)
    return {
        "pytorch-fid": {"mu": mu, "sigma": sigma},
        "TTUR, float32": {"mu": mu.astype(np.float32), "sigma": sigma.astype(np.float32)},
        "EDM": {"mu": mu, "sigma": (y.T.astype(np.float64) @ y - len(y) * np.outer(mu, mu)) / (len(y) - 1)},
        "ADM": {
            "mu": mu.astype(np.float32), "sigma": sigma, "mu_s": np.zeros(2023), "sigma_s": np.eye(2023),
            "arr_0": np.zeros((5, 8, 8, 3), np.uint8),
        },
        "clean-fid, of KID": {"feats": y},
        "score_sde": {"pool_3": y},
    }  # fmt: skip


@pytest.mark.parametrize("layout", layouts(np.zeros((2, 2))))
def test_published_layouts_give_the_same_moments(layout, tmp_path):
    x, y = features(200, 6, 1), features(300, 6, 2)
    held = layouts(y)[layout]
    found = reference.read(saved(tmp_path / "file.npz", **held), "inceptionv3")
    assert found.card is None
    rounding = 1e-6 if layout in ("TTUR, float32", "ADM") else 1e-10
    assert fd.compute(x, found.moments())["fd"].value == pytest.approx(fd.compute(x, y)["fd"].value, rel=rounding)
    if "mu" in held:
        assert found.count is None
        with pytest.raises(Unavailable, match="moments alone"):
            found.points("cpu")
    else:
        assert found.count == len(y)
        np.testing.assert_array_equal(found.points("cpu").x, y)
        assert kd.compute(Points(x), found.points("cpu"))["kd"].value == kd.compute(x, y)["kd"].value


def test_of_adms_file_the_spatial_extractor_takes_the_spatial_moments(tmp_path):
    y = features(300, 6, 2)
    path = saved(tmp_path / "adm.npz", **layouts(y)["ADM"])
    found = reference.read(path, "inceptionv3-spatial")
    assert (len(found.mean), found.layout) == (2023, ("mu_s", "sigma_s"))
    assert len(reference.read(path, "inceptionv3").mean) == 6
    with pytest.raises(Unavailable, match=r"its arr_0 are images, of which samples:FILE can be made"):
        reference.read(path, "inceptionv3").points("cpu")
    with pytest.raises(GenbenchError, match="has no mu_s and sigma_s of extractor 'inceptionv3-spatial'"):
        reference.read(saved(tmp_path / "other.npz", **layouts(y)["EDM"]), "inceptionv3-spatial")


# What is refused


class Trap:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "torch called npz", "pickle called npz", "objects in an npz"])
def test_pickles_are_refused_unread_with_the_way_to_write_the_same(kind, tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / ("file.pkl" if kind == "pickle" else "file.npz")
    if kind.startswith("torch"):
        path = tmp_path / ("file.pt" if kind == "torch" else "file.npz")
        torch.save({"mu": Trap(sprung)}, path)
    elif kind.startswith("pickle"):
        path.write_bytes(pickle.dumps({"mu": Trap(sprung)}))
    else:
        np.savez(path, mu=np.array([Trap(sprung)], dtype=object), sigma=np.eye(1))
    with pytest.raises(GenbenchError, match="refused") as caught:
        reference.read(path, "inceptionv3")
    assert not sprung.exists()
    if kind != "objects in an npz":
        assert "genbench statistics" in caught.value.remedy


MU, SIGMA = np.zeros(3), np.diag([1.0, 2.0, 3.0])
CARD = json.dumps({"count": 5, "extractor": {"name": "x", "sha256": "0", "preprocessing": "none"}})


def off_diagonal(value):
    found = SIGMA.copy()
    found[0, 1] = value
    return found


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"mu": MU, "sigma": np.eye(4)}, r"float64 \[3\] and float64 \[4, 4\], not real numbers"),
        ({"mu": MU[None], "sigma": SIGMA}, r"float64 \[1, 3\]"),
        ({"mu": MU.astype(int), "sigma": SIGMA}, "int64"),
        ({"mu": np.array([0, np.nan, 0]), "sigma": SIGMA}, "1 of their values are NaN or infinite"),
        ({"mu": MU, "sigma": off_diagonal(np.inf)}, "NaN or infinite"),
        ({"mu": MU, "sigma": off_diagonal(1e-3)}, "not symmetric: two halves differ by 0.001"),
        ({"mu": MU, "sigma": np.diag([1.0, 2.0, -1e-3])}, "the eigenvalue -0.001"),
        ({"mu": MU, "sigma": -SIGMA}, "eigenvalue"),
        ({"mu": MU}, "has no mu and sigma of extractor 'inceptionv3': it holds mu"),
        ({"arr_0": np.zeros((4, 8, 8, 3), np.uint8)}, "it holds arr_0"),
        ({"feats": np.zeros((1, 3))}, "not features"),
        ({"features": np.eye(3), "card": np.array(CARD)}, "the card says 5 images, there are 3 rows"),
        ({"feats": np.full((4, 3), np.nan)}, "12 values of feats are NaN"),
        ({"mu": MU, "sigma": SIGMA, "features": np.random.default_rng(0).random((9, 3))}, "the mean is not that of"),
        ({"mu": MU, "sigma": SIGMA, "card": np.array("{}")}, "a card that `genbench statistics` does not write"),
        ({"mu": MU, "sigma": SIGMA, "card": np.array("no json")}, "a card"),
    ],
)
def test_what_are_no_moments_of_features_is_refused(arrays, words, tmp_path):
    with pytest.raises(GenbenchError, match=words) as caught:
        reference.read(saved(tmp_path / "file.npz", **arrays), "inceptionv3")
    assert "genbench statistics" in caught.value.remedy


def test_rounding_is_not_refused(tmp_path):
    """float32 covariances of fewer images than features have eigenvalues a little below 0, and EDM's sums do too."""
    y = features(20, 60)
    sigma = np.cov(y, rowvar=False).astype(np.float32)
    assert np.linalg.eigvalsh(sigma.astype(np.float64))[0] < 0
    reference.read(saved(tmp_path / "file.npz", mu=y.mean(0), sigma=sigma), "x")
    sigma = sigma.astype(np.float64)
    sigma[0, 1] *= 1 + 1e-7
    reference.read(saved(tmp_path / "file.npz", mu=y.mean(0), sigma=sigma), "x")


def test_another_width_is_an_error_of_usage(digits, pixels_checkpoint, tmp_path):
    path = saved(tmp_path / "published.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(GenbenchError, match="2048 features, extractor 'digits-cnn' has 64") as caught:
        evaluate(planned(digits, pixels_checkpoint, path, ("fd",)), Run(tmp_path / "run"), "cpu")
    assert "--reference NAME=FILE" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "pixels"}, "made with another extractor: 'pixels', here it is 'digits-cnn'"),
        ({"preprocessing": "PIL bicubic"}, "made with another rule: 'PIL bicubic'"),
        ({"sha256": "0" * 64}, "made with other weights or code: '0000000000000000'"),
    ],
)
def test_an_own_file_of_another_pipeline_is_refused_with_the_reason(
    change, words, digits, pixels_checkpoint, files, tmp_path
):
    arrays = dict(np.load(files / "moments.npz"))
    card = json.loads(str(arrays["card"]))
    card["extractor"] |= change
    path = saved(tmp_path / "changed.npz", **{**arrays, "card": np.array(json.dumps(card))})
    with pytest.raises(GenbenchError, match=words):
        evaluate(planned(digits, pixels_checkpoint, path, ("fd",)), Run(tmp_path / "run"), "cpu")


def test_a_count_that_contradicts_the_file_is_refused(files):
    assert reference.read(files / "published.npz", "digits-cnn", 50_000).count == 50_000
    assert reference.read(files / "moments.npz", "digits-cnn", 1097).count == 1097
    with pytest.raises(GenbenchError, match="is of 1097 images, --reference-count says 50000"):
        reference.read(files / "moments.npz", "digits-cnn", 50_000)


# The commands


def test_statistics_are_those_of_numpy_and_read_back(files, digits):
    found = reference.read(files / "whole.npz", "digits-cnn")
    assert found.count == len(digits.train) == len(found.rows)
    np.testing.assert_allclose(found.mean, found.rows.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(found.rows, rowvar=False), rtol=1e-9, atol=1e-12)


def test_the_command_writes_data_and_samples_and_evaluate_compares_with_them(cli, tmp_path, pixels_checkpoint):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", x=rng.integers(0, 17, (90, 1, 8, 8), dtype=np.uint8), levels=17)
    arguments = ("--extractor", "digits-cnn", "-o", "statistics.npz")
    code, out, _ = cli("statistics", "samples:mine.npz", *arguments)
    assert (code, out) == (0, "statistics.npz: 90 images, 64 features of digits-cnn\n")
    card = json.loads(str(np.load(tmp_path / "statistics.npz")["card"]))
    assert card["data"]["name"] == "mine"
    assert card["data"]["split"] is None
    line = ("evaluate", pixels_checkpoint, "--metrics", "fd,kd", "--samples", "60", "-o", "run")
    code, out, err = cli(*line, "--reference", "statistics.npz")
    assert code == 0, err
    assert "against the moments of statistics.npz, of 90 rows" in out
    code, _, _ = cli("statistics", "digits", "--split", "test", "--features", "-o", "test.npz")
    assert code == 0
    code, out, _ = cli(*line, "--reference", "digits-cnn=test.npz")
    assert code == 0
    assert "Against the published statistics in test.npz (of 500 images" in out
    statuses = {r.status for r in Run(tmp_path / "run").records() if r.metric["name"] == "kd[digits-cnn]"}
    assert statuses == {"ok", "skipped"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reference", "none.npz"), "no reference at none.npz"),
        (("--reference", "cache.pt"), "cache.pt is no .npz, perhaps a pickle"),
        (("--reference-count", "5"), "--reference-count is of one --reference"),
        (("--reference", "cache.pt", "--reference-count", "0"), "expected"),
    ],
)
def test_errors_of_usage_are_two_lines_and_exit_2(cli, tmp_path, pixels_checkpoint, arguments, words):
    torch.save({"mu": torch.zeros(3)}, tmp_path / "cache.pt")
    code, out, err = cli("evaluate", pixels_checkpoint, "--metrics", "fd", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 2


def test_a_function_that_nobody_can_know_again_makes_no_statistics(cli, tmp_path):
    (tmp_path / "mine.py").write_text("def embed(x):\n    return x.reshape(len(x), -1)[:, :5] / 2.0\n")
    code, _, err = cli("statistics", "digits", "--extractor", "mine.py:embed", "-o", "s.npz")
    assert code == 2
    assert "version" in err
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "embed.version = 1\n")
    code, out, _ = cli("statistics", "digits", "--extractor", "mine.py:embed", "-o", "s.npz")
    assert (code, out.partition(":")[0]) == (0, "s.npz")


def test_from_python(digits, files):
    class Model(torch.nn.Module):
        space = digits.space

        def sample(self, n, generator):
            return torch.randint(17, (n, 1, 8, 8), generator=generator)

    (record,) = genbench.evaluate(Model(), "digits", ["fd"], samples=60, reference=files / "published.npz")
    assert record.metric["reference"]["file"] == "published.npz"


def test_summaries_are_held_apart_by_identity_not_by_value():
    x = Points(features(50, 3))
    one, other = Summary(np.zeros(3), np.eye(3)), Summary(np.ones(3), np.eye(3))
    assert fd.compute(x, one)["fd"].value != fd.compute(x, other)["fd"].value
    assert fd.compute(x, replace(one))["fd"].value == fd.compute(x, one)["fd"].value


def test_the_file_is_one_that_numpy_reads_without_pickles(files):
    with np.load(io.BytesIO((files / "whole.npz").read_bytes()), allow_pickle=False) as found:
        assert {"mu", "sigma", "features", "card"} == set(found)
        assert found["mu"].dtype == found["sigma"].dtype == np.float64
