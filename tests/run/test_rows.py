"""Rows: a model and the name it was given. Values may be shared; two models never share a row."""

import textwrap

import numpy as np
import pytest

from genbench import datasets
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows

PROTOCOL = Protocol(n_samples=20, block_size=20, limit=10)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def measured(digits, folder, *specs, metrics=("nll", "copies")):
    """Evaluates and returns {(row, metric): value} of the run, and how many cells were measured."""
    sources = [parse(str(spec), digits) for spec in specs]
    todo = plan(Suite("digits", metrics, "pixels", protocol=PROTOCOL), digits, sources)
    run = Run(folder)
    outcome = evaluate(todo, run, "cpu", pictures=False)
    assert outcome.failed == 0, [r.error for r in run.records()]
    return {(r.model["name"], r.metric["name"]): r.value for r in in_rows([run])}, outcome.measured


def constant(path, **values):
    """A file of modules whose log-probability is a constant."""
    head = """
        import torch
        from genbench import Space

        class Constant(torch.nn.Module):
            value = 0.0
            space = Space((1, 8, 8), levels=17)
            def log_prob(self, x): return torch.full((len(x),), self.value)
            def sample(self, n, generator): return torch.randint(17, (n, 1, 8, 8), generator=generator)
    """
    body = "".join(f"\nclass {name}(Constant): value = {value}" for name, value in values.items())
    path.write_text(textwrap.dedent(head) + body + "\n")
    return path


def test_two_objects_of_one_file_have_rows_and_values_of_their_own(tmp_path, digits):
    file = constant(tmp_path / "m.py", A=-200.0, B=-400.0)
    found, _ = measured(digits, tmp_path / "run", f"{file}:A", f"{file}:B", metrics=("nll",))
    assert found["A", "nll"] == pytest.approx(200 / 64 / np.log(2))
    assert found["B", "nll"] == pytest.approx(400 / 64 / np.log(2))


def test_every_row_has_the_pictures_of_its_own_samples_also_one_that_needs_no_measuring(tmp_path, digits):
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 17, (20, 1, 8, 8)).astype(np.uint8) for _ in range(2))
    np.save(tmp_path / "first.npy", first)
    np.save(tmp_path / "copy.npy", first)
    np.save(tmp_path / "second.npy", second)
    run = Run(tmp_path / "run")

    def drawn(*specs):
        sources = [parse(f"{name}=samples:{tmp_path / file}.npy", digits) for name, file in specs]
        evaluate(plan(Suite("digits", ("copies",), "pixels", protocol=PROTOCOL), digits, sources), run, "cpu")
        return {path.name: path.read_bytes() for path in run.pictures.iterdir()}

    found = drawn(("a", "first"), ("b", "copy"))  # equal content: measured once
    assert found["a.png"] == found["b.png"]
    assert found["a-neighbours.png"] == found["b-neighbours.png"]
    found = drawn(("c", "first"), ("d", "second"))  # one renamed, nothing of it is measured
    assert found["c.png"] == found["a.png"] != found["d.png"]
    found = drawn(("c", "second"))  # a name that goes to another model takes its picture along
    assert found["c.png"] == found["d.png"]
    (run.pictures / "d.png").unlink()
    assert drawn(("d", "second"))["d.png"] == found["c.png"]


def test_one_source_under_two_names_has_two_rows_and_is_measured_once(tmp_path, digits, pixels_checkpoint):
    found, n = measured(digits, tmp_path / "run", f"a={pixels_checkpoint}", f"b={pixels_checkpoint}")
    assert n == 2
    assert found["a", "nll"] == found["b", "nll"]
    assert found["a", "copies"] == found["b", "copies"]


def test_equal_content_in_two_files_has_two_rows(tmp_path, digits):
    for name in ("f", "copy"):
        np.save(tmp_path / f"{name}.npy", digits.train[:20])
    specs = [f"samples:{tmp_path}/{name}.npy" for name in ("f", "copy")]
    found, n = measured(digits, tmp_path / "run", *specs, metrics=("copies",))
    assert (set(found), n) == ({("f", "copies"), ("copy", "copies")}, 1)


def test_a_source_that_is_renamed_has_both_rows_and_is_not_measured_again(tmp_path, digits, pixels_checkpoint):
    measured(digits, tmp_path / "run", f"old={pixels_checkpoint}")
    found, n = measured(digits, tmp_path / "run", f"new={pixels_checkpoint}")
    assert n == 0
    assert {name for name, _ in found} == {"old", "new"}


def test_a_name_that_is_given_to_another_source_does_not_mix_the_two(tmp_path, digits, pixels_checkpoint):
    file = constant(tmp_path / "m.py", A=-200.0)
    measured(digits, tmp_path / "run", f"x={pixels_checkpoint}", metrics=("nll",))
    found, _ = measured(digits, tmp_path / "run", f"x={file}:A", metrics=("copies",))
    assert ("x", "copies") in found
    assert ("x", "nll") not in found
    older = [name for name, metric in found if metric == "nll"]
    assert len(older) == 1
    assert older[0].startswith("x [")


def test_the_same_name_in_two_runs_is_two_rows_if_the_models_differ(tmp_path, digits, pixels_checkpoint):
    file = constant(tmp_path / "m.py", A=-200.0)
    measured(digits, tmp_path / "one", f"x={pixels_checkpoint}", metrics=("nll",))
    measured(digits, tmp_path / "two", f"x={file}:A", metrics=("nll",))
    names = {r.model["name"] for r in in_rows([Run(tmp_path / "one"), Run(tmp_path / "two")])}
    assert len(names) == 2
    same = {r.model["name"] for r in in_rows([Run(tmp_path / "one"), Run(tmp_path / "one")])}
    assert same == {"x"}


# --- What is changed is measured again, what is the same is not


def test_a_docstring_or_a_comment_orphans_nothing_and_code_does(tmp_path, digits):
    file = constant(tmp_path / "m.py", A=-200.0)
    _, first = measured(digits, tmp_path / "run", f"{file}:A", metrics=("nll",))
    file.write_text('"""A docstring."""\n# a comment\n' + file.read_text())
    _, prose = measured(digits, tmp_path / "run", f"{file}:A", metrics=("nll",))
    constant(tmp_path / "m.py", A=-300.0)
    found, _ = measured(digits, tmp_path / "run", f"{file}:A", metrics=("nll",))
    assert (first, prose) == (1, 0)
    assert found["A", "nll"] == pytest.approx(300 / 64 / np.log(2))


READERS = {
    "a parameter": ("torch.nn.Module", "self.w = torch.nn.Parameter(torch.load(W))"),
    "a buffer": ("torch.nn.Module", "self.register_buffer('w', torch.load(W))"),
    "a plain tensor": ("torch.nn.Module", "self.w = torch.load(W)"),
    "a list of numbers": (
        "torch.nn.Module",
        "self.l = torch.load(W).tolist(); self.f = None",
    ),
    "an object that is no module": ("object", "self.w = torch.load(W)"),
    "a closure": ("torch.nn.Module", "w = torch.load(W); self.f = lambda: w; self.w = 0"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_model_that_reads_a_file_is_measured_again_when_the_file_has_changed(kind, tmp_path, digits):
    import torch

    base, read = READERS[kind]
    path = tmp_path / "m.py"
    path.write_text(
        textwrap.dedent(f"""
            import torch
            from genbench import Space
            W = {str(tmp_path / "w.pt")!r}

            class A({base}):
                space = Space((1, 8, 8), levels=17)
                def __init__(self):
                    super().__init__()
                    {read}
                def log_prob(self, x):
                    w = self.f() if getattr(self, "f", None) else getattr(self, "w", None)
                    return torch.as_tensor(self.l if w is None else w).sum().expand(len(x))
        """)
    )
    for value in (-200.0, -400.0):
        torch.save(torch.tensor([value]), tmp_path / "w.pt")
        found, _ = measured(digits, tmp_path / "run", f"{path}:A", metrics=("nll",))
        newest = [v for (name, _), v in found.items() if name == "A"]
        assert newest == [pytest.approx(-value / 64 / np.log(2))]


def test_a_declared_version_is_trusted(tmp_path, digits):
    path = tmp_path / "m.py"

    def write(version):
        path.write_text(
            textwrap.dedent(f"""
                import torch
                from genbench import Space
                class A:
                    version = {version}
                    space = Space((1, 8, 8), levels=17)
                    def log_prob(self, x): return torch.full((len(x),), -100.0)
            """)
        )

    write(1)
    counts = [measured(digits, tmp_path / "run", f"{path}:A", metrics=("nll",))[1] for _ in range(2)]
    write(2)
    counts.append(measured(digits, tmp_path / "run", f"{path}:A", metrics=("nll",))[1])
    assert counts == [1, 0, 1]


def test_what_is_not_all_known_is_measured_anew_and_said(tmp_path, digits):
    path = tmp_path / "m.py"
    path.write_text(
        "import torch\nfrom genbench import Space\nclass A:\n    space = Space((1, 8, 8), levels=17)\n"
        "    def log_prob(self, x): return torch.full((len(x),), -100.0)\n"
    )
    for _ in range(2):
        with pytest.warns(UserWarning, match="A: what decides its values is not all known"):
            assert measured(digits, tmp_path / "run", f"{path}:A", metrics=("nll",))[1] == 1


def test_a_module_that_the_file_imports_is_part_of_it(tmp_path, digits, monkeypatch):
    from genbench.models.fingerprint import code_of

    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "deep.py").write_text("X = 1\n")
    (tmp_path / "beside.py").write_text("from pkg import deep\n")
    file = tmp_path / "m.py"
    file.write_text("import beside\nimport numpy\n")
    seen = {code_of(file)}
    for changed in ("pkg/deep.py", "pkg/__init__.py", "beside.py", "m.py"):
        (tmp_path / changed).write_text((tmp_path / changed).read_text() + "Y = 2\n")
        seen.add(code_of(file))
    assert len(seen) == 5
    (tmp_path / "unrelated.py").write_text("Z = 3\n")
    assert code_of(file) in seen


def test_a_limit_is_said_only_where_the_test_set_is_used(tmp_path, digits, pixels_checkpoint):
    sources = [parse(str(pixels_checkpoint), digits)]
    todo = plan(Suite("digits", ("nll", "copies"), "pixels", protocol=PROTOCOL), digits, sources)
    run = Run(tmp_path / "run")
    evaluate(todo, run, "cpu", pictures=False)
    said = {r.metric["name"]: (r.complete, r.dataset["n"]) for r in run.records()}
    assert said["nll"] == (False, 10)
    needs = next(job for job in todo.jobs if job.metric == "copies").fields
    assert said["copies"] == ((False, 10) if "limit" in needs else (True, None))
