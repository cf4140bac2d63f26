"""LLMs: who answers the queries of stages 1 and 2. `registry` lists them; `bundled` is offline."""

from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.options import AskOptions
from lsmseg_prompts.llm.registry import make_llm

__all__ = ["LLM", "AskOptions", "Reply", "Request", "make_llm"]
