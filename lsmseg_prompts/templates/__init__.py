"""The questions that are put to an LLM, in the paper's and in the thesis's wording.

Each is a Jinja2 file of this folder. Beyond the published wording they only put the right
article before the class name and, where a word is ambiguous, its sense in brackets behind it.
Rendered in a sandbox: class names and attributes may come from anywhere.

    attributes-paper, attributes-thesis   stage 1: which attributes? (no values)
    describe-paper, describe-thesis       stage 2: class_name, attribute, sense
    typical-paper                         the "typical" row of Table 3: class_name, sense
    check-images-thesis                   the thesis's check of stage 1 on pictures (no values)
"""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.wording import article, nearest

NAMES = (
    "attributes-paper",
    "attributes-thesis",
    "describe-paper",
    "describe-thesis",
    "typical-paper",
    "check-images-thesis",
)


def with_article(name: str) -> str:
    """ "cat" -> "a cat", "airplane" -> "an airplane", "sky" -> "the sky", "grass" -> "grass"."""
    return f"{article(name)} {name}".strip()


def source(name: str) -> str:
    """The text of a template; raises UsageError for an unknown name."""
    if name not in NAMES:
        raise UsageError(
            f"There is no template {name!r}{nearest(name, NAMES)}; there are {', '.join(NAMES)}."
        )
    return (files(__name__) / f"{name}.j2").read_text("utf-8")


@cache
def template_hash(name: str) -> str:
    """SHA-256 of a template's text, in hex: what tells two versions of a query apart."""
    return hashlib.sha256(source(name).encode("utf-8")).hexdigest()


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    # Plain text for a language model, not HTML: escaping would alter names such as "B&B".
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.filters["with_article"] = with_article
    return environment


@cache
def _compiled(name: str) -> Any:
    return _environment().from_string(source(name))


def render(name: str, **values: Any) -> str:
    """The query `name` with its values filled in; `sense` may be left out.

    Raises UsageError for an unknown template or a missing value.
    """
    from jinja2 import UndefinedError

    template = _compiled(name)
    try:
        return template.render({"sense": None, **values}).strip()
    except UndefinedError as error:
        raise UsageError(f"The template {name} lacks a value: {error.message}.") from None
