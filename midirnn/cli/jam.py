"""``midirnn jam``."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from midirnn.cli.flags import flag, with_flags
from midirnn.cli.live import CONFIG, MODE_HELP, QUIET
from midirnn.live.base.options import live_config, live_options, read_options, renamed

PAGE = "Page"

PORT = flag(
    "port",
    int | None,
    None,
    group=PAGE,
    help="Port of the page on this machine. 0 takes any free port. [8642 if it is free]",
)
OPEN = flag(
    "open_page",
    bool,
    True,
    name="--open",
    negative="--no-open",
    group=PAGE,
    show_default=False,
    help="Open the page in the browser. [yes]",
)
SHARED = flag(
    "shared",
    bool,
    False,
    negative="",
    group=PAGE,
    show_default=False,
    help="Let all open pages play. [one plays, the others watch]",
)


@with_flags(live_options().values(), CONFIG, QUIET, PORT, OPEN, SHARED, help_of={"mode": MODE_HELP})
def jam(**given: Any) -> None:
    """Play with the model in the browser: keys, sound, and what it is about to play.

    The page is served on this machine only, at an address with a token. The options are those of
    `midirnn live`, except --learn; without --input and --output no MIDI port is needed. Ctrl-C ends
    it.
    """
    from midirnn.cli.status import Status
    from midirnn.errors import MissingExtraError, OptionError
    from midirnn.live.equipment import make_python_punctual
    from midirnn.live.signals import EndSignals
    from midirnn.web.jam import Jam

    file: Path | None = given.pop("config", None)
    port, shared = given.pop("port", None), given.pop("shared", False)
    opens, status = given.pop("open_page", True), Status(given.pop("quiet", False))
    if port is not None and not 0 <= port <= 65535:
        raise OptionError(f"the port is {port}; allowed are 0 to 65535")
    for library in ("starlette", "uvicorn", "websockets"):
        if find_spec(library) is None:
            raise MissingExtraError(library, "web", "midirnn jam")
    options = renamed(read_options(file) if file else {}, status.tell)
    config = live_config(options | renamed(given, status.tell))
    with EndSignals() as signals, Jam(config, status, port=port, shared=shared) as session:
        print(f"page: {session.url}", flush=True)
        if opens:
            webbrowser.open(session.url)
        make_python_punctual()
        session.run(signals)
    status.end()
