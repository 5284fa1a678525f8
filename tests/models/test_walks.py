"""Walks through latents: where they begin and end, what they leave as it is, and for whom there are none."""

import numpy as np
import pytest
import torch

from genbench import catalog, datasets, evaluate
from genbench.boards.columns import boards
from genbench.boards.markdown import markdown
from genbench.boards.seeds import shown_rows
from genbench.models.sampling import encode, reconstruct
from genbench.models.walks import interpolations, traversals, walkable
from genbench.run.records import Run
from genbench.text import PICTURED, slug

DIGITS = datasets.load("digits")


def built(name: str, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalog.build(name, DIGITS.space, options).eval()


def test_a_walk_begins_and_ends_at_the_reconstructions_of_its_ends():
    model = built("vae", latent=4, hidden=8)
    a, b = DIGITS.test[:3], DIGITS.test[3:6]
    found = interpolations(model, a, b, 5)
    assert found.shape == (3, 5, 1, 8, 8)
    np.testing.assert_allclose(found[:, 0], reconstruct(model, a), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[:, -1], reconstruct(model, b), rtol=1e-5, atol=1e-5)


def test_a_linear_decoder_s_walk_is_a_straight_line():
    model = built("pca", latent=6)
    model.fit(
        torch.from_numpy(DIGITS.train.astype(np.int64)) // 4 + 6
    )  # away from the ends of the range, at which it is cut
    a, b = (DIGITS.test[i : i + 2] // 4 + 6 for i in (0, 2))
    found = interpolations(model, a, b, 3)
    np.testing.assert_allclose(found[:, 1], (found[:, 0] + found[:, 2]) / 2, rtol=1e-5, atol=1e-4)


def test_each_row_of_a_traversal_moves_one_coordinate_those_that_spread_most_first():
    model = built("vae", latent=4, hidden=8)
    codes = np.random.default_rng(0).standard_normal((50, 4)) * [0.1, 3.0, 1.0, 2.0]
    seen = []
    model.expected = lambda z: seen.append(z) or torch.zeros(len(z), 1, 8, 8)
    traversals(model, DIGITS.test[:1], codes, 3, 5, "cpu")
    z = seen[0].view(3, 5, 4)
    own = torch.from_numpy(encode(model, DIGITS.test[:1]))[0]
    for row, j in enumerate([1, 3, 2]):
        others = [i for i in range(4) if i != j]
        torch.testing.assert_close(z[row][:, others], own[others].repeat(5, 1))
        ends = codes[:, j].mean() + 2 * codes[:, j].std() * np.linspace(-1, 1, 5)
        np.testing.assert_allclose(z[row][:, j].numpy(), ends, rtol=1e-5)


@pytest.mark.parametrize("name", ["autoencoder", "bernoulli-vae", "conditional-vae", "ddpm"])
def test_what_has_no_real_latents_to_decode_or_needs_a_class_cannot_be_walked_through(name):
    assert not walkable(built(name))


def test_a_run_that_measures_codes_draws_them_and_a_page_shows_them(tmp_path):
    evaluate(built("vae", latent=3, hidden=8), "digits", ["probe"], name="my codes", out=tmp_path)
    stem = slug("my codes")
    found = {path.name for path in (tmp_path / "pictures").glob("*")}
    assert found == {f"{stem}{end}.png" for end in ("-codes", "-interpolation", "-traversal")}
    page = markdown(boards(shown_rows([Run(tmp_path)])), tmp_path / "pictures", tmp_path)
    assert all(name in page for name in found)
    assert all(words in page for end, words in PICTURED.items() if f"{stem}{end}.png" in found)


def test_a_model_named_like_a_picture_gets_another_file():
    for end in filter(None, PICTURED):
        assert slug(f"vae{end}") != f"vae{end}"
