"""The pages to attach to a proposal as a document of LaTeX, with its pictures beside it as PDF.

Tables go over pages, and no line is wider than a page. Computes no numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hpcnn.figures.style import rendered
from hpcnn.report.views.view import View
from hpcnn.report.views.write import latex_caption, latex_columns, latex_escaped, latex_rows, latex_widths
from hpcnn.util.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hpcnn.figures.scaling import Plot
    from hpcnn.report.page import Table

_HEAD = r"""% Made by hpcnn. Needs the packages booktabs, float, geometry, graphicx and longtable.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=20mm]{geometry}
\usepackage{booktabs}
\usepackage{float}
\usepackage{graphicx}
\usepackage{longtable}
\setlength{\LTcapwidth}{\textwidth}
\raggedbottom
% a section begins on the next page where little of this one is left
\newcommand{\room}{\par\ifdim\pagegoal<\maxdimen\ifdim\dimexpr\pagegoal-\pagetotal<0.25\textheight\newpage\fi\fi}"""

# How many characters a line of a table holds, in letters of these sizes.
_SIZES = {"normalsize": 90, "small": 100, "footnotesize": 112, "scriptsize": 130, "tiny": 170}


class Part(NamedTuple):
    """One part of the pages: sentences, facts by name, tables, figures."""

    title: str
    words: Sequence[str] = ()
    facts: Mapping[str, str] = {}
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


def document(file: Path, title: str, parts: Sequence[Part]) -> str:
    """Return the document that ``file`` shall hold, and write its pictures."""
    lines = [_HEAD, rf"\title{{{latex_escaped(title)}}}", r"\author{}", r"\date{}", r"\begin{document}", r"\maketitle"]
    for part in parts:
        lines.append(rf"\room\section{{{latex_escaped(part.title)}}}")
        lines += [latex_escaped(words) + "\n" for words in part.words]
        if part.facts:
            pairs = (rf"\item[{{{latex_escaped(name)}}}] {latex_escaped(value)}" for name, value in part.facts.items())
            lines += [r"\begin{description}", r"\setlength{\itemsep}{0pt}", *pairs, r"\end{description}"]
        lines += [_table(_narrow(view)) for view in part.tables if isinstance(view, View)]
        lines += [_figure(file, plot) for plot in part.plots]
    return _in_latin("\n".join([*lines, r"\end{document}"]) + "\n")


def _narrow(view: View) -> View:
    """Return a view with the columns that fit a page of paper: those of a terminal without --wide."""
    return View(
        view.title,
        view.rows,
        [column for column in view.columns if not column.wide],
        view.same,
        view.short_caption or view.caption,
        view.lines,
    )


def _table(view: View) -> str:
    """Return a table that goes over pages, in the largest letters in which its lines fit."""
    if not view.rows:
        return latex_caption(view) + "\n"
    heading, *rows = latex_rows(view)
    needed = sum(latex_widths(view))
    size = next((size for size, page in _SIZES.items() if needed <= page), "tiny")
    columns = latex_columns(view, _SIZES[size])
    if r"\textwidth" in columns:  # sentences take the lines that they need
        size = "footnotesize"
        columns = latex_columns(view, _SIZES[size])
    return "\n".join(
        [
            rf"{{\{size}\setlength{{\tabcolsep}}{{0.4em}}",
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\caption{{{latex_caption(view)}}} \\",
            *(r"\toprule", heading, r"\midrule", r"\endfirsthead"),
            *(r"\toprule", heading, r"\midrule", r"\endhead"),
            *(r"\bottomrule", r"\endfoot"),
            *rows,
            r"\end{longtable}}",
            "",
        ]
    )


def _figure(file: Path, plot: Plot) -> str:
    picture = file.with_name(f"{file.stem}-{plot.name}.pdf")
    write_bytes(picture, rendered(plot.figure, "pdf", salt=plot.name, facecolor="white"))
    caption = latex_escaped(f"{plot.title}. {plot.caption}")
    return (
        "\\begin{figure}[H]\n\\centering\n"
        rf"\includegraphics[width=0.6\textwidth]{{\detokenize{{{picture.name}}}}}"
        f"\n\\caption{{{caption}}}\n\\end{{figure}}"
    )


def _in_latin(text: str) -> str:
    """Return a text with the numbers of characters that pdflatex does not know without further packages."""
    return re.sub(r"[^\n\x20-\x7e\xa1-\xac\xae-\u017f–—‘’“”…€]", lambda found: f"{{[}}U+{ord(found[0]):04X}]", text)
