"""Profiles: true values and work of the kernels, the roofline, the clock, and what two profiles can tell apart."""

import importlib
import itertools
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import linregress
from torch.utils.flop_counter import FlopCounterMode

import damage
from genbench import catalog
from genbench.errors import GenbenchError
from genbench.studies.profiling import fit, machine, measure, phases, report, results, timer
from genbench.studies.profiling.compare import ALPHA, change, changes, tripped
from genbench.studies.profiling.kernel import OWN, Kernel, Way, Work, kernels, select
from genbench.studies.profiling.results import Machine, Profile, Row
from workers import hold

KERNELS = kernels()
# All checkpoints are sampled by one function, and every one is in baselines/test_golden.py: here two kinds of data are.
PLAIN = [
    name for name in KERNELS if not name.startswith("sample-") or name in ("sample-digits-vae", "sample-ring8-maf")
]
PROC = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="this system does not say what a process held"
)
MACHINE = Machine("cpu", 1, {"float32": 200.0, "float64": 100.0}, {10: 50.0, 1000: 20.0, 100_000: 5.0})
FASTER = replace(MACHINE, peak={"float32": 400.0, "float64": 50.0})
ROW = Row("nearest", OWN, {"n": 10}, "float64", "cpu", 1, [1.0, 2.0, 3.0], Work(100, 5), 1000, 1e-9)


def profile_of(*rows: Row, machine: Machine = MACHINE) -> Profile:
    return Profile(machine, env={"device": "a processor", "threads": 1}, rows=list(rows))


# Kernels


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a peer's way to call SciPy
@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.reference])
def test_every_way_of_a_kernel_gives_its_true_value(name):
    """To the rounding of its dtype; peers lose half of the digits where a product is singular."""
    kernel = KERNELS[name]
    own = {"float32": 1e-5, "float64": 1e-8 if name == "vendi" else 1e-11}  # vendi takes unit rows in float32
    peers = {"float32": 1e-5, "float64": 1e-6}
    for way in kernel.ways:
        if way.obstacle("cpu") is None:
            size = kernel.checked_at(kernel.quick)
            error = measure.error_of(kernel, way, size, "cpu", 1)
            assert error is not None
            assert error < (own if way.own else peers)[way.dtype_at(size)], way.name


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_described_at_every_size_it_is_measured_at(name):
    kernel = KERNELS[name]
    assert kernel.ways[0].own or name == "extract-inceptionv3"
    for size in (*kernel.sizes, kernel.quick, *[kernel.start] * bool(kernel.cost)):
        work = kernel.work(**size)
        assert work is None or (work.bytes > 0 and (work.flops is None or work.flops > 0))
        assert set(kernel.cost) <= set(size)


def test_every_checkpoint_that_ships_is_sampled():
    """But those that translate, which have no samples."""
    shipped = [
        path
        for path in (catalog.BASELINES / "checkpoints").glob("*/*.safetensors")
        if path.parent.name not in ("mnist-to-digits", "jackson-to-theo")
    ]
    assert {f"sample-{path.parent.name}-{path.stem}" for path in shipped} <= set(KERNELS)


def test_the_work_of_neighbours_is_that_of_their_matrix_product():
    x = torch.ones(30, 9)
    with FlopCounterMode(display=False) as counter:
        x @ x.T
    assert KERNELS["nearest"].work(n=30, d=9).flops == counter.get_total_flops() == 2 * 30 * 30 * 9
    assert (
        KERNELS["prdc"].work(n=30, d=9).flops == 2 * counter.get_total_flops()
    )  # one product between, two halves within


def test_the_work_of_a_network_is_counted_as_by_hand():
    kernel = KERNELS["extract-digits-cnn"]
    inputs = kernel.inputs("cpu", n=3)
    work = measure.work_of(kernel, {"n": 3}, lambda: kernel.ways[0].run(*inputs))
    # Multiplications and additions of four 3x3 convolutions and two linear layers.
    layers = [(64, 1, 32), (64, 32, 32), (16, 32, 64), (16, 64, 64)]
    expected = sum(2 * pixels * 9 * before * after for pixels, before, after in layers) + 2 * 256 * 64 + 2 * 64 * 10
    assert work is not None
    assert work.flops == 3 * expected


def test_kernels_are_chosen_by_name_or_by_the_words_it_begins_with():
    assert [kernel.name for kernel in select(["moments"], KERNELS)] == ["moments"]
    assert {kernel.name for kernel in select(["frechet-trace"], KERNELS)} == {"frechet-trace", "frechet-trace-low-rank"}
    assert select([], KERNELS) == list(KERNELS.values())
    with pytest.raises(GenbenchError, match="Did you mean 'moments'"):
        select(["momnets"], KERNELS)


def test_what_cannot_be_measured_here_is_left_out_with_the_reason():
    ways = (Way(OWN, abs), Way("other", abs, packages=("no-such-package", "numpy")))
    kernel = Kernel("k", "", inputs=lambda device, n: (n,), ways=ways, sizes=({"n": 1}, {"n": 2}), quick={"n": 1})
    cells, left_out = measure.todo([kernel], "cpu", quick=False)
    assert [(way.name, size) for _, way, size in cells] == [(OWN, {"n": 1}), (OWN, {"n": 2})]
    assert left_out == ["k, other: no-such-package not installed"]
    cells, left_out = measure.todo([kernel], "cuda:0", quick=False)
    assert cells == []
    assert left_out[0] == "k, genbench: it runs on the CPU alone"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", PLAIN)
def test_a_kernel_without_its_peers_is_a_line_and_no_failure(name, monkeypatch):
    """As after a plain install: no peer is there, whether it is a way or only the reference of an error."""
    kernel = KERNELS[name]
    for module in ("torch_fidelity", "prdc", "pytorch_fid", "vendi_score"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("genbench.studies.profiling.features.fidelity", importlib.import_module)
    monkeypatch.setattr("genbench.studies.profiling.kernel.installed", lambda package: None)
    cells, left_out = measure.todo([kernel], "cpu", quick=True)
    needing = [way.name for way in kernel.ways if way.packages] + ["relative error"] * bool(kernel.reference_packages)
    assert [line.partition(": ")[0] for line in left_out] == [f"{name}, {what}" for what in needing]
    for _, way, size in cells:
        error = measure.error_of(kernel, way, kernel.checked_at(size), "cpu", 1)
        assert (error is None) == (kernel.reference is None or bool(kernel.reference_packages))


def test_an_error_is_relative_to_the_largest_true_value():
    assert measure.deviation(np.array([1.0, 0.5]), np.array([1.0, 0.0])) == 0.5
    assert measure.deviation((torch.ones(2), 5.0), (np.ones(2), 4.0)) == 0.25
    with pytest.raises(ValueError, match=r"a value \[2\] where the reference has \[3\]"):
        measure.deviation(np.ones(2), np.ones(3))


# The ceilings


def test_the_roofline_is_the_slower_of_arithmetic_and_traffic():
    # 100 operations at 100 a second; 5 bytes at no more than 50 a second, the best of all sizes.
    assert MACHINE.ceiling(Work(100, 5), "float64") == (1.0, "compute")
    assert MACHINE.ceiling(Work(100, 5), "float32") == (0.5, "compute")
    # 2000 bytes at 20 a second, what arrays of 1000 bytes reach.
    assert MACHINE.ceiling(Work(100, 2000), "float64") == (100.0, "memory")
    assert ROW.roofline(MACHINE) == (50.0, "compute")
    assert replace(ROW, work=None).roofline(MACHINE) is None


def test_a_larger_array_that_is_faster_raises_the_ceiling_of_smaller_ones():
    assert replace(MACHINE, bandwidth={10: 5.0, 1000: 20.0}).rate(10) == 20.0


def test_faster_than_the_machine_is_reported_as_an_error():
    quick = replace(ROW, times_s=[0.9])  # 111 % of the second that 100 operations take
    found = profile_of(ROW, quick)
    assert found.impossible() == ["nearest, genbench, n=10: 111 % of the measured roofline"]
    assert "111 (error)" in report.table(found)
    assert profile_of(ROW, replace(ROW, times_s=[1 / 1.04])).impossible() == []


def test_of_two_measurements_of_the_machine_the_better_counts():
    other = Machine("cpu", 1, {"float32": 150.0, "float64": 130.0}, {10: 60.0, 1000: 10.0, 100_000: 5.0})
    better = MACHINE.better(other)
    assert better.peak == {"float32": 200.0, "float64": 130.0}
    assert better.bandwidth == {10: 60.0, 1000: 20.0, 100_000: 5.0}


# Fresh processes, clock and memory


@PROC
@pytest.mark.parametrize("megabytes", [64, 200])
def test_memory_is_what_a_run_adds_to_its_process(megabytes):
    found = measure.fresh(hold, megabytes)
    assert found is not None
    # Pages of code that are touched for the first time, and allocators' rounding, are a few MiB.
    assert megabytes - 1 <= found / 2**20 <= megabytes + 8


def test_a_fresh_process_says_what_went_wrong_in_it():
    assert measure.fresh(math.sqrt, 4.0) == 2.0
    with pytest.raises(measure.Failed, match="ValueError: invalid literal for int"):
        measure.fresh(int, "four")
    with pytest.raises(measure.Failed, match="killed"):
        measure.fresh(os._exit, 9)


def test_the_clock_runs_as_often_as_it_is_told():
    calls: list[int] = []
    found = timer.times(lambda: calls.append(torch.get_num_threads()), "cpu", threads=1, repeats=4, seconds=0.001)
    assert len(found) >= 4
    assert len(calls) >= len(found)
    assert set(calls) == {1}
    assert all(t > 0 for t in found)


def test_threads_are_set_for_as_long_as_it_takes():
    before = torch.get_num_threads()
    with timer.limited(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_kernel_of_twice_the_size_takes_longer_on_the_gpu():
    def seconds(n: int) -> float:
        a = torch.ones(n, n, device="cuda")
        return float(np.median(timer.times(lambda: a @ a, "cuda", 1, 10, 0.0)))

    assert seconds(8192) > seconds(1024)  # 512 times the work


# The cost's exponent


def test_a_power_law_is_fitted_exactly():
    n = np.array([100.0, 150, 200, 400, 800])
    b, stderr = fit.slope(np.log(n), np.log(3e-9 * n**2.5))
    assert b == pytest.approx(2.5, rel=1e-12)
    assert stderr == pytest.approx(0, abs=1e-12)


def test_slope_and_standard_error_are_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(9), rng.standard_normal(9)
    peer = linregress(x, y)
    assert fit.slope(x, y) == pytest.approx((peer.slope, peer.stderr), rel=1e-12)
    with pytest.raises(ValueError, match="at least 3 points"):
        fit.slope(x[:2], y[:2])


# Two profiles


def test_shift_and_p_are_those_of_the_definitions():
    x, y = [1.0, 1.1, 1.3, 1.2, 1.05], [1.15, 1.5, 1.6, 1.45, 1.7]
    found = change(replace(ROW, times_s=x), replace(ROW, times_s=y))
    assert found.shift == pytest.approx(np.median([b / a for a, b in itertools.product(x, y)]), rel=1e-12)
    assert found.ratio == pytest.approx(1.5 / 1.1)

    def smaller(left: list[float], right: list[float]) -> int:
        """Pairs in which the left is less: Mann and Whitney's U."""
        return sum(a < b for a, b in itertools.product(left, right))

    # Among all 252 ways to call five of the ten times the base's, those at least as far from the middle as this one.
    pool, u = sorted(x + y), smaller(x, y)
    others = [[t for t in pool if t not in chosen] for chosen in itertools.combinations(pool, 5)]
    extreme = sum(abs(smaller(sorted(set(pool) - set(o)), o) - 12.5) >= abs(u - 12.5) for o in others)
    assert found.p == pytest.approx(extreme / 252, rel=1e-12)


BASE = replace(ROW, times_s=[1.00, 1.01, 1.02, 1.03, 1.04])


@pytest.mark.parametrize(
    ("times", "trips", "verdict"),
    [
        ([1.20, 1.21, 1.22, 1.23, 1.24], True, "slower"),  # apart, and by 20 %
        ([1.06, 1.07, 1.08, 1.09, 1.10], False, "slower"),  # apart, by 6 %
        ([1.041, 1.042, 1.043, 1.044, 1.045], False, "no difference"),  # apart, by 2 %
        ([0.90, 1.00, 1.30, 1.35, 1.40], False, "no difference"),  # a large shift that five runs do not confirm
        ([1.20, 1.21, 1.22], False, "too few runs"),  # p of 3 against 5 is 2/56 at least
        ([0.80, 0.81, 0.82, 0.83, 0.84], False, "faster"),
    ],
)
def test_a_gate_needs_a_difference_and_its_size(times, trips, verdict):
    found = changes(profile_of(BASE), profile_of(replace(ROW, times_s=times)))
    assert found[0].verdict == verdict
    assert bool(tripped(found, "nearest:+10%")) is trips


def test_with_very_many_runs_a_small_drift_is_significant_and_trips_nothing():
    rng = np.random.default_rng(0)
    x = 1 + 0.01 * rng.random(1000)
    found = changes(profile_of(replace(ROW, times_s=[*x])), profile_of(replace(ROW, times_s=[*(x * 1.005)])))
    assert found[0].p < ALPHA
    assert found[0].verdict == "no difference"
    assert not tripped(found, "nearest:+1%")


def test_a_gate_is_about_genbench_and_about_kernels_that_were_compared():
    peer = replace(BASE, implementation="prdc")
    slow = replace(peer, times_s=[2.0, 2.1, 2.2, 2.3, 2.4])
    found = changes(profile_of(BASE, peer), profile_of(BASE, slow))
    assert found[1].verdict == "slower"
    assert not tripped(found, "nearest:+10%")
    with pytest.raises(GenbenchError, match="Did you mean 'nearest'"):
        tripped(found, "nearst:+10%")
    for gate in ("nearest:-10%", "nearest:+10", "nearest>10"):
        with pytest.raises(GenbenchError, match="cannot be read"):
            tripped(found, gate)


@pytest.mark.parametrize("changed", [{"size": {"n": 11}}, {"threads": 2}, {"dtype": "float32"}, {"device": "cuda"}])
def test_times_of_different_things_are_not_compared(changed):
    assert changes(profile_of(ROW), profile_of(replace(ROW, **changed))) == []


# Files and the command line


def test_a_profile_is_read_as_it_was_written(tmp_path):
    growth = results.Growth("nearest", "n", {"n": 10}, [10, 20, 40], [1.0, 4.0, 16.0], 2.0, 0.0, 2)
    peer = replace(ROW, implementation="prdc", work=None, memory=None, error=None, times_s=[6.0])
    profile = Profile(MACHINE, {"device": "x"}, "genbench profile", [ROW, peer], [growth], ["a: b"], ["c: d"])
    results.write(tmp_path / "p.json", profile)
    assert results.read(tmp_path / "p.json") == profile
    first = json.loads((tmp_path / "p.json").read_text())["rows"][0]
    assert (first["median_s"], first["percent_of_roofline"], first["bound"]) == (2.0, 50.0, "compute")
    assert (first["peer"], first["times_faster_than_peer"]) == ("prdc", 3.0)
    assert first["percentiles_20_80_s"] == pytest.approx([1.4, 2.6])


def test_what_is_measured_anew_takes_the_place_of_what_was_known():
    """A kernel's rows at one size go together; what stays says of which commit it is."""
    peer, other = replace(ROW, implementation="prdc"), replace(ROW, kernel="vendi", times_s=[9.0])
    larger = replace(ROW, size={"n": 20})
    base = profile_of(ROW, peer, larger, other)
    base.env["git"], base.left_out = {"commit": "old"}, ["nearest, x: why", "vendi, y: why"]
    again = replace(ROW, times_s=[0.5], code="new")
    found = results.merged(base, profile_of(again, replace(ROW, kernel="moments", code="new"), machine=FASTER))
    assert [(row.label, row.code, row.median) for row in found.rows] == [
        ("nearest, genbench, n=10", "new", 0.5),
        ("nearest, genbench, n=20", "old", 2.0),
        ("vendi, genbench, n=10", "old", 9.0),
        ("moments, genbench, n=10", "new", 2.0),
    ]
    assert found.machine.peak == {"float32": 400.0, "float64": 100.0}
    assert found.left_out == ["vendi, y: why"]
    assert "at commit old: nearest, vendi." in report.page(found)
    with pytest.raises(GenbenchError, match="with 1 threads, what was measured of a processor, cpu with 2 threads"):
        results.merged(base, profile_of(again, machine=replace(MACHINE, threads=2)))


def test_the_page_says_what_the_roofline_would_allow():
    """One second at best for 100 operations: eight times faster than a peer that takes eight, however long it took."""
    peer = replace(ROW, implementation="prdc", times_s=[8.0])
    for took in (2.0, 16.0):
        row = replace(ROW, times_s=[took])
        assert report.at_most(row, profile_of(row, peer)) == "8"
    assert report.at_most(ROW, profile_of(ROW)) == "-"
    unknown = replace(ROW, work=None)
    assert report.at_most(unknown, profile_of(unknown, peer)) == "-"


def test_the_page_shows_the_profile_that_is_kept():
    root = Path(__file__).parents[2]
    kept = results.read(root / "leaderboards/profile/amd-epyc-2-cores.json")
    page = (root / "docs/profile.md").read_text()
    assert report.put(page, report.page(kept)) == page


def test_a_page_without_marks_is_left_alone(cli, tmp_path):
    results.write(tmp_path / "p.json", profile_of(ROW))
    (tmp_path / "page.md").write_text("no marks")
    code, _, err = cli("profile", "--show", tmp_path / "p.json", "--page", tmp_path / "page.md")
    assert (code, (tmp_path / "page.md").read_text()) == (2, "no marks")
    assert "It needs a line <!-- profile -->" in err
    code, out, _ = cli("profile", "--show", tmp_path / "p.json")
    assert code == 0
    assert "| nearest  | n=10" in out


@pytest.fixture
def known(monkeypatch):
    """The machine is one that is known, and fast enough: a test of the whole command measures it."""
    fresh = measure.fresh
    fast = Machine("cpu", 1, {"float32": 1e15, "float64": 1e15}, {10: 1e15})
    monkeypatch.setattr(measure, "fresh", lambda f, *given: fast if f is machine.measure else fresh(f, *given))


@pytest.mark.usefixtures("known")
def test_one_kernel_is_measured_at_any_size_without_its_peers_into_a_profile(cli, tmp_path):
    path = tmp_path / "p.json"
    words = ("profile", "log-mean-exp", "--quick", "--threads", 1)
    assert cli(*words, "--json", path)[0] == 0
    before = results.read(path)
    words = ("profile", "log-mean-exp", "--quick", "--threads", 1, "--own", "--runs", 1)
    assert cli(*words, "--at", "K=100,B=10", "--at", "K=200,B=100", "--update", path)[0] == 0
    after = results.read(path)
    assert [(row.label, len(row.times_s)) for row in after.rows] == [
        ("log-mean-exp, genbench, K=100 B=10", 1),
        ("log-mean-exp, genbench, K=200 B=100", 1),
    ]
    assert len(before.rows) == 3
    code, _, err = cli(*words, "--at", "n=100")
    assert (code, "has the axes" in err) == (2, True)
    code, _, err = cli(*words, "--at", "K")
    assert (code, "write the lengths" in err) == (2, True)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 0}', '{"schema": 1}'])
def test_a_file_without_a_profile_is_refused(tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(GenbenchError, match="holds no profile"):
        results.read(tmp_path / "p.json")
    with pytest.raises(GenbenchError, match="no profile at"):
        results.read(tmp_path / "none.json")


def test_durations_have_three_digits_and_a_unit():
    assert [report.duration(t) for t in (12.34, 0.01234, 1.5e-5, 2e-8)] == ["12.3 s", "12.3 ms", "15 µs", "20 ns"]


def test_the_command_measures_prints_and_keeps(cli):
    code, out, err = cli(
        "profile", "bernoulli", "log-mean-exp", "--quick", "--sweep", "--threads", 1, "--json", "p.json"
    )
    profile = results.read(Path("p.json"))
    assert [row.label for row in profile.rows] == [
        "log-mean-exp, genbench, K=200 B=100",
        "log-mean-exp, torch, K=200 B=100",
        "log-mean-exp, scipy, K=200 B=100",
        "bernoulli, genbench, K=5 B=10",
        "bernoulli, torch, K=5 B=10",
    ]
    for row in profile.rows:
        assert len(row.times_s) >= (measure.OWN_RUNS if row.own else measure.PEER_RUNS)
        assert row.error is not None
        assert row.error < 1e-5
        assert f"| {row.kernel} " in out
    assert [(growth.kernel, growth.axis) for growth in profile.growth] == [("log-mean-exp", "K"), ("bernoulli", "K")]
    assert profile.failed == []
    assert code == (1 if profile.impossible() else 0), err
    assert profile.command.startswith("genbench profile bernoulli log-mean-exp --quick")

    code, out, _ = cli("compare", "p.json", "p.json")
    assert code == 0
    assert out.count("no difference") + out.count("too few runs") == 5
    assert cli("compare", "p.json", "p.json", "--fail-if", "bernoulli:+10%")[0] == 0


def test_the_comparison_has_an_exit_code_for_each_outcome_and_needs_no_torch(cli, tmp_path):
    slow = replace(BASE, times_s=[t * 1.3 for t in BASE.times_s])
    for name, row in (("a", BASE), ("b", slow), ("c", replace(BASE, threads=7))):
        results.write(tmp_path / f"{name}.json", profile_of(row))
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    code, out, _ = cli("compare", a, b)
    assert code == 0
    assert "+30.0 %" in out
    assert json.loads(cli("compare", a, b, "--json")[1])[0]["verdict"] == "slower"
    code, _, err = cli("compare", a, b, "--fail-if", "nearest:+10%")
    assert code == 3
    assert err.startswith("gate: nearest")
    assert cli("compare", a, b, "--fail-if", "nearest:+40%")[0] == 0
    assert cli("compare", a, c)[0] == 4
    assert cli("compare", a, tmp_path / "none.json")[0] == 2
    compare = f"main(['compare', {str(a)!r}, {str(b)!r}])"
    body = f"import sys; from genbench.cli import main; {compare}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("False\n"), done.stderr


def test_a_misspelt_kernel_and_no_threads_are_errors_of_usage(cli):
    code, _, err = cli("profile", "momnets")
    assert code == 2
    assert "Did you mean 'moments'?" in err
    assert cli("profile", "moments", "--threads", 0)[0] == 2
    code, out, _ = cli("profile", "frechet-trace", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["frechet-trace", "frechet-trace-low-rank"]


SHIPPED = Path(results.__file__).parents[3] / "leaderboards" / "profile" / "amd-epyc-2-cores.json"


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("schema",), 2, "schema is 2"),
        (("rows",), {}, "rows is an empty table"),
        (("rows", 0), [], "rows[0]"),
        (("rows", 0, "times_s"), [], "times_s is a list of 0"),
        (("rows", 0, "times_s", 0), "1", "times_s[0] is '1'"),
        (("rows", 0, "times_s", 0), 0, "above 0"),
        (("rows", 0, "times_s", 0), -1.0, "above 0"),
        (("rows", 0, "size", "n"), 1.5, "size.n is 1.5"),
        (("rows", 0, "work"), {"flops": 1}, "work.bytes is missing"),
        (("rows", 0, "extra"), 1, "extra is 1"),
        (("machine", "bandwidth"), {}, "bandwidth is an empty table"),
        (("machine", "bandwidth", "x"), 1.0, "bandwidth (key) is 'x'"),
        (("machine", "peak", "float32"), 0, "above 0"),
        (("machine", "threads"), 0, "threads is 0"),
        (("env",), None, "env is None"),
        (("failed",), [1], "failed[0] is 1"),
    ],
)
def test_a_field_of_a_profile_that_cannot_be_is_named(tmp_path, where, value, words):
    path = SHIPPED
    content = json.loads(path.read_text())
    content["rows"] = content["rows"][:2]
    *way, last = where
    holder = content
    for key in way:
        holder = holder[key]
    holder[last] = value
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(GenbenchError) as caught:
        results.read(tmp_path / "p.json")
    assert "p.json holds no profile" in caught.value.problem
    assert words in caught.value.problem


def test_damaged_profiles_raise_nothing_but_errors_that_say_so(tmp_path):
    path = SHIPPED
    content = json.loads(path.read_text())
    content["rows"] = [{**row, "times_s": row["times_s"][:3]} for row in content["rows"][:3]]
    errors, target = [], tmp_path / "p.json"
    for data in damage.texts(content, 200):
        target.write_bytes(data)
        try:
            assert isinstance(results.read(target), Profile)
        except GenbenchError as error:
            errors.append(str(error))
    assert 100 < len(errors) < 200
    assert all(len(error.splitlines()) == 2 for error in errors)


# Where the time of a run went


def test_the_times_of_a_run_are_kept_and_shown(cli, tmp_path, pixels_checkpoint):
    call = ["evaluate", f"a={pixels_checkpoint}", "--metrics", "fd,copies", "--samples", "60", "--start-method", "none"]
    assert cli(*call, "-o", tmp_path / "run")[0] == 0
    assert cli("profile", "--times", tmp_path / "run", "--json", tmp_path / "times.json")[0] == 0
    found, kept = phases.of(tmp_path / "run"), phases.of(tmp_path / "times.json")
    assert kept == found
    assert set(kept.by_metric) == {"fd[digits-cnn]", "copies"}
    spent = sum(s for kinds in kept.by_metric.values() for s in kinds.values())
    assert sum(kept.by_kind.values()) == pytest.approx(max(kept.span, spent))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{phases.BEGIN}\nold\n{phases.END}\nafter\n")
    assert cli("profile", "--times", tmp_path / "times.json", "--page", page)[0] == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| the model's own" in text
    assert "`genbench evaluate a=" in text


def test_shares_of_a_run_are_those_of_all_its_time():
    table = {"nll": {"the model's own": 6.0}, "fd": {"features": 1.0, "metrics": 2.0}}
    found = phases.Phases("genbench evaluate", {"device": "a processor", "threads": 1}, 2, 10.0, table)
    assert found.by_kind[phases.BETWEEN] == 1.0
    text = phases.page(found)
    assert "What is not the models' own is 40% of it." in text
    assert text.index("| fd ") > text.index("| nll ")
    several = phases.Phases("c", {}, 2, 5.0, table)  # of two workers, whose seconds are more than the span
    assert several.by_kind[phases.BETWEEN] == 0.0


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1}', '{"schema": 1, "phases": {"records": -1}}'])
def test_a_file_without_times_is_refused(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(GenbenchError, match="no times of a run"):
        phases.of(tmp_path / "t.json")


@pytest.mark.usefixtures("known")
def test_a_sweep_is_measured_in_parts_and_shown_with_its_exponents(cli, tmp_path):
    path = tmp_path / "sweep.json"
    for K in (100, 200):
        words = ("profile", "log-mean-exp", "--quick", "--threads", 1, "--own", "--runs", 1, "--at", f"K={K},B=10")
        assert cli(*words, "--update", path)[0] == 0
    assert [row.size["K"] for row in results.read(path).rows] == [100, 200]
    one, four = replace(ROW, times_s=[1.0]), replace(ROW, size={"n": 40}, times_s=[16.0])
    other = replace(ROW, kernel="prdc", times_s=[3.0])
    lines = [line.split("|")[1:-1] for line in report.sweep(profile_of(four, other, one)).splitlines()[2:5]]
    assert [[c.strip() for c in line[:4]] for line in lines] == [
        ["nearest", "n=10", "1", "-"], ["nearest", "n=40", "16", "2.00"], ["prdc", "n=10", "3", "-"],
    ]  # fmt: skip
    code, out, _ = cli("profile", "--show", path, "--sweep")
    assert code == 0
    assert "exponent" in out
