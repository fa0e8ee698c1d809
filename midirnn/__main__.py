"""The command ``midirnn``, also as ``python -m midirnn``."""

import sys


def main() -> int:
    """Run the command line. Ctrl-C ends it without a traceback even while its code is loaded."""
    try:
        from midirnn.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return 0 if sys.argv[1:2] == ["live"] else 130


if __name__ == "__main__":
    sys.exit(main())
