"""``python -m midirnn`` is the command ``midirnn``."""

import sys

from midirnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
