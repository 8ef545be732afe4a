"""The entry point, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys

from durproj import __version__


def main() -> None:
    """The entry point of `durproj`."""
    try:
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


def _run(args: list[str]) -> int:
    """Run the command line; its exit code."""
    from durproj.cli.commands import app
    from durproj.cli.failures import failure
    from durproj.render import Screen, Style

    screen = Screen(Style())
    code = 0 if args else 2
    try:
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
