"""Test a whole session: a scripted performer, midirnn live and FluidSynth over a JACK server.

    python3 scripts/concert.py [--seconds 120] [-o FOLDER] [--mode MODE] [--json]

It needs no hardware: the JACK server has a dummy sound card. The performer plays phrases of an
example, waits for answers and turns knobs. The sound is recorded (concert.wav), and so is what was
played (MIDI and event log, by midirnn itself); the log is then replayed. The exit code is 1 if
there is no sound, a player is missing in the recording, or the replay differs.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import MidirnnError, Performance, PortError, read_midi  # noqa: E402
from midirnn.audio.synthesizer import find_soundfont  # noqa: E402
from midirnn.live.base.messages import Knobs  # noqa: E402
from midirnn.live.controls.knobs import find_knob  # noqa: E402
from midirnn.live.output.ledger import MODEL, PERFORMER  # noqa: E402
from midirnn.live.recording.event_log import read_log  # noqa: E402
from midirnn.live.recording.midi import notes_of  # noqa: E402
from midirnn.ports import Message, OutputPort, open_output  # noqa: E402
from tests.jack import JackServer  # noqa: E402

EXAMPLE = ROOT / "data" / "examples" / "bach_prelude_bwv846.mid"
EAR, VOICE = "midirnn in", "midirnn out"
PROGRAMS = ("jackd", "jack_rec", "jack_lsp", "jack_connect", "fluidsynth")
PERIOD = 256

PHRASE_SECONDS, ANSWER_SECONDS = 4.0, 5.0
"""How long the performer plays, and then listens."""

KNOB_SECONDS = 0.5
KNOB, MIDDLE, SWING = "temperature", 64, 12
"""The performer turns one knob back and forth around its middle."""

START_LIMIT_SECONDS, END_LIMIT_SECONDS = 60.0, 30.0
SILENT_LEVEL = 1e-4
"""A root mean square below this (-80 dBFS) counts as silence."""


@dataclass(frozen=True)
class Report:
    """The report on a concert. Levels are in decibels of full scale."""

    wav: str
    wav_seconds: float
    level_db: float
    peak_db: float
    midi: str
    midi_seconds: float
    performer_notes: int
    model_notes: int
    knob_turns: int
    log: str
    exit_code: int
    replay: str

    @property
    def identical(self) -> bool:
        """Whether the replay produced the same notes."""
        return self.replay.startswith("identical")

    @property
    def succeeded(self) -> bool:
        """Whether there was sound, both players played, and the replay is identical."""
        sounded = self.level_db > 20 * math.log10(SILENT_LEVEL)
        both = self.performer_notes > 0 and self.model_notes > 0
        return sounded and both and self.identical and self.exit_code == 0


def main() -> int:
    arguments = parse_arguments()
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"{', '.join(missing)} not found: install jackd2 and fluidsynth", file=sys.stderr)
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        report = give_concert(arguments)
    except (MidirnnError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(asdict(report) | {"succeeded": report.succeeded}, indent=2))
    else:
        print_report(report)
    return 0 if report.succeeded else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it lasts")
    parser.add_argument("-o", "--output", type=Path, default=Path("concert"), help="a folder")
    parser.add_argument("--mode", default="call_and_response")
    parser.add_argument("--model", default="piano")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def give_concert(arguments: argparse.Namespace) -> Report:
    """Play a concert, and return the report on it."""
    wav = arguments.output / "concert.wav"
    with ExitStack() as stack:
        stack.enter_context(JackServer(period=PERIOD))
        stack.enter_context(running(*fluidsynth_command()))
        left, right = (wait_for_port(f"fsm:{side}") for side in ("left", "right"))
        live = stack.enter_context(running(*live_command(arguments)))
        connect(wait_for_port(VOICE), wait_for_port("fsm:midi"))
        keys = stack.enter_context(open_performers_output())
        seconds = str(math.ceil(arguments.seconds))
        taping = stack.enter_context(
            running("jack_rec", "-f", str(wav), "-d", seconds, "-b", "16", left, right)
        )
        perform(keys, read_midi(EXAMPLE), arguments.seconds)
        live.send_signal(signal.SIGTERM)
        exit_code = live.wait(END_LIMIT_SECONDS)
        taping.wait(END_LIMIT_SECONDS)
    return review(arguments.output, wav, exit_code)


def fluidsynth_command() -> list[str]:
    """Return the command of a synthesizer that runs until its standard input ends."""
    options = ("audio.jack.autoconnect=0", "midi.jack.id=fsm", "audio.jack.id=fsa")
    flags = [part for option in options for part in ("-o", option)]
    return [
        "fluidsynth",
        "-g",
        "0.6",
        "-a",
        "jack",
        "-m",
        "jack",
        *flags,
        str(find_soundfont()),
    ]


def live_command(arguments: argparse.Namespace) -> list[str]:
    ports = ["--virtual", "--api", "jack", "-i", EAR, "-o", VOICE]
    music = ["--mode", arguments.mode, "--model", arguments.model, "--engine", arguments.engine]
    files = ["--seed", str(arguments.seed), "--record", str(arguments.output), "--quiet"]
    return [sys.executable, "-m", "midirnn", "live", *ports, *music, *files]


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the length of a ``with`` block; its output is not shown."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_port(part: str) -> str:
    """Wait for the JACK port with this in its name, and return its full name."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        listed = subprocess.run(["jack_lsp"], capture_output=True, text=True, check=False).stdout
        found = [line for line in listed.splitlines() if part in line]
        if found:
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(f"no JACK port has {part!r} in its name after {START_LIMIT_SECONDS:g} s")


def connect(source: str, destination: str) -> None:
    """Connect two JACK ports once their clients are active, which is later than they are listed."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    command = ["jack_connect", source, destination]
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{source} and {destination} cannot be connected: {done.stderr}")
        time.sleep(0.1)


def open_performers_output() -> OutputPort:
    """Open the port through which the performer plays to midirnn."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while True:
        try:
            return open_output(EAR, api="jack", client_name="performer")
        except PortError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def perform(keys: OutputPort, example: Performance, seconds: float) -> None:
    """Play phrases, listen to the answers, and turn a knob at the same time."""
    start = time.monotonic()
    for at, message in script(example, seconds):
        time.sleep(max(0.0, start + at - time.monotonic()))
        keys.send(message)
    time.sleep(max(0.0, start + seconds - time.monotonic()))


def script(example: Performance, seconds: float) -> list[tuple[float, Message]]:
    """Return (second, message) of everything that the performer does, in order."""
    events: list[tuple[float, Message]] = []
    phrases = max(1, int(example.duration // PHRASE_SECONDS))
    for number in range(math.ceil(seconds / (PHRASE_SECONDS + ANSWER_SECONDS))):
        begin = number * (PHRASE_SECONDS + ANSWER_SECONDS)
        first = (number % phrases) * PHRASE_SECONDS
        phrase = example.apply_sustain().slice(first, first + PHRASE_SECONDS)
        for start, end, pitch, velocity in zip(
            phrase.start, phrase.end, phrase.pitch, phrase.velocity, strict=True
        ):
            events.append((begin + float(start), (0x90, int(pitch), int(velocity))))
            events.append((begin + float(end), (0x80, int(pitch), 0)))
    controller = find_knob(KNOB).cc
    assert controller is not None
    for number in range(int(seconds / KNOB_SECONDS)):
        value = MIDDLE + round(SWING * math.sin(number / 5.0))
        events.append((number * KNOB_SECONDS, (0xB0, controller, value)))
    return [event for event in sorted(events) if event[0] < seconds]


def review(folder: Path, wav: Path, exit_code: int) -> Report:
    """Check the files that the concert has written."""
    log = newest(folder, "*.jsonl")
    midi = log.with_suffix(".mid")
    performance = read_midi(midi)
    seconds, level, peak = measure(wav)
    replay = subprocess.run(
        [sys.executable, "-m", "midirnn", "replay", str(log)],
        capture_output=True,
        text=True,
        check=False,
    )
    return Report(
        wav=str(wav),
        wav_seconds=seconds,
        level_db=decibels(level),
        peak_db=decibels(peak),
        midi=str(midi),
        midi_seconds=performance.duration,
        performer_notes=notes_of(performance, PERFORMER),
        model_notes=notes_of(performance, MODEL),
        knob_turns=sum(isinstance(record.value, Knobs) for record in read_log(log).records),
        log=str(log),
        exit_code=exit_code,
        replay=(replay.stdout + replay.stderr).strip(),
    )


def newest(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RuntimeError(f"midirnn has left no {pattern} in {folder}")
    return found[-1]


def measure(wav: Path) -> tuple[float, float, float]:
    """Return seconds, root mean square and peak of a recording, with full scale at 1."""
    with wave.open(str(wav), "rb") as file:
        frames, rate = file.getnframes(), file.getframerate()
        samples = np.frombuffer(file.readframes(frames), np.int16) / 32768.0
    if not len(samples):
        return 0.0, 0.0, 0.0
    return frames / rate, float(np.sqrt(np.mean(samples**2))), float(np.abs(samples).max())


def decibels(level: float) -> float:
    return 20 * math.log10(max(level, 1e-6))


def print_report(report: Report) -> None:
    sound = f"{report.level_db:.1f} dB on average, {report.peak_db:.1f} dB at most"
    print(f"{report.wav}: {report.wav_seconds:.1f} s, {sound}")
    notes = f"{report.performer_notes} notes of the performer, {report.model_notes} of the model"
    print(
        f"{report.midi}: {report.midi_seconds:.1f} s, {notes}, {report.knob_turns} turns of a knob"
    )
    print(f"{report.log}: {report.replay}")
    print("all is well" if report.succeeded else "something is wrong")


if __name__ == "__main__":
    sys.exit(main())
