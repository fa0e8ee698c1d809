"""scripts/install-system-packages, against a package manager that only notes what it is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = ("g++", "fluidsynth", "chromium", "npm", "abc2midi", "pd")
"""What the tests need beside libraries."""

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-system-packages"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a script for Linux")


class Machine:
    """A machine whose packages and user are made up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        for command in ("bash", "env"):
            found = shutil.which(command)
            assert found
            (folder / command).symlink_to(found)
        self.has("uname", "echo Linux")
        self.is_user(0)

    def has(self, command: str, script: str) -> None:
        path = self.folder / command
        path.write_text(f"#!{self.folder}/bash\n{script}\n")
        path.chmod(0o755)

    def is_user(self, number: int) -> None:
        self.has("id", f"echo {number}")

    def has_apt(self, *, installed: str = "", offered: str = "") -> None:
        self.has(
            "dpkg-query", f'case " {installed} " in *" ${{@: -1}} "*) echo -n installed;; esac'
        )
        self.has("apt-cache", f'case " {offered} " in *" ${{@: -1}} "*) echo Package: it;; esac')
        self.has("apt-get", f'echo "${{DEBIAN_FRONTEND:-}} apt-get $*" >> {self.log}')

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "bash"), str(SCRIPT), *options],
            env={"PATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=20,
        )

    @property
    def installs(self) -> list[str]:
        """The packages of every ``apt-get install``; each was told to ask nothing."""
        calls = [line for line in self.log.read_text().splitlines() if " install " in line]
        assert all(call.startswith("noninteractive apt-get install --yes") for call in calls)
        assert all("--no-install-recommends" in call for call in calls)
        return [call.split("--no-install-recommends ")[1] for call in calls]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("options", "installed", "offered", "installs"),
    [
        ((), "", "libasound2", ["libasound2"]),
        ((), "", "libasound2 libasound2t64", ["libasound2t64"]),
        (("--tests",), "", "libasound2t64", ["libasound2t64 jackd2"]),
        (("--tests",), "libasound2t64", "libasound2t64", ["jackd2"]),
        (("--tests",), "jackd2", "libasound2", ["libasound2"]),
        ((), "libasound2", "libasound2", []),
        ((), "libasound2t64", "libasound2t64", []),
        (("--tests",), "libasound2 jackd2", "libasound2", []),
    ],
)
def test_only_what_is_missing_is_installed(
    machine: Machine,
    options: tuple[str, ...],
    installed: str,
    offered: str,
    installs: list[str],
) -> None:
    machine.has_apt(installed=installed, offered=offered)
    for program in PROGRAMS:
        machine.has(program, "exit 0")
    assert machine.run(*options).returncode == 0
    assert machine.installs == installs


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("fluidsynth chromium npm abc2midi pd", "g++"),
        ("g++ chromium npm abc2midi pd", "fluidsynth"),
        ("clang++ chromium npm abc2midi pd", "fluidsynth"),
        ("g++ fluidsynth npm abc2midi pd", "chromium"),
        ("g++ fluidsynth chromium abc2midi pd", "npm"),
        ("g++ fluidsynth chromium npm pd", "abcmidi"),
        ("g++ fluidsynth chromium npm abc2midi", "puredata-core"),
    ],
)
def test_programs_are_installed_for_the_tests_where_there_are_none(
    machine: Machine, there: str, missing: str
) -> None:
    machine.has_apt(installed="libasound2 jackd2")
    for program in there.split():
        machine.has(program, "exit 0")
    assert machine.run().returncode == machine.run("--tests").returncode == 0
    assert machine.installs == [missing]


def test_a_user_installs_with_sudo(machine: Machine) -> None:
    machine.has_apt(offered="libasound2")
    machine.is_user(1000)
    machine.has("sudo", f'echo sudo >> {machine.log}; exec "$@"')
    assert machine.run().returncode == 0
    assert machine.installs == ["libasound2"]
    assert machine.log.read_text().count("sudo") == 2


def test_a_user_without_sudo_is_told_what_to_run(machine: Machine) -> None:
    machine.has_apt(offered="libasound2")
    machine.is_user(1000)
    ended = machine.run()
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "Run as root: apt-get update" in ended.stderr


@pytest.mark.parametrize(
    ("system", "says"), [("Linux", "libasound.so.2"), ("Darwin", "nothing to install")]
)
def test_a_system_without_apt_says_in_one_line_what_to_install(
    machine: Machine, system: str, says: str
) -> None:
    machine.has("uname", f"echo {system}")
    ended = machine.run("--tests")
    assert ended.returncode == 0
    assert says in ended.stdout
    assert ended.stdout.count("\n") == 1


def test_an_unknown_option_is_refused(machine: Machine) -> None:
    ended = machine.run("--test")
    assert ended.returncode == 2
    assert "unknown option '--test'" in ended.stderr
