"""The prompt sets that can be compared: from the store, from runs, from files, and the controls."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from ablations.runs.folders import find_file, find_result, list_files, list_results
from ablations.studio.state import Studio
from ablations.studio.trying.kept import Kept
from ablations.studio.web.inputs import Input
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import load, writers
from lsmseg_prompts.errors import LsmsegPromptsError, UsageError
from lsmseg_prompts.export.formats import FORMATS
from lsmseg_prompts.export.loading import load_export
from lsmseg_prompts.prompts.compose import written_for
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES
from lsmseg_prompts.prompts.prompt_set import BUILT, PromptSet

KINDS = ("attributes", "name", "run", "own")
OF_RUNS = re.compile(r"(best|one_set|seen_labels)_prompts(-.+)?\.json")
"""The prompt sets that a run leaves."""
READ = ("native", *FORMATS)
"""The formats of one's own files."""
LARGEST_RUN = 32 << 20  # bytes of a run's prompt set
KEPT = 32  # files of one's own
RUNS = 200  # that are offered


class PromptSets:
    """Makes the prompt sets that the page names."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._own: Kept[str, PromptSet] = Kept(KEPT)

    def choices(self) -> dict[str, Any]:
        """What a set can be made of: attributes by LLM, compositions, controls, templates, runs."""
        studio = self.studio
        return {
            "vocabulary": studio.vocabulary.name,
            "classes": len(studio.vocabulary),
            "llm": studio.options.llm,
            "llms": [{"name": name, "attributes": self._described(name)} for name in self._llms()],
            "compositions": list(BUILT),
            "controls": list(CONTROLS),
            "templates": list(NAME_TEMPLATES),
            "runs": self._runs(),
            "formats": list(READ),
        }

    def read(self, given: Input, name: str) -> PromptSet:
        """The set that a field of a request describes.

        Its fields are kind (one of KINDS) and, by kind, attributes, composition, llm and control;
        template; run and file; own, the name that `add` gave.

        Raises:
            UsageError: for what there is not.
            ConfigurationError, RefusedError, StoreError: what the library raises.
        """
        fields = given.fields.get(name)
        if not isinstance(fields, dict):
            raise UsageError(f"The field {name} has to be an object that describes a prompt set.")
        one = Input(fields)
        kind = one.choice("kind", KINDS)
        if kind == "attributes":
            return self._of_attributes(one)
        if kind == "name":
            return self._of_store([one.choice("template", list(NAME_TEMPLATES), "name")])
        if kind == "run":
            return self._of_run(one.text("run", most=500), one.text("file", most=300))
        made = self._own.get(one.text("own", most=100))
        if made is None:
            raise UsageError("The studio does not keep this file any more: give it again.")
        return made

    def add(self, name: str, data: bytes, format: str) -> dict[str, Any]:
        """Keep a file of one's own; says what it is called from now on, and what is in it.

        Raises what `load_export` raises.
        """
        made = self._load(data, shown_name(name), format)
        id = hashlib.sha256(format.encode() + data).hexdigest()[:32]
        self._own.put(id, made)
        return {"own": id, "file": shown_name(name), **about(made)}

    @property
    def _store(self) -> str | None:
        """The store that is named, if it is there."""
        named = self.studio.options.store
        return named if named is not None and Path(named).exists() else None

    def _llms(self) -> list[str]:
        there = writers(self.studio.vocabulary, self.studio.store)
        return list(dict.fromkeys([self.studio.options.llm, *there]))

    def _described(self, llm: str) -> dict[str, int]:
        """How many classes have each attribute by an LLM; only those that any class has."""
        try:
            cells = load(self.studio.vocabulary, llm, None, self._store, require=False)
        except LsmsegPromptsError:
            return {}
        counts = dict.fromkeys([*ATTRIBUTES, "typical"], 0)
        for _, attribute in cells:
            counts[attribute] = counts.get(attribute, 0) + 1
        return {attribute: count for attribute, count in counts.items() if count}

    def _of_attributes(self, one: Input) -> PromptSet:
        composition = one.choice("composition", list(BUILT), "concat")
        control = one.choice("control", list(CONTROLS), None)
        llm = one.text("llm", self.studio.options.llm, most=200)
        return self._of_store(one.texts("attributes", most=20), composition, llm, control)

    def _of_store(
        self,
        attributes: list[str],
        composition: str = "concat",
        llm: str = "bundled",
        control: str | None = None,
    ) -> PromptSet:
        studio = self.studio
        return prompt_set(
            studio.vocabulary,
            attributes,
            composition,
            llm,
            self._store,
            missing="name",
            writing=written_for(studio.budget),
            control=control,
        )

    def _runs(self) -> list[dict[str, Any]]:
        found = []
        for one in list_results(self.studio.runs)[:RUNS]:
            files = [name for name in list_files(one.path) if OF_RUNS.fullmatch(name)]
            if files:
                found.append({"name": one.name, "title": one.title, "files": files})
        return found

    def _of_run(self, run: str, file: str) -> PromptSet:
        result = find_result(self.studio.runs, run)
        path = find_file(result, file)
        if not OF_RUNS.fullmatch(file) or path.stat().st_size > LARGEST_RUN:
            raise UsageError(f"{file[:80]!r} is not a prompt set of the run {result.name}.")
        return load_export(path, "native", self.studio.vocabulary, budget=self.studio.budget)

    def _load(self, data: bytes, name: str, format: str) -> PromptSet:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "given.json"
            path.write_bytes(data)
            vocabulary, budget = self.studio.vocabulary, self.studio.budget
            try:
                return load_export(path, format, vocabulary, budget=budget)
            except LsmsegPromptsError as error:
                raise type(error)(str(error).replace(str(path), name)) from None


def shown_name(name: str) -> str:
    """A file's name as it may be shown: its last part, printable, not long."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter for letter in last if letter.isprintable())[:80].strip()
    return plain or "the file"


def about(prompts: PromptSet) -> dict[str, Any]:
    """What is told of a prompt set."""
    return {
        "name": prompts.name,
        "llm": prompts.llm,
        "composition": prompts.composition,
        "classes": len(prompts),
        "texts": sum(map(len, prompts.texts)),
        "shortened": len(prompts.shortened),
        "undescribed": len(prompts.undescribed),
    }
