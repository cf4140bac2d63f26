"""The questions that are put to an LLM, in the paper's and the thesis's wording, and one of ours.

Each is a Jinja2 file of this folder. Beyond the published wording they only put the right
article before the class name and, where a word is ambiguous, its sense in brackets behind it.
Rendered in a sandbox: class names and attributes may come from anywhere.

    attributes-paper, attributes-thesis   stage 1: which attributes? (no values)
    describe-paper, describe-thesis       stage 2: class_name, attribute, sense
    typical-paper                         the "typical" row of Table 3: class_name, sense
    check-images-thesis                   the thesis's check of stage 1 on pictures (no values)

and of ours

    contrast                              pair cells: class_name, sense, other, other_sense
    rewrite                               better sentences, by scores: class_name, sense, now,
                                          confused, best, worst, count, words
    picture                               better sentences, by pictures: class_name, sense, now,
                                          shown, count, words
    captions-simple, captions-detailed    what a picture shows, as JSON (no values)

`read_query` takes a file of the user's own in their place.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.attributes.samples import asked_of
from lsmseg_prompts.english import article, nearest
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import read_named

NAMES = (
    "attributes-paper",
    "attributes-thesis",
    "describe-paper",
    "describe-thesis",
    "typical-paper",
    "check-images-thesis",
    "contrast",
    "rewrite",
    "picture",
    "captions-simple",
    "captions-detailed",
)


def with_article(name: str) -> str:
    """As "cat" -> "a cat", "airplane" -> "an airplane", "sky" -> "the sky", "grass" -> "grass"."""
    return f"{article(name)} {name}".strip()


@dataclass(frozen=True)
class Query:
    """A question to an LLM: one of ours, or a Jinja2 file of the user's own."""

    name: str
    text: str
    is_ours: bool = False

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the text, in hex: what tells two versions of a query apart."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def render(self, **values: Any) -> str:
        """The question with its values filled in; `sense` may be left out.

        Raises UsageError for a missing value, for what the sandbox forbids, and for too much.
        """
        from jinja2 import UndefinedError

        from lsmseg_prompts.templates import sandbox

        try:
            try:
                return self._render(values)
            except sandbox.TooLong:  # a pause of Python's own, for its garbage, counts too
                return self._render(values)
        except UndefinedError as error:
            raise UsageError(f"The template {self.name} lacks a value: {error.message}.") from None
        except sandbox.TooMuch as error:
            raise UsageError(f"The template {self.name} does too much: {error}.") from None
        except RecursionError:
            raise UsageError(
                f"The template {self.name} is nested too deep, or calls itself: make it simpler."
            ) from None
        except Exception as error:  # foreign code, which may fail in every way
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise UsageError(f"The template {self.name} cannot be used: {reason}.") from None

    def _render(self, values: dict[str, Any]) -> str:
        from lsmseg_prompts.templates import sandbox

        with sandbox.one_rendering(math.inf if self.is_ours else sandbox.SECONDS):
            template = _compiled(sandbox.short(self.text))
            written: str = sandbox.short(template.render({"sense": None, **values}).strip())
            written.encode()  # no half characters, such as "\ud800" makes
            return written


@cache
def query(name: str) -> Query:
    """One of our own queries; raises UsageError for an unknown name."""
    if name not in NAMES:
        raise UsageError(
            f"There is no template {name!r}{nearest(name, NAMES)}; there are {', '.join(NAMES)}."
        )
    return Query(name, (files(__name__) / f"{name}.j2").read_text("utf-8"), is_ours=True)


def own_query(attribute: str) -> Query | None:
    """The query of what is asked for in words of its own: `typical` and pair cells."""
    if asked_of(attribute) == "typical":
        return query("typical-paper")
    return None if other_of(attribute) is None else query("contrast")


def read_query(path: str | os.PathLike[str]) -> Query:
    """The user's own query, a Jinja2 file that is rendered in a sandbox.

    It is given class_name, attribute, meaning (of the attribute), sense, synonyms and name (the
    benchmark's spelling). Raises ConfigurationError if it cannot be read, UsageError if it does not
    compile, leaves the class or the attribute out, or does too much.
    """
    path = Path(path)
    try:
        text = read_named(path, "template").decode("utf-8-sig")  # Windows puts a mark in front
    except UnicodeDecodeError:
        raise UsageError(f"Cannot read the template {path}: it is not text in UTF-8.") from None
    own = Query(path.name, text)
    sample = {"meaning": "m", "sense": "s", "synonyms": ["y"], "name": "n"}
    shown = own.render(class_name="xylophone", attribute="color", **sample)
    if "xylophone" not in shown:
        raise UsageError(f"The template {path} does not name the class: put {{{{ class_name }}}}.")
    if own.render(class_name="xylophone", attribute="size", **sample) == shown:
        raise UsageError(
            f"The template {path} does not name the attribute: put {{{{ attribute }}}}."
        )
    return own


def _quoted(value: Any) -> str:
    """A text or a list of texts as JSON: as data, whatever stands in it."""
    return json.dumps(value, ensure_ascii=False)


@cache
def _compiled(text: str) -> Any:
    from lsmseg_prompts.templates.sandbox import bounded, environment

    own = {"with_article": bounded(with_article), "quoted": bounded(_quoted)}
    environment().filters.update(own)
    return environment().from_string(text)
