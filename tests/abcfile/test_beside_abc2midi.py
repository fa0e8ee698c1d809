"""midirnn plays a tune as abc2midi does: the same notes at the same times."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from midirnn.abcfile import read_abc
from midirnn.midifile import read_midi

pytestmark = pytest.mark.skipif(shutil.which("abc2midi") is None, reason="abc2midi is missing")

TUNES = [
    "M:6/8\nL:1/8\nK:D\nA|d2A AFA|d2e f2d|e>fe dcB|A3 A2:|\n",
    "M:4/4\nL:1/8\nK:Gm\n|:G3A (3Bcd =e2|f4 g2dB|[1 c2B2 G4:|[2 _A2^c2 D4||\n",
    "M:3/4\nL:1/4\nK:Ador\nA2-A|B c/2d/2 e|[Ac]2 z|^f_f=f|c'3|]\n",
    "M:2/4\nK:F\nB2A2 F4::c2d2 C4:|\n",
    "M:9/8\nK:Bmix\nfdB Bcd efg|b2a g2f e3||\n",
]


@pytest.mark.parametrize("tune", TUNES)
def test_notes_and_times_are_the_same(tune: str, tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text(f"X:1\nT:a\nQ:1/4=120\n{tune}")
    command = ["abc2midi", str(tmp_path / "a.abc"), "-o", str(tmp_path / "a.mid")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    theirs, ours = read_midi(tmp_path / "a.mid"), read_abc(f"X:1\nQ:1/4=120\n{tune}")
    assert ours.pitch.tolist() == theirs.pitch.tolist()
    assert np.allclose(ours.start, theirs.start, atol=0.02)  # abc2midi spreads chords a little
