"""What the documents of the project show: their fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
COMMANDLINE = ROOT / "beryl_groups" / "commandline" / "README.md"
CHANNELS = ROOT / "beryl_groups" / "channels" / "README.md"
POSTGRESQL = ROOT / "beryl_groups" / "postgresql" / "README.md"
PACKING = ROOT / "beryl_groups" / "__pyinstaller" / "README.md"
"""Its commands ``tests.freezing`` runs, as they take long."""

DOCUMENTS = [
    README,
    ROOT / "beryl_groups" / "WATCH.md",
    *sorted((ROOT / "beryl_groups").glob("*/README.md")),
]
"""Those whose examples are run."""

FOLLOWED = "tests/documents/test_documents.py"

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and in which language, document, line and section."""

    language: str
    text: str
    document: Path
    line: int
    section: str

    @property
    def run_by(self) -> str:
        """Name what runs it; empty where nothing does."""
        if self.language == "console":
            return FOLLOWED if self.text.startswith("$ ") else ""
        if self.language == "python":
            return FOLLOWED if self.file or self.text.startswith(">>> ") else ""
        if self.language == "bash" and self.document == PACKING:
            return "tests/freezing/__main__.py"  # as .ci/run --long does
        return ".ci/run" if (self.language, self.document) == ("sh", README) else ""

    @property
    def file(self) -> str:
        """Name the file that it is, if it is one."""
        name = re.match(r"# (\w+\.py)\n", self.text)
        return name[1] if name and self.language == "python" else ""


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            found[1],
            found[2],
            document,
            text.count("\n", 0, found.start(2)),
            text[: found.start()].rpartition("\n## ")[2].partition("\n")[0],
        )
        for found in FENCED.finditer(text)
    ]


def completion(document: Path) -> dict[str, str]:
    """Return the line that starts completion in each shell, which a table of the document has."""
    text = document.read_text(encoding="utf-8").partition("\n## Completion\n")[2]
    rows = re.findall(r"^\| (\w+) \| `(.+?)` \| `.+ \|$", text.partition("\n## ")[0], re.MULTILINE)
    return {shell: line.replace(r"\|", "|") for shell, line in rows}


def files(document: Path) -> dict[str, str]:
    """Return the files that the document shows, by their names."""
    return {block.file: block.text for block in blocks(document) if block.file}
