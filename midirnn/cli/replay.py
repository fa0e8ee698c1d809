"""``midirnn replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.targets import check_file
from midirnn.wording import counted

if TYPE_CHECKING:
    from midirnn.live.recording.event_log import SessionLog

EXIT_DIFFERENT = 1


def replay(
    log: Annotated[
        Path, Parameter(help="The event log (.jsonl file) that midirnn live --record wrote.")
    ],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="Write performer and model to this MIDI file."),
    ] = None,
    model: Annotated[
        str | None, Parameter(help="The model's folder, if it has moved since. [as in the log]")
    ] = None,
    check: Annotated[bool, Parameter(help="Run the model again and compare each note.")] = True,
) -> int:
    """Replay a recorded session without hardware, and compare it note for note.

    LOG is the event log that `midirnn live --record` wrote; it may be incomplete. The exit code is
    0 if the same requests give the same notes, else 1, and the first difference is printed.
    """
    from midirnn.live.output.ledger import MODEL, PERFORMER
    from midirnn.live.recording.event_log import read_log
    from midirnn.live.recording.midi import notes_of
    from midirnn.midifile import SUFFIXES, write_midi

    if output is not None:
        check_file(output, SUFFIXES)
    session = read_log(log)
    if session.cut_off:
        print("the log was cut off in its last line")
    if output is not None:
        performance = session.recording().performance()
        write_midi(performance, output)
        played = ", ".join(f"{who} {notes_of(performance, who)}" for who in (PERFORMER, MODEL))
        print(f"{output}: {performance.duration:.1f} s; notes: {played}")
    return _compare(session, model) if check else 0


def check_network(session: SessionLog) -> None:
    """Raise a :class:`MidirnnError` if the network of an ensemble is not the one of the log."""
    from midirnn.engines.adapters import hash_of
    from midirnn.engines.load import find_model
    from midirnn.errors import RecordingError
    from midirnn.live.base.messages import Begin

    logged = session.header.get("network_sha256")
    begun = [record.value for record in session.records if isinstance(record.value, Begin)]
    for network in sorted({begin.network for begin in begun if begin.source == "ensemble"}):
        if logged is not None and hash_of(find_model(network)) != logged:
            raise RecordingError(
                f"the weights of the network {network!r} are not those that the log was made with "
                f"(SHA-256 {logged[:12]}…)"
            )


def _compare(session: SessionLog, model: str | None) -> int:
    """Compare, print the result, and return the exit code."""
    from dataclasses import replace as changed

    from midirnn.engines.adapters import hash_of
    from midirnn.engines.load import find_model
    from midirnn.errors import RecordingError
    from midirnn.live.base.messages import ModelSettings
    from midirnn.live.recording.replay import Answer, serve
    from midirnn.live.recording.replay import replay as play_again

    name = model or session.settings.model
    if hash_of(find_model(name)) != session.header["weights_sha256"]:
        raise RecordingError(
            f"the weights of {name!r} are not those that the log was made with "
            f"(SHA-256 {session.header['weights_sha256'][:12]}…). Give their folder with --model"
        )

    check_network(session)

    def make(settings: ModelSettings) -> Answer:
        return serve(changed(settings, model=name))

    result = play_again(session, make)
    if result.difference is not None:
        print(f"different {result.difference}")
        return EXIT_DIFFERENT
    requests = counted(result.requests, "request", "requests")
    events = counted(result.events, "event", "events")
    moved = result.notes_sent - result.notes_as_planned
    print(
        f"identical: {requests} gave the same {events} again; of "
        f"{counted(result.notes_sent, 'note', 'notes')} sent, {result.notes_as_planned} as planned"
        + (f", {moved} at the tempo or balance that was set" if moved else "")
    )
    return 0
