"""The command line: a thin shell over the library, one file per command."""

UNTIL_CTRL_C = ("live", "jam")
"""The commands that play until Ctrl-C, which is therefore not a failure, however often pressed."""
