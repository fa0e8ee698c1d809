"""Average the weights of a run and of one started from it, which is often better than either.

    python3 scripts/average_weights.py EARLIER LATER TARGET [--share 0.7]

Source: M. Wortsman et al., "Model soups" (2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from midirnn.engines.load import find_model
from midirnn.errors import CheckpointError
from midirnn.files import replacing_folder
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("earlier", help="a name, or a folder")
    parser.add_argument("later")
    parser.add_argument("target", type=Path)
    parser.add_argument("--share", type=float, default=0.7, help="the later run's")
    arguments = parser.parse_args()
    earlier = read_checkpoint(find_model(arguments.earlier))
    later = read_checkpoint(find_model(arguments.later))
    if earlier.config != later.config:
        parser.error("the two are not models of the same kind")
    share = arguments.share
    weights = {
        name: (1 - share) * earlier.weights[name] + share * weight
        for name, weight in later.weights.items()
    }
    info = later.info | {"averaged_with": arguments.earlier, "share": share}
    info.pop("best_validation_nats_per_token", None)  # applies to neither
    with replacing_folder(arguments.target, CheckpointError) as fresh:
        write_checkpoint(fresh, later.config, later.codec, weights, info)


if __name__ == "__main__":
    main()
