"""Words for captions of invented things: shapes, parts, sizes, nouns, and empty clauses.

A phrase beginning with a verb ("is ", "has ") is used as it stands; without one it follows "has".
"""

from __future__ import annotations

# fmt: off
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "round": (
        "is round", "is circular", "is nearly spherical", "is round like a globe",
        "has a rounded, almost spherical form", "is a simple disc", "a circular outline",
        "is rounded on every side", "is round and plump", "a full round shape",
    ),
    "ring": (
        "is ring-shaped with a hole in the middle", "is a ring with an open center",
        "a round body with a hole through the middle", "is shaped like a thick ring",
        "is a rounded loop with an empty center", "a circular shape with a hole in the center",
        "is round with a round gap in the middle", "a chunky ring shape",
    ),
    "oblong": (
        "is long and narrow", "is elongated", "is oblong with rounded ends",
        "a long, slender shape", "is stretched out and oval", "is much longer than it is wide",
        "is long, with ends that narrow", "a slim, cylindrical shape", "is sausage-like in form",
    ),
    "crescent": (
        "is curved like a crescent", "is long, curved and tapering at both ends",
        "a gently curved, elongated shape", "is bent in an arc", "is shaped like a bow",
        "is slender, curving to pointed tips", "a crescent shape that narrows at the ends",
        "is long with a smooth bend", "a curving body with tapered ends",
    ),
    "triangle": (
        "is triangular", "is three-sided", "a triangular outline", "is shaped like a wedge",
        "three straight sides and three corners", "is a flat triangle",
    ),
    "square": (
        "is square", "is square with four equal sides", "four straight equal sides",
        "a square outline", "is a flat square with sharp corners",
    ),
    "box": (
        "is rectangular", "is box-like", "is a long rectangle", "a boxy, rectangular form",
        "is flat-sided with square corners", "is shaped like a long box", "a blocky outline",
        "four straight sides, two long and two short",
    ),
    "hexagon": ("is six-sided", "is hexagonal", "a six-sided outline", "six straight edges"),
    "octagon": (
        "is eight-sided", "is octagonal", "is an octagon", "eight equal straight sides",
        "a flat shape with eight sides", "eight straight edges and cut-off corners",
    ),
    "diamond": (
        "is diamond-shaped", "a diamond outline", "is a tall diamond with four points",
        "is four-sided, standing on one corner", "is a flat rhombus",
    ),
    "star": (
        "is star-shaped", "is a star with pointed arms", "pointed arms spreading from the center",
        "a spiky star outline",
    ),
    "dome": (
        "is dome-shaped", "is a half circle with a flat bottom", "a rounded top over a flat base",
        "is curved on top like a dome", "an arched top that spreads wide", "is half-round",
        "a wide canopy shape",
    ),
    "cone": (
        "is cone-shaped", "is long, tapering to a point",
        "is broad at one end and pointed at the other", "a tapered, conical shape",
        "is a long cone narrowing to a tip",
        "is thick at the top, narrowing steadily to a thin point", "a slender tapering form",
        "is root-like and tapering",
    ),
    "cross": ("is cross-shaped", "is a plus sign with four arms", "four arms at right angles"),
    "bell": (
        "is bell-shaped", "is narrow above, flaring out below", "a flaring bell outline",
        "a narrow top and a wide open base",
    ),
    "bushy": (
        "a bushy, rounded head on a thick stalk", "is a lumpy crown on a short stem",
        "a branching head on a thick stalk", "a rounded clustered top above a sturdy stem",
        "is like a little shrub with a stem below", "a dense domed head of small lumps on a stem",
        "is top-heavy, with a wide crown on a narrow stalk",
    ),
    "panel": (
        "is a flat panel on a pole", "a flat plate fixed on a thin post",
        "is a flat board held up by a pole", "is a flat face on a slim upright post",
    ),
    "hull": (
        "is wide on top and narrower below", "a flat top and a sloping, pointed underside",
        "a hull-like form with slanting ends", "is long and low with raised pointed ends",
    ),
    "blob": (
        "is irregular and rounded", "a lumpy, uneven outline", "is an irregular blob",
        "no regular shape, only soft curves",
    ),
    "heap": (
        "is a rounded mound of lumps", "is heaped up and wide at the base",
        "a bulging, heaped form", "is made of several round lumps pressed together",
    ),
    "animal": (
        "four legs and a body", "is a four-legged creature", "stands on four legs",
        "a body on four legs with a head at one end", "four legs under a level back",
        "is an animal form with four legs, a neck and a head",
    ),
    "vehicle": (
        "is a vehicle body on wheels", "a body with windows and round wheels",
        "wheels below and glass windows above", "rolls on round black wheels",
        "is shaped like a vehicle, with wheels and windows",
    ),
    "winged": (
        "an oval body with a small round head and a pointed beak",
        "two thin legs, a beak and a tail", "a plump body, folded wings and a beak",
        "is a small-bodied flier with wings and a pointed beak",
        "a rounded breast, a small head and a narrow tail", "is a feathered form with wings",
    ),
    "region": (
        "is a broad flat area", "spreads out evenly", "extends in every direction",
        "is a wide flat expanse", "is a continuous surface without an outline",
        "stretches from side to side",
    ),
}

PART_WORDS: dict[str, tuple[str, ...]] = {
    "very long neck": (
        "a very long neck", "an extremely long, upright neck", "a tall, towering neck",
        "a long slender neck that rises high above the body",
    ),
    "short neck": ("a short, thick neck", "hardly any neck"),
    "long legs": ("four long legs", "long, slender legs", "tall thin legs", "long, straight legs"),
    "short legs": (
        "four short legs", "short, sturdy legs", "stubby legs", "stumpy legs below a low body",
    ),
    "bulky body": (
        "a heavy, bulky body", "a massive rounded body", "a stocky, barrel-shaped body",
        "a broad, thickset body",
    ),
    "slender body": ("a slim, lean body", "a slender body", "a narrow body"),
    "hanging nose": (
        "a long nose that hangs down", "a long hanging snout",
        "a flexible nose reaching the ground",
    ),
    "horns": ("two horns on its head", "pointed horns", "a pair of short horns"),
    "mane": ("a dark mane along the neck", "an upright mane", "a mane running down its neck"),
    "big flat ears": ("large flapping ears", "big, flat, fan-like ears", "wide, hanging ears"),
    "row of windows": (
        "a long row of windows along the side", "rows of large windows",
        "many side windows in a line",
    ),
    "few windows": ("a few large windows", "two or three side windows"),
    "boxy": (
        "a tall boxy body", "flat sides and a flat roof",
        "a big rectangular body with rounded corners",
    ),
    "cab and box": (
        "a cab in front of a separate large box",
        "a cabin at the front and a long cargo box behind",
    ),
    "low and rounded": (
        "a low body with a rounded roof", "a sleek, low body with sloping windows",
    ),
    "long body": ("a long body", "a long, stretched body"),
    "short body": ("a short, compact body", "a stubby body"),
    "leafy top": (
        "a green leafy top", "a tuft of green leaves at one end", "green leaves at the tip",
    ),
    "pale border": (
        "a white border", "a thin white rim around the edge", "a pale outline along its edges",
    ),
    "dark border": ("a dark border", "a thin black rim around the edge"),
    "pale lettering": (
        "white letters across the middle", "bold white lettering",
        "white capital letters in the center",
    ),
    "dark lettering": ("black letters across the middle", "dark lettering in the center"),
    "octagon": (
        "an eight-sided panel on a pole", "an octagonal plate on a post",
        "a flat face with eight equal sides", "an octagonal outline",
    ),
    "round": ("a round panel on a pole", "a circular plate on a post", "a circular face"),
    "square": ("a square panel on a pole", "a square plate on a post"),
    "triangle": ("a triangular panel on a pole", "a three-sided plate on a post"),
    "diamond": ("a diamond-shaped panel on a pole", "a diamond plate on a post"),
}

SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": (
        "is small", "is tiny", "is quite little", "is small enough to hold in one hand",
        "is about the size of a fist", "fits easily in the palm", "is only a few inches across",
        "a small, compact size", "takes up little of the view",
    ),
    "medium": (
        "is medium-sized", "is of moderate size", "is neither large nor small",
        "is about as long as a forearm", "a middling size", "is about knee-high",
        "takes up a fair part of the view",
    ),
    "large": (
        "is large", "is big", "is rather large", "is about as tall as a person",
        "is bigger than most things around it", "a large size",
        "takes up a big share of the picture",
    ),
    "huge": (
        "is huge", "is very large", "is enormous", "towers above everything around",
        "is much taller than a person", "is massive", "fills much of the view",
        "is among the largest things in sight",
    ),
    "whole": (
        "fills much of the view", "is very wide", "covers a large area",
        "stretches across the whole width", "is vast", "spreads over a big part of the picture",
        "extends far beyond the edges",
    ),
}

NOUNS: dict[str, tuple[str, ...]] = {
    "object": (
        "object", "thing", "item", "piece", "blicket", "dax", "toma", "wug", "fep", "zorp",
        "modi", "kiki", "tulver", "gazzer", "pilk", "sibo", "example", "specimen",
    ),
    "animal": ("animal", "creature", "beast", "wug", "mammal", "grazer", "tulver", "dax", "zorp"),
    "winged": ("creature", "animal", "flier", "wug", "pilk", "dax"),
    "vehicle": ("vehicle", "machine", "blicket", "gazzer", "modi", "large vehicle"),
    "region": (
        "surface", "ground", "wall", "area", "background", "floor", "expanse", "material",
        "backdrop", "fep", "dax", "zorp",
    ),
}

# Clauses that say nothing about how a thing looks.
FILLERS = (
    "is often seen outdoors", "is usually found near people", "is known to many",
    "is easy to recognize", "is often photographed", "can be found in many places",
    "rests quietly", "stays where it is", "is common in daily life",
    "is usually seen with others of its kind", "is moved from place to place",
    "is found around the world",
)
