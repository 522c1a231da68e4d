"""The command `qcade`, also available as `python -m qcade`."""

from __future__ import annotations

import sys

from qcade.interrupts import INTERRUPTED, QuitAtOnce, quit_from_now_on


def main() -> None:
    """Run the command that the user typed and exit with its code."""
    try:
        with QuitAtOnce():
            from qcade.cli.standard_streams import open_missing_streams

            open_missing_streams()
            from qcade.cli.main import run_command
            from qcade.compute.compiler_on_demand import import_compiler_on_demand

            import_compiler_on_demand()
        code = run_command(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    quit_from_now_on(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
