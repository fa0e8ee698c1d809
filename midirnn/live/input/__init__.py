"""Input from the performer: MIDI messages as steps and gestures, and feedback detection."""
