"""Output of tables: for people, for documents, for programs.

``table``, ``markdown`` and ``latex`` write views; ``json``, ``csv`` and ``parquet`` every column with its raw values.
"""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

import click

from hpcnn.report.views.view import View, records
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.table import emit, note, wide_asked
from hpcnn.util.text import in_one_line, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from hpcnn.report.views.view import Row


def write_views(views: Sequence[View], fmt: str) -> None:
    """Write views as a table of text, Markdown or LaTeX."""
    writer = {"table": _text, "markdown": _markdown, "latex": _latex}[fmt]
    for view in views:
        writer(view)


def write_data(tables: Mapping[str, pd.DataFrame], fmt: str) -> None:
    """Write all columns: one table as it is; several (json alone) as an object by their names.

    CSV and Parquet hold one table. Raises UsageError for Parquet to a terminal.
    """
    if fmt == "parquet":
        _parquet(*tables.values())
    elif len(tables) == 1:
        emit(records(*tables.values()), fmt, [])
    else:
        _json({name.replace("-", "_"): records(table) for name, table in tables.items()})


def _json(tables: Mapping[str, list[Row]]) -> None:
    import json

    text = json.dumps(tables, indent=2, allow_nan=False, default=str)
    click.echo(text.replace("\x7f", "\\u007f"))


def _text(view: View) -> None:
    note(visible(view.title))
    if view.same:
        note(visible(view.same))
    if view.rows:
        emit(view.rows, "table", view.shown)
    for line in view.lines:
        note(visible(line))
    caption = view.caption if wide_asked() else view.short_caption or view.caption
    if caption:
        note(caption)
        click.echo()


# What begins markup in a cell, and in a sentence, where hpcnn itself writes `code`; an underscore in a word does not.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_MARKDOWN_LINKS = re.compile(r"[\[\]<>]")


def _markdown(view: View) -> None:
    """Write a table of GitHub's Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_MARKDOWN.sub(r"\\\g<0>", in_one_line(text)) for text in cells) + " |"

    def sentence(text: str) -> str:
        return _MARKDOWN_LINKS.sub(r"\\\g<0>", visible(text))

    click.echo(f"**{sentence(view.title)}**\n")
    if view.same:
        click.echo(sentence(view.same) + "\n")
    if view.rows:
        click.echo(line([column.heading for column in view.shown]))
        click.echo("|" + "|".join("---:" if column.right else "---" for column in view.shown) + "|")
        for cells in view.cells():
            click.echo(line(cells))
        click.echo()
    if view.lines:
        click.echo("".join(f"- {sentence(text)}\n" for text in view.lines))
    if view.caption:
        click.echo(sentence(view.caption) + "\n")


# In LaTeX each of these is a command, or begins one.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after the \\ of the row before, it would begin an argument of that
    "–": "--",
    "\0": "-{}",
}


def _latex(view: View) -> None:
    click.echo(latex_table(view))


def latex_escaped(text: str) -> str:
    """Return a text as LaTeX shows it."""
    apart = re.sub("-(?=-)", "\0", in_one_line(text))  # two hyphens, as of an option, would become a dash
    return "".join(_LATEX.get(sign, sign) for sign in apart)


def latex_caption(view: View) -> str:
    """Return all that a view says beside its rows, as LaTeX."""
    texts = (view.title, view.same, *view.lines, view.caption)
    return latex_escaped(". ".join(text.rstrip(".") for text in texts if text)) + "."


def latex_rows(view: View) -> list[str]:
    """Return the line of headings and those of the rows."""
    return [
        " & ".join(map(latex_escaped, cells)) + r" \\"
        for cells in ([column.heading for column in view.shown], *view.cells())
    ]


# So many characters of a table's usual size are as wide as a page, and a cell of more than so many is a sentence.
_PAGE, _SENTENCE = 100, 24


def latex_columns(view: View, page: int = _PAGE) -> str:
    """Return the columns of a ``tabular``; those with sentences share what the others leave of a ``page``'s width.

    page: how many characters one line holds.
    """
    widths = latex_widths(view)
    sentences = [width > _SENTENCE and not column.right for width, column in zip(widths, view.shown, strict=True)]
    if sum(widths) <= page or not any(sentences):
        sentences = [False] * len(widths)
    left = page - sum(width for width, sentence in zip(widths, sentences, strict=True) if not sentence)
    shared = sum(width for width, sentence in zip(widths, sentences, strict=True) if sentence)
    return "".join(
        rf"p{{{0.98 * max(left, page // 4) / page * width / shared:.3f}\textwidth}}"
        if sentence
        else ("r" if column.right else "l")
        for width, sentence, column in zip(widths, sentences, view.shown, strict=True)
    )


def latex_widths(view: View) -> list[int]:
    """Return the longest cell of each column, in characters, with the space beside it."""
    lines = [[column.heading for column in view.shown], *view.cells()]
    return [2 + max(map(len, column)) for column in zip(*lines, strict=True)]


def latex_table(view: View) -> str:
    """Return a ``table`` with a ``tabular`` of the package booktabs."""
    lines = [r"\begin{table}", rf"\caption{{{latex_caption(view)}}}"]
    if view.rows:
        heading, *rows = latex_rows(view)
        lines += [rf"\begin{{tabular}}{{{latex_columns(view)}}}", r"\toprule", heading, r"\midrule", *rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _parquet(table: pd.DataFrame) -> None:
    if sys.stdout.isatty():
        raise UsageError("--format: 'parquet' is binary: send it to a file, as in --format parquet > table.parquet")
    try:
        content = io.BytesIO()
        table.reset_index(drop=True).to_parquet(content, index=False)
    except ImportError as error:
        raise HpcnnError("--format parquet needs pyarrow: install it with pip install 'hpcnn[report]'") from error
    sys.stdout.buffer.write(content.getvalue())
