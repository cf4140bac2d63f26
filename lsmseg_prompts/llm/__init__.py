"""LLMs: who answers the queries of stages 1 and 2. Today `bundled`, offline; see `registry`."""

from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.registry import make_llm

__all__ = ["LLM", "Reply", "Request", "make_llm"]
