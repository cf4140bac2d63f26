"""Tables about classes and prompts: seen against unseen, gains and losses, confusions, lengths."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from ablations.report.classwise import FEW
from ablations.report.sheet import (
    Column,
    Row,
    Sheet,
    kind_of,
    make_sheet,
    score,
    several,
    side,
    signed,
    texts,
)
from ablations.report.tables import PROMPTS
from ablations.search.enough import TOO_FEW
from ablations.search.scoreboard import AVERAGE

ENDS = 10  # classes at either end of the table for a paper
NAME: Column = ("name", lambda row: score(row, "baseline"))
BEST: Column = ("best", lambda row: score(row, "best"))


def seen_sheet(singles: Sequence[Row], combinations: Sequence[Row]) -> Sheet | None:
    """Every prompt set on the seen and the unseen classes; None if no benchmark tells them apart.

    Of several benchmarks each has its own lines, above those of their average.
    """
    report = [row for row in singles if row["split"] == "report"]
    latest = {(row["prompts"], row["benchmark"]): row for row in [*report, *combinations]}
    chosen = {row["prompts"] for row in combinations if row["chosen"]}
    rows = [row for row in latest.values() if row.get("unseen") is not None]
    if not rows:
        return None
    names = sorted(dict.fromkeys(row["prompts"] for row in rows), key=lambda n: n != "name")
    lines = [
        {**row, "chosen": name in chosen}
        for name in names  # the plain name first, the others keep their order
        for row in rows
        if row["prompts"] == name
    ]
    many = several(list(latest.values()))
    return make_sheet(
        "Seen against unseen classes",
        lines,
        [
            PROMPTS,
            *texts(*["benchmark"] * many),
            ("seen", lambda row: score(row, "seen")),
            ("against name", lambda row: _against_name(row, "seen")),
            ("unseen", lambda row: score(row, "unseen")),
            ("against name", lambda row: _against_name(row, "unseen")),
        ],
        "mIoU in % on the report split. Seen classes are those with labels in the model's "
        "training; * is the set that was chosen."
        + (f" {AVERAGE}: over the benchmarks that tell them apart." if many else ""),
        lambda row: kind_of(row).replace("accepted", "attribute"),
        itemgetter("benchmark"),
    )


def _against_name(row: Row, subset: str) -> str:
    return "" if row["prompts"] == "name" else signed(row, f"{subset}_difference")


def class_sheet(rows: Sequence[Row], in_full: bool = True) -> Sheet:
    """The classes of one benchmark, those that gained most first; ``in_full`` with their texts."""
    absent = [row for row in rows if row["difference"] is None]
    columns: list[Column] = [("class", lambda row: str(row["name"]))]
    if any(row["seen"] is not None for row in rows):
        seen = {None: "", True: "seen", False: "unseen"}
        columns.append(("seen", lambda row: seen[row["seen"]]))
    columns += [*texts("pictures"), NAME, BEST, ("difference", signed)]
    if in_full:
        both = "text before, and after"
        columns.append((both, lambda row: "\n".join([*row["before"], *row["after"]])))
    return make_sheet(
        "Gain or loss of every class",
        [*_ranked(rows), *absent],
        columns,
        "IoU in % on the report split, with the plain name and with the best prompts; the "
        f"difference is paired, with its 95 % interval where at least {FEW} pictures hold the "
        "class. Each interval stands for itself: of many classes that nothing was done to, one in "
        "twenty would seem to have changed. -: in no label.",
        verdict,
    )


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """The classes that labels hold, those that gained most first."""
    labelled = [row for row in rows if row["difference"] is not None]
    return sorted(labelled, key=lambda row: -row["difference"])


def verdict(row: Row) -> str:
    """Says "helped" or "hurt" where the interval of the difference leaves out 0, else "unsure"."""
    return {"above": "helped", "below": "hurt", "": "unsure"}[side(row)]


def class_note(rows: Sequence[Row]) -> str:
    """In words how many classes of a benchmark gained and lost."""
    ranked = _ranked(rows)
    if not ranked:
        return "No class of the vocabulary is in the labels."
    verdicts = [verdict(row) for row in ranked]
    up = sum(row["difference"] > 0 for row in ranked)
    down = sum(row["difference"] < 0 for row in ranked)
    few = {str(row["no_interval"]) for row in ranked}
    surely = (
        f"the interval lies above 0 for {verdicts.count('helped')} and below 0 for "
        f"{verdicts.count('hurt')}."
    )
    if len(few) == 1 and few.pop().startswith(TOO_FEW):
        surely = f"there are {ranked[0]['no_interval']} to tell for which surely."
    text = (
        f"Of {len(ranked)} classes in the labels, the IoU of {up} rose and of {down} fell; {surely}"
    )
    absent = len(rows) - len(ranked)
    return text + (f" {absent} scored classes are in no label." if absent else "")


def open_note(rows: Sequence[Row]) -> str:
    """The Open IoU of the plain name and of the best prompts, in words; "" where there is none.

    rows: of stage 4, on one benchmark.
    """
    found = {row["prompts"]: row for row in rows if row.get("open_iou") is not None}
    if not found:
        return ""
    each = [
        f"{score(row, 'open_iou')} % with {prompts} (mIoU {score(row, 'miou_union')} %)"
        for prompts, row in found.items()
    ]
    return (
        "Where a word that is near the right one counts in part (Open IoU), the mean over classes "
        f"in labels or predictions is {' and '.join(each)}."
    )


def ends(rows: Sequence[Row], count: int = ENDS) -> list[Row]:
    """The classes that gained most and those that lost most."""
    ranked = _ranked(rows)
    return ranked if len(ranked) <= 2 * count else [*ranked[:count], *ranked[-count:]]


def confusion_sheet(rows: Sequence[Row]) -> Sheet:
    """The confusions of one benchmark that changed most, see `report.classwise.most_changed`."""
    return make_sheet(
        "Confusions that changed most",
        rows,
        [
            *texts("label"),
            ("taken for", lambda row: str(row["predicted"])),
            NAME,
            BEST,
            ("change", lambda row: signed(row, "change")),
            *texts("pictures"),
            ("pixels", lambda row: f"{row['best_pixels'] - row['baseline_pixels']:+d}"),
        ],
        "Per cent of the label's pixels that are taken for the other class, on the report split; "
        f"pixels: how many more. Labels that fewer than {FEW} pictures hold are left out.",
        lambda row: "helped" if row["change"] < 0 else "hurt",
    )


def length_sheet(rows: Sequence[Row]) -> Sheet:
    """How long the texts of each prompt set are."""
    whose, limit = rows[0].get("budget", "CLIP") + "'s", rows[0].get("limit", 77)
    quantiles = ("shortest", "quarter", "median", "three_quarters", "longest")
    return make_sheet(
        "Lengths of the prompts",
        rows,
        [
            PROMPTS,
            *texts(*["vocabulary"] * several(rows, "vocabulary")),
            *texts("texts", *quantiles, "shortened"),
            ("attribute lost", lambda row: str(row["dropped"])),
        ],
        f"{whose} tokens, of which it reads {limit}, start and end included. Shortened: classes "
        "whose text lost a clause to fit; attribute lost: those that lost an attribute's whole "
        "description. * is the set that was chosen.",
        lambda row: "baseline" if row["prompts"] == "name" else "attribute",
    )


class ClassGroup(NamedTuple):
    """The classes of one benchmark: rows of per_class.csv, and of the confusions kept."""

    benchmark: str
    rows: list[Row]
    pairs: list[Row]
    scores: list[Row]

    @property
    def note(self) -> str:
        return f"{class_note(self.rows)} {open_note(self.scores)}".strip()

    @property
    def classes(self) -> Sheet:
        return class_sheet(self.rows)

    @property
    def confusions(self) -> Sheet | None:
        return confusion_sheet(self.pairs) if self.pairs else None


def class_groups(run: Mapping[str, Any]) -> list[ClassGroup]:
    """Each benchmark's classes."""
    rows = run["per_class"]
    return [
        ClassGroup(
            name,
            [row for row in rows if row["benchmark"] == name],
            [row for row in run["confusions"] if row["benchmark"] == name],
            [row for row in run["combinations"] if row["benchmark"] == name],
        )
        for name in dict.fromkeys(row["benchmark"] for row in rows)
    ]
