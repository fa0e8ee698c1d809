"""Musical time: tempo of MIDI clock and Ableton Link, stretching, and answers on the beat."""
