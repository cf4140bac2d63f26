"""The tables of a run and of a comparison, laid out like the paper's."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ablations.report.narrow import narrowed
from ablations.report.overview import overview_sheet
from ablations.report.refinement_tables import terminal_sheets
from ablations.report.sheet import (
    Column,
    Row,
    Sheet,
    difference_of,
    kind_of,
    make_sheet,
    numeric,
    score,
    scores_of,
    several,
    signed,
    starred,
    texts,
    the_split,
    together,
)
from lsmseg_prompts.prompts.word_lists import WORDS
from lsmseg_prompts.terminal import print_cells, print_line, print_wrapped

DECISIONS = {
    "start": "start",
    "accepted": "taken",
    "rejected": "not taken",
    "counterpart": "other way",
}
STYLES = {"baseline": "bold", "control": "dim", "rejected": "dim"}
PROMPTS: Column = ("prompts", starred)
PAIRED = "In points of mIoU on the {} split, paired: both on the same resamples."


def _described(rows: Sequence[Row]) -> list[Column]:
    """How many classes have descriptions, where some lack them."""
    there = any(row.get("described") for row in rows)
    return [("described", lambda row: row.get("described") or "")] if there else []


def _unless_name(column: str = "difference") -> Callable[[Row], str]:
    """A difference, of which the plain name has none from itself."""
    return lambda row: "" if kind_of(row) == "baseline" else signed(row, column)


def _if_there(column: str) -> Callable[[Row], str]:
    """The gain over the step before; nothing where there is none."""
    return lambda row: "" if row.get(column) is None else signed(row, column)


def _of_words(rows: Sequence[Row]) -> bool:
    """Whether the rows are of word lists."""
    return any(str(row["prompts"]).startswith(WORDS) for row in rows)


def _benchmark_sheet(title: str, rows: Sequence[Row], column: str, note: str) -> Sheet:
    """A column for every benchmark and one for their average, a line for every prompt set."""
    form = score if column.startswith("miou") else signed
    columns, lines = scores_of(
        rows, lambda row: (row["prompts"], kind_of(row)), lambda row, _: form(row, column)
    )
    return make_sheet(title, lines, [PROMPTS, *columns], note, among=together)


def single_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Stage 3 as in Table 2.

    Of several benchmarks the differences and the other mIoUs too, each with all its parts.
    """
    report = [row for row in rows if row["split"] == "report"]
    if not several(report):
        return [single_sheet(rows)]
    return [
        single_sheet(rows),
        _benchmark_sheet(
            "Differences from the plain name, every attribute alone",
            [row for row in report if row["kind"] != "baseline"],
            "difference",
            PAIRED.format("report"),
        ),
        _benchmark_sheet(
            "Every attribute alone on the selection split",
            [row for row in rows if row["split"] == "selection"],
            "miou",
            "mIoU in % on the selection split, where the best average was chosen (*).",
        ),
        _benchmark_sheet(
            "Every attribute alone, over classes in labels or predictions",
            report,
            "miou_union",
            "mIoU in % on the report split in the other definition.",
        ),
    ]


def single_sheet(rows: Sequence[Row]) -> Sheet:
    """Stage 3 as in Table 2: the baseline, each attribute alone, and the controls.

    What belongs to an average alone is left out of the table of several benchmarks.
    """
    report = [row for row in rows if row["split"] == "report"]
    columns, lines = scores_of(report, itemgetter("prompts"))
    note = f"mIoU in % on {the_split(report)}, over classes that occur in the labels; "
    if several(report):
        note += "* is the set that was best on the selection split."
    else:
        selection = {row["prompts"]: row["miou"] for row in rows if row["split"] == "selection"}
        columns += [
            ("against name", _unless_name()),
            ("union", lambda row: score(row, "miou_union")),
            ("selection", lambda row: score({"miou": selection[row["prompts"]]}, "miou")),
        ]
        note += (
            "union: over classes in labels or predictions; selection: mIoU on the "
            "selection split, where * is the best."
        )
    columns += _described(report)
    title = "Word lists" if _of_words(rows) else "Single attributes (as in Table 2)"
    return make_sheet(title, lines, [PROMPTS, *columns], note, among=together)


def combination_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Stage 4 as in Table 3; of several benchmarks the differences and gains with their parts."""
    sheets = [combination_sheet(rows)]
    if several(rows):
        sheets.append(
            _benchmark_sheet(
                "Differences from the plain name, combinations",
                [row for row in rows if row["status"] != "baseline"],
                "difference",
                PAIRED.format("report"),
            )
        )
        steps = [row for row in rows if row.get("selection_gain") is not None]
        if steps:
            note = PAIRED.format("selection") + " The average decided."
            title = "Gain of each step on the selection split"
            sheets.append(_benchmark_sheet(title, steps, "selection_gain", note))
    return sheets


def combination_sheet(rows: Sequence[Row]) -> Sheet:
    """Stage 4 as in Table 3: the path of the search, and what it is compared with.

    What belongs to an average alone is left out of the table of several benchmarks.
    """
    columns, lines = scores_of(rows, itemgetter("prompts", "status"))
    if not several(rows):
        columns += [
            ("against name", _unless_name()),
            ("gain on selection", _if_there("selection_gain")),
        ]
    return make_sheet(
        "Words" if _of_words(rows) else "Combinations (as in Table 3)",
        lines,
        [PROMPTS, *columns, *_described(rows), ("step", lambda r: DECISIONS.get(r["status"], ""))],
        f"mIoU in % on {the_split(rows)}. The gain on the selection split decided each step; "
        "* is the set that was chosen.",
        among=together,
    )


def choice_sheet(rows: Sequence[Row], best: str) -> Sheet:
    """What the choice gains over everything that it is compared with.

    rows: see `ablations.search.claims.compared`. best: the choice's name.
    """
    columns, lines = scores_of(
        rows, itemgetter("prompts"), lambda row, column: signed(row, difference_of(column))
    )
    over: Column = ("over", lambda row: str(row["prompts"]))
    its: list[Column] = [] if several(rows) else [("its mIoU", lambda row: score(row, "miou"))]
    return make_sheet(
        f"What {best} gains",
        lines,
        [over, *its, *columns],
        PAIRED.format("report") + " Where the interval leaves out 0, the difference holds.",
    )


def candidate_sheet(rows: Sequence[Row]) -> Sheet:
    """Every candidate of the search, on the selection split; of several benchmarks the parts."""
    parts = [key for key in rows[0] if key.startswith("miou (")]
    columns: list[Column] = [
        *texts("step", "prompts"),
        *((p[len("miou (") : -1], lambda row, p=p: score(row, p)) for p in parts),
        ("average" if parts else "mIoU on selection", lambda row: score(row, "miou")),
    ]
    if not parts:
        columns.append(("gain over the step before", _if_there("gain")))
    columns.append(("decision", lambda row: "taken" if row["chosen"] else ""))
    note = "where the average decided." if parts else "the gain is paired with the step before."
    return make_sheet(
        "Candidates",
        rows,
        columns,
        f"mIoU in % on {the_split(rows, 'selection')}{',' if parts else ';'} {note}",
        lambda row: "accepted" if row["chosen"] else "attribute",
    )


def llm_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """LLMs side by side, as in Table 5.9 of the thesis: on the same attributes, and on their own.

    rows: see `ablations.report.comparison.comparison_rows`.
    """
    first = next(row for row in rows if row["set"] == "same")
    llm, key = first["llm"], itemgetter("set", "llm")
    columns, lines = scores_of(rows, key)
    differences, _ = scores_of(rows, key, lambda row, c: signed(row, difference_of(c)))
    name: Column = ("LLM", lambda row: "name" if row["llm"] is None else row["llm"])
    attributes: Column = ("attributes", lambda r: "" if r["llm"] is None else r["prompts"])
    columns += [
        (f"against {llm}", lambda row: "" if row["llm"] == llm else signed(row)),
        ("against name", lambda row: "" if row["llm"] is None else signed(row, "over_name")),
        *_described(rows),
    ]

    def _sheet(title: str, kind: str, shown: list[Column], note: str, skip: str = "") -> Sheet:
        of_set = [r for r in lines if r["set"] in ("baseline", kind) and r["llm"] != skip]
        return make_sheet(
            title,
            of_set,
            [name, *shown],
            note,
            lambda row: "baseline" if row["llm"] is None else "attribute",
            together,
        )

    return [
        _sheet(
            f"The same attributes: {first['prompts']} (as in Table 5.9 of the thesis)",
            "same",
            columns,
            f"mIoU in % on {the_split(rows)}, all LLMs on the attributes chosen with "
            f"{llm} on the selection split; name: the plain name, without any LLM.",
        ),
        _sheet(
            f"Differences from {llm} on the same attributes",
            "same",
            differences,
            "In points of mIoU, paired: both on the same resamples of the pictures. The intervals "
            "tell what other pictures would give, not what the LLM would answer another time.",
            skip=llm,
        ),
        _sheet(
            "Each LLM's own best attributes",
            "own",
            [attributes, *columns],
            "mIoU in % on the report split, each LLM on the attributes chosen with it on the "
            "selection split.",
        ),
    ]


def print_result(result: Any, verbose: bool = False) -> None:
    """The tables of a `RunResult`, the choice in words and in short, and where the report lies.

    verbose: all columns, however narrow the terminal, and the list of files.
    """
    overview = overview_sheet(result.single, result.combinations)
    sheets = (
        *single_sheets(result.single),
        *combination_sheets(result.combinations),
        *terminal_sheets(result.refinement),
    )
    _print(sheets, result.best["summary"], result, verbose, [overview] if overview else [])


def print_comparison(comparison: Any, verbose: bool = False) -> None:
    """The tables of a `Comparison`, what they say in words, and where the report lies."""
    _print(llm_sheets(comparison.rows), comparison.summary, comparison, verbose)


def _print(
    sheets: Sequence[Sheet],
    summary: str,
    result: Any,
    verbose: bool,
    last: Sequence[Sheet] = (),
) -> None:
    """last: the tables that stand below the summary."""
    for sheet in sheets:
        print_sheet(sheet, verbose)
    print_wrapped(summary)
    print_line()
    for sheet in last:
        print_sheet(sheet, verbose)
    print_line(f"Results: {result.directory}")
    if verbose:
        for name, what in result.files.items():
            print_line(f"  {name:24} {what}")
    print_line(f"Report: {result.directory / 'report.html'}")


def print_sheet(sheet: Sheet, verbose: bool) -> None:
    right = dict(zip(sheet.columns, numeric(sheet), strict=True))
    heads, cells, left_out = [*sheet.columns], [[*line.cells] for line in sheet.lines], ""
    if not verbose:
        (heads, cells), left_out = narrowed(heads, cells)
    print_cells(
        heads,
        cells,
        [place > 0 and right[head] for place, head in enumerate(heads)],
        sheet.title,
        f"{sheet.note} {left_out}".strip(),
        ["bold green" if line.chosen else STYLES.get(line.kind, "") for line in sheet.lines],
    )
    print_line()
