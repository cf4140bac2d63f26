"""From the name after `--llm` to the LLM that answers."""

from __future__ import annotations

import re

from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.wording import nearest

# o1, o3, o4-mini ...; gpt-4, gpt-4o ...; or the provider spelled out.
_OPENAI = re.compile(r"(openai/.+|gpt-.+|chatgpt-.+|o\d.*)", re.IGNORECASE)
_DASHSCOPE = re.compile(r"(dashscope/.+|qwen.*|qwq.*)", re.IGNORECASE)


def make_llm(name: str) -> LLM:
    """The LLM called `name`.

    Raises ConfigurationError for models of OpenAI and DashScope, which this version cannot ask
    yet, and UsageError for a name that stands for nothing.
    """
    if name == "bundled":
        from lsmseg_prompts.llm.bundled import Bundled

        return Bundled()
    for pattern, provider in ((_OPENAI, "OpenAI"), (_DASHSCOPE, "DashScope")):
        if pattern.fullmatch(name):
            raise ConfigurationError(
                f"The model {name!r} needs the {provider} provider, which comes with a later "
                "version of lsmseg-prompts; `--llm bundled` works now, offline and without a key."
            )
    raise UsageError(
        f"There is no LLM {name!r}{nearest(name, ['bundled'])}: use bundled, or (in a later "
        "version) gpt-*, o*, openai/<model>, qwen* or dashscope/<model>."
    )
