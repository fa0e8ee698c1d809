"""Event logs of sessions, their MIDI files, and replaying them note for note."""
