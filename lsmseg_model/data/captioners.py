"""Who tells what a picture shows: the rules, for a benchmark with labels, or a file of captions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lsmseg_model.data.descriptions import Description, from_json
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.files import named_file

if TYPE_CHECKING:
    import numpy as np

    from lsmseg_model.data.benchmark import Benchmark
    from lsmseg_model.data.ministuff.telling import CaptionErrors


class Captioner(Protocol):
    """What gives the description of a picture."""

    def describe(self, key: str) -> Description:
        """The description of the picture that a benchmark calls `key`; DataError if none."""


class FileCaptions:
    """Captions read from JSON Lines, checked as they are read.

    A line is {"picture": "report-0007", "objects": [...], "relations": [...]} (see `from_json`) or
    {"picture": "report-0007", "caption": "There is a red car."} in the grammar of
    ministuff/telling.py; "picture" is a benchmark's key or a file's name.

    Raises ConfigError where there is no such file, DataError that names the line for a wrong one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = named_file(Path(path), "captions")
        self.descriptions: dict[str, Description] = {}
        try:
            lines = self.path.read_text("utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as captions: {error}.") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._add(line, f"Line {number} of {path}")

    def _add(self, line: str, where: str) -> None:
        from lsmseg_model.data.ministuff.telling import parse

        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON: {error}.") from None
        picture = value.pop("picture", None) if isinstance(value, dict) else None
        if not isinstance(picture, str) or not picture:
            raise DataError(f'{where} does not name its picture: write {{"picture": "KEY", ...}}.')
        if picture in self.descriptions:
            raise DataError(f"{where} is a second caption of {picture}; leave one of them.")
        told = value.get("caption")
        if value.keys() == {"caption"} and isinstance(told, str):
            self.descriptions[picture] = parse(told, where)
        else:
            self.descriptions[picture] = from_json(value, where)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names as benchmarks have them, without folder and ending, where that is one picture's."""
        stems = [Path(name).stem for name in self.descriptions]
        count = Counter(stems)
        return {s: n for s, n in zip(stems, self.descriptions, strict=True) if count[s] == 1}

    def describe(self, key: str) -> Description:
        names = self._names
        stem = Path(key).stem
        known = stem if stem in self.descriptions else names.get(key, names.get(stem, ""))
        found = self.descriptions.get(key, self.descriptions.get(known))
        if found is None:
            raise DataError(f"{self.path} has no caption of {key}; add a line for it.")
        return found


class RulesCaptions:
    """Captions by rule from the labels of a benchmark, with planted errors; see telling.py.

    names: the vocabulary's, by index; None stands for MiniStuff's own.
    """

    def __init__(
        self, benchmark: Benchmark, errors: CaptionErrors, names: Sequence[str] | None = None
    ) -> None:
        from lsmseg_model.data.ministuff.tables import read_table

        if names is None and benchmark.name != "ministuff":
            raise UsageError(
                f"The rules know the names of MiniStuff's classes, not those of {benchmark.name}: "
                "give its vocabulary (class_names), or a file of captions."
            )
        own = ((row["index"], row["name"]) for row in read_table("classes"))
        told = set(benchmark.class_indices)
        if benchmark.split == "train" and benchmark.seen is not None:
            told &= benchmark.seen  # an unseen class may be there, so to name it is no invention
        known = own if names is None else enumerate(names)
        self.names = {index: name for index, name in known if index in told}
        self.benchmark, self.errors = benchmark, errors

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self.benchmark.key(index): index for index in range(len(self.benchmark))}

    def describe(self, key: str) -> Description:
        if (index := self._places.get(key)) is None:
            raise DataError(f"{self.benchmark.name} has no picture {key} to tell of.")
        return self.describe_scene(key, self.benchmark.picture(index), self.benchmark.labels(index))

    def describe_scene(self, key: str, image: np.ndarray, labels: np.ndarray) -> Description:
        """The description of a picture that is at hand: uint8 [H, W, 3] and int [H, W]."""
        from lsmseg_model.data.ministuff.telling import parse, tell

        rng = self.errors.rng(key)
        return parse(tell(image, labels, self.names, self.errors, rng))


def open_captions(
    text: str | None, benchmark: Benchmark | None, names: Sequence[str] | None = None
) -> Captioner | None:
    """The captioner that `--captions` names: "rules", "rules:drop=0.2,seed=3" or a file's path.

    Where nothing is named, of MiniStuff the rules, else None. names: see `RulesCaptions`. Raises
    UsageError for options that the rules do not have, and for rules without a benchmark.
    """
    from lsmseg_model.data.ministuff.telling import CaptionErrors

    if text is None and benchmark is not None and benchmark.name == "ministuff":
        text = "rules"
    if text is None or text.partition(":")[0] != "rules":
        return None if text is None else FileCaptions(text)
    if benchmark is None:
        raise UsageError(
            "The rules tell what the labels of a benchmark say, and pictures alone have none: give "
            "--captions FILE."
        )
    try:
        given = dict(part.split("=") for part in filter(None, text.partition(":")[2].split(",")))
        rates = {name: (int if name == "seed" else float)(value) for name, value in given.items()}
        errors = CaptionErrors(**rates)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(
            f"{text!r} is not a captioner: the rules have drop, wrong, invent and seed, as in "
            "rules:drop=0.2,seed=3."
        ) from None
    return RulesCaptions(benchmark, errors, names)


def words_of(captions: Captioner, keys: Iterable[str]) -> list[str]:
    """The objects that the captions of some pictures name, each once, in their order."""
    return list(dict.fromkeys(o.name for key in keys for o in captions.describe(key).objects))
