"""The entry point, and the one place where errors become exit codes."""

from __future__ import annotations

import sys

from durproj import __version__


def main() -> None:
    """The entry point of `durproj`."""
    if sys.argv[1:] == ["--version"]:
        print(f"durproj {__version__}")
        return
    # Reducers are named as `python -m` would name them: from the present folder.
    if "" not in sys.path:
        sys.path.insert(0, "")
    sys.exit(_run())


def _run() -> int:
    """Run the command line; its exit code."""
    from durproj.cli.commands import app
    from durproj.errors import DurprojError
    from durproj.render import Screen, Style

    screen = Screen(Style())
    try:
        app()
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except DurprojError as error:
        if error.exit_code != 141:  # 128 + SIGPIPE: nobody is left to tell
            screen.error(error)
        return error.exit_code
    except OSError as error:
        screen.error(
            DurprojError(f"{error.filename or 'input or output'}: {error.strerror or error}")
        )
        return 77 if isinstance(error, PermissionError) else 74
    except Exception:
        import traceback

        screen.error(
            DurprojError(f"a bug in durproj; what is recorded is safe\n{traceback.format_exc()}")
        )
        return DurprojError.exit_code
    return 0
