"""What the performer plays: MIDI messages as steps and gestures, and feedback of our own."""
