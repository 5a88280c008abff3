"""What PyInstaller and zip files need of the package; ``tests.freezing`` packs for real."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from tests.documents.reading import PACKING, ROOT, files
from tests.freezing.__main__ import APPLICATION, REMEMBERED
from tests.processes import PATIENCE


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the package as a wheel lays it out."""
    without = shutil.ignore_patterns("__pycache__")
    package = tmp_path / "site" / "beryl_groups"
    shutil.copytree(ROOT / "beryl_groups", package, ignore=without)
    shutil.copytree(ROOT / "migrations", package / "migrations", ignore=without)
    return tmp_path / "site"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a Python with these arguments, and return what it printed, which is all it said."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


RUN_THE_HOOK = """
import json
import runpy
from importlib.metadata import entry_points

(found,) = (
    each
    for each in entry_points(group="pyinstaller40", name="hook-dirs")
    if each.module.startswith("beryl_groups.")
)
(folder,) = found.load()()
hook = runpy.run_path(f"{folder}/hook-beryl_groups.py")
print(json.dumps([hook["datas"], hook["hiddenimports"]]))
"""


def test_the_hook_for_pyinstaller_gives_all_that_a_migration_needs(site: Path) -> None:
    """The entry point leads to a hook that takes along each script and what it imports."""
    pytest.importorskip("PyInstaller", reason="needs PyInstaller")
    datas, imported = json.loads(run("-c", RUN_THE_HOOK, cwd=site, PYTHONPATH=str(site)))

    scripts = [
        path.relative_to(site)
        for path in (site / "beryl_groups" / "migrations").rglob("*")
        if path.is_file()
    ]
    assert {path.name for path in scripts} > {"env.py", "script.py.mako", "0001_groups.py"}
    assert {*scripts} <= {Path(target, Path(source).name) for source, target in datas}
    modules = {".".join(path.with_suffix("").parts) for path in scripts if path.suffix == ".py"}
    assert {*imported} == {name.removesuffix(".__init__") for name in modules}


def test_a_package_in_a_zip_file_migrates_and_remembers(site: Path, tmp_path: Path) -> None:
    """From a zip file, where Alembic's scripts are no files, a database is made and found again."""
    (site / "__main__.py").write_text(files(PACKING)[APPLICATION], encoding="utf-8")
    away = tmp_path / "away"
    away.mkdir()
    zipapp.create_archive(site, away / "app.pyz")

    printed = [run("app.pyz", cwd=away, TMPDIR=str(away)) for _ in REMEMBERED]

    assert printed == REMEMBERED
    assert sorted(path.name for path in away.iterdir()) == ["app.pyz", "counter.db"]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_package_without_its_sources_migrates_and_remembers(
    site: Path, tmp_path: Path, *, zipped: bool
) -> None:
    """Where a packer has left only what it compiled, a database is made and found again."""
    (site / "__main__.py").write_text(files(PACKING)[APPLICATION], encoding="utf-8")
    assert compileall.compile_dir(site, quiet=1, legacy=True)
    for source in site.rglob("*.py"):
        source.unlink()
    away = tmp_path / "away"
    away.mkdir()
    application = site
    if zipped:
        application = away / "app.pyz"
        shutil.move(shutil.make_archive(str(away / "app"), "zip", site), application)

    printed = [run(application, cwd=away, TMPDIR=str(away)) for _ in REMEMBERED]

    assert printed == REMEMBERED


def test_the_demo_in_a_zip_file_finds_the_package_a_second_time(site: Path, tmp_path: Path) -> None:
    """Its second process is of the same file, whatever else is installed."""
    (site / "__main__.py").write_text("from beryl_groups.__main__ import main\nmain()\n")
    demo = site / "beryl_groups" / "demo.py"
    text = demo.read_text(encoding="utf-8")
    assert "opened the file" in text
    demo.write_text(text.replace("opened the file", "of the zip file opened it"), encoding="utf-8")
    away = tmp_path / "away"
    away.mkdir()
    zipapp.create_archive(site, away / "app.pyz")

    printed = run("app.pyz", "demo", cwd=away)

    assert " of the zip file opened it, read the " in printed
