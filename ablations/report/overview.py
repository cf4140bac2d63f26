"""A run in a few lines, in the order of its story: name, attribute, combination, controls."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from ablations.report.sheet import (
    Column,
    Row,
    Sheet,
    kind_of,
    make_sheet,
    scores_of,
    the_split,
    together,
)
from ablations.search.options import BY_CLASS
from lsmseg_prompts.prompts.word_lists import WORDS

CONTROLS = ("shuffled", "random", "typical", "cat-seg", "imagenet")
"""In the order in which they stand below the others."""
NOTE = (
    "mIoU in % on {split}. joined: one text of all attributes, as in the paper; averaged: the "
    "mean of a sentence for each; * is the set that was chosen, shuffled and random are its own; "
    "imagenet: the name in CLIP's seven templates."
)


def overview_sheet(single: Sequence[Row], combinations: Sequence[Row]) -> Sheet | None:
    """What the name finds, the best attribute, the best combination, refinement and the controls.

    The combination stands there as joined and as averaged, where both were scored. None of a run
    that compared word lists.

    Args:
        single: The rows of stage 3.
        combinations: Those of stage 4.
    """
    if any(str(row["prompts"]).startswith(WORDS) for row in (*single, *combinations)):
        return None
    chosen = {row["prompts"] for row in combinations if row["chosen"]}
    latest = {
        (row["prompts"], row["benchmark"]): row
        for row in (*single, *combinations)
        if row.get("split", "report") == "report"
    }
    rows = [
        {**row, "what": what, "chosen": prompts in chosen}
        for prompts, what in dict(_named(single, combinations)).items()
        for (name, _), row in latest.items()
        if name == prompts
    ]
    columns, lines = scores_of(rows, itemgetter("prompts"))
    what: Column = ("prompts", lambda row: row["what"] + " *" * row["chosen"])
    note = NOTE.format(split=the_split(rows))
    return make_sheet("In short", lines, [what, *columns], note, _kind, together)


def _kind(row: Row) -> str:
    return "control" if kind_of(row) == "typical" else kind_of(row)


def _named(single: Sequence[Row], combinations: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """(name of a prompt set, what it is called here), in the order of the sheet."""
    alone = next(row["prompts"] for row in single if row["chosen"])
    yield "name", "name"
    yield alone, f"best attribute: {alone}"
    tried = [row for row in combinations if row.get("added") != BY_CLASS]
    several = {row["prompts"]: row["status"] for row in tried if row["prompts"] != alone}
    taken = [name for name, status in several.items() if status in ("start", "accepted")]
    for name in [*taken[-1:], *(n for n, status in several.items() if status == "counterpart")]:
        yield name, called(name)
    if not taken:
        refused = [name for name, status in several.items() if status == "rejected"]
        yield from ((name, f"not taken: {called(name)}") for name in refused[:1])
    for row in combinations:
        if row.get("added") == BY_CLASS or row["status"] == "seen labels":
            yield row["prompts"], row["prompts"]
    beside = [row["prompts"] for row in combinations if row["status"] in ("typical", "control")]
    for name in sorted(beside, key=_place):
        yield name, f"control: {name.partition('(')[0]}"


def called(name: str) -> str:
    """A combination by how its texts are read, and its attributes."""
    way, _, inside = name.rpartition("(")
    told = {"": f"joined: {name}", "ensemble": f"averaged: {inside[:-1]}"}
    return told.get(way, name)


def _place(name: str) -> int:
    kind = name.partition("(")[0]
    return CONTROLS.index(kind) if kind in CONTROLS else len(CONTROLS)
