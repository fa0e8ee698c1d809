"""MusicXML for tests."""

from __future__ import annotations

from collections.abc import Sequence

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<score-partwise version="3.1"><part-list>'

ATTRIBUTES = (
    "<attributes><divisions>2</divisions><time><beats>3</beats><beat-type>4</beat-type></time>"
    "</attributes>"
)

PICKUP = f"""<measure number="0" implicit="yes">{ATTRIBUTES}
<direction><sound tempo="90"/></direction>
<direction><direction-type><dynamics><p/></dynamics></direction-type></direction>
<note><pitch><step>G</step><octave>4</octave></pitch><duration>2</duration><voice>1</voice></note>
</measure>"""

REPEATED = """<measure number="1"><barline location="left"><repeat direction="forward"/></barline>
<direction><direction-type><dynamics><f/></dynamics></direction-type></direction>
<note><grace slash="yes"/><pitch><step>D</step><octave>5</octave></pitch><voice>1</voice></note>
<note><pitch><step>C</step><octave>5</octave></pitch><duration>4</duration><voice>1</voice></note>
<note><chord/><pitch><step>E</step><octave>4</octave></pitch><duration>4</duration>
<voice>1</voice></note>
<note><pitch><step>E</step><octave>5</octave></pitch><duration>2</duration><tie type="start"/>
<voice>1</voice></note></measure>
<measure number="2"><note><pitch><step>E</step><octave>5</octave></pitch><duration>2</duration>
<tie type="stop"/><voice>1</voice></note><note><rest/><duration>4</duration><voice>1</voice></note>
<barline location="right"><repeat direction="backward"/></barline></measure>"""

NOTE = (
    f'<measure number="1">{ATTRIBUTES}<note><pitch><step>A</step><octave>4</octave></pitch>'
    "<duration>6</duration><voice>1</voice></note></measure>"
)

RESTS = (
    f'<measure number="1">{ATTRIBUTES}<note><rest/><duration>6</duration><voice>1</voice></note>'
    "</measure>"
)


def musicxml(*parts: str) -> str:
    """Return a file with these parts, each the text of its measures."""
    listed = "".join(
        f'<score-part id="P{i}"><part-name>Part {i}</part-name></score-part>'
        for i in range(len(parts))
    )
    music = "".join(f'<part id="P{i}">{measures}</part>' for i, measures in enumerate(parts))
    return f"{HEAD}{listed}</part-list>{music}</score-partwise>"


def waltz(parts: Sequence[str] = (PICKUP + REPEATED,)) -> str:
    """Return a pickup, then two bars that are repeated, with a grace note and a tie."""
    return musicxml(*parts)


def bars(*contents: str) -> str:
    """Return a part of bars in 3/4, each of which has these contents."""
    measures = (
        f'<measure number="{number}">{ATTRIBUTES if number == 1 else ""}{content}</measure>'
        for number, content in enumerate(contents, start=1)
    )
    return "".join(measures)


def quarter(*signs: str, step: str = "A") -> str:
    """Return a quarter note with these articulations."""
    marks = "".join(f"<{sign}/>" for sign in signs)
    notations = f"<notations><articulations>{marks}</articulations></notations>" if signs else ""
    pitch = f"<pitch><step>{step}</step><octave>4</octave></pitch>"
    return f"<note>{pitch}<duration>2</duration><voice>1</voice>{notations}</note>"


def dynamics(name: str) -> str:
    """Return dynamics: p, mf, sf and so on."""
    return f"<direction><direction-type><dynamics><{name}/></dynamics></direction-type></direction>"


def wedge(kind: str) -> str:
    """Return where a wedge begins (crescendo, diminuendo) or ends (stop)."""
    return f'<direction><direction-type><wedge type="{kind}"/></direction-type></direction>'
