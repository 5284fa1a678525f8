"""The command line, and nothing else: arguments in, results to stdout, progress and errors to stderr.

One file for each command, with `SUMMARY`, `add_arguments` and `run`; `arguments.py` has what their arguments share,
`ending.py` the exit codes. Nothing heavy is imported until a command needs it: imports of torch stand in functions.
"""

from __future__ import annotations

import os
import sys
import warnings

from genbench import __version__, allocation, catalog
from genbench.cli import (
    audit,
    card,
    check,
    claims,
    compare,
    describe,
    env,
    evaluate,
    leaderboard,
    listing,
    new,
    profile,
    publish,
    split,
    statistics,
    status,
    train,
    verify,
)
from genbench.cli.arguments import Parser
from genbench.cli.ending import INTERRUPTED, complain, confess, open_streams, show_warning, silence
from genbench.cli.evaluate import shipped
from genbench.errors import GenbenchError, unknown
from genbench.privacy import public_command
from genbench.reading import legible

__all__ = ["COMMANDS", "main", "open_streams", "shipped"]

COMMANDS = {
    "list": listing,
    "describe": describe,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "status": status,
    "leaderboard": leaderboard,
    "publish": publish,
    "compare": compare,
    "profile": profile,
    "verify": verify,
    "claims": claims,
    "new": new,
    "split": split,
    "statistics": statistics,
    "card": card,
    "check": check,
    "env": env,
}  # in the order of `genbench --help`


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    # Before torch is loaded: its threads then wait for each other by spinning a few microseconds, then asleep. By
    # default they spin for long, and where another process holds a core small models take twenty times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None:
        del sys.argv[1:]  # they are read; a model's code, or a child process of it, would take them for its own
    debug = "--debug" in arguments
    open_streams()
    warnings.showwarning = show_warning
    try:
        code = run(arguments)
        sys.stdout.flush()  # while a full disk can still be told
        return code
    except GenbenchError as error:
        return complain(error, debug)
    except KeyboardInterrupt:
        print("interrupted; what was finished is saved, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `genbench list | head`
        silence(sys.stdout)
        return 0
    except OSError as error:
        silence(sys.stdout)
        where = f"{error.filename}: " if error.filename else ""
        reason = GenbenchError(
            f"{where}{error.strerror or error}", "Check the path, its permissions and the free space."
        )
        reason.__cause__ = error
        return complain(reason, debug)
    except MemoryError as error:
        reason = GenbenchError(f"there is not enough memory{f': {error}' * bool(str(error))}", "Take less at once.")
        reason.__cause__ = error
        return complain(reason, debug)
    except Exception as error:
        return confess(error, debug)


def run(arguments: list[str]) -> int:
    """The command that the arguments name."""
    parser = make_parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    try:
        args, rest = parser.parse_known_args(arguments)
        if rest:
            args.refuse(f"unrecognized arguments: {' '.join(rest)}")
    except SystemExit as stop:  # `--help` too: what was printed is still to be written
        return int(stop.code or 0)
    if not args.command:
        parser.print_help()
        return 0
    args.given = arguments
    args.line = legible(public_command(["genbench", *arguments]))
    for plugin in getattr(args, "plugin", None) or []:
        catalog.use_plugin(plugin)
    allocation.keep()
    return COMMANDS[args.command].run(args)


def make_parser() -> Parser:
    parser = Parser(prog="genbench", description="Measure generative models of every family by one protocol.")
    parser.add_argument("--version", action="version", version=f"genbench {__version__}")
    parser.set_defaults(refuse=parser.error)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(refuse=command.error)  # which names its own --help
        module.add_arguments(command)
    return parser
