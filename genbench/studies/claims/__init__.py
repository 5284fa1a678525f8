"""What everybody says of generative models, decided by measurement: claim -> findings -> verdict.

A claim is a file here. It states `SENTENCE`, who says so (`SAID_BY`), what would decide it (`DECIDED_BY`) and how far
the verdict carries (`CARRIES`); then one of `PAIRS`, which published boards decide, `recorded(opened)`, which reads
more of the records of its `ROWS` than pairs do, `measure()`, a computation of seconds, and `trial(seed)`, a small
training that is kept (`_trials.py`). With `plot(axes, found)` and a `PICTURE` that says what is seen it has a picture.
A finding speaks for the claim, against it, or leaves it open:

    all for it                       confirmed
    one against it, beyond chance    refuted
    else                             undecided at this size

The findings of one claim hold together: pairs, computations and trials have intervals that do (Bonferroni), or exact
values; those of trials are over the seeds of training. Where the noise of training
decides (`OF_TRAINING`), pairs of single trainings leave a claim open, whatever their values: an interval over test
examples says nothing of another training.
Two bounds decide nothing of what they bound; where a claim is of the bounds themselves it says so (`OF_BOUNDS`).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from genbench.boards.columns import columns_of
from genbench.boards.compare import Difference, difference, interval, together
from genbench.boards.markdown import pipes
from genbench.boards.seeds import shown_rows
from genbench.boards.tables import compact
from genbench.errors import GenbenchError, unknown
from genbench.figures import png
from genbench.numerics.multiple import quantile
from genbench.run.records import Record, Run, open_run
from genbench.text import markdown as shown

if TYPE_CHECKING:
    from genbench.studies.claims._trials import Trial

HERE = Path(__file__).parent
PICTURES = "claims"  # folder beside the document
Says = Literal["for", "against", "open"]
Verdict = Literal["confirmed", "refuted", "undecided"]
VERDICTS = ("confirmed", "refuted", "undecided")  # in the order of the page
SAYS = ("for", "against", "open")
MANY = 9  # findings, more of which are folded on the page


@dataclass(frozen=True)
class Pair:
    """That one model is better than another in a metric of a published board.

    Arguments:
        dataset: which of them, where the board has several.
    """

    board: str
    metric: str
    better: str
    worse: str
    dataset: str = ""


@dataclass(frozen=True)
class Shown:
    """A published board, and the records under the names of its rows: made once, for all pairs that ask."""

    run: Run
    rows: list[Record]

    def record(self, model: str, metric: str, like: Record | None = None) -> Record | None:
        """The value of a model in a metric, None where the board does not have just one.

        Arguments:
            like: whose protocol it has to share.
        """
        found = [r for r in self.rows if (r.model["name"], r.metric["name"], r.status) == (model, metric, "ok")]
        found = [r for r in found if like is None or r.protocol == like.protocol]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Finding:
    """One number that bears on a claim.

    Arguments:
        what: the quantity.
        found: its value, or both of a pair.
        interval: 95 %, of all findings of the claim together; empty for what is exact.
        says: whether it speaks for the claim.
        why: where it is open, why.
    """

    what: str
    found: str
    interval: str
    says: Says
    why: str = ""


def absent(what: str) -> Finding:
    """Of what the boards do not have."""
    return Finding(what, "", "", "open", "not on the board")


@dataclass(frozen=True)
class Claim:
    """A claim with what was found.

    Arguments:
        trials: those that its findings are made of, where it has some.
        budget: of the trainings behind it.
    """

    name: str
    module: ModuleType
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...] = ()
    budget: str = ""

    @property
    def drawn(self) -> bool:
        """Whether there is a picture: the claim has one, and all of its trials."""
        return hasattr(self.module, "plot") and len(self.trials) == getattr(self.module, "SEEDS", 0)

    @property
    def verdict(self) -> Verdict:
        says = {finding.says for finding in self.findings}
        if "against" in says:
            return "refuted"
        return "confirmed" if says == {"for"} else "undecided"


def side(low: float, high: float, expected: Literal["above", "below"], than: float) -> Says:
    """What an interval says of a claim that expects it above or below a number.

    Example:
        >>> side(1.0, 2.0, "above", 0.5), side(1.0, 2.0, "below", 0.5), side(1.0, 2.0, "above", 1.5)
        ('for', 'against', 'open')
    """
    if low > than or high < than:
        return "for" if (low > than) == (expected == "above") else "against"
    return "open"


def names() -> list[str]:
    """Of all claims, in alphabetical order."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.name.startswith("_"))


def modules(chosen: Iterable[str] = ()) -> dict[str, ModuleType]:
    """The claims of these names, all of them by default.

    Raises:
        GenbenchError: no such claim.
    """
    known, asked = names(), list(chosen)
    for name in asked:
        if name not in known:
            raise unknown("claim", name, known)
    return {name: importlib.import_module(f"genbench.studies.claims.{name}") for name in asked or known}


def decide(
    root: Path, records: Path, chosen: Iterable[str] = (), tell: Callable[[str], None] = lambda name: None
) -> list[Claim]:
    """The claims of these names, all of them by default, with their findings.

    Arguments:
        root: the folder of the published boards.
        records: the file of kept trials.
        tell: is given the name of each claim before it is decided.

    Raises:
        GenbenchError: no such claim, or a board or the trials cannot be read.
    """
    from genbench.studies.claims import _trials

    boards: dict[str, Shown] = {}
    trials, found = _trials.read(records), []
    for name, module in modules(chosen).items():
        tell(name)
        pairs = [Pair(*one) for one in getattr(module, "PAIRS", ())]
        findings = of_pairs(pairs, root, boards, module)
        if hasattr(module, "recorded"):
            findings += module.recorded(lambda board: opened(board, root, boards))
        if hasattr(module, "measure"):
            findings += module.measure()
        asked = [(p.board, model) for p in pairs for model in (p.better, p.worse)] or list(getattr(module, "ROWS", ()))
        own = _trials.kept(name, module, trials) if hasattr(module, "trial") else []
        if hasattr(module, "trial"):
            findings += of_trials(name, module, own)
        found.append(Claim(name, module, tuple(findings), tuple(own), budget(asked, own, boards)))
    return found


def budget(asked: list[tuple[str, str]], own: list[Trial], boards: dict[str, Shown]) -> str:
    """What the trainings behind a claim took: its own, or those of models of boards as far as these say it."""
    if own:
        return f"{len(own)} seeds, {sum(t.seconds for t in own):.0f} s of one core"
    if not asked:
        return "no training, a computation of seconds"
    told = []
    for board in dict.fromkeys(board for board, _ in asked):
        rows = [r for r in boards[board].rows if r.metric["name"] == "training-time"] if board in boards else []
        took = {m: r.value for c in columns_of(rows).values() for m, r in c.records.items() if r.value is not None}
        models = dict.fromkeys(model for other, model in asked if other == board)
        known = ", ".join(f"{m} {took[m]:,.0f} s" for m in models if m in took)
        told.append(f"{board}: {known}" if known else f"{board}: commands on its page")
    return f"the trainings of the boards ({'; '.join(told)})"


def of_trials(name: str, module: ModuleType, own: list[Trial]) -> list[Finding]:
    """What the trials of a claim say, once all of its seeds are there."""
    if len(own) < module.SEEDS:
        why = f"{len(own)} of {module.SEEDS} seeds are measured: genbench claims {name} --measure"
        return [Finding("trials", "", "", "open", why)]
    from genbench.studies.claims._trials import understood

    with understood(name):
        found: list[Finding] = module.judged([trial.found for trial in own])
    return found


def of_pairs(pairs: list[Pair], root: Path, boards: dict[str, Shown], claim: ModuleType) -> list[Finding]:
    """What the boards say of the pairs of a claim, adjusted for all of them."""
    of_training, of_bounds = (getattr(claim, name, False) for name in ("OF_TRAINING", "OF_BOUNDS"))
    sides = [[record_of(p, model, root, boards) for model in (p.better, p.worse)] for p in pairs]
    both = [i for i, (a, b) in enumerate(sides) if a and b]
    differences = {}
    for i in both:
        better, worse = sides[i]
        assert better is not None
        assert worse is not None
        run = boards[pairs[i].board].run
        if of_bounds:  # a bound is a number of its own, which is known exactly
            better, worse = (replace(one, kind="exact") for one in (better, worse))
        differences[i] = difference(pairs[i].better, run, worse, run, better)
    adjusted = dict(zip(both, wider(together([differences[i] for i in both])), strict=True))
    found = []
    for i, pair in enumerate(pairs):
        what = f"{pair.dataset or pair.board}: {pair.better} against {pair.worse}, {pair.metric}"
        if i not in adjusted:
            found.append(absent(what))
            continue
        d, (a, b) = adjusted[i], sides[i]
        assert a is not None
        assert b is not None
        trainings = min(seeds_of(a), seeds_of(b))
        says: Says = "open"
        of_each = f"{trainings} training{'s' * (trainings > 1)} each"
        apart = d.ci95 is None or not d.ci95[0] <= 0 <= d.ci95[1]
        if d.decided and apart and d.verdict.endswith(("better", "worse")):
            says = "for" if d.verdict.endswith("better") else "against"
        why = of_each if says != "open" else d.verdict if apart else f"is it 0? {of_each}"
        if of_training and trainings == 1 and says != "open":
            says, why = "open", f"{d.verdict} here, but one training each"
        found.append(Finding(what, f"{compact(a)} against {compact(b)}", interval(d), says, why))
    return found


def wider(differences: list[Difference]) -> list[Difference]:
    """With intervals that hold for all of them together (Bonferroni)."""
    tested, found = sum(d.p is not None for d in differences), []
    for d in differences:
        if d.p is not None and d.ci95 is not None and d.difference is not None:
            factor = quantile(tested, d.freedom or math.inf) / quantile(1, d.freedom or math.inf)
            low, high = (d.difference + factor * (end - d.difference) for end in d.ci95)
            d = replace(d, ci95=(low, high))
        found.append(d)
    return found


def opened(board: str, root: Path, boards: dict[str, Shown]) -> Shown | None:
    """A published board, None if there is none of this name.

    Arguments:
        boards: those that were read before, to which it is added.
    """
    if board not in boards:
        if not (root / board).is_dir():
            return None
        run = open_run(root / board)
        boards[board] = Shown(run, shown_rows([run]))
    return boards[board]


def record_of(pair: Pair, model: str, root: Path, boards: dict[str, Shown]) -> Record | None:
    """The value of a model in the pair's metric, None if the board has none that stands beside the other's."""
    board = opened(pair.board, root, boards)
    rows = [
        r
        for r in (board.rows if board else [])
        if r.metric["name"] == pair.metric and r.status == "ok" and pair.dataset in ("", r.dataset["name"])
    ]
    for column in columns_of(rows).values():
        if {pair.better, pair.worse} <= column.records.keys():
            return column.records[model]
    return None


def seeds_of(record: Record) -> int:
    """How many trainings stand behind a value."""
    return len(record.details.get("seeds", [None]))


def turning(claim: Claim) -> str:
    """The finding that its verdict turns on, the first one of those that do, and how many others there are."""
    says = {"refuted": "against", "confirmed": "for", "undecided": "open"}[claim.verdict]
    first = next((f for f in claim.findings if f.says == says), None)
    if first is None:
        return ""
    number = first.interval if first.interval not in ("", "exact") else first.found
    if number.startswith("["):  # an interval without the value that it is of
        number = f"{first.found} {number}"
    why = f"; {first.why}" if says == "open" else ""
    others = len(claim.findings) - 1
    between = " " if first.what.endswith("]") else ": "  # "]:" would be the start of a link, and be escaped
    return f"{first.what}{between}{number}".rstrip(": ") + why + (f" (and {others} more)" if others else "")


def page(claims: list[Claim]) -> str:
    """The document of these claims in markdown."""
    ordered = sorted(claims, key=lambda c: VERDICTS.index(c.verdict))
    rows = [
        [f"[{shown(c.module.SENTENCE)}](#{c.name.replace('_', '-')})", f"**{c.verdict}**", shown(turning(c))]
        for c in ordered
    ]
    counts = {word: sum(c.verdict == word for c in claims) for word in VERDICTS}
    parts = [
        "# What everybody says, decided by measurement",
        f"{len(claims)} claims: {', '.join(f'{n} {word}' for word, n in counts.items())}. A claim is *confirmed* where "
        "all of its findings speak for it, *refuted* where one speaks against it beyond chance, and else *undecided*: "
        "at this size, with these trainings. Brackets are 95 % intervals that hold for all findings of a claim "
        "together; over seeds they are of the mean over trainings.",
        "Made by `genbench claims -o docs/claims.md` from the boards in `leaderboards/`, from small computations and "
        "from small trainings, which `genbench claims --measure` does and keeps in `docs/claims.jsonl`; a claim is a "
        "file in `genbench/studies/claims/`. " + cost(claims),
        pipes(rows, ["claim", "verdict", "what it turns on"], 3),
    ]
    for c in claims:
        parts.append(f"## {c.name.replace('_', '-')}")
        parts.append(f"**{shown(c.module.SENTENCE)}** {c.verdict.capitalize()}.")
        parts.append(f"Said by {shown(c.module.SAID_BY)}.\n\nDecided by {shown(c.module.DECIDED_BY)}.")
        parts.append(table(c))
        if c.drawn:
            parts.append(f"![{shown(c.module.PICTURE)}]({PICTURES}/{c.name}.png)\n\n*{shown(c.module.PICTURE)}*")
        parts.append(f"Budget: {shown(c.budget)}.\n\nHow far it carries: {shown(c.module.CARRIES)}")
    return "\n\n".join(parts) + "\n"


def cost(claims: list[Claim]) -> str:
    """What it takes to do all trainings of the claims anew."""
    took = {c.name: sum(t.seconds for t in c.trials) for c in claims if c.trials}
    if not took:
        return ""
    longest = max(took, key=lambda name: took[name])
    return (
        "`genbench claims --measure --records NEW.jsonl -o docs/claims.md` makes all of it anew from the boards: "
        f"{math.ceil(sum(took.values()) / 60)} minutes of one core, of which {longest} takes the most, "
        f"{math.ceil(took[longest] / 60)}, and less than half a minute for what needs no training."
    )


def table(claim: Claim) -> str:
    """The findings of a claim, folded where they are many."""
    rows = [[shown(x) for x in (f.what, f.found, f.interval, f.says, f.why)] for f in claim.findings]
    whole = pipes(rows, ["finding", "found", "95 % interval", "speaks", "because"], 5)
    if len(rows) <= MANY:
        return whole
    counts = ", ".join(f"{n} {word}" for word in SAYS if (n := sum(f.says == word for f in claim.findings)))
    return f"<details><summary>{len(rows)} findings: {counts}</summary>\n\n{whole}\n\n</details>"


def picture(claim: Claim) -> bytes:
    """PNG of what its `plot` draws."""
    from matplotlib.figure import Figure

    from genbench.studies.claims._trials import understood

    figure = Figure(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    with understood(claim.name):
        claim.module.plot(figure.add_subplot(), [trial.found for trial in claim.trials])
    return png(figure)


def check(root: Path) -> None:
    """Raises GenbenchError where there is no folder of boards."""
    if not root.is_dir():
        raise GenbenchError(f"no boards in {root}", "Name the folder of the published boards: --boards FOLDER.")
