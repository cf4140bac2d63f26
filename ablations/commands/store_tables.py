"""How the store's commands show their results."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.commands.output import Shown, say, show
from lsmseg_prompts.english import excerpt, plural
from lsmseg_prompts.files import csv_text, write_whole
from lsmseg_prompts.terminal import print_line, print_table, printable, visible

if TYPE_CHECKING:
    from lsmseg_prompts.curation.imports import Imported
    from lsmseg_prompts.vocabularies import ClassEntry

_ONLY = {"first": ("red", "[-{}-]"), "second": ("green", "{{+{}+}}")}
"""What only one of two texts says: its colour, and how it is marked where there are no colours."""

STATUS = ("store", "vocabulary", "llm", "done", "pairs", "failed", "review", "evaluations")
"""The columns of this table where there is no room for all."""

_SPENT = {
    "attempts": "attempts", "failed": "failed", "input_tokens": "tokens in",
    "output_tokens": "tokens out", "reasoning_tokens": "thoughts", "cost_usd": "usd",
    "bound_usd": "usd at most", "unpriced": "unpriced",
}  # fmt: skip
"""The columns of spending, and their headings."""

_RARE = ("failed", "reasoning_tokens", "bound_usd", "unpriced")
"""Those that are left out where they are nothing."""

_A_THOUSAND = "usd, 1000 cells"


def status(rows: list[dict[str, Any]]) -> None:
    """The table, with one word for each store; below batches and the path of the working one."""
    paths = dict.fromkeys(row["store"] for row in rows if row["store"] != "shipped")
    shown = [{**row, "store": "working" if row["store"] in paths else "shipped"} for row in rows]
    show([{k: row[k] for k in row if k != "batches"} for row in shown], False, brief=STATUS)
    for row in rows:
        for batch in row["batches"]:
            print_line(
                f"Batch {batch['remote_id'] or '(id unknown)'} of {row['llm']}, "
                f"{row['vocabulary']}: {batch['status']}, {batch['requests']} requests, since "
                f"{batch['created_at'][:16].replace('T', ' ')} UTC"
            )
    for path in paths:
        print_line(f"Working store: {path}")


def check(rows: list[dict[str, Any]]) -> None:
    """What was looked at, with the first places; with --verbose all places, a line each."""
    print_table(rows, ["check", "level", "count", "detail"])
    for row in rows if Shown.verbose else ():
        for place in row["all"]:
            print_line(f"{row['check']}: {' '.join(place.split())}")


def edits(rows: list[dict[str, Any]]) -> None:
    """What was changed, with the minute."""
    if not rows:
        print_line("Nothing of it was replaced.")
    at = "edited_at"
    columns = ["id", "attribute", "llm", "action", "old_text", "new_text", at]
    print_table([{**row, at: str(row[at])[:16].replace("T", " ")} for row in rows], columns)


def cells(rows: list[dict[str, Any]]) -> None:
    """The cells of a class: a table for one LLM, a column each for several."""
    from lsmseg_prompts.curation.variance import differences

    llms = list(dict.fromkeys(row["llm"] for row in rows))
    _texts_of_class(rows, llms)
    if several := [row for row in differences(rows) if row["overlap"] is not None]:
        print("\nHow the samples of a description differ:")
        who = ["llm"] if len(llms) > 1 else []
        columns = [*who, "attribute", "samples", "distinct", "tokens", "overlap"]
        print_table([_spread(row) for row in several], columns)


def undone(cell: dict[str, Any] | None, attribute: str) -> None:
    """What stands in a cell after an undo."""
    if cell is None:
        print_line(f"Nothing stands in {attribute} now, as before the change.")
    else:
        cells([cell])


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `differences` with short numbers, and the deviation behind its mean."""
    short = {key: _short(row[key], 2) for key in ("distinct", "overlap")}
    return {**row, **short, "tokens": _around(row["tokens"], row["tokens_sd"], 1)}


def _short(number: float | None, digits: int) -> str | None:
    return None if number is None else f"{number:.{digits}f}"


def _around(mean: float | None, deviation: float | None, digits: int) -> str | None:
    """A mean and the standard deviation, where there is one."""
    shown = _short(mean, digits)
    return shown if shown is None or deviation is None else f"{shown}±{deviation:.{digits}f}"


def costs(rows: list[dict[str, Any]]) -> None:
    """What asking cost; by attribute what cells cost, and how their samples differ."""
    if not rows:
        print("Nothing was asked.")
    elif "samples" in rows[0]:
        columns = ["llm", "attribute", "samples", "distinct", "tokens", "overlap", _A_THOUSAND]
        print_table([{**_spread(row), **_of_a_thousand(row)} for row in rows], columns)
    else:
        names = [name for name in _SPENT if name not in _RARE or any(row[name] for row in rows)]
        by = next(iter(rows[0]))
        shown = [
            {by: row[by], **{_SPENT[name]: row[name] for name in names}, **_of_a_thousand(row)}
            | ({_SPENT["cost_usd"]: "unknown"} if row["unpriced"] and not row["cost_usd"] else {})
            for row in rows
        ]
        print_table(shown)


def _of_a_thousand(row: dict[str, Any]) -> dict[str, Any]:
    """What a thousand cells cost: a single one may be a ten-thousandth of a dollar."""
    mean, deviation = (
        None if row[key] is None else 1000 * row[key] for key in ("cell_usd", "cell_usd_sd")
    )
    return {_A_THOUSAND: _around(mean, deviation, 3)}


def _texts_of_class(rows: list[dict[str, Any]], llms: list[str]) -> None:
    """The cells of a class: a table for one LLM, a column each for several."""
    if len(llms) == 1:
        shown = [
            {**row, "text": _text(row), "locked": bool(row["locked"]), "budget": _budget(row)}
            for row in rows
        ]
        more = [n for n in ("budget", "locked", "review") if any(row[n] for row in shown)]
        print_table(shown, ["attribute", "tokens", "source", *more, "text"])
    else:
        by_attribute: dict[str, dict[str, Any]] = {}
        for row in rows:
            empty = {"attribute": row["attribute"], **dict.fromkeys(llms)}
            by_attribute.setdefault(row["attribute"], empty)[row["llm"]] = _marked(row)
        print_table(list(by_attribute.values()))


def doubt(entry: ClassEntry) -> None:
    """A note on a class of which it is not sure what the benchmark means by it."""
    if entry.doubtful:
        say(f"It is not sure what {entry.name!r} is: {entry.sense}, as here, or {entry.doubtful}.")


def _text(row: dict[str, Any]) -> str:
    """The text; of a failed cell why it failed, and the text that would not do."""
    if row["status"] == "done":
        return str(row["text"])
    return f"(failed: {row['reason']})" + (f" {row['text']}" if row["text"] else "")


def _budget(row: dict[str, Any]) -> str | None:
    """What a text takes of the budget that it was written for, where that is not CLIP's."""
    if row["budget"] is None or row["tokens"] is None:
        return row["budget"]
    (count,) = json.loads(row["other_tokens"] or "{}").values() or (row["tokens"],)
    return f"{count} of {row['budget']}"


def _marked(row: dict[str, Any]) -> str:
    marks = [row["source"]] * (row["source"] != "llm") + ["locked"] * bool(row["locked"])
    marks += [f"review: {row['review']}"] * bool(row["review"])
    return _text(row) + (f" ({', '.join(marks)})" if marks else "")


def attempts(rows: list[dict[str, Any]]) -> None:
    """One block an attempt: a raw reply may have many lines."""
    for row in rows:
        cost = "unknown" if row["cost_usd"] is None else f"${row['cost_usd']:.6f}"
        bound = "at most " if row["cost_is_bound"] else ""
        print_line(
            f"== attempt {row['id']}: {', '.join(row['attributes']) or 'the class'} by "
            f"{row['llm']}, try {row['try']}, {row['started_at']}\n"
            f"model: {_model(row)}; host: {row['host'] or '-'}\n"
            f"state: {row['state']}; verdict: {row['verdict'] or '-'}; "
            f"tokens: {_number(row['input_tokens'])} in, {_number(row['output_tokens'])} out; "
            f"cost: {bound if row['cost_usd'] is not None else ''}{cost}; "
            f"HTTP status: {_number(row['http_status'])}"
        )
        if row["parameters"].keys() - {"max_output_tokens"}:
            print_line(f"parameters: {json.dumps(row['parameters'], ensure_ascii=False)}")
        if row["system"]:
            print_line(_quoted(row["system"], "system> "))
        print_line(_quoted(row["prompt"] or "", "> "))
        if row["error"]:
            print_line(f"error: {printable(row['error'])}")
        if row["thoughts"]:
            print_line(f"thoughts:\n{printable(row['thoughts'])}\nreply:")
        if row["reply"] is not None:
            print_line(printable(row["reply"]))
    if not rows:
        print_line("No question was asked about it.")


def _model(row: dict[str, Any]) -> str:
    """The model that was asked for, and the one that answered where it says that it is another."""
    served = row["served_model"]
    another = f", answered by {served}" if served and served != row["asked_model"] else ""
    return f"{row['asked_model']}{another}"


def _quoted(text: str, mark: str) -> str:
    return "\n".join(f"{mark}{line}" for line in printable(text).splitlines())


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def diff(result: dict[str, Any]) -> None:
    """Two LLMs' texts: what only the first says in red or [-so-], the second in green or {+so+}."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    coloured = console.is_terminal and not console.no_color
    for row in result["cells"]:
        line = Text(visible(f"{row['class']}, {row['attribute']}: "))
        for what, words in row["words"]:
            colour, marked = _ONLY.get(what, ("", "{}"))
            words = visible(words)
            line.append(words if coloured else marked.format(words), colour if coloured else "")
            line.append(" ")
        line.rstrip()
        console.print(line, markup=False, highlight=False)
    first, second, counts = result["first"], result["second"], result["counts"]
    print_line(
        f"{counts['same']} the same, {counts['differ']} differ, {counts['only_first']} only by "
        f"{first}, {counts['only_second']} only by {second}, {counts['neither']} by neither."
    )


def imported(result: Imported, as_json: bool, listed: Path) -> None:
    """The counts in a line; what was not taken in another, with a file that lists it."""
    if as_json:
        show(asdict(result), as_json)
        return
    print_line(
        f"{result.file} ({result.format}): {_count(result.classes, 'class')}, "
        f"{_count(result.phrases, 'text')}; {_count(result.added, 'description')} added, "
        f"{result.replaced} replaced, {result.kept} kept, {result.locked} locked; "
        f"{_count(len(result.left_out), 'text')} left out."
    )
    if result.samples:
        print_line(f"Further samples of the same cells among them: {result.samples}.")
    if Shown.verbose:
        for row in result.left_out:
            said = printable(excerpt(row["phrase"], 200))
            print_line(f"left out of {row['class']} ({row['reason']}): {said}")
    if result.review:
        say(f"{_count(result.review, 'text')} for review: lsmseg-prompts store check -v lists all.")
    rows = [
        *({"name": row["name"], "text": "", "reason": row["reason"]} for row in result.names),
        *(
            {"name": row["class"], "text": row["phrase"], "reason": row["reason"]}
            for row in result.left_out
        ),
    ]
    if not rows:
        return
    write_whole(listed, csv_text(rows))
    what = [f"{_count(len(result.left_out), 'text')} left out"] if result.left_out else []
    if names := len(result.names):
        taken = "name not taken as a class" if names == 1 else "names not taken as classes"
        what.append(f"{names} {taken} (first: {result.first_names})")
    say(f"{' and '.join(what)}: {listed} lists all.")


def _count(number: int, what: str) -> str:
    """A number of things, such as "1 class" and "2 classes"."""
    return f"{number} {what if number == 1 else plural(what)}"
