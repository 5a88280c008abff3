"""What PyInstaller has to know to freeze an application that uses this package."""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folder with the hook; PyInstaller finds this function by its entry point."""
    return [str(Path(__file__).parent)]
