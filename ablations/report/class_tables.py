"""Tables about classes and prompts: seen against unseen, gains and losses, confusions, lengths."""

from collections.abc import Mapping, Sequence
from typing import Any

from ablations.report.classwise import FEW
from ablations.report.sheet import Column, Row, Sheet, make_sheet, score, several, side, signed
from ablations.report.tables import PROMPTS
from ablations.search.scoreboard import AVERAGE

ENDS = 10  # classes at either end of the table for a paper


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
    scores: list[Column] = []
    for subset in ("seen", "unseen"):
        scores += [
            (subset, lambda row, c=subset: score(row, c)),  # type: ignore[misc]
            (
                "against name",
                lambda row, c=f"{subset}_difference": (  # type: ignore[misc]
                    "" if row["prompts"] == "name" else signed(row, c)
                ),
            ),
        ]
    many = several(list(latest.values()))
    return make_sheet(
        "Seen against unseen classes",
        lines,
        [PROMPTS, *_column("benchmark", many), *scores],
        lambda row: str(row.get("kind") or row["status"].replace("accepted", "attribute")),
        "mIoU in % on the report split. Seen classes are those with labels in the model's "
        "training; * is the set that was chosen."
        + (f" {AVERAGE}: over the benchmarks that tell them apart." if many else ""),
    )


def _column(name: str, wanted: bool = True) -> list[Column]:
    """A column of a row's own text or number, if wanted."""
    return [(name, lambda row: str(row[name]))] if wanted else []


def class_sheet(rows: Sequence[Row], texts: bool = True) -> Sheet:
    """The classes of one benchmark, those that gained most first; with their texts if wished."""
    absent = [row for row in rows if row["difference"] is None]
    columns = _column("name")
    columns[0] = ("class", columns[0][1])
    if any(row["seen"] is not None for row in rows):
        columns.append(("seen", _seen))
    columns += [
        *_column("pictures"),
        ("name", lambda row: score(row, "baseline")),
        ("best", lambda row: score(row, "best")),
        ("difference", _difference),
    ]
    if texts:
        both = "text before, and after"
        columns.append((both, lambda row: "\n".join([*row["before"], *row["after"]])))
    return make_sheet(
        "Gain or loss of every class",
        [*_ranked(rows), *absent],
        columns,
        verdict,
        "IoU in % on the report split, with the plain name and with the best prompts; the "
        f"difference is paired, with its 95 % interval where at least {FEW} pictures hold the "
        "class. Each interval stands for itself: of many classes that nothing was done to, one in "
        "twenty would seem to have changed. -: in no label.",
    )


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """The classes that labels hold, those that gained most first."""
    labelled = [row for row in rows if row["difference"] is not None]
    return sorted(labelled, key=lambda row: -row["difference"])


def verdict(row: Row) -> str:
    """ "helped" or "hurt" where the interval of the difference leaves out 0, else "unsure"."""
    return {"above": "helped", "below": "hurt", "": "unsure"}[side(row)]


def class_note(rows: Sequence[Row]) -> str:
    """In words how many classes of a benchmark gained and lost."""
    ranked = _ranked(rows)
    if not ranked:
        return "No class of the vocabulary is in the labels."
    verdicts = [verdict(row) for row in ranked]
    up = sum(row["difference"] > 0 for row in ranked)
    down = sum(row["difference"] < 0 for row in ranked)
    text = (
        f"Of {len(ranked)} classes in the labels, the IoU of {up} rose and of {down} fell; the "
        f"interval lies above 0 for {verdicts.count('helped')} and below 0 for "
        f"{verdicts.count('hurt')}."
    )
    absent = len(rows) - len(ranked)
    return text + (f" {absent} scored classes are in no label." if absent else "")


def ends(rows: Sequence[Row], count: int = ENDS) -> list[Row]:
    """The classes that gained most and those that lost most."""
    ranked = _ranked(rows)
    return ranked if len(ranked) <= 2 * count else [*ranked[:count], *ranked[-count:]]


def _seen(row: Row) -> str:
    return "" if row["seen"] is None else "seen" if row["seen"] else "unseen"


def _difference(row: Row) -> str:
    if row["difference"] is None or row["difference_low"] is None:
        return "-" if row["difference"] is None else f"{100 * row['difference']:+.1f}"
    return signed(row, "difference")


def confusion_sheet(rows: Sequence[Row]) -> Sheet:
    """The confusions of one benchmark that changed most, see `report.classwise.most_changed`."""
    return make_sheet(
        "Confusions that changed most",
        rows,
        [
            *_column("label"),
            ("taken for", lambda row: str(row["predicted"])),
            ("name", lambda row: score(row, "baseline")),
            ("best", lambda row: score(row, "best")),
            ("change", lambda row: f"{100 * row['change']:+.1f}"),
            *_column("pictures"),
            ("pixels", lambda row: f"{row['best_pixels'] - row['baseline_pixels']:+d}"),
        ],
        lambda row: "helped" if row["change"] < 0 else "hurt",
        "Per cent of the label's pixels that are taken for the other class, on the report split; "
        f"pixels: how many more. Labels that fewer than {FEW} pictures hold are left out.",
    )


def length_sheet(rows: Sequence[Row]) -> Sheet:
    """How long the texts of each prompt set are."""
    return make_sheet(
        "Lengths of the prompts",
        rows,
        [
            PROMPTS,
            *_column("vocabulary", several(rows, "vocabulary")),
            *_column("texts"),
            *_column("shortest"),
            ("quarter", lambda row: f"{row['quarter']:g}"),
            ("median", lambda row: f"{row['median']:g}"),
            ("three quarters", lambda row: f"{row['three_quarters']:g}"),
            *_column("longest"),
            *_column("shortened"),
            ("attribute lost", lambda row: str(row["dropped"])),
        ],
        lambda row: "baseline" if row["prompts"] == "name" else "attribute",
        "CLIP's tokens, of which it reads 77, start and end included. Shortened: classes whose "
        "text lost a clause to fit; attribute lost: those that lost an attribute's whole "
        "description. * is the set that was chosen.",
    )


def class_groups(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the report shows of each benchmark's classes; [] for a run of before there was any."""
    rows = [row for row in run.get("per_class", []) if "before" in row]
    groups = []
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        here = [row for row in rows if row["benchmark"] == name]
        pairs = [row for row in run.get("confusions", []) if row["benchmark"] == name]
        groups.append(
            {
                "benchmark": name,
                "note": class_note(here),
                "classes": class_sheet(here),
                "confusions": confusion_sheet(pairs) if pairs else None,
            }
        )
    return groups
