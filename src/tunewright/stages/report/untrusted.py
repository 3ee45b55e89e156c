"""Show what users' data holds without letting it act: hidden characters made visible, markup and formulas disarmed."""

from __future__ import annotations

import html
import re
from typing import Any

# Control characters, characters that turn the reading direction, invisible ones, and halves of surrogate pairs.
# The joiners U+200C and U+200D stay: scripts and emoji are written with them.
_HIDDEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMES = {"\n": "↵", "\r": "␍", "\t": "⇥"}
# A spreadsheet runs a cell that begins so. After ";", tab or a line break, one set to other delimiters sees a new cell.
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*)(?=[=+\-@＝＋－＠])")


def visible(text: Any) -> str:
    """`text` with every character that does not show replaced by one that does: "⟨U+202E⟩", "↵" for a line break."""
    return "".join(mark for mark, _ in marked(text))


def marked(text: Any) -> list[tuple[str, bool]]:
    """The pieces of `visible(text)` in order, each with whether it stands for a hidden character."""
    text, pieces, last = str(text), [], 0
    for match in _HIDDEN.finditer(text):
        if match.start() > last:
            pieces.append((text[last : match.start()], False))
        pieces.append((_NAMES.get(match[0], f"⟨U+{ord(match[0]):04X}⟩"), True))
        last = match.end()
    return [*pieces, (text[last:], False)] if last < len(text) else pieces


def cut(text: Any, most: int) -> tuple[str, int]:
    """The first `most` characters of `text`, and how many were left out."""
    text = str(text)
    return text[:most], max(0, len(text) - most)


def html_text(text: Any) -> str:
    """`text` as HTML that shows it letter by letter, isolated from the reading direction around it."""
    pieces = (
        f"<b class=hidden>{html.escape(piece)}</b>" if hidden else html.escape(piece) for piece, hidden in marked(text)
    )
    return f"<bdi>{''.join(pieces)}</bdi>"


def markdown_text(text: Any) -> str:
    """A sentence as Markdown that shows it letter by letter: no markup, no HTML, no table cell, no link of its own."""
    escaped = re.sub(r"([\\`*_{}\[\]|~#$])", r"\\\1", visible(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)(https?|ftp)://", r"\1&#58;//", escaped)


def markdown_code(text: Any) -> str:
    """A user's word or text as a Markdown code span, safe inside a table cell too."""
    text = visible(text)
    if not text.strip():
        return f"`{text or ' '}`"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def spreadsheet_cell(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not run: an apostrophe stands before what would begin a formula."""
    return _FORMULA.sub(r"\1\2'", value) if isinstance(value, str) else value
