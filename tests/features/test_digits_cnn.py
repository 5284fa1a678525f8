import hashlib

import numpy as np
import pytest
import torch

from genbench import catalog, datasets
from genbench.errors import GenbenchError
from genbench.features._cnn import scaled
from genbench.features.digits_cnn import SPACE, WEIGHTS, build, extractor
from genbench.models import checkpoint
from genbench.models.checkpoint import Card
from genbench.models.sampling import seeded
from genbench.space import Space


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def shipped():
    return extractor(SPACE)


def test_shipped_weights_classify_the_test_images(shipped, digits):
    _, logits = shipped(digits.test)
    accuracy = float((logits.argmax(1) == digits.labels["test"]).mean())
    assert accuracy >= 0.98
    assert accuracy == checkpoint.read_card(WEIGHTS).training["test_accuracy"]


def test_shipped_weights_saw_the_training_images_of_this_dataset(digits):
    assert checkpoint.read_card(WEIGHTS).dataset == {"name": "digits", "sha256": digits.sha256}


def test_features_have_the_promised_shapes_and_none_is_constant(shipped, digits):
    features, logits = shipped(digits.test)
    assert features.shape == (500, 64)
    assert features.dtype == np.float32
    assert logits.shape == (500, 10)
    assert features.std(0).min() > 1e-3 * features.std()


def test_hash_is_that_of_the_file(shipped):
    assert shipped.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_logits_are_the_last_layer_of_the_features(shipped, digits):
    features, logits = shipped(digits.test[:20])
    head = checkpoint.load(WEIGHTS).head
    expected = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-4)


def test_features_do_not_depend_on_batch_mates(shipped, digits):
    together, _ = shipped(digits.test[:30])
    alone, _ = shipped(digits.test[:30], batch_size=1)
    # The same sums of at most 576 products, perhaps in another order, through five layers
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_images_are_not_changed(shipped, digits):
    x = digits.test[:5].copy()
    shipped(x)
    np.testing.assert_array_equal(x, digits.test[:5])


@pytest.mark.parametrize("space", [Space((1, 8, 8)), Space((1, 8, 8), 16), Space((1, 28, 28), 256), Space((2,))])
def test_other_spaces_are_refused_in_two_parts(space):
    with pytest.raises(GenbenchError, match="digits-cnn") as caught:
        extractor(space)
    assert caught.value.problem
    assert caught.value.remedy
    with pytest.raises(GenbenchError, match="cannot be built"):
        catalog.build("digits-cnn", space, {})


def test_weights_of_another_network_are_refused(tmp_path):
    other = catalog.build("independent-pixels", SPACE, {})
    checkpoint.save(tmp_path / "other.safetensors", other, Card("independent-pixels", SPACE))
    with pytest.raises(GenbenchError, match="holds no digits-cnn"):
        extractor(SPACE, tmp_path / "other.safetensors")


def test_distortion_is_drawn_from_the_generator_and_only_while_training(digits):
    torch.manual_seed(0)
    model = build(SPACE, dropout=0.0)
    x, y = torch.from_numpy(digits.train[:16]).long(), torch.from_numpy(digits.labels["train"][:16])
    with torch.no_grad():
        same, again, other = (float(model.loss(x, seeded(s), y)) for s in (1, 1, 2))
        model.eval()
        still, moved = (float(model.loss(x, seeded(s), y)) for s in (1, 2))
    assert same == again != other
    assert still == moved


def test_no_distortion_leaves_the_images_as_they_are(digits):
    model = build(SPACE, distortion=0.0)
    images = scaled(torch.from_numpy(digits.train[:16]).long(), SPACE)
    torch.testing.assert_close(model.distorted(images, seeded(1)), images, atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter(digits):
    torch.manual_seed(0)
    model = build(SPACE)
    x, y = torch.from_numpy(digits.train[:32]).long(), torch.from_numpy(digits.labels["train"][:32])
    model.loss(x, seeded(0), y).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
