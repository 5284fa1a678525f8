"""The page in markdown: it fits, it drops nothing, and its order and its sentences are what the ranks say."""

import re

import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from genbench.boards.columns import Standing, boards
from genbench.boards.markdown import MANY, MOST, WIDTH, Lead, anchors, gallery, in_order, markdown, of_true_likelihoods
from genbench.boards.pareto import draw_all, label, logarithmic, outliers, overlap, pareto
from genbench.boards.ranks import ALONE, EXAMPLES, rank
from genbench.metrics import GROUPS
from genbench.text import slug

GFM = MarkdownIt("commonmark").enable(["table"])
SAMPLED = {"kind": "estimate", "card": {"unit": "share"}}

PAGE = """\
# digits

Handwritten digits of 8x8 pixels with 17 levels, embedded in scikit-learn. 3 models, 2 metrics.

- **Best likelihood** by nll (negative log-likelihood in bits/dim): b (1.000 ±0.020), beyond chance.
- **Best samples** by fd (Fréchet distance): no model can be told from the best.
- **Good at both:** b (ranks 1 and 1-2).
- ⚑ a: copies.

| by nll | by fd | model | nll (bits/dim) ↓ [1] | fd ↓ |
|:---|:---|:---|---:|---:|
| 1 | 1-2 | b | = 1.000 ±0.020 | 13.0 ±3.0 |
| 2 | 1-2 | a | ≤ 2.000 ±0.020 ⚑ [2] | 12.0 ±3.0 [3] |
| | | c | - | - |

A rank of 2-4: the data allow any of these, with 95 % confidence for all models of a column at once. \
± is half of a 95 % interval.

**What bounds decide:** behind a bound (≤) the true value may be any lower one, so two bounds decide nothing. \
For certain better than so many of the 1 with an exact value: a than none.

<details><summary>Likelihood: how probable are unseen data under the model?</summary>

| model | nll (bits/dim) ↓ [1] |
|:---|---:|
| b | = 1.000 ±0.020 (1) |
| a | ≤ 2.000 ±0.020 ⚑ [2] (2) |

No value: c [4].

- nll: negative log-likelihood (Theis, van den Oord, Bethge 2016). It misses: {nll}

</details>

<details><summary>Fidelity: how much are its samples like real data?</summary>

In the features of `pixels`:

| model | fd ↓ |
|:---|---:|
| b | 13.0 ±3.0 (1-2) |
| a | 12.0 ±3.0 [3] (1-2) |

No value: c [5].

- fd: Fréchet distance (Heusel et al., 2017). It misses: {fd}

</details>

## Notes

Ranks, such as 2-4, are those that the data allow, with 95 % confidence for all models of a column at once \
(Mogstad et al., 2024). They order what a column certifies, the exact value or the upper bound. Real data, and \
models that copy them, have no rank by samples. They compare nll example by example; the others as if independent.

`=` exact, `≤` upper bound, `≥` lower bound, `~` estimate; ± is the wider half of the 95 % interval; \
↓ lower is better, ↑ higher is better; ⚑ flagged.

Data: digits, test split, 500 examples, sha256 ffffffffffffffff. Samples: none from each model, seed 0. \
Measured on cpu, 2 threads.

- [1] loose
- [2] copies
- [3] few
- [4] needs log_prob
- [5] not measured in these runs

## Models

- b: flow, 1,234 parameters
- a: flow, 1,234 parameters
- c: gan, 1,234 parameters
"""


def squeezed(page):
    """Without what aligns columns."""
    return re.sub(r" +", " ", re.sub(r"-{3,}", "---", page))


def test_a_page_reads_like_this(record, missing):
    records = [
        record("a", value=2.0, kind="upper_bound", details={"flagged": True, "flag": "copies"}, warnings=["loose"]),
        record("b", value=1.0, warnings=["loose"]),
        missing("c", family="gan"),
        record("a", "fd[pixels]", 12.0, 3.0, "estimate", {"unit": "share"}, warnings=["few"]),
        record("b", "fd[pixels]", 13.0, 3.0, "estimate", {"unit": "share"}),
    ]
    found = boards(records)
    nll, fd = found[0].columns
    nll.standing = Standing({"b": (1, 1), "a": (2, 2)}, ("b",), EXAMPLES)
    fd.standing = Standing({"a": (1, 2), "b": (1, 2)}, ("a", "b"), ALONE)
    misses = {c.metric: c.card["misses"] for c in found[0].columns}
    assert squeezed(markdown(found)) == squeezed(PAGE.format(**misses))


@pytest.fixture
def large(record):
    """Twelve models by forty metrics of every group, some of which only few models have."""
    names = [f"a-model-of-some-length-{i:02}" for i in range(12)]
    metrics = ["nll", "nll-ais", "ais-gap", "fd[x]", "kd[x]", "is[x]", "precision[x]", "recall[x]", "fd[y]", "kd[y]"]
    metrics += ["copies", "modes", "modes-kl", "mse", "psnr", "throughput", "latency", *(f"own-{i}" for i in range(23))]
    return boards(
        [
            record(model, metric, 1.0 + i, 0.1, warnings=[f"w{k % 5} of {metric}"] * (k % 3))
            for k, metric in enumerate(metrics)
            for i, model in enumerate(names)
            if metric not in ("nll-ais", "ais-gap") or i < 2
        ]
    )


def test_no_table_is_wider_than_a_page_and_none_has_more_than_seven_columns(large):
    html = GFM.render(markdown(large))
    tables = re.findall(r"<table>(.*?)</table>", html, re.S)
    assert len(tables) > len(GROUPS)
    for table in tables:
        rows = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
        ]
        rows = [[re.sub("<[^>]*>", "", cell) for cell in row] for row in rows]
        assert len(rows[0]) <= MOST
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        assert sum(widths) + 3 * (len(widths) - 1) + 4 <= WIDTH


def test_columns_of_the_lead_table_that_a_page_has_no_room_for_are_left_to_the_sections(record):
    metrics = [f"auroc-likelihood outside {'x' * 20} {i}" for i in range(4)]
    found = boards(
        [record(f"a-model-of-some-length-{i}", metric, i, 0.1, **SAMPLED) for metric in metrics for i in range(3)]
    )
    rank(found, [])
    lead, sections = markdown(found).split("<details>", 1)
    widest = max(len(line) for line in lead.splitlines() if line.startswith("| a-model"))
    assert widest <= WIDTH
    assert metrics[0] in lead
    assert metrics[3] not in lead
    assert all(metric in sections for metric in metrics)


def test_every_value_stands_in_the_section_of_its_group_and_every_footnote_is_used(large):
    page = markdown(large)
    (board,) = large
    folded = page[page.index("<details>") :]
    for column in board.columns:
        assert f"{column.heading} " in folded, column.name
    cells = re.findall(r"\| += (\d+\.\d+) ±", folded)
    assert len(cells) == sum(len(c.records) for c in board.columns)
    notes = dict(re.findall(r"^- \[(\d+)\] (.*)$", page, re.M))
    assert [*notes] == [str(i + 1) for i in range(len(notes))]
    assert {*re.findall(r"\[(\d+)\]", page)} == {*notes}


def test_footnotes_are_counted_anew_in_the_next_dataset(record):
    other = {"name": "ring8", "split": "test", "sha256": "e", "n": 5, "space": None}
    records = [record("a", warnings=["first"]), record("a", warnings=["second"], dataset=other)]
    first, second = markdown(boards(records)).split("# ring8")
    assert "- [1] first" in first
    assert "- [1] second" in second


def test_a_footnote_stands_at_the_header_if_all_values_have_it_and_at_its_cell_if_not(record):
    records = [record("a", warnings=["all", "one"]), record("b", warnings=["all"])]
    page = markdown(boards(records))
    assert page.count("nll (bits/dim) ↓ [1]") == 2  # in the lead and in its section
    assert page.count("±0.020 [2]") == 2
    assert "±0.020 [1]" not in page


def test_models_stand_by_both_rank_sets_and_one_without_a_likelihood_where_samples_put_it(record, missing):
    records = [record(m, value=v) for m, v in {"slow": 1.0, "mid": 2.0, "bad": 3.0}.items()]
    records += [missing("gan"), missing("none"), missing("real", family="reference")]
    board = boards(records)[0]
    by_nll = Standing({"slow": (1, 1), "mid": (2, 2), "bad": (3, 3)}, ("slow",))
    by_fd = Standing({"gan": (1, 1), "slow": (2, 3), "mid": (2, 3), "bad": (4, 4)}, ("gan",))
    assert in_order(board, [by_nll, by_fd]) == ["real", "gan", "slow", "mid", "bad", "none"]
    assert in_order(board, []) == board.models


def test_the_first_screen_has_one_column_for_each_question(record):
    names = ("nll", "nll-ais", "fd[x]", "precision[x]", "recall[x]", "copies", "throughput", "latency")
    (board,) = boards([record(m, name) for m in "ab" for name in names])
    lead = Lead.of(board)
    assert [c.name for c in (lead.likelihood, lead.fidelity, lead.diversity, lead.speed)] == [
        "nll", "fd[x]", "recall[x]", "throughput",
    ]  # fmt: skip
    (few,) = boards([record("a", "nll"), *(record(m, "modes") for m in "ab")])
    assert (Lead.of(few).fidelity, Lead.of(few).diversity.name) == (None, "modes")


def test_a_board_of_translations_leads_with_the_distance_and_what_is_kept(record):
    records = [
        record(model, metric, value, 0.01, "estimate", {"unit": "share", "direction": direction})
        for model, distance, kept in (("a", 1.0, 0.5), ("b", 2.0, 0.9))
        for metric, value, direction in (("translation-fd", distance, "lower"), ("class-kept", kept, "higher"))
    ]
    found = boards(records)
    lead = Lead.of(found[0])
    assert (lead.fidelity.name, lead.diversity.name) == ("translation-fd", "class-kept")
    lead.fidelity.standing = Standing({"a": (1, 1), "b": (2, 2)}, ("a",))
    said = re.search(r"^- \*\*Best translations\*\* by translation-fd .*$", markdown(found), re.M).group()
    assert said.endswith(": a (1.000 ±0.010), beyond chance.")


def test_who_stands_alone_who_ties_and_who_is_fast_is_said_in_a_sentence(record):
    speed = {"unit": "1/s", "direction": "higher"}
    records = [record(m, value=v) for m, v in {"a": 1.0, "b": 1.01, "c": 9.0}.items()]
    records += [record(m, "fd[x]", v, 1.0, **SAMPLED) for m, v in {"a": 4.0, "b": 5.0, "c": 50.0}.items()]
    records += [
        record(m, "throughput", v, 1.0, "estimate", speed) for m, v in {"a": 10.0, "b": 900.0, "c": 1e6}.items()
    ]
    found = boards(records)
    nll, fd, _ = found[0].columns
    some = Standing({"a": (1, 2), "b": (1, 2), "c": (3, 3)}, ("a", "b"))
    nll.standing = fd.standing = some
    said = markdown(found).split("\n\n")[2]
    assert said == (
        "- **Best likelihood** by nll (negative log-likelihood in bits/dim): "
        "a (1.000 ±0.020) or b (1.010 ±0.020), each of which may be the best.\n"
        "- **Best samples** by fd (Fréchet distance): a (4.0 ±1.0) or b (5.0 ±1.0), each of which may be the best.\n"
        "- **Good at both:** a (ranks 1-2 and 1-2).\n"
        "- **Good and fast:** b (900.0 samples/s)."
    )
    nll.standing = Standing(dict.fromkeys("abc", (1, 3)), ("a", "b", "c"))
    assert "in bits/dim): no model can be told from the best." in markdown(found)


def test_of_many_that_may_be_the_best_a_sentence_names_a_few_beside_what_real_data_have(record):
    names = [f"m{i}" for i in range(9)]
    records = [record(m, "fd[x]", i, 1.0, **SAMPLED) for i, m in enumerate(names)]
    records += [record("real test data", "fd[x]", 0.5, 0.25, family="reference", **SAMPLED)]
    found = boards(records)
    found[0].columns[0].standing = Standing({m: (1 + 7 * (m > "m6"), 9) for m in names}, tuple(names[:7]))
    assert (
        "m0 (0.0 ±1.0), m1 (1.0 ±1.0), m2 (2.0 ±1.0), m3 (3.0 ±1.0) or 3 more, each of which may be the best; "
        "real test data have 0.50 ±0.25."
    ) in markdown(found)


def test_the_first_screen_says_nothing_of_why_a_value_is_missing_and_all_of_failures(record, missing):
    speed = {"unit": "1/s", "direction": "higher"}
    records = [
        record("a"),
        missing("b"),
        missing("c", status="error"),
        record("b", "throughput", 1234.0, 56.0, card=speed),
    ]
    page = markdown(boards(records))
    lead, rest = page.split("<details>", 1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lead.splitlines() if line.startswith("|")]
    assert rows[0] == ["model", "nll (bits/dim) ↓", "samples/s ↑"]
    assert {row[0]: row[1:] for row in rows[2:]} == {
        "a": ["= 1.000 ±0.020", "-"], "b": ["-", "= 1,234"], "c": ["error [1]", "-"],
    }  # fmt: skip
    assert "= 1,234 ±56" in rest
    assert "needs log_prob" in rest


def test_a_page_of_several_data_sets_opens_with_its_name_and_links_to_each(record, tmp_path):
    """Models of one name have sections of their own, whose links GitHub tells apart by numbers."""
    (tmp_path / "modes" / "pictures").mkdir(parents=True)
    other = {"name": "ring8", "split": "test", "sha256": "e", "n": 5, "space": None}
    found = boards([record("a"), record("b"), record("a", dataset=other), record("c", dataset=other)])
    page = markdown(found, tmp_path / "modes" / "pictures", tmp_path, "modes.html")
    assert page.startswith("# modes\n\n- [digits](#digits): Handwritten digits")
    found[1].columns[0].standing = Standing({"a": (1, 1), "c": (2, 2)}, ("a",))
    short = "best likelihood by nll (negative log-likelihood in bits/dim): a (1.000 ±0.020), beyond chance."
    assert f"- [ring8](#ring8): {short}\n" in markdown(found, None, None, "modes.html")
    assert "- [ring8](#ring8): " in page.split("\n\n")[1]
    headings = [line.lstrip("# ") for line in page.splitlines() if line.startswith("#")]
    assert headings == ["modes", "digits", "Notes", "Models", "a", "b", "ring8", "Notes", "Models", "a", "c"]
    assert re.findall(r"\[[abc]\]\(#([^)]*)\)", page) == ["a", "b", "a-1", "c"]
    (one, _) = found
    assert markdown([one], None, None, "modes.html").startswith("# modes: digits\n")
    assert markdown([one], None, None, "digits.html").startswith("# digits\n")
    assert anchors(["a", "a", "a-1", "a"]) == ["a", "a-1", "a-1-1", "a-2"]


# --- Pictures


REAL = slug("real test data")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "runs" / "run" / "pictures"
    folder.mkdir(parents=True)
    for name in (f"{REAL}.png", "b.png", "b-neighbours.png", "nobody.png"):
        (folder / name).touch()
    (folder / "c.txt").write_text("To be, or\n\n")
    return folder


def test_each_model_has_a_section_that_the_lead_table_links_to(record, pictures, tmp_path):
    names = {"real test data": 1.0, "b": 2.0, "c": 3.0, "Mine (v2): a_b": 4.0}
    page = markdown(boards([record(m, value=v) for m, v in names.items()]), pictures, tmp_path / "pages")
    links = re.findall(r"\]\(#([^)]*)\)", page)
    headings = re.findall(r"^### (.*)$", page, re.M)
    assert links == ["real-test-data", "b", "c", "mine-v2-a_b"]
    assert headings == ["real test data", "b", "c", "Mine (v2): a_b"]


def test_samples_are_shown_beside_their_neighbours_and_texts_as_they_are(record, pictures, tmp_path):
    board = boards([record(m, value=v) for m, v in {"real test data": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}.items()])[0]
    parts = gallery(board, pictures, tmp_path / "pages")
    path = "../runs/run/pictures"
    assert parts[0] == "## Models"
    tables = [squeezed(part).splitlines() for part in parts if part.startswith("|")]
    assert tables == [
        ["| samples |", "|:---|", f"| ![{REAL}]({path}/{REAL}.png) |"],
        [
            "| samples | samples above their nearest training examples |",
            "|:---|:---|",
            f"| ![b]({path}/b.png) | ![b-neighbours]({path}/b-neighbours.png) |",
        ],
    ]
    assert "```text\nTo be, or\n```" in parts
    assert parts[-2:] == ["### d", "flow, 1,234 parameters"]


# --- Plots


def test_a_plot_names_every_model_and_what_lies_far_outside(record):
    (board,) = boards(
        [record(m, value=1 + i / 10) for i, m in enumerate("abcde")]
        + [record(m, "fd[x]", v, 6.0, **SAMPLED) for m, v in zip("abcde", (5.0, 6.0, 7.0, 8.0, 500.0), strict=True)]
    )
    drawn = pareto(board, *board.columns)
    assert drawn == pareto(board, *board.columns)  # byte for byte
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn.decode())
    assert {"a", "b", "c", "d"} <= {*texts}
    assert "e" not in texts
    assert any("outside: e 500" in text for text in texts)
    assert "negative log-likelihood, nll (bits/dim), lower is better" in texts


def test_names_of_many_that_lie_outside_stay_beside_the_axis(record):
    values = {**{f"near-{i}": 1.0 + i / 100 for i in range(20)}, **{f"far-away-model-{i}": 1e3 + i for i in range(4)}}
    pairs = [(name, m, v if name == "kd[x]" else 1.0) for name in ("fd[x]", "kd[x]") for m, v in values.items()]
    (board,) = boards([record(m, name, v, 2.0, **SAMPLED) for name, m, v in pairs])
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", pareto(board, *board.columns).decode())
    named = [text for text in texts if "far-away" in text]
    assert len({name for text in named for name in re.findall(r"far-away-model-\d", text)}) == 4
    assert max(map(len, named)) <= 52 < sum(map(len, named)), "in several lines"


def test_values_that_span_powers_of_ten_stand_on_logarithms_unless_an_interval_reaches_0(record):
    def column(values, half):
        return boards([record(m, "fd[x]", v, half, **SAMPLED) for m, v in values.items()])[0].columns[0]

    wide = {"a": 5.0, "b": 60.0, "c": 300.0}
    assert logarithmic(column(wide, 1.0))
    assert not logarithmic(column(wide, 5.0)), "0 is among what the data allow"
    assert not logarithmic(column({**wide, "a": 40.0}, 1.0)), "one power of ten is not spanned"
    assert not logarithmic(column({**wide, "a": 0.0}, 1.0))
    both = [record(m, name, v, 1.0, **SAMPLED) for name in ("fd[x]", "kd[x]") for m, v in wide.items()]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", pareto(*boards(both), *boards(both)[0].columns).decode())
    assert {"a", "b", "c", "10", "100"} <= {*texts}


def test_names_never_cover_each_other_and_those_that_nobody_beats_always_stand():
    """150 models in two places, as boxes of the picture: some names are left out, none lies on another."""
    figure = Figure(figsize=(6, 4))
    axes, renderer = figure.add_subplot(), FigureCanvasAgg(figure).get_renderer()
    points = {f"model-{i:03d}": (2 + i % 2 + i / 1e5, 3 - i % 2 + i / 1e5) for i in range(150)}
    axes.plot(*zip(*points.values(), strict=True), "o")
    axes.margins(0.5)
    figure.draw_without_rendering()
    label(axes, {"model-120": points["model-120"], **points}, {"model-120"}, [], renderer)
    names = [text.get_text() for text in axes.texts]
    assert "model-120" in names
    assert 20 < len(names) < 150
    assert len({*names}) == len(names)
    plain = []  # without the lines to the points
    for text in axes.texts:
        text.update_positions(renderer)
        plain.append(Text.get_window_extent(text, renderer))
    for i, a in enumerate(plain):
        for b in plain[:i]:
            assert overlap(a, b) <= 0.03 * a.width * a.height


def test_what_lies_three_interquartile_ranges_off_is_far():
    values = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 4.0}  # quartiles 1 and 3
    assert outliers({**values, "a": -4.9}) == {}
    assert [*outliers({**values, "e": 9.1})] == ["e"]
    assert outliers(dict.fromkeys("abc", 1.0)) == {}


def test_plots_are_drawn_where_the_columns_are_and_old_ones_go(record, tmp_path):
    both = boards([record(m, name) for m in "ab" for name in ("nll", "fd[x]")])
    draw_all(both, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["digits-likelihood-fidelity.svg"]
    page = markdown(both, tmp_path, tmp_path)
    assert "![likelihood against the quality of samples](digits-likelihood-fidelity.svg)" in page
    draw_all(boards([record(m) for m in "ab"]), tmp_path)
    assert [*tmp_path.iterdir()] == []


def true(found):
    return of_true_likelihoods(found[0], Lead.of(found[0]).likelihood)


def test_a_bound_is_better_for_certain_than_exact_values_whose_ranks_lie_behind_its_own(record):
    """By counting: standard errors of 0.01 tell values apart that differ by 1, and not by 0.001."""
    values = {"bound": (2.0, "upper_bound"), "other": (1.0, "upper_bound"), "a": (0.5, "exact"), "b": (2.001, "exact"),
              "c": (3.0, "exact"), "d": (4.0, "exact"), "e": (5.0, "estimate")}  # fmt: skip
    found = boards([record(m, value=v, kind=kind, stderr=0.01) for m, (v, kind) in values.items()])
    rank(found, [])
    assert "two bounds decide nothing" in true(found)
    assert true(found).endswith("better than so many of the 4 with an exact value: other than 3; bound than 2.")
    assert f"**What bounds decide:** {true(found)}" in markdown(found)


def test_where_no_value_is_a_bound_or_none_is_exact_it_says_what_that_leaves(record, missing):
    def said(*kinds):
        found = boards(
            [record(m, value=float(i), kind=k, stderr=0.01) for i, (m, k) in enumerate(zip("ab", kinds, strict=True))]
        )
        rank(found, [])
        return true(found)

    assert said("exact", "exact") == said("exact", "estimate") == ""
    assert said("upper_bound", "upper_bound").endswith("two bounds decide nothing.")
    assert true(boards([missing("a")])) == ""


def test_a_bound_by_annealing_is_named_with_its_gap(record):
    found = boards([record("a", value=1.0, kind="upper_bound", stderr=0.01), record("b", value=2.0, stderr=0.01),
                    record("a", "ais-gap", 0.5, 0.25, "estimate", {"unit": "nats"})])  # fmt: skip
    rank(found, [])
    assert true(found).endswith("loose, by BDMC on simulated data, by: a 0.50 ±0.25 nats.")


def test_of_many_models_those_that_another_beats_are_folded_and_none_is_lost(record):
    """By enumeration over sets of ranks in two columns: a model is folded if one that beats it stands above."""
    rng = np.random.default_rng(0)
    names = [f"m{i:02}" for i in range(MANY + 5)]
    records = [record(m, metric, 1.0, card={"unit": "share"}) for m in names for metric in ("nll", "fd[x]")]
    records += [record("real", "fd[x]", 1.0, card={"unit": "share"}, family="reference")]
    found = boards(records)
    ranks = []
    for c in found[0].columns:
        low = rng.integers(1, len(names) - 4, len(names))
        ranked = {m: (int(r), int(r + rng.integers(0, 4))) for m, r in zip(names, low, strict=True)}
        del ranked[names[c.name == "nll"]]  # one has no likelihood, another is not ranked by samples
        c.standing = Standing(ranked)
        ranks.append(ranked)
    page = markdown(found)
    first, fold, _ = page.partition("<details><summary>")
    above = {line.split("|")[3].strip() for line in first.splitlines() if line.startswith("|")} - {"model", ""}
    above = {m for m in above if not m.startswith(":")}
    assert fold
    for m in names:
        mine = [r for r in ranks if m in r]
        winners = {k for k in names if k != m and all(k in r and r[k][1] < r[m][0] for r in mine)}
        assert (m in above) is not bool(winners)
        assert not winners or winners & above, "what beats it, or what beats that, stands above"
    assert "real" in above
    lead = page[: page.index("</details>")]
    assert all(f"| {m} " in lead for m in names)
    few = boards([r for r in records if r.model["name"] in names[:5]])
    for c, r in zip(few[0].columns, ranks, strict=True):
        c.standing = Standing({m: r[m] for m in names[:5] if m in r})
    assert "each beaten beyond chance" not in markdown(few)


def test_a_board_of_representations_leads_with_its_first_columns_and_is_ordered_by_the_first(record):
    values = {"a": (0.9, 0.7), "b": (0.8, 0.95), "c": (0.7, 0.9)}
    card = {"direction": "higher", "unit": "share"}
    records = [
        record(model, metric, value, kind="estimate", card=card, stderr=0.01)
        for model, found in values.items()
        for metric, value in zip(("probe-100", "probe"), found, strict=True)
    ]
    (board,) = boards(records)
    rank([board], [])
    lead = Lead.of(board)
    assert [c.name for c in lead.columns] == ["probe-100", "probe"]
    assert board.models == ["a", "b", "c"]
    page = markdown([board])
    assert "**Best** by probe-100 (" in page
    assert re.findall(r"\| ([abc]) +\|", page)[:3] == ["a", "b", "c"]


def test_a_board_of_modes_alone_leads_with_all_that_it_says_of_them(record):
    """With a distance beside them they answer one of several questions, and one column of theirs leads."""
    names = ("modes", "high-quality", "modes-kl")
    records = [record(m, name, v, kind="estimate", stderr=0.1) for name in names for m, v in (("a", 1.0), ("b", 2.0))]
    (board,) = boards(records)
    assert [c.name for c in Lead.of(board).columns] == list(names)
    (board,) = boards([*records, record("a", "fd"), record("b", "fd")])
    assert [c.name for c in Lead.of(board).columns] == ["fd", "modes"]
