"""Set lists: presets in a file, each with the model's state, the knobs, the mode and the style.

Without a set list, a preset holds only the model's state, and lasts as long as the session.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs.style import TRAITS, Style
from midirnn.engines.adapters import hash_of
from midirnn.engines.load import Model
from midirnn.engines.state import EngineState, StateLayout
from midirnn.engines.state_text import state_from_text
from midirnn.errors import MidirnnError, OptionError
from midirnn.files import reason_of, write_file
from midirnn.live.controls.knobs import KNOBS, MOST_PRESETS, Scale, Value, find_knob

FORMAT = 1
"""The format version, raised when older readers would misunderstand a set list."""

MOST_BYTES = 64 * 2**20

KEPT_KNOBS = tuple(
    name
    for name, knob in KNOBS.items()
    if knob.scale is not Scale.SWITCH and name not in ("mode", "crossfade")
)
"""The knobs whose values belong to a preset of a set list."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scene:
    """A preset of a set list. ``state`` is the model's, as text; ``style`` the followed style."""

    name: str
    mode: str
    knobs: Mapping[str, Value] = field(default_factory=dict)
    style: Style | None = None
    state: str = ""


@dataclass(frozen=True)
class Origin:
    """The model that states belong to: its name, codec, cell with sizes, and hash of weights."""

    model: str
    codec: str
    cell: str
    weights_sha256: str

    @classmethod
    def of(cls, model: Model) -> Origin:
        """Return the origin of a model's states."""
        layout = str(StateLayout.of(model.config))
        return cls(model.name, model.codec.name, layout, hash_of(model.folder))

    def refuse_other(self, other: Origin) -> None:
        """Raise :class:`OptionError` if the other model's states do not fit this one."""
        for what, stored, here in (
            ("codec", other.codec, self.codec),
            ("cell", other.cell, self.cell),
            ("weights", other.weights_sha256[:12], self.weights_sha256[:12]),
        ):
            if stored != here:
                raise OptionError(
                    f"it was stored with the model {other.model!r} ({what} {stored}); this session "
                    f"plays {self.model!r} ({what} {here}). Play it with --model {other.model}, or "
                    "give another --set-list"
                )


class SetList:
    """The presets of a file. Owns them, and the threads that write them.

    A missing file is created when the first preset is stored.
    """

    def __init__(self, path: Path, origin: Origin, scenes: Mapping[int, Scene]) -> None:
        self.path = path
        self.origin = origin
        self.scenes = dict(scenes)
        self._threads: list[threading.Thread] = []
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path, model: Model) -> SetList:
        """Read a set list, or begin a new one if there is no file.

        Raises :class:`OptionError` if it cannot be read, is invalid, or is of another model.
        """
        origin = Origin.of(model)
        try:
            if path.exists() and path.stat().st_size > MOST_BYTES:
                raise OptionError("it is larger than 64 MiB, and no set list")
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            scenes = _read(text, origin, model.engine("numpy").snapshot()) if text else {}
        except (OSError, UnicodeError) as error:
            raise OptionError(f"cannot read the set list {path}: {reason_of(error)}") from None
        except MidirnnError as error:
            raise OptionError(f"the set list {path} is refused: {error}") from None
        return cls(path, origin, scenes)

    def about(self) -> str:
        """Return a one-line description."""
        names = ", ".join(f"{number} {scene.name}" for number, scene in sorted(self.scenes.items()))
        return f"set list: {self.path}, {names or 'new'}"

    def put(self, number: int, scene: Scene, tell: Tell) -> None:
        """Add or replace a preset, and write the file in the background."""
        self.scenes = {**self.scenes, number: scene}
        thread = threading.Thread(target=self._write, args=(tell,), name="midirnn set list")
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        thread.start()

    def _write(self, tell: Tell) -> None:
        with self._writing:
            try:
                write_file(self.path, self.to_json())
            except OSError as error:
                tell(f"cannot write the set list {self.path}: {reason_of(error)}")

    def close(self) -> None:
        """Wait until everything is written."""
        for thread in self._threads:
            thread.join()

    def to_json(self) -> str:
        """Return the set list as the text of its file."""
        scenes = {
            str(number): {
                "name": scene.name,
                "mode": scene.mode,
                "knobs": dict(scene.knobs),
                "style": None if scene.style is None else dict(scene.style.values),
                "state": scene.state,
            }
            for number, scene in sorted(self.scenes.items())
        }
        whole = {"set_list": "midirnn", "format": FORMAT, **asdict(self.origin), "presets": scenes}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _read(text: str, origin: Origin, like: EngineState) -> dict[int, Scene]:
    """Return the presets in a file's text; raise OptionError if one does not fit."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise OptionError("it is not JSON") from None
    if not isinstance(whole, dict) or whole.get("set_list") != "midirnn":
        raise OptionError("it is no set list of midirnn")
    if whole.get("format") != FORMAT:
        raise OptionError(f"it has format {whole.get('format')!r}; this midirnn reads {FORMAT}")
    parts = [whole.get(name) for name in ("model", "codec", "cell", "weights_sha256")]
    origin.refuse_other(Origin(*(str(part) for part in parts)))
    presets = whole.get("presets")
    if not isinstance(presets, dict):
        raise OptionError("it has no presets")
    scenes = {}
    for number, plain in presets.items():
        try:
            at = _number(number)
            scenes[at] = _scene(plain, like)
        except OptionError as error:
            raise OptionError(f"preset {number}: {error}") from None
    return scenes


def _number(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 1 <= (number := int(text)) <= MOST_PRESETS:
            return number
    raise OptionError(f"allowed are 1 to {MOST_PRESETS}")


def _scene(plain: Any, like: EngineState) -> Scene:
    """Return a validated preset; raise OptionError if it is invalid."""
    if not isinstance(plain, dict):
        raise OptionError(f"it is {plain!r}, not a table")
    knobs, name, state = (plain.get(key) for key in ("knobs", "name", "state"))
    if not isinstance(knobs, dict) or not isinstance(name, str) or not isinstance(state, str):
        raise OptionError("it needs a name, knobs and a state")
    for knob in knobs:
        if knob not in KEPT_KNOBS:
            raise OptionError(f"{knob!r} is no knob of a preset; those are {', '.join(KEPT_KNOBS)}")
    checked = {knob: find_knob(knob).check(value) for knob, value in knobs.items()}
    state_from_text(state, like)
    mode = find_knob("mode").check(plain.get("mode"))
    return Scene(name, str(mode), checked, _style(plain.get("style")), state)


def _style(plain: Any) -> Style | None:
    if plain is None:
        return None
    if not isinstance(plain, dict):
        raise OptionError(f"the style is {plain!r}, not a table")
    bins = {trait.name: trait.bins for trait in TRAITS}
    values: dict[str, float | tuple[float, ...]] = {}
    for name, value in plain.items():
        if name not in bins:
            raise OptionError(f"the style has {name!r}; known are {', '.join(bins)}")
        try:
            numbers = np.array(value, np.float64)
        except (ValueError, TypeError):
            raise OptionError(f"the style's {name} is {value!r}, not a number") from None
        if numbers.shape != ((bins[name],) if bins[name] else ()) or not np.isfinite(numbers).all():
            raise OptionError(f"the style's {name} is {value!r}")
        values[name] = tuple(numbers.tolist()) if bins[name] else float(numbers)
    return Style(values)
