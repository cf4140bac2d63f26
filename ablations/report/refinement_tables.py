"""Refinement in tables: its rounds, what they kept, the classes that changed, the loops."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ablations.report.sheet import Column, Row, Sheet, make_sheet, signed, texts
from ablations.search.options import GIVEN_SET

LOOPS = {
    "all": "all labels",
    "seen": "seen labels only",
    "control": "control",
}
"""By which labels texts are chosen; the control does it with the texts of other classes."""
HALVES = ("first", "second")
START = "start"  # in a recipe: what was refined, whose name is long
BY_ITSELF = (
    "Proposing, deciding: points of mIoU that it gains by itself on that half of the selection "
    "pictures."
)
KEPT = {
    "set": "it keeps as many of them, the best first, as surely gain together: the interval is "
    "wide enough for every number of them",
    "single": "it keeps those that surely gain by themselves: the intervals are wide enough for "
    "all of the round",
    "stepdown": "it keeps those that surely gain by themselves, step by step with room for the "
    "next",
    "fdr": "it keeps what gains by itself, of which one in twenty may be a false discovery",
    "paper": "here it has no say, as whatever gained on the first half is kept",
}
"""How the other half decides, by rule."""


def loops_of(record: Row) -> dict[str, Row]:
    """The loops that there are, in the order of LOOPS."""
    return {key: record["loops"][key] for key in LOOPS if record["loops"].get(key)}


def round_rows(record: Row) -> list[dict[str, Any]]:
    """For rounds.csv: every round of every loop."""
    numbers = ("round", "tried", "proposed", "before", "after", "cost_usd", "seconds")
    return [
        {
            "loop": LOOPS[key],
            **{name: one[name] for name in numbers},
            "half": HALVES[one["half"]],
            "kept": len(one["kept"]),
            **{name: one.get(name) for name in ("gain", "gain_low", "gain_high")},
        }
        for key, loop in loops_of(record).items()
        for one in loop["rounds"]
    ]


def round_sheet(record: Row, loop: str = "all") -> Sheet:
    """The rounds of a loop in a line each."""
    rows = [row for row in round_rows(record) if row["loop"] == LOOPS[loop]]
    columns: list[Column] = [
        *texts("round"),
        ("half", lambda row: row["half"]),
        ("tried", lambda row: str(row["tried"])),
        *texts("proposed", "kept"),
        ("points on the other half", _points),
    ]
    if any(row["cost_usd"] for row in rows):
        columns.append(("dollars", lambda row: f"{row['cost_usd']:.2f}"))
    return make_sheet(
        f"Refinement, round by round ({LOOPS[loop]})",
        rows,
        columns,
        "Candidates tried and proposed on that half of the selection pictures. The other half "
        "decides which are kept, and says how many points of mIoU they gain together.",
        _kind_of_round,
    )


def _points(row: Row) -> str:
    """What was gained on the half that decides; rules that test nothing have no interval."""
    if not row["kept"]:
        return ""
    gain = row["after"] - row["before"] if row["gain"] is None else row["gain"]
    return signed({**row, "gain": gain}, "gain")


def _kind_of_round(row: Row) -> str:
    return "accepted" if row["kept"] else "rejected"


def kept_rows(record: Row, loop: str = "all") -> Iterator[dict[str, Any]]:
    """Each class whose texts a round replaced, with what they were (``was``) until then."""
    now: dict[str, str] = {}
    for one in loops_of(record).get(loop, {"rounds": ()})["rounds"]:
        for trial in one["kept"]:
            was = now.get(trial["class"], record["start"])
            now[trial["class"]] = trial["recipe"]
            yield {**trial, "was": was, "round": one["round"]}


def kept_sheet(record: Row) -> Sheet:
    """A line for each class whose texts a round replaced."""
    start = record["start"]
    return make_sheet(
        "Kept, class by class",
        list(kept_rows(record)),
        [
            ("class", lambda row: row["class"]),
            *texts("round"),
            ("texts, was -> now", lambda row: _change(row, start)),
            *_gains(),
        ],
        f"{BY_ITSELF} {START}: {start}.",
        lambda row: "accepted",
    )


def _change(row: Row, start: str) -> str:
    return " -> ".join(row[key].replace(start, START) for key in ("was", "recipe"))


def _gains() -> list[Column]:
    """What a candidate gains where it was proposed, and where it was decided."""
    return [
        ("proposing", lambda row: _small(row["gain"])),
        ("deciding", lambda row: _small(row["decided"])),
    ]


def _small(value: float | None) -> str:
    """Points that one class brings: hundredths count."""
    return "-" if value is None else f"{100 * value:+.2f}"


def changed_sheet(record: Row, classes: str = "classes") -> Sheet | None:
    """The classes that have other texts now, with these; None where there is none.

    classes: "classes", or "seen_classes" of the loop that had the labels of seen classes only.
    """
    start, loop = record["start"], "all" if classes == "classes" else "seen"
    if not record[classes]:
        return None
    was = {row["class"]: row["was"] for row in kept_rows(record, loop)}
    rows = [{**row, "was": was.get(row["class"], start)} for row in record[classes]]
    return make_sheet(
        f"Classes with other texts ({LOOPS[loop]})",
        sorted(rows, key=lambda row: -(row["decided"] or 0)),
        [
            ("class", _named),
            ("texts before", lambda row: "\n".join(row["before"])),
            ("texts now", lambda row: "\n".join(row["texts"])),
            ("was -> now", lambda row: _change(row, start)),
            ("proposer", lambda row: row["proposer"]),
            *_gains(),
        ],
        f"{BY_ITSELF} {START}: {start}. A class that changed twice gained twice, see the rounds."
        + (
            " -: taken over from the seen classes that are named most alike; deciding is what "
            "these gain."
            if loop == "seen"
            else ""
        ),
        lambda row: "accepted",
    )


def _named(row: Row) -> str:
    return row["class"] + (" (unseen)" if row.get("seen") is False else "")


def loop_sheet(record: Row) -> Sheet:
    """The loops side by side: what they tried, and what they gain over the best set for all."""
    shown = [{"loop": LOOPS[key], **loop} for key, loop in loops_of(record).items()]
    columns = [
        column
        for column in ("miou", "seen", "unseen")
        if any(row["gain"] and row["gain"].get(column) for row in shown)
    ]
    heads = {"miou": "against start", "seen": "seen", "unseen": "unseen"}
    return make_sheet(
        "What refinement gains",
        shown,
        [
            ("labels", lambda row: row["loop"]),
            ("tried", lambda row: str(row["candidates"])),
            ("rounds", lambda row: str(len(row["rounds"]))),
            ("changed", lambda row: str(len(row["changed"]))),
            *((heads[c], lambda row, c=c: _gain(row, c)) for c in columns),
        ],
        "Candidates tried, rounds, classes changed, and points of mIoU against the start, "
        f"{record['start']}, on the report split, paired. The control is the same loop with the "
        "texts of other classes: what it gains comes from choosing, not from what they say.",
        lambda row: "control" if row["loop"] == LOOPS["control"] else "accepted",
    )


def _gain(row: Row, column: str) -> str:
    found = (row["gain"] or {}).get(column)
    return signed(found, "value") if found else ""


def confusion_sheet(one: Row) -> Sheet:
    """What a round looked at."""
    return make_sheet(
        "Confusions",
        one["confusions"],
        [
            *texts("label"),
            ("taken for", lambda row: row["predicted"]),
            *texts("pixels"),
            ("mIoU if mended", lambda row: _small(row["gain"])),
        ],
        f"On the {HALVES[one['half']]} half of the selection pictures, those whose mending would "
        "bring most; in points of mIoU.",
        lambda row: "attribute",
    )


def proposal_sheet(one: Row, start: str) -> Sheet:
    """What a round proposed, and what became of it."""
    rows = [
        {**trial, "decision": decision}
        for decision, trials in (("kept", one["kept"]), ("turned down", one["turned_down"]))
        for trial in trials
    ]
    return make_sheet(
        "Proposals",
        rows,
        [
            ("class", lambda row: row["class"]),
            ("texts", lambda row: row["recipe"].replace(start, START)),
            *texts("proposer"),
            *_gains(),
            *texts("decision"),
        ],
        f"{BY_ITSELF} {START}: {start}.",
        lambda row: "accepted" if row["decision"] == "kept" else "rejected",
    )


def changed_rows(record: Row) -> list[dict[str, Any]]:
    """For refined_classes.csv: the classes with other texts, by all labels and by seen ones."""
    keys = ("class", "index", "seen", "proposer", "recipe", "gain", "decided", "cost_usd")
    return [
        {
            "loop": LOOPS[loop],
            **{key: row.get(key) for key in keys},
            **{key: " | ".join(row[key]) for key in ("before", "texts")},
        }
        for loop, classes in (("all", "classes"), ("seen", "seen_classes"))
        for row in record[classes]
    ]


def story(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page's section on refinement shows; None where nothing was refined."""
    record = run.get("refinement")
    if not record:
        return None
    rounds = [
        {**one, "confused": confusion_sheet(one), "trials": proposal_sheet(one, record["start"])}
        for one in record["loops"]["all"]["rounds"]
    ]
    return {
        "record": record,
        "rounds": rounds,
        "halves": HALVES,
        "rule": KEPT.get(record.get("rule", "set"), ""),
        "loops": loop_sheet(record),
        "given": record["start"] == GIVEN_SET,
        "in_lines": round_sheet(record),
        "changed": changed_sheet(record),
        "seen_changed": changed_sheet(record, "seen_classes"),
    }


def terminal_sheets(record: Row | None) -> Sequence[Sheet]:
    """What the terminal shows: the rounds, and what they kept."""
    if not record:
        return []
    kept = any(one["kept"] for one in record["loops"]["all"]["rounds"])
    return [round_sheet(record), *([kept_sheet(record)] if kept else []), loop_sheet(record)]
