"""``midirnn jam``: a session shown and played in a browser.

The session runs in the process of the command, the server in one of its own: a browser that is slow
or gone holds nobody up. Both ends speak lines of JSON (:mod:`midirnn.web.protocol`). In order of
import: ``protocol``, ``feed``, ``performers``, ``takes``, ``server_process`` and ``jam`` belong to
the session's process; ``guard``, ``pages``, ``server`` and ``child`` to the server's. The folder
``page`` holds what the browser is given.
"""
