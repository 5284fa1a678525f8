"""Pictures: read back, pixel by pixel; plots by what is drawn in them."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genbench.boards import pictures
from genbench.datasets import Dataset
from genbench.run.records import Run
from genbench.space import Space
from genbench.studies.audit import Finding
from genbench.studies.faults import FAULTS
from genbench.text import short


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def dataset(space: Space, n: int = 40, **more) -> Dataset:
    rng = np.random.default_rng(0)
    if space.levels:
        x = rng.integers(space.levels, size=(n, *space.shape)).astype(space.dtype)
    else:
        x = rng.standard_normal((n, *space.shape)).astype(np.float32)
    return Dataset("made", space, x, x[:5], x[:5], "none", "none", **more)


# --- Grids


@pytest.mark.parametrize(("channels", "n", "columns", "rows"), [(1, 7, 3, 3), (1, 6, 3, 2), (3, 2, 5, 1)])
def test_every_image_stands_in_its_place_between_grey_lines(channels, n, columns, rows):
    """Row by row, each pixel a square of 40 // 8 = 5; the whole range of 17 levels becomes 0..255."""
    images = np.random.default_rng(0).integers(17, size=(n, channels, 8, 6))
    found = pixels(pictures.grid(images, Space((channels, 8, 6), 17), columns))
    assert found.shape[:2] == (5 * (9 * rows + 1), 5 * (7 * columns + 1))
    small = found[::5, ::5]
    np.testing.assert_array_equal(found, small.repeat(5, 0).repeat(5, 1))
    canvas = np.full((*small.shape[:2], channels), 128)
    for i, image in enumerate(images):
        y, x = 1 + 9 * (i // columns), 1 + 7 * (i % columns)
        canvas[y : y + 8, x : x + 6] = np.round(np.moveaxis(image, 0, -1) * 255 / 16)
    np.testing.assert_array_equal(small.reshape(canvas.shape), canvas)


def test_real_values_are_shown_from_their_least_to_their_largest():
    images = np.array([-3.0, -1.0, 1.0, 0.0], np.float32).reshape(2, 1, 1, 2)
    found = pixels(pictures.grid(images, Space((1, 1, 2)), 2))[60, [60, 100, 180, 220]]  # squares of 40, lines too
    np.testing.assert_array_equal(found, [0, 128, 255, 191])


def test_a_constant_picture_is_no_division_by_zero():
    with np.errstate(all="raise"):
        found = pixels(pictures.grid(np.full((1, 1, 8, 8), 2.5, np.float32), Space((1, 8, 8)), 1))
    assert set(np.unique(found)) == {0, 128}


@pytest.mark.parametrize("part", [pictures.PART, 70, 1])
def test_a_neighbour_is_the_nearest_training_example(part, monkeypatch):
    """By enumeration, over real numbers and integers, however many are compared at once."""
    monkeypatch.setattr(pictures, "PART", part)
    for space in (Space((1, 3, 3), 17), Space((5,))):
        data = dataset(space)
        samples = dataset(space, 60).train[40:]
        found = pictures.neighbours(samples, data.train)
        squares = np.square(samples[:, None].astype(float) - data.train[None]).reshape(20, 40, -1).sum(2)
        np.testing.assert_array_equal(found, data.train[squares.argmin(1)])
        assert found.dtype == data.train.dtype


# --- What is drawn of which data


def test_of_images_a_grid_and_the_nearest_training_examples_are_drawn(tmp_path):
    data, run = dataset(Space((1, 3, 3), 17)), Run(tmp_path)
    samples = dataset(data.space, 70).train
    pictures.draw_all(run, "my-model", data, samples)
    assert sorted(p.name for p in run.pictures.iterdir()) == ["my-model-neighbours.png", "my-model.png"]
    written = {p.stem: p.read_bytes() for p in run.pictures.iterdir()}
    assert written["my-model"] == pictures.grid(samples[:60], data.space, 10)
    rows = np.concatenate([samples[:10], pictures.neighbours(samples[:10], data.train)])
    assert written["my-model-neighbours"] == pictures.grid(rows, data.space, 10)


def test_no_two_models_share_a_picture(tmp_path):
    """Names that lose the same to become a file's, and one that ends as the picture of another's neighbours does."""
    data, run = dataset(Space((1, 3, 3), 17)), Run(tmp_path)
    names = [
        "my model",
        "my-model",
        "my/model",
        "my\nmodel",
        "a",
        "a-neighbours",
        "ä",
        "ö",
        "x" * 300,
        "x" * 301,
        ".",
        "",
    ]
    for name in names:
        pictures.draw_all(run, name, data, dataset(data.space, 12).train)
    assert len(list(run.pictures.iterdir())) == 2 * len(names)


@pytest.mark.parametrize("title", [r"a $\frac$ b$", "$$", "x" * 300, "\n\x1b[1m"])
def test_any_title_is_drawn_as_it_stands(title, monkeypatch):
    """Really drawn: mathematics is read, and refused, only then."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or save(self, *a, **k))
    data = dataset(Space((2,)))
    assert pixels(pictures.scatter(data.test, data, title)).shape[:2] == (320, 320)
    (axes,) = figures[0].axes
    assert axes.get_title() == f"{short(title, 30)}, n = 5"


def test_of_points_a_scatter_is_drawn_and_of_other_vectors_nothing(tmp_path):
    for d, names in ((2, ["m.png"]), (3, [])):
        data, run = dataset(Space((d,))), Run(tmp_path / str(d))
        pictures.draw_all(run, "m", data, data.train)
        assert [p.name for p in run.pictures.glob("*")] == names


def test_of_text_the_first_three_are_written(tmp_path):
    data, run = dataset(Space((4,), 3), vocabulary="ab\n"), Run(tmp_path)
    samples = np.array([[0, 1, 2, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0]])
    pictures.draw_all(run, "m", data, samples)
    assert (run.pictures / "m.txt").read_text() == "ab\na\n\n---\n\nbbbb\n\n---\n\naaaa"


# --- Plots


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or save(self, *a, **k))
    return figures


def test_a_scatter_shows_samples_and_modes_on_the_axes_of_the_data(drawn):
    centres = np.array([[1.0, 0.0], [0.0, 1.0]])
    data = dataset(Space((2,)), modes=(centres, 0.1))
    reach = 1.25 * np.abs(data.test).max()
    points = np.array([[0.0, 0.0], [2 * reach, -2 * reach], [0.0, -2 * reach], [0.5, 0.25]])
    pictures.scatter(points, data, "m")
    (axes,) = drawn[0].axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
    np.testing.assert_allclose(axes.collections[1].get_offsets(), centres)
    assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-reach, reach))
    assert axes.get_title() == "m, n = 4 (2 outside)"
    pictures.scatter(points[:1], dataset(Space((2,))), "m")
    (axes,) = drawn[1].axes
    assert len(axes.collections) == 1
    assert axes.get_title() == "m, n = 1"


def test_densities_stand_beside_the_points_on_one_scale_where_they_are_known(drawn):
    """Of two normals, the data's the narrower: a colour is the root of the density at the centre of a cell."""

    def normal(sd):
        return lambda x: -0.5 * (x.astype(float) ** 2).sum(1) / sd**2 - np.log(2 * np.pi * sd**2)

    data = dataset(Space((2,)), log_density=normal(0.2))
    reach = 1.25 * np.abs(data.test).max()
    pictures.scatter(data.test, data, "m", normal(0.5))
    pictures.scatter(data.test, data, "real data")
    pictures.scatter(data.test, dataset(Space((2,))), "m", normal(0.5))
    assert [len(figure.axes) for figure in drawn] == [3, 2, 2]
    _, model, truth = drawn[0].axes
    line = reach * (2 * np.arange(256) - 255) / 256
    for ax, sd, words in ((model, 0.5, "model"), (truth, 0.2, "data")):
        (image,) = ax.images
        assert image.get_extent() == pytest.approx((-reach, reach, -reach, reach))
        expected = np.exp(-0.5 * (line[:, None] ** 2 + line**2) / sd**2) / (2 * np.pi * sd**2)
        np.testing.assert_allclose(image.get_array() ** 2, expected, rtol=1e-4, atol=1e-30)
        assert ax.get_title() == f"density of the {words}, up to {expected.max():.3g}"
        assert image.get_clim() == pytest.approx((0, np.sqrt(1 / (2 * np.pi * 0.2**2))), rel=0.02)
    assert drawn[2].axes[1].get_title().startswith("density of the model")


def test_the_second_coordinate_of_a_density_is_drawn_upwards():
    found = pictures.on_square(lambda x: x[:, 1].astype(float), 1.0)
    assert found[0] == pytest.approx(np.exp(-255 / 256), rel=1e-6)
    assert found[-1] == pytest.approx(np.exp(255 / 256), rel=1e-6)


def finding(metric, fault, direction="lower", family="samples alone", values=None, silent=()):
    values = {0.1: (1.0, 3.0), 0.5: (4.0, 6.0)} if values is None else values
    return Finding(metric, family, "share", direction, fault, (-1.0, 0.0, 1.0), values, silent)


def test_a_curve_rises_where_the_metric_gets_worse():
    """Real data have mean 0 and standard deviation 1: the values are the changes, turned for `higher`."""
    for direction, sign in (("lower", 1), ("none", 1), ("higher", -1)):
        axes = Figure().add_subplot()
        pictures.curve(axes, finding("m", "blur", direction), [0.1, 0.3, 0.5], {})
        np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0], [1, 2 * sign], [3, 5 * sign]])
        ends = [sorted(segment[:, 1]) for segment in axes.collections[0].get_segments()]
        np.testing.assert_allclose(ends, [[0, 0], *(sorted((sign * a, sign * b)) for a, b in ((1, 3), (4, 6)))])


def test_an_audit_has_a_column_for_each_fault_and_a_row_for_metrics_that_compare_alike(drawn):
    """Faults in their own order, strengths in theirs; 0 stands first, and strengths without a value keep a tick."""
    found = [
        finding("m1", "noise", silent=(0.3,)),
        finding("m1", "blur"),
        finding("m2", "blur", values={0.7: (1.0, 2.0)}),
        finding("m3", "blur", "higher"),
        finding("m4", "blur", family="other"),
    ]
    pictures.audit(found)
    axes = drawn[0].axes
    assert len(axes) == 3 * 2
    ticks = {
        top.get_title(): [t.get_text() for t in bottom.get_xticklabels()]
        for top, bottom in zip(axes[:2], axes[-2:], strict=True)
    }
    assert ticks == {"blur": ["0", "0.1", "0.5", "0.7"], "noise": ["0", "0.1", "0.3", "0.5"]}
    assert list(ticks) == [fault for fault in FAULTS if fault in ticks]
    legends = [ax.get_legend() for ax in axes[1::2]]
    assert [legend.get_title().get_text() for legend in legends] == ["samples alone", "samples alone", "other"]
    assert [[t.get_text() for t in legend.get_texts()] for legend in legends] == [["m1", "m2"], ["m3"], ["m4"]]
    assert [ax.get_ylabel() for ax in axes[::2]] == ["lower is better", "higher is better", "lower is better"]
    assert [len(ax.containers) for ax in axes] == [2, 1, 1, 0, 1, 0]


def test_lines_of_a_row_look_different():
    styles = [pictures.style(k) for k in range(30)]
    assert len({(s["color"], s["marker"]) for s in styles}) == 30
