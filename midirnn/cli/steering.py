"""The flags of ``midirnn generate`` for the model's controls: density, loudness, key, style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from midirnn.codecs.controls import Controls

GROUP = "Controls"


@dataclass(frozen=True)
class ControlFlags:
    """The model's controls."""

    notes_per_second: Annotated[
        float | None, Parameter(group=GROUP, help="Notes per second. [up to the model]")
    ] = None
    loudness: Annotated[
        float | None, Parameter(group=GROUP, help="Mean velocity, 0 to 127. [up to the model]")
    ] = None
    pitch_classes: Annotated[
        str | None,
        Parameter(
            group=GROUP, help="Pitch classes, 'C E G', or a key, 'F# minor'. [up to the model]"
        ),
    ] = None
    follow: Annotated[
        float,
        Parameter(
            group=GROUP,
            help="How closely to keep to the primer's style, 0 to 1: its density, loudness, "
            "register, rhythm and so on, where no other control says otherwise.",
        ),
    ] = 1.0
    follow_seconds: Annotated[
        float | None,
        Parameter(
            group=GROUP,
            help="Gradually let go of the primer's style over this many seconds. [never]",
        ),
    ] = None

    def controls(self) -> Controls | None:
        """Return the controls that are set; None if there are none."""
        from midirnn.codecs.controls import Controls, parse_pitch_classes

        classes = self.pitch_classes
        given = Controls(
            self.notes_per_second,
            self.loudness,
            None if classes is None else parse_pitch_classes(classes),
        )
        return None if given == Controls() else given
