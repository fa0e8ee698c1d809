"""What every part of a session uses: messages to the model, configuration, clock, stances."""
