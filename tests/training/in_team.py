"""What each process of a team does; started by torchrun, told the folder to do it in."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from midirnn.training.distributed import Team, join
from tests.training.tiny import recipe, trainer

RECIPE = recipe(20, batch_size=3, tokens=20 * 48, segment=40, ema_decay=0.9)
STOP = 10


def main(folder: Path, team: Team) -> None:
    """Run as a whole, half a run, the second half of another, and one that loses a process."""
    trainer(folder / "two", RECIPE, team=team).run()

    made = trainer(folder / "two_then_one", RECIPE, team=team)
    made.run(lambda: made.progress.step >= STOP)

    resumed = trainer(folder / "one_then_two", RECIPE, team=team)
    resumed.resume()
    resumed.run()

    def lose() -> bool:
        if team.rank == 1 and losing.progress.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    # torchrun ends the others at once; as on the command line, that does not cut them short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    losing = trainer(folder / "lost", RECIPE, team=team)
    losing.run(lose)


if __name__ == "__main__":
    try:
        with join(print) as joined:
            main(Path(sys.argv[1]), joined)
    except Exception as error:
        print(f"told: {error}", flush=True)
        raise SystemExit(1) from None
