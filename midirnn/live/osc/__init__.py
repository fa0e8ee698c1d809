"""Open Sound Control: other programs play, control and watch a session by messages over UDP."""
