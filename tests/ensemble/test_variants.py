"""The recipe's copies of training pieces are the same pieces, a little faster, higher and later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from midirnn import read_midi
from midirnn.codecs import EnsembleCodec

SCRIPT = Path(__file__).parents[2] / "scripts" / "recipes" / "ensemble_variants.py"


def test_only_the_train_split_is_varied_and_each_copy_has_all_notes(tmp_path: Path) -> None:
    codec, rows = EnsembleCodec(), np.tile([[1, 2, 3, 4], [7, 0, 5, 3]], (4, 1))
    for name in ("train", "test"):
        codec.write(codec.decode(codec.from_gestures(rows)), tmp_path / f"{name}.mid")
    lines = ["path,dataset,split", *(f"{n}.mid,openscore-sq,{n}" for n in ("train", "test"))]
    (tmp_path / "splits.csv").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "splits.csv"), "-o"]
    subprocess.run([*command, str(tmp_path / "out"), "--copies", "3"], check=True, timeout=300)
    copies = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in copies] == ["000-0.mid", "000-1.mid", "000-2.mid"]
    whole = read_midi(tmp_path / "train.mid")
    for path in copies:
        copy = read_midi(path)
        assert len(copy) == len(whole)
        assert [part.name for part in copy.parts] == [part.name for part in whole.parts]
        assert 0 <= copy.start[0] <= 1.3
        length = copy.duration - copy.start[0]
        assert length == pytest.approx(whole.duration, rel=0.27)
        assert abs(int(copy.pitch.min()) - int(whole.pitch.min())) <= 2
