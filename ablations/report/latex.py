"""Tables for a paper: a `Sheet` as LaTeX with booktabs, to be read with \\input."""

from ablations.report.sheet import Line, Sheet, numeric

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
    columns = "".join("r" if one else "l" for one in numeric(sheet))
    lines = [
        f"% {' '.join(sheet.title.split())}, by lsmseg-prompts. Needs \\usepackage{{booktabs}}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(sheet.title)}. {escape(sheet.note)}}}",
        rf"\label{{tab:{label}}}",
        r"\small",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escape(column) for column in sheet.columns) + r" \\",
        r"\midrule",
    ]
    before = None
    for line in sheet.lines:
        group = {"baseline": 0, "control": 2, "typical": 2}.get(line.kind, 1)
        if before is not None and group != before:
            lines.append(r"\midrule")
        before = group
        lines.append(" & ".join(_cells(line)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


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
