"""Graphs of ONNX: samplers and densities that are known in closed form, and files that reach for more."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from optional import library

from genbench import datasets
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, ModelError
from genbench.likelihood import log_likelihood
from genbench.models.adapters import parse
from genbench.models.sampling import draw, seeded
from genbench.space import Space

onnx = library("onnx")
library("onnxruntime")
F, H = onnx.TensorProto.FLOAT, onnx.helper

PLANE = Space((2,))
GREY = Space((1, 2, 2), 17)


def data(space, n=50):
    rng = np.random.default_rng(0)
    size = (n, *space.shape)
    x = (rng.integers(space.levels, size=size) if space.levels else rng.standard_normal(size)).astype(space.dtype)
    return Dataset("toy", space, x, x, x, "CC0", "test")


def write(path, nodes, inputs, outputs, weights=()):
    graph = H.make_graph(
        nodes,
        "graph",
        [H.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [H.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    model = H.make_model(graph, opset_imports=[H.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


A = np.array([[1.0, 2.0], [0.0, 0.5]], np.float32)
B = np.array([0.1, -0.2], np.float32)


def affine(path, batch="n", **more):
    """x = z A + b."""
    nodes = [H.make_node("MatMul", ["z", "A"], ["zA"]), H.make_node("Add", ["zA", "b"], ["x"])]
    return write(path, nodes, [("z", F, [batch, 2])], [("x", F, [batch, 2])], [("A", A), ("b", B)])


def image(path, kind=F, shape=("n", 1, 2, 2)):
    """x = z, an image."""
    return write(path, [H.make_node("Identity", ["z"], ["x"])], [("z", kind, shape)], [("x", kind, shape)])


def normal(path, shape, D, columns=False):
    """log N(x; 0, I), `[n]` or `[n, 1]`."""
    axes, keep = ("axes", np.arange(1, len(shape) + 1)), int(columns and len(shape) == 1)
    nodes = [
        H.make_node("Mul", ["x", "x"], ["xx"]),
        H.make_node("ReduceSum", ["xx", "axes"], ["s"], keepdims=keep),
        H.make_node("Mul", ["s", "half"], ["h"]),
        H.make_node("Add", ["h", "c"], ["log_p"]),
    ]
    c = np.float32(-0.5 * D * math.log(2 * math.pi))
    weights = [axes, ("half", np.float32(-0.5)), ("c", c)]
    return write(path, nodes, [("x", F, ["n", *shape])], [("log_p", F, ["n", 1] if keep else ["n"])], weights)


def opened(path, query, space=PLANE):
    return parse(f"onnx:{path}{query}", data(space)).open(data(space), "cpu")


# --- Samplers


@pytest.mark.parametrize("batch", ["n", 7, 1])
@pytest.mark.parametrize(("query", "noise"), [("", torch.randn), ("&noise=uniform", torch.rand)])
def test_a_sampler_maps_the_noise_of_its_generator(tmp_path, batch, query, noise):
    model = opened(affine(tmp_path / "a.onnx", batch), f"?z=z&x=x{query}")
    z = noise(20, 2, generator=seeded(3)).numpy()
    np.testing.assert_allclose(model.sample(20, seeded(3)).numpy(), z @ A + B, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(draw(model, 5, 0, 20), draw(model, 20, 0, 20)[:5])


def test_real_samples_become_the_nearest_levels_of_their_range(tmp_path):
    model = opened(image(tmp_path / "a.onnx"), "?z=z&x=x&range=[-1,1]", GREY)
    z = torch.randn(30, 1, 2, 2, generator=seeded(3))
    expected = np.clip(np.rint((z.numpy().astype(float) + 1) * 8), 0, 16)
    np.testing.assert_array_equal(model.sample(30, seeded(3)).numpy(), expected)


def test_levels_need_a_range_unless_the_graph_gives_levels_itself(tmp_path):
    with pytest.raises(GenbenchError, match="is real"):
        opened(image(tmp_path / "a.onnx"), "?z=z&x=x", GREY)
    cast = [H.make_node("Abs", ["z"], ["a"]), H.make_node("Cast", ["a"], ["x"], to=onnx.TensorProto.INT64)]
    shape = ("n", 1, 2, 2)
    path = write(tmp_path / "b.onnx", cast, [("z", F, shape)], [("x", onnx.TensorProto.INT64, shape)])
    assert draw(opened(path, "?z=z&x=x", GREY), 10, 0, 10).max() <= 5


def test_an_image_that_is_no_number_is_an_error_of_the_model(tmp_path):
    root = write(
        tmp_path / "a.onnx", [H.make_node("Sqrt", ["z"], ["x"])], [("z", F, ("n", 1, 2, 2))], [("x", F, ("n", 1, 2, 2))]
    )
    with pytest.raises(ModelError, match="NaN"):
        opened(root, "?z=z&x=x&range=[0,1]", GREY).sample(10, seeded(0))


# --- Densities


@pytest.mark.parametrize("columns", [False, True])
def test_a_density_of_real_numbers_is_exact(tmp_path, columns):
    model = opened(normal(tmp_path / "a.onnx", (2,), 2, columns), "?x=x&log_p=log_p")
    x = data(PLANE).test
    found = log_likelihood(model, x, 1, 0, 50)
    assert found.kind == "exact"
    np.testing.assert_allclose(found.values, -0.5 * (x**2).sum(1) - math.log(2 * math.pi), rtol=1e-5)


def test_a_density_of_levels_is_dequantised_over_their_range(tmp_path):
    """log N on [-1, 1]: E log p(y) + D log(2/17) is closed, y uniform in the cell of x."""
    model = opened(normal(tmp_path / "a.onnx", (1, 2, 2), 4), "?x=x&log_p=log_p&density=True&range=[-1,1]", GREY)
    x = data(GREY, 50).test
    found = log_likelihood(model, x, 1, 0, 50)
    assert found.kind == "lower_bound"
    width = 2 / 17
    y = -1 + (x.reshape(50, -1) + 0.5) * width
    expected = (-0.5 * (y**2 + width**2 / 12 + math.log(2 * math.pi)) + math.log(width)).sum(1)
    gap = found.values - expected
    assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(50)
    many = log_likelihood(model, x, 200, 0, 50).values
    assert np.abs(many - expected).max() < 0.05  # the mean over a cell, which is narrow


def test_what_is_above_one_is_no_probability_of_levels(tmp_path):
    """A density handed over as a probability: of the narrow kind that images have it is refused."""
    nodes = [
        H.make_node("ReduceSum", ["x", "axes"], ["s"], keepdims=0),
        H.make_node("Mul", ["s", "zero"], ["z"]),
        H.make_node("Add", ["z", "c"], ["log_p"]),
    ]
    weights = [("axes", np.arange(1, 4)), ("zero", np.float32(0)), ("c", np.float32(3))]
    path = write(tmp_path / "a.onnx", nodes, [("x", F, ["n", 1, 2, 2])], [("log_p", F, ["n"])], weights)
    model = opened(path, "?x=x&log_p=log_p&range=[-1,1]", GREY)
    with pytest.raises(ModelError, match="above 0"):
        log_likelihood(model, data(GREY).test, 1, 0, 50)


# --- What is refused, and what decides


def with_weights_at(path, where):
    """The affine sampler, whose matrix lies in another file."""
    model = onnx.load(str(affine(path)))
    tensor = model.graph.initializer[0]
    (path.parent / where).parent.mkdir(parents=True, exist_ok=True)
    (path.parent / where).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(where))
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_may_lie_beside_the_file_and_belong_to_its_identity(tmp_path, monkeypatch):
    path = with_weights_at(tmp_path / "a.onnx", "a.data")
    model = opened(path, "?z=z&x=x")
    np.testing.assert_allclose(
        model.sample(5, seeded(3)).numpy(), torch.randn(5, 2, generator=seeded(3)).numpy() @ A + B, rtol=1e-5, atol=1e-6
    )
    key = parse(f"onnx:{path}?z=z&x=x", data(PLANE)).key
    with monkeypatch.context() as patch:  # and so does the release of what computes
        patch.setattr("importlib.metadata.version", lambda library: {"onnxruntime": "9.9"}[library])
        assert parse(f"onnx:{path}?z=z&x=x", data(PLANE)).key != key
    (tmp_path / "a.data").write_bytes((2 * A).tobytes())
    assert parse(f"onnx:{path}?z=z&x=x", data(PLANE)).key != key
    (tmp_path / "a.data").unlink()
    with pytest.raises(GenbenchError, match=r"lacks a\.data"):
        opened(path, "?z=z&x=x")


@pytest.mark.parametrize("place", ["../secret", "absolute", "link"])
def test_weights_outside_the_folder_are_refused(tmp_path, place):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(A.tobytes())
    where = {"../secret": "../secret", "absolute": str(tmp_path / "secret"), "link": "link"}[place]
    if place == "link":
        (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    path = with_weights_at(tmp_path / "in" / "a.onnx", where)
    with pytest.raises(GenbenchError, match="outside its folder: refused"):
        opened(path, "?z=z&x=x")


def test_weights_of_a_part_of_a_graph_are_looked_at_too(tmp_path):
    """A tensor in a branch of an If."""
    branch = [
        H.make_graph([H.make_node("Constant", [], [f"{k}"], value=onnx.numpy_helper.from_array(B))], k, [],
                     [H.make_tensor_value_info(k, F, [2])])
        for k in ("yes", "no")
    ]  # fmt: skip
    hidden = branch[0].node[0].attribute[0].t
    hidden.ClearField("raw_data")
    hidden.data_location = onnx.TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="/etc/hostname")
    nodes = [
        H.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.array(True))),
        H.make_node("If", ["c"], ["w"], then_branch=branch[0], else_branch=branch[1]),
        H.make_node("Add", ["z", "w"], ["x"]),
    ]
    graph = H.make_graph(
        nodes, "g", [H.make_tensor_value_info("z", F, ["n", 2])], [H.make_tensor_value_info("x", F, ["n", 2])]
    )
    path = tmp_path / "a.onnx"
    path.write_bytes(H.make_model(graph).SerializeToString())
    with pytest.raises(GenbenchError, match="outside its folder: refused"):
        opened(path, "?z=z&x=x")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "which is which?"),
        ("?z=z", "which is which?"),
        ("?z=y&x=x", "unknown input of"),
        ("?z=z&x=y", "unknown output of"),
        ("?z=z&x=x&nosie=normal", "unknown argument"),
        ("?z=z&x=x&noise=cauchy", "unknown noise"),
        ("?z=z&x=x&range=[1,0]", "argument range"),
        ("?z=z&x=x&density=True", "density=True is for"),
    ],
)
def test_arguments_have_to_say_what_is_what(tmp_path, query, why):
    with pytest.raises(GenbenchError) as caught:
        opened(affine(tmp_path / "a.onnx"), query)
    assert why in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["model.pt2", "model.ts", "onnx:model.pt", "model.torchscript"])
def test_programs_of_torch_are_refused_with_the_reason(tmp_path, name):
    scheme, _, file = name.rpartition(":")
    (tmp_path / file).write_bytes(b"PK\x03\x04")
    with pytest.raises(GenbenchError, match="can run code as it is loaded: refused") as caught:
        parse(f"{scheme}{':' * bool(scheme)}{tmp_path / file}", data(PLANE))
    assert "torch.onnx.export" in caught.value.remedy


def test_torchscript_under_the_name_of_a_pickle_is_refused_too(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "model.pt"))
    with pytest.raises(GenbenchError, match="TorchScript"):
        parse(str(tmp_path / "model.pt"), data(PLANE))


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x80\x04pickle", b"PK\x03\x04"])
def test_what_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(GenbenchError, match=r"no ONNX file|no graph"):
        opened(tmp_path / "a.onnx", "?z=z&x=x")


def test_a_graph_that_draws_by_itself_is_refused(tmp_path):
    nodes = [H.make_node("RandomNormalLike", ["z"], ["e"]), H.make_node("Add", ["z", "e"], ["x"])]
    path = write(tmp_path / "a.onnx", nodes, [("z", F, ["n", 2])], [("x", F, ["n", 2])])
    with pytest.raises(GenbenchError, match="random numbers of its own"):
        opened(path, "?z=z&x=x")


def test_a_graph_of_another_shape_is_refused(tmp_path):
    with pytest.raises(GenbenchError, match="takes"):
        opened(normal(tmp_path / "a.onnx", (3,), 3), "?x=x&log_p=log_p")
    open_size = write(
        tmp_path / "b.onnx", [H.make_node("Identity", ["z"], ["x"])], [("z", F, ["n", "d"])], [("x", F, ["n", "d"])]
    )
    with pytest.raises(GenbenchError, match="open beyond its batch"):
        opened(open_size, "?z=z&x=x")


def test_the_command_measures_a_file(tmp_path, cli):
    path = affine(tmp_path / "a.onnx")
    asked = "--dataset", "ring8", "--metrics", "copies", "--samples", 50
    assert cli("evaluate", f"mine=onnx:{path}?z=z&x=x", *asked, "-o", "run")[0] == 0
    records = [json.loads(file.read_text()) for file in Path("run/cells").glob("*.json")]
    (found,) = [r for r in records if r["model"]["adapter"] == "onnx"]
    assert (found["status"], found["kind"]) == ("ok", "estimate")
    assert found["model"]["args"]["z"] == "z"
    assert datasets.load("ring8").space == PLANE
