"""The language room: vocabularies, LLMs, the attribute store, prompt sets and their export.

Every command of this room is a call of the same name, imported when it is first used; the stub
`__init__.pyi` lists them. Nothing here imports torch, and nothing here knows the vision room.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__version__ = "0.10.0"

_STUB = Path(__file__).with_suffix(".pyi").read_text("utf-8")
_CALLS = {
    name: (module, real)
    for module, real, name in re.findall(r"^from (\S+) import (\w+) as (\w+)$", _STUB, re.M)
}
__all__ = sorted(_CALLS)  # noqa: PLE0605 - the stub says which


def __getattr__(name: str) -> Any:
    if name not in _CALLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, real = _CALLS[name]
    return getattr(import_module(module), real)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """A name that a call and a folder share, such as `export`, stays the call's."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _CALLS:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
