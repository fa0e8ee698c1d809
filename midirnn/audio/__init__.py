"""Sound: a synthesizer that plays in this process, and sound files of performances.

``synthesizer`` is FluidSynth as an output port, ``rendering`` makes files of what it plays. Needs
the extra ``audio``.
"""
