"""``midirnn jam``: a session shown and played in a browser.

The session runs in the process of the command, the server in one of its own, so that a browser that
is slow or gone does not hold up the session. They exchange lines of JSON
(:mod:`midirnn.web.protocol`). In order of import: ``protocol``, ``feed``, ``performers``,
``takes``, ``server_process`` and ``jam`` belong to the session's process; ``guard``, ``pages``,
``server`` and ``child`` to the server's. The folder ``page`` holds the files that the browser
loads.
"""
