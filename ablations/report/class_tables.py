"""Tables about classes and prompts: seen against unseen, gains and losses, confusions, lengths."""

from collections.abc import Mapping, Sequence
from typing import Any

from ablations.report.classwise import FEW
from ablations.report.tables import Line, Row, Sheet, score, signed
from ablations.search.scoreboard import AVERAGE

ENDS = 10  # classes at either end of the table for a paper


def seen_sheet(singles: Sequence[Row], combinations: Sequence[Row]) -> Sheet | None:
    """Every prompt set on the seen and the unseen classes; None if no benchmark tells them apart.

    Of several benchmarks each has its own lines, above those of their average.
    """
    report = [row for row in singles if row["split"] == "report"]
    found = {(row["prompts"], row["benchmark"]): row for row in [*report, *combinations]}
    chosen = {row["prompts"] for row in combinations if row["chosen"]}
    rows = [row for row in found.values() if row.get("unseen") is not None]
    if not rows:
        return None
    several = len({row["benchmark"] for row in found.values()}) > 1
    names = dict.fromkeys(row["prompts"] for row in rows)
    lines = []
    for name in sorted(names, key=lambda n: n != "name"):  # the others keep their order
        for row in (row for row in rows if row["prompts"] == name):
            baseline = name == "name"
            lines.append(
                Line(
                    _kind(row),
                    (
                        name + (" *" if name in chosen else ""),
                        *((row["benchmark"],) if several else ()),
                        score(row, "seen"),
                        "" if baseline else signed(row, "seen_difference"),
                        score(row, "unseen"),
                        "" if baseline else signed(row, "unseen_difference"),
                    ),
                    name in chosen,
                )
            )
    return Sheet(
        "Seen against unseen classes",
        (
            "prompts",
            *(("benchmark",) if several else ()),
            *("seen", "against name", "unseen", "against name"),
        ),
        tuple(lines),
        "mIoU in % on the report split. Seen classes are those with labels in the model's "
        "training; * is the set that was chosen."
        + (f" {AVERAGE}: over the benchmarks that tell them apart." if several else ""),
    )


def _kind(row: Row) -> str:
    return str(row.get("kind") or {"accepted": "attribute"}.get(row["status"], row["status"]))


def class_sheet(rows: Sequence[Row], texts: bool = True) -> Sheet:
    """The classes of one benchmark, those that gained most first; with their texts if wished."""
    known = [row for row in rows if row["difference"] is not None]
    absent = [row for row in rows if row["difference"] is None]
    known = sorted(known, key=lambda row: -row["difference"])
    told = any(row["seen"] is not None for row in rows)
    lines = []
    for row in [*known, *absent]:
        cells = [row["name"], *([_seen(row)] if told else [])]
        cells += [str(row["pictures"]), score(row, "baseline"), score(row, "best")]
        cells.append(_difference(row))
        if texts:
            cells.append("\n".join([*row["before"], *row["after"]]))
        lines.append(Line(verdict(row), tuple(cells)))
    return Sheet(
        "Gain or loss of every class",
        (
            *("class", *(["seen"] if told else []), "pictures", "name", "best", "difference"),
            *(("text before, and after",) if texts else ()),
        ),
        tuple(lines),
        "IoU in % on the report split, with the plain name and with the best prompts; the "
        f"difference is paired, with its 95 % interval where at least {FEW} pictures hold the "
        "class. Each interval stands for itself: of many classes that nothing was done to, one in "
        "twenty would seem to have changed. -: in no label.",
    )


def verdict(row: Row) -> str:
    """ "helped" or "hurt" where the interval of the difference leaves out 0, else "unsure"."""
    low, high = row.get("difference_low"), row.get("difference_high")
    if low is not None and low > 0:
        return "helped"
    return "hurt" if high is not None and high < 0 else "unsure"


def class_note(rows: Sequence[Row]) -> str:
    """In words how many classes of a benchmark gained and lost."""
    known = [row for row in rows if row["difference"] is not None]
    if not known:
        return "No class of the vocabulary is in the labels."
    found = [verdict(row) for row in known]
    up = sum(row["difference"] > 0 for row in known)
    down = sum(row["difference"] < 0 for row in known)
    text = (
        f"Of {len(known)} classes in the labels, the IoU of {up} rose and of {down} fell; the "
        f"interval lies above 0 for {found.count('helped')} and below 0 for {found.count('hurt')}."
    )
    absent = len(rows) - len(known)
    return text + (f" {absent} scored classes are in no label." if absent else "")


def ends(rows: Sequence[Row], count: int = ENDS) -> list[Row]:
    """The classes that gained most and those that lost most."""
    known = sorted(
        (row for row in rows if row["difference"] is not None), key=lambda row: -row["difference"]
    )
    return known if len(known) <= 2 * count else [*known[:count], *known[-count:]]


def _seen(row: Row) -> str:
    return "" if row["seen"] is None else "seen" if row["seen"] else "unseen"


def _difference(row: Row) -> str:
    if row["difference"] is None or row["difference_low"] is None:
        return "-" if row["difference"] is None else f"{100 * row['difference']:+.1f}"
    return signed(row, "difference")


def confusion_sheet(rows: Sequence[Row]) -> Sheet:
    """The confusions of one benchmark that changed most, see `report.classwise.most_changed`."""
    lines = tuple(
        Line(
            "helped" if row["change"] < 0 else "hurt",
            (
                row["label"],
                row["predicted"],
                f"{100 * row['baseline']:.1f}",
                f"{100 * row['best']:.1f}",
                f"{100 * row['change']:+.1f}",
                str(row["pictures"]),
                f"{row['best_pixels'] - row['baseline_pixels']:+d}",
            ),
        )
        for row in rows
    )
    return Sheet(
        "Confusions that changed most",
        ("label", "taken for", "name", "best", "change", "pictures", "pixels"),
        lines,
        "Per cent of the label's pixels that are taken for the other class, on the report split; "
        f"pixels: how many more. Labels that fewer than {FEW} pictures hold are left out.",
    )


def length_sheet(rows: Sequence[Row]) -> Sheet:
    """How long the texts of each prompt set are."""
    several = len({row["vocabulary"] for row in rows}) > 1
    lines = tuple(
        Line(
            {"name": "baseline"}.get(row["prompts"], "attribute"),
            (
                row["prompts"] + (" *" if row["chosen"] else ""),
                *((row["vocabulary"],) if several else ()),
                str(row["texts"]),
                str(row["shortest"]),
                *(f"{row[key]:g}" for key in ("quarter", "median", "three_quarters")),
                str(row["longest"]),
                str(row["shortened"]),
                str(row["dropped"]),
            ),
            row["chosen"],
        )
        for row in rows
    )
    return Sheet(
        "Lengths of the prompts",
        (
            *("prompts", *(("vocabulary",) if several else ()), "texts", "shortest", "quarter"),
            *("median", "three quarters", "longest", "shortened", "attribute lost"),
        ),
        lines,
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
