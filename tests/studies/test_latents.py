"""The study of latents: gradients against each other and against enumeration, and a document made of records."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from draws import assert_means
from genbench import catalog
from genbench.models.sampling import seeded
from genbench.space import Space
from genbench.studies.latents import gradients, tables
from genbench.studies.latents.gradients import ESTIMATORS, Variance, trace

ROOT = Path(__file__).resolve().parents[2]
SPACE = Space((1, 2, 2), levels=3)
X = torch.tensor([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])[:, None]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(gradients, "OPTIONS", {"latent": 2, "hidden": 3})


def model(name: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalog.build(name, SPACE, gradients.OPTIONS)


# --- Gradients


def test_all_three_gradients_of_gaussian_latents_have_one_mean():
    """Each against the closed form of the KL with a great many draws, whose own noise is small beside theirs."""
    vae, n = model("vae"), 600
    found = {estimator: gradients.gradients(vae, X, estimator, n, seed=0) for estimator in ESTIMATORS}
    weights = list(vae.encoder.parameters())
    exact = torch.cat(
        [g.flatten() for g in torch.autograd.grad(-vae.loss(X.repeat(40_000, 1, 1, 1), seeded(1)), weights)]
    )
    assert float(exact.abs().max()) > 0.01
    for rows in found.values():
        spread = rows.std(0) / math.sqrt(n)
        assert bool(((rows.mean(0) - exact).abs() < 4.5 * spread + 2e-3).all())
    without, with_it = (trace(found[name])[0] for name in ("score", "score with baseline"))
    assert with_it < 0.2 * without


def test_both_score_functions_of_binary_latents_are_unbiased_for_the_enumerated_bound():
    net = model("bernoulli-vae")
    weights = list(net.encoder.parameters())
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(net.bounds(X)[0].mean(), weights)])
    for estimator in ("score", "score with baseline"):
        assert_means(gradients.gradients(net, X, estimator, 600, seed=0), exact)


def test_the_trace_and_its_error_are_those_of_normals():
    sd = torch.tensor([3.0, 1.0, 0.1])
    logs, errors = [], []
    for i in range(400):
        value, relative = trace(5.0 + sd * torch.randn(200, 3, generator=seeded(i)))
        logs.append(math.log(value))
        errors.append(relative)
    found = torch.tensor(logs)
    assert float(found.exp().mean()) == pytest.approx(10.01, abs=4 * 10.01 * float(found.std()) / 20)
    # sum_j sd_j^4 2 is the variance of a squared distance
    assert float(torch.tensor(errors).mean()) == pytest.approx(math.sqrt(2 * (81 + 1) / 200) / 10.01, rel=0.05)
    assert float(found.std()) == pytest.approx(float(torch.tensor(errors).mean()), rel=4 / math.sqrt(800))


def test_models_are_measured_while_they_are_trained(monkeypatch):
    monkeypatch.setattr(gradients, "STEPS", (0, 2, 40))
    found = list(gradients.measure(replicates=4))
    assert [(v.latents, v.step) for v in found[::3][:3]] == [("Gaussian", 0), ("Gaussian", 2), ("Gaussian", 40)]
    assert len(found) == 3 * 3 + 3 * 2
    for latents in ("Gaussian", "Bernoulli"):
        bounds = [v.bound for v in found if v.latents == latents]
        assert bounds[-1] > bounds[0] + 10  # it learns


# --- Tables


def records() -> list[Variance]:
    """Ratios of 100, 2 and 7 at step 0, of a tenth of that at step 10."""
    found = []
    for step, factor in ((0, 1.0), (10, 0.1)):
        for latents, estimator, value in (
            ("Gaussian", "reparameterised", 3.0),
            ("Gaussian", "score", 300.0 * factor),
            ("Gaussian", "score with baseline", 6.0 * factor),
            ("Bernoulli", "score", 7.0 * factor),
            ("Bernoulli", "score with baseline", 1.0),
        ):
            found.append(Variance(latents, step, -90.0 - step, estimator, round(value, 3), 0.03))
    return found


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "records"
    path.write_text("".join(v.line() + "\n" for v in records()))
    assert tables.read(path) == records()


def test_a_ratio_has_the_interval_of_both_errors():
    a, b = Variance("", 0, 0.0, "a", 6.0, 0.03), Variance("", 0, 0.0, "b", 2.0, 0.04)
    value, low, high = tables.ratio(a, b)
    assert (value, low * high) == pytest.approx((3, 9))
    assert math.log(high / value) == pytest.approx(1.96 * 0.05, rel=1e-3)


def test_the_table_has_a_row_for_every_step():
    header, _, *rows = tables.gradient_table(records()).splitlines()
    assert [name.strip() for name in header.strip("|").split("|")][2] == "score / reparameterised"
    cells = [[c.strip() for c in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["0", "10"]
    assert cells[0][2].startswith("100 [")
    assert cells[1][3].startswith("0.2 [")
    assert cells[1][5].startswith("0.7 [")


def test_the_plot_shows_every_ratio_with_its_interval(monkeypatch):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: drawn.append(self) or save(self, *a, **k))
    tables.plot(records())
    (axes,) = drawn[0].axes
    assert [list(bars[0].get_ydata()) for bars in axes.containers] == [
        pytest.approx([100, 10]),
        pytest.approx([2, 0.2]),
        pytest.approx([7, 0.7]),
    ]


def test_tables_stand_between_their_marks_and_one_without_a_place_is_refused():
    text = "a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n"
    found = tables.filled(text, {"x": r"|\1|", "y": "|2|"})
    assert found == "a\n<!-- x -->\n\n|\\1|\n\n<!-- end -->\nb\n<!-- y -->\n\n|2|\n\n<!-- end -->\n"
    assert tables.filled(found, {"x": r"|\1|", "y": "|2|"}) == found
    for name, said in (("z", text), ("x", text + text)):
        with pytest.raises(ValueError, match=f"the table of {name} has not one place"):
            tables.filled(said, {name: ""})


def test_the_document_is_what_its_records_make_of_it():
    assert tables.page(ROOT) == (ROOT / tables.PAGE).read_text(encoding="utf-8")
