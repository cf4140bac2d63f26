"""Reading report pages, and one with every kind of text on it."""

import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.report import plots
from ablations.search.claims import compared
from ablations.search.combine import path_rows, search
from ablations.search.scoreboard import NAME, Candidate
from ablations.search.single import singles
from support.ablation_fakes import ATTRIBUTES, board, by_table

BEFORE = [[6, 4, 0, 0], [0, 10, 0, 0], [5, 0, 5, 0], [0, 0, 1, 9]]


AFTER = [[10, 0, 0, 0], [0, 7, 3, 0], [4, 0, 6, 0], [0, 0, 1, 9]]


EVIL = '<script>alert("x")</script> & [bold]'


def leave(tmp_path: Path, **more: Any) -> Path:
    """What a run left, as far as a page needs it, with a language model that answers in HTML."""
    one = board(by_table({"name": 0.2, "color": 0.4, "shape": 0.3, "color+shape": 0.6}))
    alone = singles(one, ATTRIBUTES)
    found = search(one, ATTRIBUTES)
    record: dict[str, Any] = {
        "format": "lsmseg-prompts/run",
        "version": 2,
        "name": "test",
        "created": "2025-01-01T00:00:00+00:00",
        "seconds": 3,
        "summary": "A summary.",
        "search_note": "A note.",
        "cards": [{"label": "mIoU", "value": "3 %", "detail": EVIL, "parts": [], "best": True}],
        "llm": {"name": "bundled", "provenance": EVIL},
        "model": {"name": "tiny", "weights": "abc", "dense": "catseg"},
        "benchmarks": [
            {
                "name": "fake",
                "vocabulary": "four",
                "classes": 4,
                "seen": 2,
                "selection": {"split": "selection", "pictures": 20},
                "report": {"split": "report", "pictures": 20},
            }
        ],
        "settings": {
            "samples": 300,
            "rule": "interval",
            "seed": 0,
            "strategy": "greedy",
            "composition": "concat",
        },
        "command": "lsmseg-prompts run --vocab 'a & b'",
        "versions": {"Python": "3"},
        "store": "/somewhere",
        "best": {"prompts": "color+shape", "tried": found.tried},
        "figures": [
            {"section": "single", "file": "single.png", "title": "T", "caption": EVIL},
            {"section": "pictures", "file": "gone.png", "title": "Gone", "caption": "c"},
        ],
        "single": alone.rows,
        "combinations": path_rows(one, found),
        "candidates": found.candidates,
        "prompts": [
            {
                "vocabulary": "four",
                "composition": "concat",
                "shortened": 3,
                "dropped": 1,
                "classes": [{"index": 0, "name": "zebra", "texts": [EVIL], "tokens": [9]}],
            }
        ],
        **dict.fromkeys(("per_class", "confusions", "lengths", "commands"), ()),
        **more,
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    for name, drawn in _figure().items():
        (tmp_path / name).write_bytes(drawn)
    return tmp_path


@cache
def _figure() -> dict[str, bytes]:
    """single.png and single.pdf, drawn once for all pages."""
    rows = singles(board(by_table({"name": 0.2, "color": 0.4})), ["color"]).rows
    with TemporaryDirectory() as folder:
        plots.single_plot(rows, Path(folder, "single.png"))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


class Reader(HTMLParser):
    """Collects tags, links and the text of the cells; complains about tags left open."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def differences() -> list[dict[str, Any]]:
    """What a choice gains over the name and over a control, as a record has it."""
    one = board(by_table({"name": 0.2, "color": 0.4, "shuffled(color)": 0.05}))
    sets = [Candidate(("color",)), NAME, Candidate(("color",), "shuffled")]
    choice, *others = one.score("report", sets)
    kinds = ("baseline", "control")
    return [
        {**row, "kind": kind} for row, kind in zip(compared(choice, others), kinds, strict=True)
    ]
