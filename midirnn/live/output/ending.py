"""The end: every note that sounds on an output gets its note-off, even if others fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from midirnn.live.base.channel_messages import endings
from midirnn.live.output.ledger import Key, Ledger, ending_of
from midirnn.ports.base import Message, OutputPort


def end_all(
    output: OutputPort,
    ledger: Ledger,
    first: Iterable[Message] = (),
    *,
    on_end: Callable[[Key], None] = lambda key: None,
) -> list[Exception]:
    """End all notes that can be ended; return the errors.

    It sends ``first``, then the note-offs, then pedal up and all notes off on each channel that was
    played on. ``on_end`` is called for each note or pedal that was ended, while the ledger still
    has it. A second call sends only what is left.
    """
    errors: list[Exception] = []
    for message in first:
        _attempt(output, message, errors)
    for key in _sounding_keys(ledger):
        if _attempt(output, ending_of(key), errors):
            on_end(key)
            ledger.forget(key)
    for message in endings(ledger.channels):
        _attempt(output, message, errors)
    if not errors:
        ledger.channels.clear()
    return errors


def _sounding_keys(ledger: Ledger) -> list[Key]:
    """Return the keys that sound on the output, in the order in which they began."""
    begun = dict.fromkeys(note.key for note in ledger.sounding)
    return [key for key in begun if key in ledger.on_output]


def _attempt(output: OutputPort, message: Message, errors: list[Exception]) -> bool:
    """Send the message; return False, and add to the errors, if that fails."""
    try:
        output.send(message)
    except Exception as error:
        errors.append(error)
        return False
    return True
