"""Which bundles of attributes belong to MiniStuff's classes, so that invented things avoid them.

An invented thing may be orange, or round, or plain, but is never the plain orange round one that
would be a class under another name: that would show unseen classes in training, and contradict
the labels of seen ones.
"""

from __future__ import annotations

_NATURAL = "black brown gray tan white"
_ANY = ""

# shape (of an object) or pattern (of a region) -> (first colours, second colours, patterns);
# an empty string stands for any.
_BUNDLES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "animal": (
        (_NATURAL + " golden", _ANY, "plain,fading"),
        ("black white", "black white", "upright stripes,level stripes,slanting stripes"),
        ("brown golden orange tan maroon", "tan white yellow golden", "patches,blotches"),
        (_NATURAL, _NATURAL, "blotches,two halves,one band,patches"),
    ),
    "winged": ((_NATURAL + " blue red", _ANY, "plain"),),
    "vehicle": (
        (
            "black blue gray green dark_green maroon navy orange red tan white yellow",
            _ANY,
            "plain,one band,two halves",
        ),
    ),
    "panel": (("red maroon", _ANY, _ANY),),
    "octagon": (("red maroon", _ANY, "plain"),),
    "crescent": (("yellow golden light_green", _ANY, "plain,fading"),),
    "round": (
        ("orange red maroon green light_green yellow", _ANY, "plain,fading,speckles"),
        ("white", "black", "patches,blotches,spots"),
        ("golden orange tan", "red maroon", "blotches,spots,speckles"),
    ),
    "heap": (("orange red maroon green light_green yellow", _ANY, "plain,fading"),),
    "bushy": (("green dark_green light_green", _ANY, _ANY),),
    "cone": (("orange", _ANY, "plain,fading,speckles"),),
    "oblong": (("orange yellow", _ANY, "plain,fading"),),
    "ring": (("golden brown pink white tan orange", _ANY, "plain,fading,speckles,spots"),),
    "puffs": (("white gray light_blue", _ANY, _ANY),),
    "grainy": (("tan golden yellow gray black white", _ANY, _ANY),),
    "rippled": (("tan golden yellow white brown", _ANY, _ANY),),
    "plain": (("white light_blue blue gray tan", _ANY, _ANY),),
    "fading": (("white light_blue blue gray", _ANY, _ANY),),
    "courses": (("red maroon brown orange", "white gray tan", _ANY),),
    "planks": (("brown golden tan maroon orange", _ANY, _ANY),),
    "rubble": (("brown tan gray golden", _ANY, _ANY),),
    "tiles": (("white tan gray light_blue", _ANY, _ANY),),
    "checks": (("white tan gray light_blue", "black gray brown", _ANY),),
    "blades": (("green light_green dark_green", _ANY, _ANY),),
    "wavy": (("blue navy light_blue dark_green", _ANY, _ANY),),
}


def is_taken(shape: str, first: str, second: str, pattern: str) -> bool:
    """Whether a class looks like this. For a region, `shape` is its pattern."""
    for firsts, seconds, patterns in _BUNDLES.get(shape, ()):
        if (
            _among(first, firsts)
            and _among(second, seconds)
            and (not patterns or pattern in patterns.split(","))
        ):
            return True
    return False


def _among(colour: str, names: str) -> bool:
    return not names or colour.replace(" ", "_") in names.split()
