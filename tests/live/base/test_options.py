"""Options: declared once, given as flags, in a file, or in Python; mistakes are one line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from midirnn.cli import main as cli
from midirnn.errors import OptionError
from midirnn.live import LiveConfig
from midirnn.live.base.options import live_config, live_options, read_options, renamed
from midirnn.sampling import SamplingConfig

FILE = """# my stage
mode = "duet"
silence-seconds = 2      # a whole number will do
input_channels = [1, 3]
thru = true
record = "takes"
temperature = 0.8
top_p = 1.0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "stage.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_gives_what_python_does(tmp_path: Path) -> None:
    assert live_config(read_options(written(tmp_path, FILE))) == LiveConfig(
        mode="duet",
        silence_seconds=2.0,
        input_channels=(1, 3),
        thru=True,
        record=Path("takes"),
        sampling=SamplingConfig(temperature=0.8, top_p=1.0),
    )
    assert live_config({}) == LiveConfig()


def test_every_field_is_an_option_with_help_and_a_flag() -> None:
    parts = {each.name for each in fields(SamplingConfig)}
    own = {each.name for each in fields(LiveConfig)} - {"sampling"}
    assert set(live_options()) == own | parts
    assert all(option.help for option in live_options().values())
    arguments = cli.make_app()["live"].assemble_argument_collection()
    flags = {argument.name for argument in arguments}
    assert {"--" + name.replace("_", "-") for name in live_options()} <= flags


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("silence_second = 1", "line 2: unknown option 'silence_second'. Did you mean 'silence_se"),
        ('tempreture = "hot"', "line 2: unknown option 'tempreture'. Did you mean 'temperature'?"),
        ("[sampling]", "line 2: [sampling] is a table; options stand at the top of the file"),
        ("channel = 17", "line 2: channel is 17; allowed are 1 to 16"),
        ("channel = 1.5", "line 2: channel is 1.5; it must be a whole number"),
        ("channel = true", "line 2: channel is True; it must be a whole number"),
        ('thru = "yes"', "line 2: thru is 'yes'; it must be true or false"),
        ("record = 7", "line 2: record is 7; it must be a path in quotes"),
        ("mode = 1", "line 2: mode is 1; it must be text in quotes"),
        ("input_channels = 1", "line 2: input_channels is 1; it must be a list of whole numbers"),
        ("input_channels = [1, 40]", "line 2: input_channels is 40; allowed are 1 to 16"),
        ('clock = "me"', "line 2: clock is 'me'; allowed are nothing, midi, link"),
        ('follow = "me"', "line 2: follow is 'me'; it must be a number"),
        ("follow = 2", "line 2: follow is 2; allowed are 0 to 1"),
        ("temperature = 11", "line 2: temperature is 11.0; allowed are 0 to 10"),
        ('silence_seconds = "1"', "line 2: silence_seconds is '1'; it must be a number"),
        ("silence_seconds = nan", "line 2: silence_seconds is nan; allowed are 0.05 to 60"),
        ("silence_seconds", "stage.toml is not TOML: "),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    path = written(tmp_path, f'model = "nowhere"\n{line}\n')
    assert cli.main(["live", "--config", str(path)]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read the configuration .*none\.toml: No such"):
        read_options(tmp_path / "none.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'mode = "\xe9"\n')
    with pytest.raises(OptionError, match="not text in UTF-8"):
        read_options(path)


def test_options_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(OptionError, match="choose one of them"):
        LiveConfig(clock="midi", clock_out_bpm=100.0)


@pytest.mark.parametrize("name", ["midi", "link"])
def test_follow_with_the_name_of_a_clock_is_still_the_clock(tmp_path: Path, name: str) -> None:
    told: list[str] = []
    path = written(tmp_path, f'follow = "{name}"\nchannel = 2\n')
    options = renamed(read_options(path), told.append)
    assert options == {"clock": name, "channel": 2}
    assert told == [
        f"--follow {name} is now --clock {name} (--follow is how closely to keep to your style)"
    ]
    assert renamed({"follow": 0.5}, told.append) == {"follow": 0.5}
    assert len(told) == 1
    with pytest.deprecated_call(match="is now called clock"):
        assert LiveConfig(follow=name) == LiveConfig(clock=name)  # type: ignore[arg-type]


def test_with_audio_ones_own_keys_are_heard_unless_that_is_switched_off() -> None:
    assert not LiveConfig().passes_on
    assert LiveConfig(thru=True).passes_on
    assert LiveConfig(audio=True).passes_on
    assert not LiveConfig(audio=True, thru=False).passes_on
