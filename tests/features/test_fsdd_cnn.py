"""The judge of speech: what it reaches on recordings, that it judges audio, and what it refuses."""

import hashlib

import numpy as np
import pytest
import torch

from genbench import datasets
from genbench.datasets._fsdd import SOUND
from genbench.errors import GenbenchError
from genbench.features.fsdd_cnn import SPACE, WEIGHTS, extractor
from genbench.models import checkpoint
from genbench.space import Space


@pytest.fixture(scope="module")
def shipped():
    return extractor(SPACE)


def test_real_recordings_are_heard_as_what_they_are(shipped, data_root):
    data = datasets.load("fsdd", data_root)
    assert checkpoint.read_card(WEIGHTS).dataset == {"name": "fsdd", "sha256": data.sha256}
    _, logits = shipped(data.test)
    said, labels = logits.argmax(1), data.labels["test"]
    assert (said // 10 == labels // 10).mean() == 1.0  # the speaker
    assert (said % 10 == labels % 10).mean() == pytest.approx(0.98, abs=0.011)  # one of the 100 either way
    assert checkpoint.read_card(WEIGHTS).training["test_accuracy"] >= 0.97


def test_what_is_judged_is_the_audio():
    """An image and the image of its audio are about the same to it, however unlike they are where no sound is."""
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(3, *SPACE.shape), dtype=np.uint8)  # no sound has this
    heard = SOUND.image(SOUND.audio(x))
    assert np.abs(heard.astype(float) - x).mean() > 10
    found = extractor(SPACE)
    network = checkpoint.load(WEIGHTS)
    with torch.no_grad():
        expected = network.features(torch.from_numpy(heard) / 255).numpy()
    np.testing.assert_allclose(found(x)[0], expected, rtol=1e-4, atol=1e-4)


def test_hash_is_that_of_the_file_and_the_rule_names_the_way(shipped):
    assert shipped.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert "60 iterations of Griffin-Lim to 5120 samples" in shipped.preprocessing
    assert shipped.between is None


@pytest.mark.parametrize("space", [Space((1, 40, 64), 17), Space((1, 28, 28), 256), Space((2,))])
def test_other_spaces_are_refused(space):
    with pytest.raises(GenbenchError, match="fsdd-cnn"):
        extractor(space)
