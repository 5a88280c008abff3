"""Pack an application in each documented way, take its environment away, and run it twice.

``python -m tests.freezing`` does so from a wheel, and with PyInstaller from an editable
installation, too. It has pip fetch PyInstaller, cx_Freeze and shiv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.documents.reading import PACKING, ROOT, blocks, files

APPLICATION = "counter.py"
REMEMBERED = ["run:1 remembered None\n", "run:1 remembered None\nrun:2 remembered None\n"]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "beryl_groups", "migrations")


class Workshop:
    """A folder with a virtual environment in which the package is installed."""

    def __init__(self, folder: Path, *, editable: bool) -> None:
        self._folder = folder
        source = folder / "source"
        copy_sources(source)
        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        self._variables = {**os.environ, "PATH": path}
        self._run(f"pip wheel -q --no-deps -w {folder} {source}", folder)
        if editable:
            self._run(f"pip install -q -e {source} --config-settings editable_mode=strict", folder)
        # From here on what is called beryl_groups is that wheel, and nothing from an index.
        (wheel,) = folder.glob("*.whl")
        constraints = folder / "constraints.txt"
        constraints.write_text(f"beryl_groups @ {wheel.as_uri()}\n", encoding="utf-8")
        if not editable:
            self._variables["PIP_CONSTRAINT"] = str(constraints)
            self._run("pip install -q beryl_groups", folder)
        self._run("pip install -q pyinstaller cx_Freeze shiv", folder)

    def _run(self, line: str, folder: Path) -> None:
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=self._variables,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{line}\n{done.stdout}")

    def pack(self, lines: str, away: Path) -> list[str | Path]:
        """Follow these lines, move what they make, and return the command that starts it."""
        with TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            (folder / APPLICATION).write_text(files(PACKING)[APPLICATION], encoding="utf-8")
            for line in lines.splitlines():
                self._run(line, folder)
            made = folder / "counter.pyz"
            if made.exists():
                shutil.move(made, away)
                # The Python of the system, without what is installed there.
                python = getattr(sys, "_base_executable", sys.executable)
                return [python, "-I", "-S", away / "counter.pyz"]
            (program,) = (folder / "dist").iterdir()
            shutil.move(program, away)
            moved = away / program.name
            return [moved / program.name if moved.is_dir() else moved]


def copy_sources(target: Path) -> None:
    target.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)


def remembers(command: list[str | Path], folder: Path) -> bool:
    """Run it twice, with nothing in its environment, and tell whether it found its groups."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    variables = {**kept, "SHIV_ROOT": str(folder / "shiv")}
    for expected in REMEMBERED:
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        if (done.returncode, done.stdout, done.stderr) != (0, expected, ""):
            print(done.stdout, done.stderr, sep="")
            return False
    return True


def attempt(*, editable: bool) -> int:
    """Pack in each way, and return how many applications do not remember."""
    ways = [block.text.strip() for block in blocks(PACKING) if block.language == "bash"]
    if editable:
        ways = [lines for lines in ways if lines.startswith("pyinstaller ")]
    faults = 0
    with TemporaryDirectory() as name, TemporaryDirectory() as elsewhere:
        workshop = Workshop(Path(name) / "workshop", editable=editable)
        commands = {}
        for number, lines in enumerate(ways):
            away = Path(elsewhere, str(number))
            away.mkdir()
            commands[lines] = (workshop.pack(lines, away), away)
        shutil.rmtree(Path(name) / "workshop")
        for lines, (command, away) in commands.items():
            well = remembers(command, away)
            faults += not well
            source = "an editable installation" if editable else "a wheel"
            print(f"from {source}: {lines}\n    {'well' if well else 'FAULT'}", flush=True)
    return faults


def main() -> int:
    faults = attempt(editable=False) + attempt(editable=True)
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
