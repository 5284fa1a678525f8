"""`genbench claims`: what everybody says of generative models, with what was measured of it."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.cli.ending import TRIPPED
from genbench.errors import GenbenchError

SUMMARY = "what everybody says of generative models, decided by measurement"


def add_arguments(p: Parser) -> None:
    p.add_argument("names", nargs="*", metavar="CLAIM", help="one claim with its findings (all, a line each)")
    p.add_argument("--boards", type=Path, default=Path("leaderboards"), help="folder of published boards")
    p.add_argument("--records", type=Path, default=Path("docs/claims.jsonl"), help="file of kept trials")
    p.add_argument("--measure", action="store_true", help="first do the trainings that are not kept yet")
    p.add_argument("-o", "--out", type=Path, metavar="FILE.md", help="write the document, and its pictures")
    p.add_argument("--check", action="store_true", help="compare with FILE instead of writing it; exit 3 if it differs")


def run(args: argparse.Namespace) -> int:
    from genbench.files import write_atomically
    from genbench.studies import claims
    from genbench.studies.claims import _trials

    if args.check and not args.out:
        raise GenbenchError("--check compares with a file, and none is named", "Add -o FILE.md.")
    if args.out and args.names:
        raise GenbenchError("a document is made of all claims", "Leave the names out, or -o FILE.md.")
    claims.check(args.boards)

    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    if args.measure:
        for name, module in claims.modules(args.names).items():
            if hasattr(module, "trial"):
                _trials.measure(name, module, args.records, tell)
    found = claims.decide(args.boards, args.records, args.names, tell)
    if not args.out:
        print("\n\n".join(shown(claim, bool(args.names)) for claim in found))
        return 0
    page = claims.page(found).encode()
    if args.check:
        if args.out.is_file() and args.out.read_bytes() == page:
            print(f"{args.out} agrees with the boards", file=sys.stderr)
            return 0
        print(f"genbench: {args.out} is not what the boards say", file=sys.stderr)
        print(f"  Make it anew: genbench claims -o {args.out}", file=sys.stderr)
        return TRIPPED
    try:
        write_atomically(args.out, page)
        folder = args.out.parent / claims.PICTURES
        for claim in found:
            if claim.drawn:
                folder.mkdir(exist_ok=True)
                write_atomically(folder / f"{claim.name}.png", claims.picture(claim))
    except OSError as error:
        raise GenbenchError(f"cannot write {args.out}: {error.strerror}", "Choose another file with -o.") from error
    return 0


def shown(claim, whole: bool) -> str:
    """The claim and its verdict; with `whole` its findings, who says so and how far it carries."""
    lines = [f"{claim.verdict:10} {claim.module.SENTENCE}"]
    if whole:
        lines += [f"  {f.says:8} {f.what}: {f.found} {f.interval} {f.why}".rstrip() for f in claim.findings]
        more = (
            f"Said by {claim.module.SAID_BY}. Decided by {claim.module.DECIDED_BY}. It carries {claim.module.CARRIES}"
        )
        lines += textwrap.wrap(more, 100, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)
