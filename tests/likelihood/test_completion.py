"""Completion against the enumerated joint distribution, with classes and without, and models that cannot be asked."""

import numpy as np
import pytest
import torch

from draws import every
from genbench.baselines.autoregressive import conditional_gated_pixelcnn, gated_pixelcnn, image_transformer, lstm
from genbench.errors import Unavailable
from genbench.likelihood.completion import completion
from genbench.metrics import completion_nll
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 3, 2), levels=2)
MODELS = {
    "gated": (gated_pixelcnn, {"width": 6, "depth": 1, "first": 3}),
    "gated-classes": (gated_pixelcnn, {"width": 6, "depth": 1, "first": 3, "classes": 3}),
    "transformer": (image_transformer, {"width": 8, "layers": 1, "heads": 2, "hidden": 8}),
    "lstm": (lstm, {"width": 8, "embedding": 4}),
}


def network(name, space=SPACE):
    module, options = MODELS[name]
    torch.manual_seed(0)
    net = module.build(space, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.5 * torch.randn_like(p))
    return net.eval()


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_it_is_the_ratio_of_the_joint_to_the_marginal_of_the_upper_half(name):
    net, x = network(name), every(SPACE)
    log_p = net.log_prob(x).double()
    upper = x[:, 0, 0] @ torch.tensor([2, 1])  # of 3 rows the first
    marginal = torch.stack([torch.logsumexp(log_p[upper == u], 0) for u in range(4)])
    found = completion(net, x.numpy().astype(np.uint8))
    np.testing.assert_allclose(found.values, (log_p - marginal[upper]).numpy(), atol=1e-5)
    assert found.kind == "exact"
    totals = [float(np.exp(found.values[upper.numpy() == u]).sum()) for u in range(4)]
    np.testing.assert_allclose(totals, 1, atol=1e-5)


def test_a_model_that_reads_by_columns_has_not_seen_the_upper_half_first():
    torch.manual_seed(0)
    net = lstm.build(Space((1, 4, 4), levels=3), width=8, embedding=4, order="columns").eval()
    x = np.random.default_rng(0).integers(0, 3, (20, 1, 4, 4))
    with pytest.raises(Unavailable, match="upper half"):
        completion(net, x)


def test_what_is_no_image_or_has_no_conditionals_is_refused():
    net = lstm.build(Space((4,), levels=3), width=8, embedding=4).eval()
    with pytest.raises(Unavailable, match="log_conditionals"):
        completion(net, np.zeros((3, 4), np.int64))
    with pytest.raises(Unavailable, match="one row"):
        completion(network("gated", Space((1, 1, 4), levels=2)), np.zeros((3, 1, 1, 4), np.int64))


def test_the_metric_counts_the_hidden_dimensions():
    space = Space((1, 5, 2), levels=2)
    net = network("gated", space)
    x = torch.randint(2, (40, 1, 5, 2), generator=seeded()).numpy()
    found = completion(net, x)
    measure = completion_nll.compute(found, space, None)["completion_nll"]
    assert measure.details["hidden"] == 6
    assert measure.value == pytest.approx(-found.values.mean() / (6 * np.log(2)))
    assert measure.kind == "exact"
    with pytest.raises(Unavailable, match="halves"):
        completion_nll.compute(found, Space((4,), levels=2), None)


def test_the_class_conditional_baseline_can_be_asked():
    torch.manual_seed(0)
    net = conditional_gated_pixelcnn.build(Space((1, 4, 4), levels=3), width=6, depth=1, first=3).eval()
    assert len(completion(net, np.zeros((5, 1, 4, 4), np.int64)).values) == 5
