"""From the name after `--llm` to the LLM that answers.

A base URL given on the command line is only for OpenAI's protocol: who serves Qwen on a machine
of their own writes openai/<model>.
"""

from __future__ import annotations

import re
from pathlib import Path

from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm.base import LLM

# o1, o3, o4-mini ...; gpt-4, gpt-4o ...; or the provider spelled out.
_OPENAI = re.compile(r"openai/([^\s,]+)|((?:gpt-|chatgpt-|o\d)[^\s,]*)(?<!-)", re.IGNORECASE)
_DASHSCOPE = re.compile(r"dashscope/([^\s,]+)|((?:qwen|qwq|qvq)[^\s,]*)", re.IGNORECASE)
USUAL = (
    "bundled", "gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "o3", "o4-mini",
    "qwen-max", "qwen-plus", "qwen-turbo", "qwen2.5-72b-instruct", "openai/<model>",
    "dashscope/<model>",
)  # fmt: skip


def check_name(name: str) -> None:
    """Raise UsageError where `name` does not stand for an LLM."""
    known = name == "bundled" or _OPENAI.fullmatch(name) or _DASHSCOPE.fullmatch(name)
    if known and name.isprintable() and sampled(name)[1] == 1:
        return
    raise UsageError(
        f"There is no LLM {name!r}{nearest(name, USUAL)}: use bundled, gpt-*, o*, "
        "openai/<model> (with --base-url for a server of your own), qwen* or dashscope/<model>."
    )


def make_llm(
    name: str,
    base_url: str | None = None,
    key_file: str | Path | None = None,
    timeout: float = 120.0,
) -> LLM:
    """The LLM called `name`; neither key nor network is touched: that is for `LLM.check` and on.

    Args:
        name: what `--llm` is given.
        base_url: the address of a server that speaks OpenAI's protocol.
        key_file: a file that holds the key.
        timeout: bounds each call, in seconds.

    Raises:
        UsageError: The name stands for nothing, the base URL is not one, or it goes with another
            protocol.
    """
    check_name(name)
    openai, dashscope = _OPENAI.fullmatch(name), _DASHSCOPE.fullmatch(name)
    if base_url is not None and openai is None:
        advice = f"openai/{dashscope[1] or dashscope[2]}" if dashscope else "openai/<model>"
        raise UsageError(
            f"--base-url is for servers that speak OpenAI's protocol, and {name!r} does not: "
            f"write --llm {advice}."
        )
    if openai:
        from lsmseg_prompts.llm.http import check_url
        from lsmseg_prompts.llm.openai import OpenAIChat

        if base_url is not None:
            try:
                check_url(base_url)
            except ConfigurationError as error:
                raise UsageError(str(error)) from None
        return OpenAIChat(name, openai[1] or openai[2].lower(), base_url, key_file, timeout)
    if dashscope:
        from lsmseg_prompts.llm.dashscope import DashScope

        return DashScope(name, dashscope[1] or dashscope[2].lower(), key_file, timeout)
    from lsmseg_prompts.llm.bundled import Bundled

    return Bundled()
