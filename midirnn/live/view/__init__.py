"""What a terminal shows of a session."""
