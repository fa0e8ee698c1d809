"""Both ends of the pipe between a session and its model process."""
