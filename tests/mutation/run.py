"""Mutation testing: changes the code in one place at a time, and counts the changes that the tests notice.

    tox -e mutation                                          # 200 mutants of MODULES, report in mutation.txt
    tox -e mutation -- -n 20 --seed 1 genbench/numerics

cosmic-ray makes the mutants; `sample.py` draws some of them, `reach.py` finds the tests that run the changed code.
Not mutmut, which is faster but leaves every decorated function alone: here the likelihoods and the sampling, that stand
under `torch.no_grad()`, and all properties.

A mutant is noticed if a test fails or hangs. One that no test reaches, or that outlives its tests, is not.
"""

import argparse
import ast
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome
from reach import REPOSITORY, enter_copy, lines_of, measure, merge, pick
from sample import draw

MODULES = (  # but for pictures: how they look is for eyes
    "genbench/run",
    "genbench/boards/columns.py",
    "genbench/boards/tables.py",
    "genbench/boards/pages.py",
    "genbench/boards/terminal.py",
    "genbench/boards/compare.py",
    "genbench/models/adapters",
    "genbench/models/sampling.py",
    "genbench/models/training.py",
    "genbench/numerics",
    "genbench/likelihood",
    "genbench/metrics",
)
# Wheels and clocks: slow, and no test of MODULES.
OUTSIDE = {"benchmarks", "test_packaging.py", "test_plugins.py", "test_profiling.py"}


class Verdict(NamedTuple):
    outcome: str  # noticed, timeout, survived or no tests
    test: str  # the first that failed, if it is noticed
    diff: str  # of a mutant that is not noticed


def command(tests: list[str]) -> str:
    """Runs tests up to the first that fails; one that takes a minute hangs."""
    handle, listed = tempfile.mkstemp(".txt", dir=Path.cwd().parent)
    with open(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(tests))
    options = "-x -q --tb=no -p no:cacheprovider -o faulthandler_timeout=60 -o faulthandler_exit_on_timeout=true"
    pytest = shlex.join([sys.executable, "-m", "pytest", *options.split(), f"@{listed}"])
    return shlex.join(
        ["sh", "-c", f"exec {pytest} 2>&1"]
    )  # cosmic-ray reads no stderr, and there a test is said to hang


def judge(mutant: MutationSpec, tests: list[str], seconds: float) -> Verdict:
    """Runs the tests, which take so many seconds, on a mutant; without tests, only makes the diff."""
    result = mutate_and_test([mutant], command(tests) if tests else "true", timeout=60 + 4 * seconds)
    if result.test_outcome == TestOutcome.SURVIVED:
        return Verdict("survived" if tests else "no tests", "", result.diff.partition("\n")[2])  # without its heading
    if result.test_outcome != TestOutcome.KILLED:
        raise RuntimeError(f"{mutant.module_path} {mutant.operator_name}: {result.output}")
    if result.output == "timeout" or "Timeout (0:" in result.output:
        return Verdict("timeout", "", "")
    failed = [line for line in result.output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    named = [test for test in tests for line in failed if line.partition(" ")[2].startswith(test)]
    return Verdict("noticed", max(named, key=len, default="(at import)"), "")


def control(tests: list[str]) -> int:
    """Runs tests on the unchanged code."""
    return subprocess.run(shlex.split(command(tests))).returncode


def judge_all(sample: list[MutationSpec], pool: ProcessPoolExecutor, workers: int, files: list[str]) -> list[Verdict]:
    """The verdict of the tests in these files on each mutant of the sample."""
    parts, times = zip(*pool.map(measure, [files[i::workers] for i in range(workers)]), strict=True)
    reached, seconds = merge(parts), sum(times, Counter())
    picked = []
    for mutant in sample:
        lines = lines_of(ast.parse(mutant.module_path.read_text(encoding="utf-8")), mutant.start_pos[0])
        by_line = reached.get(mutant.module_path.as_posix(), {})
        picked.append(pick({test for line in lines for test in by_line.get(line, ())}, seconds))
    cost = [sum(seconds[test] for test in tests) for tests in picked]
    start = time.monotonic()
    longest_first = sorted(range(len(sample)), key=lambda i: -cost[i])
    jobs = {pool.submit(judge, sample[i], picked[i], cost[i]): i for i in longest_first}
    verdicts = {}
    for job in as_completed(jobs):
        i = jobs[job]
        verdicts[i] = job.result()
        took = f"{len(verdicts)}/{len(sample)}  {time.monotonic() - start:.0f} s"
        print(took, row(sample[i], verdicts[i]), verdicts[i].test, sep="  ", flush=True)  # the test may differ by run
    noticing = sorted({verdict.test for verdict in verdicts.values()} - {"", "(at import)"})
    if noticing and pool.submit(control, noticing).result():
        raise RuntimeError("tests that noticed mutants fail on the unchanged code, too, in this order: see above")
    return [verdicts[i] for i in range(len(sample))]


def row(mutant: MutationSpec, verdict: Verdict) -> str:
    line, column = mutant.start_pos
    place, operator = f"{mutant.module_path}:{line}:{column}", mutant.operator_name.removeprefix("core/")
    return f"{verdict.outcome:8}  {place}  {operator}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=MODULES, help="modules and folders to change (default: MODULES)")
    parser.add_argument("-n", type=int, default=200, help="how many mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--tests", nargs="+", help="test files that may notice (default: all but OUTSIDE)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--at-least", type=float, default=85, help="%% noticed, or exit code 1 (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, default=Path("mutation.txt"), help="report (default: %(default)s)")
    args = parser.parse_args()
    out = args.out.resolve()
    os.chdir(REPOSITORY)
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    data = REPOSITORY.parent / "shared" / "data"  # where the tests look; their copies stand elsewhere
    if data.is_dir():
        os.environ.setdefault("GENBENCH_DATA", str(data))
    paths = [Path(path) for path in args.paths]
    modules = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    files = args.tests or sorted(
        str(file) for file in Path("tests").rglob("test_*.py") if OUTSIDE.isdisjoint(file.parts)
    )
    with tempfile.TemporaryDirectory() as room:
        sample = draw(modules, args.n, args.seed, Path(room, "mutants.sqlite"))
        if not sample:
            parser.error(f"nothing to change in {' '.join(args.paths)}")
        with ProcessPoolExecutor(args.workers, initializer=enter_copy, initargs=(room,)) as pool:
            verdicts = judge_all(sample, pool, args.workers, files)

    counts = Counter(verdict.outcome for verdict in verdicts)
    noticed = 100 * (counts["noticed"] + counts["timeout"]) / len(sample)
    head = [
        f"{noticed:.1f} % of {len(sample)} mutants noticed, seed {args.seed}, of {' '.join(args.paths)}",
        ", ".join(f"{outcome} {counts[outcome]}" for outcome in ("noticed", "timeout", "survived", "no tests")),
    ]
    rows = [row(mutant, verdict) for mutant, verdict in zip(sample, verdicts, strict=True)]
    diffs = [f"# {verdict.outcome}\n{verdict.diff}\n" for verdict in verdicts if verdict.diff]
    out.write_text("\n".join([*head, "", *rows, "", *diffs]), encoding="utf-8")
    print(*head, sep="\n")
    return int(noticed < args.at_least)


if __name__ == "__main__":
    sys.exit(main())
