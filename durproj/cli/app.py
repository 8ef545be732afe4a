"""The entry point, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys

from durproj import __version__


def main() -> None:
    """The entry point of `durproj`."""
    try:
        _open_missing_streams()
        if sys.argv[1:] == ["--version"]:
            # Said by hand: what prints everything else takes longer to import than all of this.
            os.write(1, f"durproj {__version__}\n".encode())
            sys.exit(0)
        # Reducers are named as `python -m` would name them: from the present folder.
        if "" not in sys.path:
            sys.path.insert(0, "")
        sys.exit(_run(sys.argv[1:]))
    except KeyboardInterrupt:
        os._exit(130)
    except OSError:
        os._exit(74)


def _open_missing_streams() -> None:
    """Put something in the place of standard streams that came closed: a store opened there would be
    written to by whatever prints. Reading the input or writing results fails as it should; messages
    are lost."""
    for number, name, access in (
        (0, "stdin", os.O_WRONLY),
        (1, "stdout", os.O_RDONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the one that is missing.
            closed = os.open(os.devnull, access)
            stream = open(closed, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _check_text(args: list[str]) -> None:
    """Refuse words that are not UTF-8: ids, keys and paths are kept as text."""
    from durproj.errors import UsageError

    variables = (
        f"{name}={os.environ.get(name, '')}" for name in ("DURPROJ_STORE", "DURPROJ_EVENTS")
    )
    for word in (*args, *variables):
        if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
            shown = os.fsencode(word).decode(errors="backslashreplace")
            raise UsageError(f"{shown}: not UTF-8", "keys, names and paths have to be text")


def _run(args: list[str]) -> int:
    """Run the command line; its exit code."""
    # Nothing that is imported becomes garbage: it is not looked through, now or later.
    gc.disable()
    from durproj.cli.commands import command_line
    from durproj.cli.completion import answering
    from durproj.cli.failures import failure
    from durproj.render import Screen, Style

    app = command_line(args[0] if args else None)
    gc.freeze()
    gc.enable()
    screen = Screen(Style())
    code = 0 if args else 2
    try:
        _check_text(args)
        with answering():
            left = app(args=args or ["--help"], prog_name="durproj", standalone_mode=False)
        # Typer leaves by returning a code: 0 for --help, 130 for an interrupt.
        code = left if isinstance(left, int) and left else code
        screen.flush()
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except Exception as error:
        failed = failure(error)
        code = failed.exit_code
        if code != 141:  # 128 + SIGPIPE: nobody is left to tell
            screen.error(failed)
        screen.settle()
    return code
