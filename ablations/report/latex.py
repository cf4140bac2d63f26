"""Tables for a paper: a `Sheet` as LaTeX with booktabs, to be read with the input command."""

from collections.abc import Collection

from ablations.report.filling import fill
from ablations.report.sheet import Line, Sheet, best_cells

BOLD = "Bold: the best of each column, controls included."

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after \\ a bracket would be an option
    "]": "{]}",
    "*": "{*}",
    '"': "''",
    "\n": " ",
}


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def latex(sheet: Sheet, label: str) -> str:
    r"""A table environment with caption and \label{tab:...}; scores' intervals are set small.

    The best of each column is bold, see `best_cells`.
    """
    best = best_cells(sheet)
    note = f"{sheet.note} {BOLD}" if best else sheet.note
    cells = [_cells(line, {c for p, c in best if p == at}) for at, line in enumerate(sheet.lines)]
    tools = {"tex": escape, "cells": cells, "group": _group}
    return fill("table.tex.j2", sheet=sheet, label=label, note=note, **tools)


def _group(line: Line) -> int:
    return {"baseline": 0, "control": 2, "typical": 2}.get(line.kind, 1)


def _cells(line: Line, best: Collection[int]) -> list[str]:
    """best: the columns whose number is bold; the name of the chosen line is bold too."""
    first, *others = line.cells
    name = _cell(first, number=False, bold=line.chosen)
    return [name, *(_cell(cell, True, at in best) for at, cell in enumerate(others, 1))]


def _cell(text: str, number: bool, bold: bool) -> str:
    """A cell; the minus of a number is a minus, its interval is small."""
    value, bracket, interval = text.partition(" [") if number else (text, "", "")
    made = _minus(value) if number else escape(value)
    made = rf"\textbf{{{made}}}" if bold and made else made
    return rf"{made} {{\scriptsize {_minus('[' + interval)}}}" if bracket else made


def _minus(text: str) -> str:
    """Hyphens before digits as minus signs."""
    made = ""
    for place, letter in enumerate(text):
        ahead = text[place + 1 : place + 2]
        made += "$-$" if letter == "-" and ahead.isdigit() else escape(letter)
    return made
