"""The command ``midirnn``, also as ``python -m midirnn``."""

import contextlib
import signal
import sys
from types import FrameType
from typing import NoReturn

from midirnn.cli import UNTIL_CTRL_C


def main() -> int:
    """Run the command line. Ctrl-C ends it without a traceback, even while code is loading."""
    plays = sys.argv[1:2] and sys.argv[1] in UNTIL_CTRL_C
    before = signal.getsignal(signal.SIGINT)
    try:
        if plays:
            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, _end)
        from midirnn.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return 0 if plays else 130
    finally:
        if plays:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Exit with 0.

    A KeyboardInterrupt raised while ``exec`` creates a class, as in ``dataclass``, counts as
    unhandled for ``python -m``: the process would end as if killed.
    """
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
