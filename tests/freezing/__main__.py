"""Pack an application in each way, take its environment away, and run it twice.

``python -m tests.freezing`` does so from a wheel and from an editable installation. It needs pip
to reach an index of packages, for PyInstaller and shiv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "beryl_groups", "migrations")
REMEMBERED = ["run:1 remembered None\n", "run:1 remembered None\nrun:2 remembered None\n"]


class Workshop:
    """A folder with a virtual environment in which the package is installed."""

    def __init__(self, folder: Path, *, editable: bool) -> None:
        self.folder = folder
        self.source = folder / "source"
        self._copy_sources()
        self.programs = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
        run(sys.executable, "-m", "venv", folder / "environment")
        self.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, self.source)
        (self.wheel,) = folder.glob("*.whl")
        package = (
            ["-e", self.source, "--config-settings", "editable_mode=strict"]
            if editable
            else [self.wheel]
        )
        self.run("python", "-m", "pip", "install", "-q", *package, "pyinstaller", "shiv")

    def _copy_sources(self) -> None:
        self.source.mkdir()
        for name in SOURCES:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, self.source / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, self.source)
        shutil.copy(ROOT / "tests" / "freezing" / "app.py", self.folder)

    def run(self, program: str, *arguments: str | Path) -> None:
        run(self.programs / program, *arguments, cwd=self.folder)

    def freeze(self, kind: str) -> None:
        self.run("pyinstaller", "--log-level", "ERROR", "--noconfirm", kind, "app.py")

    def make_shiv(self, target: Path) -> None:
        (self.folder / "shiv").mkdir()
        shutil.copy(self.folder / "app.py", self.folder / "shiv")
        self.run(
            "shiv", "-q", "--site-packages", "shiv", "-e", "app:main", "-o", target, self.wheel
        )

    def make_zipapp(self, target: Path) -> None:
        self.run("python", "-m", "pip", "install", "-q", "--target", "zipapp", self.wheel)
        shutil.copy(self.folder / "app.py", self.folder / "zipapp" / "__main__.py")
        self.run("python", "-m", "zipapp", "zipapp", "-o", target)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([*map(str, command)], cwd=cwd, check=True)


def remembers(command: list[str | Path], folder: Path) -> bool:
    """Run it twice, with nothing in its environment, and tell whether it found its groups."""
    environment = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    environment["SHIV_ROOT"] = str(folder / "unpacked")
    for expected in REMEMBERED:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if (done.returncode, done.stdout, done.stderr) != (0, expected, ""):
            print(done.stdout, done.stderr, sep="")
            return False
    return True


def pack(workshop: Workshop, away: Path, *, editable: bool) -> dict[str, list[str | Path]]:
    """Make the applications, each in an empty folder, and return the commands that start them."""
    # The Python of the system, without what is installed there.
    python = (Path(getattr(sys, "_base_executable", sys.executable)), "-I", "-S")
    commands: dict[str, list[str | Path]] = {}
    for kind in ("--onedir", "--onefile"):
        workshop.freeze(kind)
        shutil.move(workshop.folder / "dist", away / kind)
        inside = "app/app" if kind == "--onedir" else "app"
        commands[f"pyinstaller {kind}"] = [away / kind / inside]
    if not editable:
        for name, make in (("shiv", workshop.make_shiv), ("zipapp", workshop.make_zipapp)):
            (away / name).mkdir()
            make(away / name / "app.pyz")
            commands[name] = [*python, away / name / "app.pyz"]
    return commands


def main() -> int:
    faults = 0
    for editable in (False, True):
        with TemporaryDirectory() as name, TemporaryDirectory() as elsewhere:
            away = Path(elsewhere)
            commands = pack(Workshop(Path(name), editable=editable), away, editable=editable)
            shutil.rmtree(name)  # neither the environment nor the sources are there any more
            Path(name).mkdir()
            for kind, command in commands.items():
                found = remembers(command, Path(command[-1]).parent)
                faults += not found
                source = "an editable installation" if editable else "a wheel"
                print(f"{kind} from {source}: {'well' if found else 'FAULT'}", flush=True)
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
