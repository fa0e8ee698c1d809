"""Scenes: the presets of a set list, and writing them once the model has sent their state."""

from __future__ import annotations

from dataclasses import replace

from midirnn.live.base.messages import Fetch, Fetched, Provide, Request
from midirnn.live.controls.knobs import MOST_PRESETS
from midirnn.live.controls.presets import preset_name
from midirnn.live.controls.set_list import Scene, SetList, Tell

NO_SET_LIST = "presets have names only in a set list: give one with --set-list"


class Scenes:
    """The presets of a session's set list, if any. Owns those that wait for the model's state."""

    def __init__(self, set_list: SetList | None = None, tell: Tell = lambda text: None) -> None:
        self._list = set_list
        self._tell = tell
        self._waiting: dict[str, tuple[int, Scene]] = {}

    @property
    def has_list(self) -> bool:
        """True if presets are kept in a set list."""
        return self._list is not None

    @property
    def names(self) -> dict[int, str]:
        """The names of the presets in the set list."""
        stored = {} if self._list is None else self._list.scenes
        return {n: s.name for n, s in (*stored.items(), *list(self._waiting.values()))}

    def number(self, preset: int | str, *, new: bool = False) -> int | None:
        """Return the number of a preset, given by number or name; None if there is none.

        Case does not matter. With ``new`` an unknown name gets the first free number.
        """
        if isinstance(preset, int) or self._list is None:
            return preset if isinstance(preset, int) else None
        for number, name in sorted(self.names.items()):
            if name.casefold() == preset.strip().casefold():
                return number
        free = (number for number in range(1, MOST_PRESETS + 1) if number not in self.names)
        return next(free, None) if new else None

    def unknown(self, preset: int | str) -> str:
        """Return the message for a preset that :meth:`number` has not found."""
        if self._list is None:
            return NO_SET_LIST
        known = ", ".join(name for _, name in sorted(self.names.items()))
        return f"the set list has no preset {preset!r}; it has {known or 'none'}"

    def words(self, number: int) -> str:
        """Return a preset's number and name."""
        name = self.names.get(number, f"preset {number}")
        return name if name == f"preset {number}" else f"preset {number}, {name!r},"

    def provided(self) -> list[Request]:
        """Return the first requests, which give the model the states of the set list."""
        scenes = {} if self._list is None else self._list.scenes
        return [Provide(preset_name(number), scene.state) for number, scene in scenes.items()]

    def of(self, preset: int) -> Scene | None:
        """Return a preset of the set list; None if there is none."""
        return None if self._list is None else self._list.scenes.get(preset)

    def store(self, number: int, scene: Scene) -> list[Request]:
        """Return the requests that add a stored preset to the set list.

        A preset that is stored again keeps its name. A new one stored by number is named after it.
        """
        if self._list is None:
            return []
        before = self._list.scenes.get(number)
        if before is not None or scene.name == str(number):
            scene = replace(scene, name=before.name if before else preset_name(number))
        self._waiting[preset_name(number)] = number, scene
        return [Fetch(preset_name(number))]

    def fetched(self, reply: Fetched) -> None:
        """Take a state that was requested, and write the set list."""
        if self._list is not None and reply.name in self._waiting:
            number, scene = self._waiting.pop(reply.name)
            self._list.put(number, replace(scene, state=reply.state), self._tell)
