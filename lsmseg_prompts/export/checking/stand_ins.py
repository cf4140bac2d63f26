"""Small stand-ins for what a reader's code imports, so that it runs without its whole set-up.

In `stand_ins` every module of the packages in `REPLACED`, of the checkout itself as far as it is
not asked for, and whatever is not installed is a module that has any name: each is a class that can
be a base, a decorator or a function and does nothing. A few are more: the metadata of detectron2,
which refuses a second value as the real one does, and CLIP's tokenizers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from lsmseg_prompts.export.checking.recording import clip_tokenize, open_clip_tokenize
from lsmseg_prompts.tokens import token_ids

REPLACED = frozenset(
    {
        "clip", "cv2", "datasets", "detectron2", "einops", "fvcore", "imagenetv2_pytorch",
        "matplotlib", "mmcv", "mmengine", "open_clip", "scipy", "sklearn", "timm", "torchvision",
        "tqdm", "webdataset",
    }
)  # fmt: skip
"""What is never imported for real: not installed here, slow to import, or never called."""

REAL = ("torch", "torch.utils.data", "numpy", "PIL.Image", "ftfy", "regex")
"""What readers import that is the real thing."""


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (StandIn,), {})

    def __call__(cls, *values: Any, **options: Any) -> Any:
        if not cls.__dict__.get("__module__", "").startswith(__name__):
            return super().__call__(*values, **options)  # a class of the reader's, derived from it
        decorates = len(values) == 1 and isinstance(values[0], type | FunctionType | classmethod)
        return values[0] if decorates else cls


class StandIn(metaclass=_Anything):
    """A base class, a decorator, a function, a value: whatever is done with it."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Any keywords of a class statement."""

    def __class_getitem__(cls, key: Any) -> Any:
        return cls


class Metadata:
    """As detectron2's: an attribute may be set again only to the value that it has."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            assert vars(self)[name] == value, f"Attribute {name!r} is already set to another value."
        else:
            super().__setattr__(name, value)

    def set(self, **values: Any) -> Metadata:
        """Set several attributes."""
        for name, value in values.items():
            setattr(self, name, value)
        return self


class MetadataCatalog(dict[str, Metadata]):
    """As detectron2's: the metadata of a data set, made where it is first asked for."""

    def get(self, name: str, default: object = None) -> Metadata:
        """The metadata called `name`."""
        return self.setdefault(name, Metadata())


def _same(things: Any, *_: Any, **__: Any) -> Any:
    return things


class _Module(ModuleType):
    """A module that has any name: a file of the checkout that is asked for, else a stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if any(each == full or each.startswith(f"{full}.") for each in vars(self)["modules_"]):
            return importlib.import_module(full)
        return _Anything(name, (StandIn,), {})


class _Finder(MetaPathFinder, Loader):
    """Finds the checkout's files that are asked for, and a stand-in for everything else."""

    def __init__(self, files: Mapping[str, Path], known: Mapping[str, Mapping[str, Any]]) -> None:
        self.files = files
        self.known = known
        self.replaced = REPLACED | {name.partition(".")[0] for name in files}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if file := self.files.get(fullname):
            below = [str(file.parent)] if file.name == "__init__.py" else None
            return spec_from_file_location(fullname, file, submodule_search_locations=below)
        top = fullname.partition(".")[0]
        if top in self.replaced or (
            top not in sys.stdlib_module_names and PathFinder.find_spec(top) is None
        ):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _Module(spec.name)
        vars(module)["modules_"] = {*self.files, *self.known}
        return module

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self.known.get(module.__name__, {}))


@contextlib.contextmanager
def stand_ins(files: Mapping[str, Path], folder: Path) -> Iterator[None]:
    """Inside, `files` (module name to file) import, with stand-ins around them, from `folder`.

    Afterwards modules, import path and working folder are as before.
    """
    tokenizer = {"tokenize": open_clip_tokenize, "get_tokenizer": lambda _: open_clip_tokenize}
    known: dict[str, dict[str, Any]] = {
        "detectron2.data": {"MetadataCatalog": MetadataCatalog()},
        "clip": {"tokenize": clip_tokenize},
        "open_clip": tokenizer,
        "open_clip.tokenizer": tokenizer,
        "tqdm": {"tqdm": _same},
        "tqdm.auto": {"tqdm": _same},
    }
    finder = _Finder(files, known)
    for name in REAL:  # before anything that they may do without is replaced
        importlib.import_module(name)
    token_ids("a")  # reads open_clip's file of byte pairs
    torch = sys.modules["torch"]
    modules, here, cuda = dict(sys.modules), Path.cwd(), torch.Tensor.cuda
    for name in [n for n in sys.modules if n.partition(".")[0] in finder.replaced]:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    torch.Tensor.cuda = _same
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        torch.Tensor.cuda = cuda
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.partition(".")[0] in finder.replaced]:
            del sys.modules[name]
        sys.modules.update(modules)
