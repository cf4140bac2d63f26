"""`names`: the class under its readable name, its benchmark name, and its synonyms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES, name_texts

NAME = "names"


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """Each name in the plain template, all averaged, the templates of CLIP, and with the texts."""
    for index in feedback.classes:
        entry, now = feedback.vocabulary[index], feedback.texts[index]
        names = list(dict.fromkeys([entry.readable, *entry.synonyms]))
        texts = [name_texts(replace(entry, readable=name))[0] for name in names]
        yield Candidate(index, (texts[0],), NAME, "name")
        for name, text in zip(names[1:], texts[1:], strict=True):
            yield Candidate(index, (text,), NAME, f"name: {name}")
        if len(texts) > 1:
            yield Candidate(index, tuple(texts), NAME, "all names")
        for kind in NAME_TEMPLATES:
            if kind != "name":
                yield Candidate(index, name_texts(entry, kind), NAME, kind)
        if texts[0] not in now:
            yield Candidate(index, (*now, texts[0]), NAME, f"{feedback.recipes[index]} & name")
