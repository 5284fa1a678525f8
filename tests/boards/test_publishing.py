"""A published board: the records of its runs, bit for bit, in one file; the same bytes whichever way it was made."""

import base64
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from genbench.boards.compare import compare
from genbench.boards.index import index
from genbench.boards.markdown import where
from genbench.boards.publishing import all_pages, pages_of, publish
from genbench.errors import GenbenchError
from genbench.files import canonical, content_key
from genbench.run.records import PARTS, UNSAID, Run, in_rows, open_run
from genbench.text import slug


def put(run, record, model, metric="nll", **changes):
    """A record, the row that plans it, and the picture of the model."""
    key = content_key(model)
    said = {"run_id": run.folder.name, "cell_id": content_key([model, metric]), **changes}
    made = record(model, metric, **said)
    made.model.update(key=key)
    del made.model["name"]
    run.put(made)
    cells = {made.cell_id: metric}
    row = {"name": model, "model": key, "planned": "2026-01-01", "cells": cells}
    command = f"genbench evaluate {model}"
    run.write_manifest({"run_id": made.run_id, "command": command, "rows": {content_key([model, key]): row}})
    run.write(run.pictures / f"{slug(model)}.png", model.encode())
    return made


@pytest.fixture
def run(tmp_path, record):
    found = Run(tmp_path / "runs" / "first")
    for model in ("a", "b c"):
        for metric in ("nll", "fd[pixels]"):
            put(found, record, model, metric, value=float(len(metric)) / 3)
    return found


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines_of(page):
    """Those of what records say alike, and those of records."""
    lines = (page / "records.jsonl").read_text().splitlines()
    shared = sum(line.startswith('{"part"') for line in lines)
    return lines[:shared], lines[shared:]


def test_every_record_is_a_line_of_canonical_json_by_cell_id_and_what_they_say_alike_stands_once(run, tmp_path):
    publish([run], tmp_path / "boards" / "page")
    shared, lines = lines_of(tmp_path / "boards" / "page")
    parts = {part["part"]: part["says"] for part in map(json.loads, shared)}
    assert list(parts) == sorted(content_key(says) for says in parts.values())
    contents = [json.loads(path.read_text()) for path in run.files()]
    said = [{k: v for k, v in c.items() if k not in UNSAID or v != UNSAID[k]} for c in contents]
    assert len(parts) == len({canonical(c[k]) for c in said for k in PARTS & c.keys()}) < 5 * len(contents)
    assert lines == [canonical({**c, **{k: content_key(c[k]) for k in PARTS & c.keys()}}) for c in said]
    assert {"warnings", "error", "n_nonfinite"} <= UNSAID.keys()
    assert [json.loads(line)["cell_id"] for line in lines] == sorted(json.loads(line)["cell_id"] for line in lines)


def test_lines_that_say_everything_themselves_are_read(run, tmp_path):
    """As boards were published before."""
    lines = [canonical(json.loads(path.read_text())) for path in run.files()]
    publish([run], tmp_path / "page")
    new = {path.name: path.read_bytes() for path in (tmp_path / "page").glob("*") if path.is_file()}
    (tmp_path / "page" / "records.jsonl").write_text("\n".join(lines))
    assert open_run(tmp_path / "page").records() == run.records()
    publish([open_run(tmp_path / "page")], tmp_path / "page")
    assert {path.name: path.read_bytes() for path in (tmp_path / "page").glob("*") if path.is_file()} == new


@pytest.mark.parametrize("wrong", [{}, 1, None, [], {"name": "another"}, "text", 1e999])
def test_a_part_that_is_not_what_its_key_stands_for_is_refused_with_every_record_that_rests_on_it(run, tmp_path, wrong):
    page = tmp_path / "page"
    publish([run], page)
    shared, lines = lines_of(page)
    said = json.loads(shared[0])
    users = sum(said["part"] in line for line in lines)
    changed = json.dumps({**said, "says": wrong}).replace("Infinity", "1e999")
    (page / "records.jsonl").write_text("\n".join([changed, *shared[1:], *lines]))
    why = [reason for _, reason in open_run(page).unreadable()]
    assert "line 1 does not say what its key stands for" in why[0]
    assert len(why) == 1 + users
    assert len(open_run(page).records()) == len(lines) - users


def test_a_board_reads_as_the_run_it_was_made_of(run, tmp_path):
    page = tmp_path / "boards" / "page"
    publish([run], page)
    assert not (page / "cells").exists()
    assert in_rows([open_run(page)]) == in_rows([run])
    assert open_run(page).rows() == run.rows()
    assert {path.name for path in (page / "pictures").glob("*.png")} == {"a.png", f"{slug('b c')}.png"}
    assert f"page/pictures/{slug('b c')}.png" in (tmp_path / "boards" / "page.md").read_text()


def test_the_run_is_left_as_it_was(run, tmp_path):
    before = read(run.folder)
    publish([run], tmp_path / "page")
    assert read(run.folder) == before


def test_published_from_itself_or_in_two_parts_it_has_the_same_bytes(run, tmp_path, record):
    """Records of both, whichever came first; a second time nothing changes."""
    other = Run(tmp_path / "runs" / "second")
    put(other, record, "d", value=0.5)
    publish([run, other], tmp_path / "x" / "page")
    publish([run], tmp_path / "y" / "page")
    publish([Run(tmp_path / "y" / "page"), other], tmp_path / "y" / "page")
    first = read(tmp_path / "x")
    assert read(tmp_path / "y") == first
    publish([Run(tmp_path / "x" / "page")], tmp_path / "x" / "page")
    assert read(tmp_path / "x") == first


def test_every_command_is_kept_by_the_run_that_its_records_name(run, tmp_path, record):
    other = Run(tmp_path / "runs" / "second")
    put(other, record, "d")
    publish([run, other], tmp_path / "page")
    said = open_run(tmp_path / "page").manifest()["commands"]
    assert said == {"first": "genbench evaluate b c", "second": "genbench evaluate d"}
    assert {r.run_id for r in open_run(tmp_path / "page").records()} == said.keys()


def test_a_record_measured_again_stands_before_its_line(run, tmp_path, record):
    """As `genbench evaluate -o PAGE` leaves it, until the page is published again."""
    page = Run(tmp_path / "page")
    publish([run], page.folder)
    page = open_run(page.folder)
    again = put(page, record, "a", "nll", value=7.0, ended="2027-01-01")
    assert page.get(again.cell_id).value == 7.0
    assert sorted(r.value for r in page.records()) == sorted([7.0, 1.0, 10 / 3, 10 / 3])
    publish([page], page.folder)
    assert open_run(page.folder).get(again.cell_id).value == 7.0
    assert not page.cells.exists()


def test_a_file_that_cannot_be_read_does_not_let_its_old_line_stand(run, tmp_path):
    page = tmp_path / "page"
    publish([run], page)
    cell = open_run(page).records()[0].cell_id
    (page / "cells").mkdir()
    (page / "cells" / f"{cell}.json").write_text("{")
    assert open_run(page).get(cell) is None
    assert len(open_run(page).records()) == 3


def test_a_line_that_cannot_be_read_is_named_and_nothing_is_published(run, tmp_path):
    page = tmp_path / "page"
    publish([run], page)
    shared, lines = lines_of(page)
    n = len(shared)
    (page / "records.jsonl").write_text("\n".join([*shared, lines[0], lines[1][:40], lines[0], *lines[2:]]))
    whole = open_run(page)
    (_, cut), (_, twice) = whole.unreadable()
    assert f"records.jsonl, line {n + 2} is not JSON" in cut
    assert f"line {n + 3} is a second record" in twice
    assert whole.records() == [record for record in run.records() if record.cell_id not in lines[1]]
    with pytest.raises(GenbenchError, match=f"line {n + 2}"):
        publish([whole], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_row_of_the_board_is_not_lost_unseen(run, tmp_path, record):
    publish([run], tmp_path / "page")
    other = Run(tmp_path / "runs" / "second")
    put(other, record, "d")
    before = read(tmp_path / "page")
    with pytest.raises(GenbenchError, match="has 2 rows that these runs lack, a among them"):
        publish([other], tmp_path / "page")
    assert read(tmp_path / "page") == before


def test_a_run_without_a_record_makes_no_board(tmp_path):
    Run(tmp_path / "run").write_manifest({"rows": {}})
    with pytest.raises(GenbenchError, match="no record to publish"):
        publish([open_run(tmp_path / "run")], tmp_path / "page")


def test_what_comparing_by_pairs_needs_is_kept_in_float32(tmp_path, record):
    """The interval of a published board is that of its run, up to the rounding; samples are not kept."""
    run, rng = Run(tmp_path / "run"), np.random.default_rng(0)
    hard = rng.standard_normal(400)
    for model, shift in (("a", 0.0), ("b", 0.1)):
        values, key = hard + shift + 0.05 * rng.standard_normal(400), content_key([model, "values"])
        run.put_arrays(key, {"values": values})
        samples = content_key([model, "samples"])
        run.put_arrays(samples, {"x": np.zeros((400, 64))})
        value = float(-values.mean() / 64 / np.log(2))
        put(run, record, model, value=value, arrays={"log_likelihood": key, "samples": samples})
    publish([run], tmp_path / "page")
    before, after = (compare(f"{folder}:a", f"{folder}:b").differences[0] for folder in (run.folder, tmp_path / "page"))
    assert after.method == before.method == "paired over examples"
    assert after.ci95 == pytest.approx(before.ci95, rel=1e-5)
    page = open_run(tmp_path / "page")
    assert page.get_arrays(key) is None, "rounded values never stand for the arrays of a measurement"
    assert page.replicates.stat().st_size < 2 * 400 * 4 + 600


def test_check_sees_a_changed_page_a_changed_record_and_a_missing_index(cli, run, tmp_path):
    root = tmp_path / "leaderboards"
    assert cli("publish", run.folder, "-o", root / "page")[0] == 0
    assert cli("leaderboard", "--all")[0] == 0
    assert cli("leaderboard", "--all", "--check")[0] == 0
    pack = root / "page" / "records.jsonl"
    for path, change, wrong in (
        (root / "page.md", lambda text: text + b" ", ["page.md"]),
        (root / "page.html", lambda text: text + b" ", ["page.html"]),
        (root / "README.md", lambda text: text + b" ", ["README.md"]),
        (pack, lambda text: text.replace(b'"value":1.0', b'"value":1.1'), ["page.md", "page.html"]),
        (pack, lambda text: b"\n".join(text.splitlines()[::-1]), ["page/records.jsonl"]),
    ):
        before = path.read_bytes()
        path.write_bytes(change(before))
        code, _, err = cli("leaderboard", "--all", "--check")
        assert code == 3
        assert [line for line in err.splitlines() if line.endswith("is not what its records say")] == [
            f"genbench: leaderboards/{name} is not what its records say" for name in wrong
        ]
        path.write_bytes(before)
    (root / "README.md").unlink()
    assert cli("leaderboard", "--all", "--check")[0] == 3


def test_every_board_is_checked_though_the_first_is_wrong(cli, run, tmp_path):
    for name in ("one", "two"):
        cli("publish", run.folder, "-o", tmp_path / "boards" / name)
        (tmp_path / "boards" / f"{name}.md").write_text("")
    code, _, err = cli("leaderboard", "--all", "--check", tmp_path / "boards")
    assert code == 3
    assert err.count("is not what its records say") == 3  # two pages, and the index that is not there


def test_cells_that_are_not_packed_are_no_published_board(run):
    """A folder of boards holds files of records: what a run still has cell by cell is to be published first."""
    assert run.pack in pages_of(run.folder)
    assert not run.pack.exists()


def test_the_index_follows_what_is_published(cli, run, tmp_path, record):
    cli("publish", run.folder, "-o", "leaderboards/one")
    assert not (tmp_path / "leaderboards" / "README.md").exists(), "one page needs no index"
    cli("leaderboard", "--all")
    cli("publish", run.folder, "-o", "leaderboards/two")
    assert cli("leaderboard", "--all", "--check")[0] == 0
    assert "[two](two.md)" in (tmp_path / "leaderboards" / "README.md").read_text()


def test_a_readme_that_is_no_index_is_not_replaced(cli, run, tmp_path):
    (tmp_path / "README.md").write_text("# My project")
    assert cli("publish", run.folder, "-o", "page")[0] == 0
    code, _, err = cli("leaderboard", "--all", ".")
    assert code == 2
    assert "README.md is no index of boards" in err
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_without_a_board_there_is_nothing_to_check(tmp_path):
    with pytest.raises(GenbenchError, match="no board in"):
        all_pages(tmp_path)


def test_the_index_counts_what_applies_what_failed_and_what_is_missing(tmp_path, record):
    run = Run(tmp_path / "page")
    put(run, record, "a")
    put(run, record, "a", "fd[pixels]")
    put(run, record, "b")
    for model, status in (("b", "skipped"), ("c", "error")):
        put(run, record, model, "modes", value=None, kind=None, status=status)
    rows = run.rows()
    planned = {content_key(["b", "planned"]): "latency"}
    name, row = next((key, row) for key, row in rows.items() if row["name"] == "b")
    run.write_manifest({"rows": {name: {**row, "cells": planned}}})
    lines = {line.split("|")[1].strip(): line for line in index({"page": run}).splitlines() if line.startswith("| ")}
    assert "| 2/3 |" in " ".join(lines["a"].split()), "modes is missing"
    assert "| 1/3 |" in " ".join(lines["b"].split()), "fd is missing, and the planned latency; modes does not apply"
    assert "| 0/3 |" in " ".join(lines["c"].split())
    again = {content_key(["a", "earlier"]): "fd[pixels]"}  # as an earlier version of the metric would have had it
    name, row = next((key, row) for key, row in rows.items() if row["name"] == "a")
    run.write_manifest({"rows": {name: {**row, "cells": again}}})
    assert [line for line in index({"page": run}).splitlines() if line.startswith("| a ")] == [lines["a"]]
    board = [cell.strip() for cell in lines["[page](page.md)"].split("|")[2:-1]]
    assert board == ["digits", "", "", "3"], "no standard errors, no best; three models"


def test_plans_that_later_ones_replaced_are_not_missing(run, tmp_path):
    """A metric whose version rose, a checkpoint that was trained anew; what was never measured stays planned."""
    manifest = run.manifest()
    rows = manifest["rows"]
    (key, row) = next((key, row) for key, row in rows.items() if row["name"] == "a")
    stale = {content_key("old nll"): "nll", content_key("never"): "kd[pixels]"}
    rows[key] = {**row, "cells": {**row["cells"], **stale}}
    rows[content_key("gone")] = {**row, "model": content_key("gone"), "cells": {content_key("gone nll"): "nll"}}
    rows[content_key("new")] = {**row, "name": "z", "model": content_key("z"), "cells": {content_key("z nll"): "nll"}}
    run.write_manifest(manifest)
    publish([run], tmp_path / "page")
    found = Run(tmp_path / "page").rows()
    assert {one["name"] for one in found.values()} == {"a", "b c", "z"}
    assert found[key]["cells"] == {**row["cells"], content_key("never"): "kd[pixels]"}


def test_the_matrix_of_many_boards_stays_within_what_github_shows_and_loses_nothing(tmp_path, record):
    """14 boards and 60 models of 6 families, each on a third of the boards."""
    found, on = {}, {}
    for b in range(14):
        name = f"a-board-of-length-{b}"[: 6 + b]
        found[name] = Run(tmp_path / name)
        for m in range(60):
            if (b + m) % 3 == 0:
                model = f"some-model-with-a-long-name-{m}"
                put(found[name], record, model, family=f"family-{m % 6}")
                on.setdefault(model, set()).add(name)
    page = index(found)
    _, matrix = page.split("## Which model is on which board")
    assert max(len(line) for line in matrix.splitlines() if line.startswith("|")) <= 125
    seen = {}
    for table in matrix.split("\n\n"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
        family = None
        for row in rows[2:]:
            if row[0].startswith("**"):
                assert row[0] != family, "each family once in a table"
                family = row[0]
                continue
            assert family == f"**family-{int(row[0].rpartition('-')[2]) % 6}**"
            seen.setdefault(row[0], set()).update(n for n, cell in zip(rows[0][1:], row[1:], strict=True) if cell)
    assert seen == on


def test_a_model_that_was_trained_on_two_data_sets_has_a_picture_for_each(tmp_path, record):
    """Of one board, also published once more from itself; its old place is looked at where there is none."""
    page, runs = tmp_path / "boards" / "page", []
    for name in ("ring8", "grid25"):
        runs.append(Run(tmp_path / name))
        said = {"name": name, "split": "test", "sha256": "f" * 64, "n": 5, "space": {"shape": [2], "levels": None}}
        put(runs[-1], record, "a", cell_id=content_key(name), dataset=said)
        runs[-1].write(runs[-1].pictures / "a.png", f"points of {name}".encode())
    for again in (runs, [Run(page)]):
        publish(again, page)
        assert {name: data for name, data in read(page / "pictures").items() if name.endswith("png")} == {
            "grid25/a.png": b"points of grid25",
            "ring8/a.png": b"points of ring8",
        }
        grid, ring = (tmp_path / "boards" / "page.md").read_text().split("# ring8")
        assert "page/pictures/grid25/a.png" in grid
        assert "page/pictures/ring8/a.png" in ring
        shown = (tmp_path / "boards" / "page.html").read_text()
        places = [shown.index(base64.b64encode(f"points of {name}".encode()).decode()) for name in ("grid25", "ring8")]
        assert places == sorted(places)
    assert where(page / "pictures", "grid25", "b.png") == page / "pictures" / "b.png"


def test_another_process_in_other_surroundings_makes_the_same_bytes(run, record, tmp_path, cli):
    """Pages, index and plots, under another hash seed, locale, time zone, number of threads and working folder."""
    rng = np.random.default_rng(0)
    for number, family in enumerate(("flow", "gan", "diffusion", "mixture", "floor")):
        for metric in ("nll", "fd[pixels]", "kd[pixels]", "recall[pixels]", "throughput"):
            warnings = [f"warned of {family}", "warned of all"]
            values = {"value": 1 + rng.random() * 9, "stderr": 0.3, "family": family, "warnings": warnings}
            put(run, record, f"model {number}", metric, **values)
    publish([run], tmp_path / "here" / "page")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    for path in [*(tmp_path / "there").rglob("*.svg"), *(tmp_path / "there").glob("*.*")]:
        path.unlink()
    env = {
        **os.environ, "PYTHONHASHSEED": "12345", "LC_ALL": "C", "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    }  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    line = [sys.executable, "-m", "genbench", "leaderboard", "--all", str(tmp_path / "there")]
    subprocess.run(line, env=env, cwd=tmp_path / "elsewhere", check=True)
    assert cli("leaderboard", "--all", tmp_path / "here")[0] == 0
    found = read(tmp_path / "here")
    assert {"README.md", "page.md", "page.html", "page/pictures/digits-likelihood-fidelity.svg"} <= {*found}
    assert read(tmp_path / "there") == found
