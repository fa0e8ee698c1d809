"""The command line as a user meets it: help, versions, errors in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from midirnn.__main__ import main as start
from midirnn.cli import main as cli
from midirnn.errors import OptionError
from midirnn.midifile import write_midi
from midirnn.performance import Performance

HEAVY = {"torch", "onnxruntime", "numpy", "pyarrow", "matplotlib", "mido", "rtmidi", "symusic"}


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "midirnn", *argv], capture_output=True, text=True, timeout=60
    )


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def raise_it(tokens: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "run", raise_it)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, line in cli.COMMANDS.items():
        assert re.search(rf"\b{name}\s+{re.escape(line)}", text), name


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_argument_says_what_it_does_and_goes_by_one_name(command: str) -> None:
    arguments = cli.make_app()[command].assemble_argument_collection(parse_docstring=True)
    shown = [argument for argument in arguments if argument.show]
    assert [argument.name for argument in shown if not argument.parameter.help] == []
    # A line break would be printed.
    assert [argument.name for argument in shown if "\n" in (argument.parameter.help or "")] == []
    names = [name for argument in shown for name in argument.names]
    assert [name for name in names if re.match("--(empty-|.*[A-Z])", name)] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_shows_no_default_that_stands_for_none_given(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert not re.search(r'\[default: (\(\)|""|inf|None|)\]', text)


def test_help_shows_other_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["encode", "--help"]) == 0
    assert "[default: 30.0]" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["--version"], ["bad"], ["--bad"]])
def test_neither_help_nor_a_wrong_command_loads_what_only_commands_need(argv: list[str]) -> None:
    script = (
        "import json, sys; from midirnn.cli.main import main; "
        f"main({argv!r}); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
    assert not {f"midirnn.cli.{name}" for name in cli.COMMANDS} & loaded


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the processor time of a child")
def test_help_takes_less_than_half_a_second_of_processor_time() -> None:
    def processor_seconds() -> float:
        before = os.times()
        assert run("--help").returncode == 0
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    # What else the machine does may slow one run down, but hardly all of three.
    assert min(processor_seconds() for _ in range(3)) < 0.5


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("midirnn")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["encod"], "unknown command 'encod'. Did you mean 'encode'? The commands are encode, "),
        (["zzz"], "unknown command 'zzz'. The commands are encode, "),
        (["--nonsense"], "unknown option '--nonsense'. The commands are "),
        (["encode"], "parameter SOURCE requires an argument"),
        (["encode", "x.mid"], "parameter --output requires an argument"),
        (["encode", "x.mid", "-o", "y", "--worker", "2"], "Did you mean --workers?"),
        (["encode", "x.mid", "-o", "y", "--workers", "two"], 'unable to convert "two" into int'),
        (["encode", "x.mid", "-o", "y", "--workers"], "--workers requires an argument"),
        (["plot", "x.mid", "-o", "y.png", "--primer", "abc"], 'unable to convert "abc" into'),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("midirnn: error: ")
    assert message in line


def test_an_error_of_the_library_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, OptionError("no such\nthing \x1b[31m"))
    assert cli.main(["plot"]) == 1
    assert capsys.readouterr().err == "midirnn: error: no such\\nthing \\x1b[31m\n"


@pytest.mark.parametrize(
    ("argv", "error", "message"),
    [
        (["--top-p", "2"], "top_p is 2.0; allowed are 0 to 1", "--top-p is 2.0; allowed are 0 to"),
        (["--seed=-1"], "seed is -1; it must be at least 0", "--seed is -1; it must be at least 0"),
        (["--programs", "200"], "programs has 200; allowed", "--programs has 200; allowed"),
        (
            ["--min-seconds", "5", "--max-seconds", "2"],
            "min_seconds is 5, above max_seconds, which is 2",
            "--min-seconds is 5, above --max-seconds, which is 2",
        ),
        (["--top-p", "1"], "top_k is -1; allowed are 0 to 1", "top_k is -1; allowed are 0 to 1"),
        (["--top-p", "1"], "out/top_p.mid cannot be written", "out/top_p.mid cannot be written"),
    ],
)
def test_a_setting_in_an_error_is_named_as_the_flag_that_was_given(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    error: str,
    message: str,
) -> None:
    fail_with(monkeypatch, OptionError(error))
    assert cli.main(["plot", *argv]) == 1
    assert capsys.readouterr().err.startswith(f"midirnn: error: {message}")


def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, ZeroDivisionError("by zero"))
    assert cli.main(["plot"]) == 1
    line = "midirnn: internal error: ZeroDivisionError: by zero; run again with --traceback\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("argv", [["--traceback", "plot"], ["plot", "--traceback"]])
@pytest.mark.parametrize("error", [OptionError("bad"), ZeroDivisionError("bad")])
def test_traceback_anywhere_shows_where_an_error_came_from(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    error: Exception,
) -> None:
    fail_with(monkeypatch, error)
    assert cli.main(argv) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("midirnn: ")
    assert "run again" not in lines[-1]


def test_traceback_after_two_dashes_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def remember(tokens: list[str]) -> int:
        seen.append(tokens)
        return 0

    monkeypatch.setattr(cli, "run", remember)
    assert cli.main(["plot", "--", "--traceback"]) == 0
    assert seen == [["plot", "--", "--traceback"]]


def test_ctrl_c_is_exit_code_130_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*sources: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("midirnn.plots.plot_curves", interrupt)
    assert cli.main(["plot", os.curdir, "-o", "x.png"]) == 130
    assert capsys.readouterr().err == "midirnn: interrupted\n"


def test_ctrl_c_is_the_ordinary_end_of_live_however_often_it_is_pressed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(tokens: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupt)
    assert cli.main(["live", "--mode", "autopilot"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("command", "code"), [("live", 0), ("generate", 130)])
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(
    command: str, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "midirnn.cli.main", Interrupted("midirnn.cli.main"))
    monkeypatch.setattr(sys, "argv", ["midirnn", command])
    assert start() == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c_while_a_class_is_made_ends_live_with_success(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from midirnn.__main__ import main as start
from midirnn.cli import main as cli
cli.run = lambda tokens: exec("os.kill(os.getpid(), signal.SIGINT)")
sys.argv = ["midirnn", "live"]
sys.exit(start())
"""
    (tmp_path / "interrupted.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_optional_library_that_is_missing_is_named_with_the_way_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ImportError("Cannot import module")
    error.__cause__ = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    fail_with(monkeypatch, error)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == (
        "midirnn: error: midirnn train needs torch, which is not installed. "
        "Install it with: pip install 'midirnn[train]'\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
def test_a_reader_that_goes_away_is_no_error_message() -> None:
    script = """
import sys
from midirnn.__main__ import main as start
from midirnn.cli import main as cli
cli.run = lambda tokens: print("a line") or 0
sys.stdin.read()
sys.exit(cli.main([]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 141


@pytest.mark.parametrize("primer", ["1e9", "-1", "1.01", "nan"])
def test_a_primer_longer_than_the_file_cannot_be_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], primer: str
) -> None:
    write_midi(Performance.from_notes([(0.0, 1.0, 60, 80)]), tmp_path / "a.mid")
    argv = ["plot", str(tmp_path / "a.mid"), "-o", str(tmp_path / "a.png"), "--primer", primer]
    assert cli.main(argv) == 1
    assert "a.mid lasts 1.00 s" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["\u6708\u5149.mid", "caf\udce9.mid"])
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_a_terminal_cannot_show_are_printed_as_escapes(
    tmp_path: Path, name: str, encoding: str
) -> None:
    write_midi(Performance.from_notes([(0.0, 1.0, 60, 80)]), tmp_path / name)
    for argv in (
        ["encode", str(tmp_path / name), "-o", str(tmp_path / "data"), "--workers=1"],
        ["plot", str(tmp_path / name), "-o", str(tmp_path / f"{name}.png")],
        ["plot", str(tmp_path / "no" / name), "-o", str(tmp_path / "x.png")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "midirnn", *argv],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert done.returncode == (1 if "no" in argv[1] else 0)
        assert b"internal error" not in done.stderr
        if "plot" in argv:
            shown = name.encode(encoding, "backslashreplace")
            assert shown in done.stdout + done.stderr
