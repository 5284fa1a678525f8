"""Which mutants: a seeded sample of places in the code, each with one change that tests should notice.

A place counts once, whatever stands there: a `+` has six mutants here and an `if` has one.
What no test could or should notice is left out by its kind, never by what the tests say of it:

- annotations: no value depends on them;
- what is raised, asserted, printed or warned, and calls that show progress: words for people;
- the `VERSION` of a metric: a label, for which any other number would do;
- decorators that change a cost and no value (`COSTS`).

So is what any test at all would notice, which would flatter the figure: what does not compile, and operators from
another family than the one they replace, since a float has no `<<` and None no `<`.
"""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec

FAMILIES = (
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
    {"UAdd", "USub", "Nothing"},
    {"Not", "Nothing"},
)
FOR_PEOPLE = {"print", "progress", "tell", "tqdm", "warn"}
COSTS = {"lru_cache", "no_grad"}


def draw(files: list[Path], n: int, seed: int, session: Path) -> list[MutationSpec]:
    """At most n mutants of these files; cosmic-ray keeps the list of all in the file `session`."""
    places = defaultdict(list)
    with use_db(session) as db:
        init(files, db, {})
        for item in db.work_items:
            (mutant,) = item.mutations
            places[mutant.module_path, mutant.start_pos].append(mutant)
    sources = {file: file.read_text(encoding="utf-8") for file in files}
    trees = {file: ast.parse(source) for file, source in sources.items()}
    dice = random.Random(seed)
    drawn: list[MutationSpec] = []
    for file, start in dice.sample(sorted(places), len(places)):
        mutants = sorted(places[file, start], key=lambda m: (m.operator_name, m.occurrence))
        dice.shuffle(mutants)
        drawn += next(([m] for m in mutants if counts(m, sources[file], trees[file])), [])
        if len(drawn) == n:
            break
    return drawn


def counts(mutant: MutationSpec, source: str, tree: ast.Module) -> bool:
    """Whether a mutant is of a kind that tests should notice."""
    _, *swap = mutant.operator_name.split("_")
    if len(swap) == 2 and not any(family.issuperset(swap) for family in FAMILIES):
        return False
    for part in left_out(tree):
        if (part.lineno, part.col_offset) <= mutant.start_pos < (part.end_lineno, part.end_col_offset):
            return False
    try:
        compile(mutate_code(source, get_operator(mutant.operator_name)(), mutant.occurrence), "mutant", "exec")
    except SyntaxError:
        return False
    return not (mutant.operator_name.endswith("RemoveDecorator") and costs(tree, mutant.start_pos[0]))


def left_out(tree: ast.Module) -> Iterator[ast.stmt | ast.expr]:
    """The parts of a module in which no mutant is drawn."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as part) | ast.AnnAssign(annotation=part):
                yield part
            case ast.FunctionDef(returns=ast.expr() as part) | ast.Assert(msg=ast.expr() as part):
                yield part
            case ast.Raise() | ast.Assign(targets=[ast.Name(id="VERSION")]):
                yield node
            case ast.Call() if name(node) in FOR_PEOPLE:
                yield node


def costs(tree: ast.Module, line: int) -> bool:
    """Whether the decorator on this line is one of COSTS."""
    decorators = (each for node in ast.walk(tree) for each in getattr(node, "decorator_list", ()))
    return any(each.lineno == line and name(each) in COSTS for each in decorators)


def name(node: ast.expr) -> str:
    """What is called or named, without where it is from: c of `a.b.c` and of `a.b.c(...)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
