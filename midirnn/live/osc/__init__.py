"""Open Sound Control: other programs play, steer and watch a session by messages over UDP."""
