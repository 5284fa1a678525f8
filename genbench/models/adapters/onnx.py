"""onnx:FILE: a sampler z -> x or a log-density x -> log p of any framework, exported to ONNX.

A graph of known operators in a file is data; it is run by onnxruntime, on the CPU. Arguments name what is what, and all
belong to the model's identity:

    z, x       a sampler: the input that takes noise, and the output with samples
    x, log_p   a density: the input that takes observations, and the output with log p in nats, `[B]` or `[B, 1]`
    noise      of z: normal (default) or uniform on [0, 1)
    range      of a dataset of whole levels, what the least and the largest are in the graph: [-1,1], [0,1] or [0,255];
               needed where the graph's x is real
    density    true: log p is a density of x on that range, not a probability of levels; it is then dequantised

TorchScript and .pt2 are refused: their archives hold programs, and what reads them runs them.

A density of x on [a, b] is taken to levels 0..L-1 as one of y = a + (k + u) (b - a) / L, u uniform on [0, 1): level k
fills the k-th of L cells, and log P(k) >= E log p(y) + D log((b - a) / L). See `genbench.likelihood.dequantised`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genbench.datasets import Dataset
from genbench.errors import GenbenchError, ModelError, unknown
from genbench.files import sha256_files
from genbench.models.adapters import Given, Source, _folder
from genbench.space import Space

VERSION = 1
SETTINGS = {"z": None, "x": None, "log_p": None, "noise": "normal", "range": None, "density": False}
DRAWS = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
NUMPY = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
}  # fmt: skip
BATCH = 256  # rows of a graph whose batch is free
REFUSED = (".pt2", ".ts", ".torchscript", ".jit")


def handles(what: str) -> bool:
    return what.startswith("onnx:") or what.endswith(REFUSED)


def identify(given: Given, dataset: Dataset) -> Source:
    """The graph, known by its content, that of the files which hold its weights, and the arguments.

    Raises:
        GenbenchError: no such file, one that is no ONNX or leads out of its folder, or arguments that do not fit it.
    """
    path = Path(given.what.removeprefix("onnx:"))
    if path.suffix in (*REFUSED, ".pt", ".pth"):
        raise program(path)
    for library in ("onnx", "onnxruntime"):
        _folder.installed(library)
    graph = read(path)
    files = [path, *outside(graph, path)]
    settings = settings_of(_folder.known_arguments(given.args, SETTINGS, "onnx:FILE"), graph, path, dataset)
    return Source(
        name=given.name or path.stem,
        adapter="onnx",
        what=given.what,
        sha256=sha256_files(path.parent, files),
        family="other",
        args=settings,
        made_of={"version": VERSION, "library": _folder.release("onnxruntime")},
    )


def program(path: Path) -> GenbenchError:
    """Why a file of TorchScript, or a .pt2, is not opened."""
    return GenbenchError(
        f"{path} is a program of torch (TorchScript or .pt2), which can run code as it is loaded: refused",
        "Export the model where you trust it: torch.onnx.export(model, inputs, 'FILE.onnx'); then onnx:FILE.onnx.",
    )


def read(path: Path) -> Any:
    """The graph in a file, without weights that lie elsewhere.

    Raises:
        GenbenchError: no such file, another content, or a graph that draws random numbers.
    """
    if not path.is_file():
        raise GenbenchError(f"no file at {path}", "Give onnx:FILE.onnx.")
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
        names = {node.op_type for node in parts(model, "onnx.NodeProto")}
    except Exception as error:  # of protobuf, of any kind
        raise GenbenchError(f"{path} is no ONNX file: {error}", "Export it again with torch.onnx.export.") from error
    if not names:
        raise GenbenchError(f"{path} holds no graph", "Export it again with torch.onnx.export.")
    if drawn := sorted(names & set(DRAWS)):
        raise GenbenchError(
            f"{path} draws random numbers of its own ({drawn[0]}), which no seed of ours decides",
            "Make the noise an input, and name it: ?z=INPUT.",
        )
    return model


def parts(message: Any, kind: str) -> Iterator[Any]:
    """Every message of a kind within a message of protobuf, wherever it lies."""
    if message.DESCRIPTOR.full_name == kind:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if not hasattr(value, "DESCRIPTOR") else [value]:
                yield from parts(one, kind)


def outside(model: Any, path: Path) -> list[Path]:
    """The files beside it that hold weights, each once.

    Raises:
        GenbenchError: one lies outside the file's folder, or is not there.
    """
    folder, found = path.parent.resolve(), set()
    for tensor in parts(model, "onnx.TensorProto"):
        if tensor.data_location != 1:  # EXTERNAL
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        file = folder / where
        if not where or Path(where).is_absolute() or not file.resolve().is_relative_to(folder):
            raise GenbenchError(
                f"{path} reads '{where}', which lies outside its folder: refused",
                "Save it with its weights inside, or beside it.",
            )
        if not file.is_file():
            raise GenbenchError(f"{path} lacks {where}, which holds its weights", "Copy that file too.")
        found.add(path.parent / where)
    return sorted(found)


def settings_of(s: dict[str, Any], model: Any, path: Path, dataset: Dataset) -> dict[str, Any]:
    """The arguments, checked against the graph.

    Raises:
        GenbenchError: they do not say what is what.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [one.name for one in model.graph.input if one.name not in weights]
    outputs = [one.name for one in model.graph.output]
    sampler = s["z"] is not None
    if sampler == (s["log_p"] is not None) or s["x"] is None:
        raise GenbenchError(
            f"{path} has inputs {', '.join(inputs)} and outputs {', '.join(outputs)}: which is which?",
            "Of a sampler name ?z=INPUT&x=OUTPUT, of a density ?x=INPUT&log_p=OUTPUT.",
        )
    taken, given = (s["z"], s["x"]) if sampler else (s["x"], s["log_p"])
    for name, known, what in ((taken, inputs, "input"), (given, outputs, "output")):
        if str(name) not in known:
            raise unknown(f"{what} of {path}", str(name), known)
    if more := [name for name in inputs if name != taken]:
        raise GenbenchError(f"{path} needs a further input, '{more[0]}'", "Export it with that fixed.")
    if s["noise"] not in ("normal", "uniform"):
        raise unknown("noise", str(s["noise"]), ("normal", "uniform"))
    _folder.must(isinstance(s["density"], bool), "density", s["density"], "True or False")
    if s["density"] and (sampler or dataset.space.levels is None):
        raise GenbenchError("density=True is for a density of whole levels", "Leave it out.")
    r = s["range"]
    ends = isinstance(r, list | tuple) and len(r) == 2 and all(map(_folder.number, r)) and r[0] < r[1]
    _folder.must(r is None or ends, "range", r, "[least,largest], such as [-1,1]")
    if s["density"] and r is None:
        raise GenbenchError("a density of whole levels needs the range of x", "Give ?range=[0,1], or what it is.")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in s.items() if value is not None}


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    path = Path(source.what.removeprefix("onnx:"))
    graph, s = Graph(path), source.args
    shape = dataset.space.shape
    if "z" in s:
        of_z = graph.shape_of(s["z"])
        if any(size is None for size in of_z):
            raise GenbenchError(f"{path}: the shape of '{s['z']}' is open beyond its batch", "Export it with it fixed.")
        model: Any = OnnxSampler(graph, dataset.space, s, of_z)
    else:
        if not fits(graph.shape_of(s["x"]), shape):
            raise GenbenchError(
                f"{path}: '{s['x']}' takes {list(graph.shape_of(s['x']))}, dataset '{dataset.name}' is {list(shape)}",
                "Choose the dataset that it was made for.",
            )
        model = (OnnxDequantised if s["density"] else OnnxDensity)(graph, dataset.space, s)
    if dataset.space.levels is not None and "range" not in s and graph.real(s["x"]):
        raise GenbenchError(
            f"{path}: '{s['x']}' is real, dataset '{dataset.name}' has {dataset.space.levels} levels",
            "Say what the least and the largest of them are in the graph: ?range=[-1,1].",
        )
    return model


def fits(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(d in (None, n) for d, n in zip(declared, shape, strict=True))


@dataclass
class Graph:
    """A file that onnxruntime runs on the CPU, batch by batch."""

    path: Path

    def __post_init__(self) -> None:
        import torch

        onnxruntime = _folder.imported("onnxruntime", ["SessionOptions", "InferenceSession"])
        options = onnxruntime[0]()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime[1](str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime's own kinds
            raise GenbenchError(
                f"{self.path} cannot be run: {str(error).splitlines()[0]}", "Export it for a newer or an older opset."
            ) from error
        self.types = {one.name: one for one in [*self.session.get_inputs(), *self.session.get_outputs()]}
        for name, one in self.types.items():
            if one.type not in NUMPY:
                raise GenbenchError(f"{self.path}: '{name}' is a {one.type}", f"Known are {', '.join(NUMPY)}.")

    def shape_of(self, name: str) -> tuple[int | None, ...]:
        """Without the batch; None for a size that is open."""
        return tuple(size if isinstance(size, int) else None for size in self.types[name].shape[1:])

    def real(self, name: str) -> bool:
        return np.dtype(NUMPY[self.types[name].type]).kind == "f"

    def __call__(self, taken: str, given: str, rows: np.ndarray) -> np.ndarray:
        """Rows `[n, ...]` through the graph -> `[n, ...]`.

        Raises:
            ModelError: the graph gives another number of rows.
        """
        rows = rows.astype(NUMPY[self.types[taken].type])
        fixed = self.types[taken].shape[0] if self.types[taken].shape else None
        size = fixed if isinstance(fixed, int) else BATCH
        found = []
        for i in range(0, len(rows), size):
            part = rows[i : i + size]
            short = size - len(part) if isinstance(fixed, int) else 0
            if short:  # a graph of a fixed batch gets a whole one
                part = np.concatenate([part, np.repeat(part[-1:], short, 0)])
            (out,) = self.session.run([given], {taken: part})
            if out.ndim == 0 or len(out) != len(part):
                raise ModelError(f"{given}: given {len(part)} rows, the graph gave {list(out.shape)}")
            found.append(out[: len(part) - short])
        return np.concatenate(found)


class OnnxSampler:
    """x of noise z.

    Arguments:
        shape: of z, without the batch.
    """

    def __init__(self, graph: Graph, space: Space, s: dict[str, Any], shape: tuple[int | None, ...]) -> None:
        self.graph, self.space, self.s, self.shape = graph, space, s, shape

    def sample(self, n: int, generator: Any) -> Any:
        import torch

        draw = torch.randn if self.s["noise"] == "normal" else torch.rand
        z = draw(n, *self.shape, generator=generator, device=generator.device)  # type: ignore[arg-type]
        x = torch.from_numpy(self.graph(self.s["z"], self.s["x"], z.cpu().numpy()))
        if self.space.levels is not None and "range" in self.s:
            low, high = self.s["range"]
            top = self.space.levels - 1
            level = ((x.double() - low) * (top / (high - low))).round()
            if not bool(level.isfinite().all()):
                raise ModelError("sample: values are NaN or infinite")
            x = level.clamp(0, top).long()
        elif x.is_floating_point():
            x = x.float()
        return x.to(generator.device)


class OnnxDensity:
    """log p of x, a density of real numbers or a probability of whole levels."""

    def __init__(self, graph: Graph, space: Space, s: dict[str, Any]) -> None:
        self.graph, self.space, self.s = graph, space, s

    def log_p(self, y: np.ndarray) -> np.ndarray:
        """Of what the graph takes, `[B, *shape]` -> `[B]`.

        Raises:
            ModelError: the graph does not give one number for each row.
        """
        out = self.graph(self.s["x"], self.s["log_p"], y)
        if out.size != len(y):
            raise ModelError(f"{self.s['log_p']}: expected [{len(y)}] or [{len(y)}, 1], got {list(out.shape)}")
        return out.reshape(len(y))

    def log_prob(self, x: Any) -> Any:
        import torch

        y = x.cpu().numpy()
        if self.space.levels is not None and "range" in self.s:
            low, high = self.s["range"]
            y = low + y.astype(np.float64) * ((high - low) / (self.space.levels - 1))
        return torch.from_numpy(self.log_p(y)).to(x.device)


class OnnxDequantised:
    """A density of real numbers as a model of whole levels, with uniform noise."""

    def __init__(self, graph: Graph, space: Space, s: dict[str, Any]) -> None:
        self.density, self.space, self.s = OnnxDensity(graph, space, s), space, s

    def log_weights(self, x: Any, k: int, generator: Any) -> Any:
        """`[B, *shape]` int64 -> `[k, B]`."""
        import torch

        low, high = self.s["range"]
        width = (high - low) / self.space.levels  # type: ignore[operator]
        found = []
        for _ in range(k):
            u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float64)
            found.append(self.density.log_p((low + (x.double() + u) * width).cpu().numpy()))
        log_p = torch.from_numpy(np.stack(found)).to(x.device)
        return log_p + self.space.dim * math.log(width)
