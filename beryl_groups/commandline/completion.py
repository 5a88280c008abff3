"""What the shells ask when a user presses the tab key, and how they are answered.

click speaks with bash, zsh and fish, but breaks on names as groups have them: bash ends a word at
a colon and unquotes nothing, fish cuts a name at a comma, and zsh loses what stands before the
name in ``--prefix=name``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from click.shell_completion import (
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE = "_BERYL_GROUPS_COMPLETE"
"""The environment variable in which a shell says what it wants."""

_BASH = r"""
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            file,*) compopt -o default 2>/dev/null ;;
        esac
    done < <(%(complete_var)s=bash_complete _BERYL_GROUPS_LINE="${COMP_LINE:0:COMP_POINT}" \
        _BERYL_GROUPS_BREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

_FISH = r"""
function %(complete_func)s
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \
            COMP_CWORD=(commandline -ct) %(prog_name)s 2>/dev/null)
        set -l answer (string split -m 1 "," -- $line)
        switch $answer[1]
            case plain
                echo $answer[2]
            case file
                __fish_complete_path $answer[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

_FOR_BASH_TO_QUOTE = re.compile(r"""[\s!"#$&'()*;<>?\[\\\]^`{|}~]""")
_FOR_DOUBLE_QUOTES = re.compile(r'["$\\`]')


@dataclass
class _Word:
    """A word of a line of bash: what it means, and what of it bash keeps when it completes it."""

    text: str = ""
    quote: str = ""
    kept: int = 0
    """How many characters at the beginning of the text bash keeps, and adds the answer to."""


def _bash_words(line: str, breaks: str) -> list[_Word]:
    """Take a line up to the cursor apart; the last word is the one to complete."""
    words = [_Word()]
    characters = iter(line)
    for character in characters:
        word = words[-1]
        if character == word.quote:
            word.quote, word.kept = "", len(word.text)
        elif character == "\\" and word.quote != "'":
            word.text += next(characters, "")
        elif word.quote:
            word.text += character
        elif character in "'\"":
            word.quote, word.kept = character, len(word.text)
        elif character.isspace():
            words.append(_Word())
        else:
            word.text += character
            if character in breaks:
                word.kept = len(word.text)
    return [word for word in words[:-1] if word.text] + words[-1:]


def _option(typed: str) -> str:
    """Return the part of ``--option=value`` before the value."""
    return typed[: typed.index("=") + 1] if typed.startswith("--") and "=" in typed else ""


def _joined(words: list[str], typed: str) -> tuple[list[str], str]:
    """Return ``--option value`` as ``--option=value``, where the value is what is being typed.

    click understands both, but in the first finds no argument in the line: for its parser the
    option lacks its value, and that ends the parsing.
    """
    if words and words[-1].startswith("--") and words[-1] != "--" and not typed.startswith("-"):
        return words[:-1], f"{words[-1]}={typed}"
    return words, typed


class Bash(ShellComplete):
    """Completion that leaves colons and quotes as bash wants them."""

    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("_BERYL_GROUPS_LINE", "")
        *words, self._word = _bash_words(line, os.environ.get("_BERYL_GROUPS_BREAKS", ""))
        return _joined([word.text for word in words[1:]], self._word.text)

    def format_completion(self, item: CompletionItem[Any]) -> str:
        word = self._word
        answer = (_option(word.text) + item.value)[word.kept :]
        if word.quote == "'":
            answer = answer.replace("'", r"'\''")
        elif word.quote:
            answer = _FOR_DOUBLE_QUOTES.sub(r"\\\g<0>", answer)
        else:
            answer = _FOR_BASH_TO_QUOTE.sub(r"\\\g<0>", answer)
        return f"{item.type},{answer}"


class Zsh(ZshComplete):
    """Completion that keeps the option before a value."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, typed = super().get_completion_args()
        self._before = _option(typed)
        return _joined(words, typed)

    def format_completion(self, item: CompletionItem[str]) -> str:
        item.value = self._before + item.value
        return super().format_completion(item)


class Fish(FishComplete):
    """Completion that keeps the option before a value, commas in it, and what a quote began."""

    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        # Up to the cursor: where no word is being typed, none of them is the one to complete.
        words = split_arg_string(os.environ.get("COMP_WORDS", ""))[1:]
        typed = words.pop() if words and os.environ.get("COMP_CWORD") else ""
        self._before = _option(typed)
        return _joined(words, typed)

    def format_completion(self, item: CompletionItem[str]) -> str:
        item.value = self._before + item.value
        return super().format_completion(item)


def register() -> None:
    """Have click answer the shells this way."""
    for each in (Bash, Zsh, Fish):
        add_completion_class(each)
