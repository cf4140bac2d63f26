"""What the processes of generating.py share: imported once, before they are forked."""

import dashscope
import openai

from lsmseg_prompts.generation import run
from lsmseg_prompts.llm import dashscope as ours
from lsmseg_prompts.llm import openai as theirs

__all__ = ["dashscope", "openai", "ours", "run", "theirs"]
