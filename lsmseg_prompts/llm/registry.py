"""From the name after `--llm` to the LLM that answers; providers.py says what the names are.

A base URL given on the command line is only for OpenAI's protocol: who serves Qwen on a machine
of their own writes openai/<model>.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm import providers
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.options import AskOptions

if TYPE_CHECKING:
    from lsmseg_prompts.llm.chat import ChatLLM

USUAL = (
    "bundled", "gpt-4", "gpt-4o", "gpt-4.1", "gpt-5", "o3", "claude-sonnet-4-5", "gemini-2.5-flash",
    "deepseek-chat", "grok-4", "mistral-large-latest", "qwen-max", "qwen-plus",
    "openrouter/<model>", "azure/<deployment>", "ollama/<model>", "vllm/<model>", "openai/<model>",
    "dashscope/<model>",
)  # fmt: skip


def check_name(name: str) -> None:
    """Raise UsageError where `name` does not stand for an LLM."""
    known = name == "bundled" or providers.named(name)
    if known and name.isprintable() and sampled(name)[1] == 1:
        return
    raise UsageError(
        f"There is no LLM {name!r}{nearest(name, USUAL)}: use bundled, the name of a model that "
        "`lsmseg-prompts llm list` knows, <provider>/<model>, or openai/<model> with --base-url "
        "for a server of your own."
    )


def make_llm(
    name: str,
    base_url: str | None = None,
    key_file: str | Path | None = None,
    timeout: float = 120.0,
    options: AskOptions | None = None,
) -> LLM:
    """The LLM called `name`; neither key nor network is touched: that is for `LLM.check` and on.

    Args:
        name: what `--llm` is given.
        base_url: the address of a server that speaks OpenAI's protocol.
        key_file: a file that holds the key.
        timeout: bounds each call, in seconds.
        options: its reasoning, parameters of each request, a system message.

    Raises:
        UsageError: The name stands for nothing, the base URL is not one, or it goes with another
            protocol, or the provider has no such level of reasoning.
        ConfigurationError: The provider's address is not known.
    """
    check_name(name)
    found = providers.named(name)
    if base_url is not None and (found is None or found[0].protocol != "openai"):
        advice = f"openai/{found[1]}" if found else "openai/<model>"
        raise UsageError(
            f"--base-url is for servers that speak OpenAI's protocol, and {name!r} does not: "
            f"write --llm {advice}."
        )
    if found is None:
        from lsmseg_prompts.llm.bundled import Bundled

        return Bundled()
    provider, model = found
    if provider.protocol == "dashscope":
        from lsmseg_prompts.llm.dashscope import DashScope

        llm: ChatLLM = DashScope(name, model, key_file, timeout, provider, options)
    else:
        from lsmseg_prompts.llm.http import check_url
        from lsmseg_prompts.llm.openai import OpenAIChat

        if base_url is not None:
            try:
                check_url(base_url)
            except ConfigurationError as error:
                raise UsageError(str(error)) from None
        llm = OpenAIChat(name, model, base_url, key_file, timeout, provider, options)
    known, reasoning = llm.provider.reasoning, llm.options.reasoning
    if reasoning is not None and reasoning not in known:
        ways = ", ".join(known) or "none"
        raise UsageError(
            f"How {name} is told --reasoning {reasoning} is not known (known: {ways}): pass the "
            "model's own parameter with -o."
        )
    return llm
