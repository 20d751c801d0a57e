"""Results as HTML for notebooks: everything escaped, colours from the front end's theme only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from urllib.parse import urlsplit

from zoe_jupyter.client.text import as_line, clean
from zoe_jupyter.client.verbs.results import Block, Cell, Facts, Heading, Lines, Note, Result, Table, Tone
from zoe_jupyter.client.verbs.screens import Progress

_COLOURS = {
    Tone.PLAIN: "inherit",
    Tone.GOOD: "var(--zoe-good, var(--jp-success-color0, #1b5e20))",
    Tone.BUSY: "var(--zoe-busy, var(--jp-brand-color0, #0d47a1))",
    Tone.BAD: "var(--zoe-bad, var(--jp-error-color0, #b71c1c))",
    Tone.QUIET: "var(--jp-ui-font-color2, #616161)",
}
_BORDER = "var(--jp-border-color2, #bdbdbd)"
_TEXT = "font-family:var(--jp-ui-font-family, sans-serif);font-size:var(--jp-ui-font-size1, 13px);color:var(--jp-ui-font-color1, inherit)"
_CODE = "font-family:var(--jp-code-font-family, monospace);font-size:var(--jp-code-font-size, 13px);white-space:pre-wrap;margin:0"
_LARGEST_LOG = 5000


def to_html(result: Result, *, own_origin: str = "") -> str:
    """Links to ``own_origin`` name no host: the reader's browser may have another name for it, through a tunnel or a proxy."""
    content = "".join(_block(block) for block in result.blocks)
    if own_origin:
        before = re.escape(escape(own_origin))
        content = re.sub(rf'(<a href="){before}(/[^>]*>)(?:{before}(?=/))?', r"\1\2", content)
    return framed(content)


def framed(content: str) -> str:
    return f'<div class="zoe-output" style="{_TEXT}">{content}</div>'


def progress_html(steps: Sequence[Progress], *, is_done: bool) -> str:
    """Lines of progress; the last one is under way unless it is done, and its seconds are not read aloud."""
    rows = []
    for number, step in enumerate(steps):
        is_current = not is_done and number == len(steps) - 1
        sign = "!" if step.tone is Tone.BAD else ("…" if is_current else "✓")
        colour = _COLOURS[Tone.BUSY if is_current else step.tone]
        name = ' class="zoe-progress-now"' if is_current else ""
        mark = f'<span aria-hidden="true" style="display:inline-block;width:1.4em">{sign}</span>'
        rows.append(f'<div{name} style="color:{colour}">{mark}{_escaped(step.text)}{_took(step, is_current)}</div>')
    return framed(f'<div class="zoe-progress" role="status">{"".join(rows)}</div>')


def _took(step: Progress, is_current: bool) -> str:
    seconds = step.seconds() if is_current or step.took_s is not None else ""
    silent = ' aria-hidden="true"' if is_current else ""
    return f"<span{silent}> ({seconds})</span>" if seconds else ""


def message_html(text: str, tone: Tone) -> str:
    bar = f"border-left:4px solid {_COLOURS[tone]};padding:2px 0 2px 8px"
    return framed(f'<div style="{bar}">{_note(Note(text, tone))}</div>')


def _block(block: Block) -> str:
    if isinstance(block, Note):
        return _note(block)
    if isinstance(block, Heading):
        return f'<div style="font-weight:600;margin:6px 0 2px">{_escaped(block.text)}</div>'
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        return _facts(block)
    return _lines(block)


def _note(block: Note) -> str:
    lines = "<br>".join(_marked(escape(line)) for line in clean(block.text).splitlines())
    return f'<div style="color:{_COLOURS[block.tone]};margin:2px 0">{lines}</div>' if lines else ""


def _marked(text: str) -> str:
    """What is between backticks, as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _lines(block: Lines) -> str:
    kept = [escape(clean(line)) for line in islice(block.lines, _LARGEST_LOG)]
    return f'<pre style="{_CODE}">' + "\n".join(kept) + "</pre>"


def _table(block: Table) -> str:
    if not block.rows:
        return _note(Note(block.empty, Tone.QUIET))
    style = f"text-align:left;padding:2px 12px 2px 0;border-bottom:1px solid {_BORDER}"
    head = "".join(
        f'<th scope="col" style="{style};color:{_COLOURS[Tone.QUIET]};font-weight:500">{_escaped(name.capitalize())}</th>'
        for name in block.columns
    )
    rows = "".join(
        "<tr>" + "".join(f'<td style="{style};vertical-align:top">{_cell(value)}</td>' for value in row) + "</tr>"
        for row in block.rows
    )
    return f'<table style="border-collapse:collapse;margin:2px 0"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _facts(block: Facts) -> str:
    rows = _rows(block.pairs)
    return f'<table style="border-collapse:collapse;margin:2px 0"><tbody>{rows}</tbody></table>'


def _rows(pairs: Iterable[tuple[str, Cell | str]]) -> str:
    style = "text-align:left;padding:1px 12px 1px 0;vertical-align:top;border:0"
    return "".join(
        f'<tr><th scope="row" style="{style};color:{_COLOURS[Tone.QUIET]};font-weight:500">{_escaped(name)}</th><td style="{style}">{_cell(value)}</td></tr>'
        for name, value in pairs
    )


def _cell(value: Cell | str) -> str:
    if isinstance(value, str):
        return _escaped(value)
    text = _escaped(value.text)
    if value.link and _is_safe(value.link):
        return f'<a href="{escape(value.link)}" target="_blank" rel="noopener" style="color:var(--jp-content-link-color, #0d47a1)">{text}</a>'
    return f'<span style="color:{_COLOURS[value.tone]}">{text}</span>'


def _is_safe(link: str) -> bool:
    return urlsplit(link).scheme in ("http", "https")


def _escaped(text: str) -> str:
    return escape(as_line(text))
