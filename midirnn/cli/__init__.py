"""The command line: a thin shell over the library, one file a command."""

UNTIL_CTRL_C = ("live", "jam")
"""The commands that play until Ctrl-C, which is therefore no failure of them, however often."""
