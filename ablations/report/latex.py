"""Tables for a paper: a `Sheet` as LaTeX with booktabs, to be read with the input command."""

from ablations.report.filling import fill
from ablations.report.sheet import Line, Sheet

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
    r"""A table environment with caption and \label{tab:...}; scores' intervals are set small."""
    tools = {"tex": escape, "cells": _cells, "group": _group}
    return fill("table.tex.j2", sheet=sheet, label=label, **tools)


def _group(line: Line) -> int:
    return {"baseline": 0, "control": 2, "typical": 2}.get(line.kind, 1)


def _cells(line: Line) -> list[str]:
    cells = [_cell(cell, place > 0) for place, cell in enumerate(line.cells)]
    return [rf"\textbf{{{cell}}}" if cell else "" for cell in cells] if line.chosen else cells


def _cell(text: str, number: bool) -> str:
    """A cell; the minus of a number is a minus, its interval is small."""
    value, bracket, interval = text.partition(" [")
    if not number or not bracket:
        return _minus(text) if number else escape(text)
    return rf"{_minus(value)} {{\scriptsize {_minus('[' + interval)}}}"


def _minus(text: str) -> str:
    """Hyphens before digits as minus signs."""
    made = ""
    for place, letter in enumerate(text):
        ahead = text[place + 1 : place + 2]
        made += "$-$" if letter == "-" and ahead.isdigit() else escape(letter)
    return made
