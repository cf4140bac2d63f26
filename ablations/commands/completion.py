"""The names that the shell's completion offers.

Quick: read from the names of files and from small JSON files; torch and numpy stay away. Where no
name begins as what is typed, the shell itself completes files.
"""

import json
import re
from collections.abc import Iterable
from glob import escape, glob
from importlib.util import find_spec
from pathlib import Path

from typer import Context

import ablations
import lsmseg_model
from ablations.refinement.options import KNOWN

VISION = Path(str(lsmseg_model.__file__)).parent
RECIPES = Path(str(ablations.__file__)).parent / "recipes"
DENSE = ("catseg", "maskclip", "sclip", "clearclip", "naclip", "sam-proxy", "values", "plain")


def _matching(names: Iterable[str], typed: str, files: bool = True) -> list[str]:
    """The names that begin as typed, and beside such a name the files that do."""
    found = [name for name in names if name.startswith(typed)]
    return found + (sorted(glob(f"{escape(typed)}*")) if found and typed and files else [])


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def vocabularies(incomplete: str) -> list[str]:
    """Names of vocabularies, and files."""
    from lsmseg_prompts.vocabularies import available_vocabularies

    return _matching(available_vocabularies(), incomplete)


def benchmarks(incomplete: str) -> list[str]:
    """Names of benchmarks, and folders."""
    named = json.loads((VISION / "data" / "layouts.json").read_text("utf-8"))
    return _matching(["ministuff", *named], incomplete)


def proposers(incomplete: str) -> list[str]:
    """Names of proposers."""
    return _matching(KNOWN, incomplete, files=False)


def models(incomplete: str) -> list[str]:
    """lsmseg-tiny, and the CLIPs that open_clip knows."""
    found = find_spec("open_clip")
    known = Path(str(found.origin)).parent / "model_configs" if found else VISION
    names = [*_stems(VISION / "networks" / "backbones"), *_stems(known)]
    return _matching(names, incomplete, files=False)


def budgets(incomplete: str) -> list[str]:
    """Short names of token budgets."""
    from lsmseg_prompts.tokens import budget_names

    return _matching(budget_names(), incomplete, files=False)


def weights(ctx: Context, incomplete: str) -> list[str]:
    """Tags of open_clip, those of --model where it has some, and files."""
    from lsmseg_model.pull.catalogue import tags, tags_of

    every = dict.fromkeys(tag for those in tags().values() for tag in those)
    names = tags_of(str(ctx.params.get("model"))) or every
    return _matching([*names, "hf-hub:", "local-dir:"], incomplete)


def pulled(incomplete: str) -> list[str]:
    """What `model pull` fetches: a model and a tag of its, or a second encoder."""
    from lsmseg_model.encoders.sources import encoder_names
    from lsmseg_model.pull.catalogue import tags

    named = [f"{model}:{tag}" for model, those in tags().items() for tag in those]
    return _matching([*named, *encoder_names(), "hf-hub:"], incomplete, files=False)


def encoders(incomplete: str) -> list[str]:
    """Names of second encoders whose weights are published, and files."""
    from lsmseg_model.encoders.sources import encoder_names

    return _matching(encoder_names(), incomplete)


def networks(incomplete: str) -> list[str]:
    """Names of networks, and files."""
    return _matching(_stems(VISION / "networks"), incomplete)


def clips(incomplete: str) -> list[str]:
    """Names of the CLIPs that pretrain has a configuration of, and files."""
    return _matching(_stems(VISION / "networks" / "backbones"), incomplete)


def dense(incomplete: str) -> list[str]:
    """What the end of a picture tower may do."""
    return _matching(DENSE, incomplete, files=False)


def recipes(incomplete: str) -> list[str]:
    """Names of recipes, and files."""
    return _matching(_stems(RECIPES), incomplete)


def llms(incomplete: str) -> list[str]:
    """Names of LLMs: usual ones, and those that have a price; without those of a day."""
    from lsmseg_prompts.llm.providers import all_providers, named
    from lsmseg_prompts.llm.registry import USUAL

    usual = [name.partition("<")[0] for name in USUAL]
    priced = [m for one in all_providers() for m in one.prices.get("usd_per_million", ())]
    undated = [m for m in priced if not re.search(r"\d{4}|/", m) and named(m)]
    return _matching(dict.fromkeys((*usual, *undated)), incomplete, files=False)


def providers(incomplete: str) -> list[str]:
    """Names of providers."""
    from lsmseg_prompts.llm.providers import all_providers

    return _matching((one.name for one in all_providers()), incomplete, files=False)


def attributes(incomplete: str) -> list[str]:
    """Attributes that are not named yet, also after a comma."""
    from lsmseg_prompts.attributes import ATTRIBUTES

    return _listed((*ATTRIBUTES, "name"), incomplete)


def compositions(incomplete: str) -> list[str]:
    """Compositions to search that are not named yet, also after a comma."""
    from ablations.search.options import BOTH, SEARCHED

    return _listed((*SEARCHED, BOTH), incomplete)


def _listed(names: Iterable[str], typed: str) -> list[str]:
    """Those that may follow in a list between commas."""
    *named, last = typed.split(",")
    before = "".join(f"{name}," for name in named)
    rest = [name for name in names if name not in named]
    return [before + name for name in _matching(rest, last, files=False)]
