"""What autoregressive and diffusion models give as a code: the features behind their predictions, by quarters."""

import pytest
import torch
import torch.nn.functional as F

from genbench import catalog
from genbench.baselines._layers import quarters
from genbench.cli import shipped
from genbench.errors import Unavailable
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((3, 4, 4), levels=5)
SEQUENCE = Space((6,), levels=5)


def built(name: str, space: Space = SPACE, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalog.build(name, space, options).eval()


def examples(space: Space = SPACE, n: int = 6) -> torch.Tensor:
    return torch.randint(space.levels, (n, *space.shape), generator=seeded("examples"))


def test_quarters_are_means_over_quarters():
    h = torch.arange(32.0).view(1, 2, 4, 4)
    found = quarters(h).view(2, 2, 2)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(found[:, i, j], h[0, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)))


IMAGES = [
    ("pixelcnn", {"width": 12, "depth": 1}, lambda m, x: m.hidden, "input"),
    ("row-lstm", {"width": 6, "depth": 1}, lambda m, x: m.hidden, "input"),
    ("diagonal-bilstm", {"width": 6, "depth": 1}, lambda m, x: m.hidden, "input"),
    ("gated-pixelcnn", {"width": 6, "depth": 1}, lambda m, x: m.hidden, "input"),
    ("pixelcnn-pp", {"width": 6, "depth": 1}, lambda m, x: m.output, "input"),
]


@pytest.mark.parametrize(("name", "options", "layer", "side"), IMAGES, ids=[name for name, *_ in IMAGES])
@torch.no_grad()
def test_the_code_is_what_the_last_filters_see_by_quarters(name, options, layer, side):
    """Seen from outside: by a hook at the layer that reads the features when a likelihood is asked for."""
    model, x, seen = built(name, **options), examples(), []
    hook = layer(model, x).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.log_prob(x)
    hook.remove()
    torch.testing.assert_close(model.encode(x), F.avg_pool2d(seen[-1], 2).flatten(1))


@pytest.mark.parametrize("name", ["rnn", "lstm"])
@torch.no_grad()
def test_the_code_of_a_recurrent_network_is_its_mean_state(name):
    """State by state, as a sampler walks through them."""
    for space, order in ((SEQUENCE, "raster"), (Space((1, 4, 4), levels=5), "snake")):
        model = built(name, space, width=7, embedding=3, order=order)
        x = examples(space)
        values, state, states = x.flatten(1)[:, model.order], None, []
        token = torch.full((len(x), 1), model.start)
        for t in range(space.dim):
            h, state = model.states(model.embedding(token), state)
            states.append(h[:, 0])
            token = values[:, t : t + 1]
        found = model.encode(x)
        if space is SEQUENCE:
            torch.testing.assert_close(found, torch.stack(states).mean(0))
            continue
        grid = torch.empty(len(x), 7, 16)
        for t, place in enumerate(model.order.tolist()):
            grid[:, :, place] = states[t]
        torch.testing.assert_close(found, F.avg_pool2d(grid.view(-1, 7, 4, 4), 2).flatten(1))


@torch.no_grad()
def test_the_codes_of_transformers_are_what_their_heads_read():
    model, x = built("image-transformer", width=8, layers=1, heads=2, hidden=8), examples()
    h = model.features(model.sequence(x))
    torch.testing.assert_close(model.head(h), model.logits(model.sequence(x)))
    every = torch.stack([model.placed(part) for part in h.unbind(2)], 1).mean(2)  # [B, width, H, W], over channels
    torch.testing.assert_close(model.encode(x), quarters(every))
    text, x = built("transformer", SEQUENCE, width=8, layers=1, heads=2, hidden=8), examples(SEQUENCE)
    seen = []
    hook = text.norm.register_forward_hook(lambda _, given, found: seen.append(found))
    text.log_prob(x)
    hook.remove()
    torch.testing.assert_close(text.encode(x), seen[0].mean(1))


@torch.no_grad()
def test_made_gives_the_hidden_layers_of_all_its_orders():
    model, x = built("made", width=9, depth=2, orders=2), examples()
    last = model.masks(1)[2]
    logits = F.linear(model.encode(x)[:, 9:], model.output.weight * last, model.output.bias)
    torch.testing.assert_close(logits.unflatten(1, (-1, 5)).transpose(1, 2), model.logits(x, 1))


@pytest.mark.parametrize("name", ["conditional-gated-pixelcnn", "conditional-image-transformer"])
def test_a_conditional_model_has_no_code_without_a_class(name):
    model = built(name, Space((1, 4, 4), levels=5))
    with pytest.raises(Unavailable, match="given class"):
        model.encode(examples(Space((1, 4, 4), levels=5)))


@pytest.mark.parametrize("name", ["ddpm", "flow-matching"])
@torch.no_grad()
def test_a_denoiser_s_code_is_a_function_of_each_image_alone_and_tells_images_apart(name):
    (path,) = (path for path in shipped("digits") if path.endswith(f"/{name}.safetensors"))
    model = load(path)
    x = torch.randint(17, (5, 1, 8, 8), generator=seeded("images"))
    codes = model.encode(x)
    assert codes.shape == (5, 8 * 24)
    torch.testing.assert_close(codes, torch.cat([model.encode(row) for row in x.split(1)]), rtol=1e-4, atol=1e-5)
    assert float(torch.cdist(codes, codes).topk(2, largest=False).values[:, 1].min()) > 0.1


def test_a_flow_of_points_has_no_code():
    with pytest.raises(Unavailable, match="points"):
        built("flow-matching", Space((2,))).encode(torch.zeros(3, 2))
