"""Words for captions of invented things: colours, patterns and textures.

Phrases about a pattern may name the two colours as {a} and {b}. A phrase beginning with a verb
is used as it stands; without one it follows "has".
"""

from __future__ import annotations

# fmt: off
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "black": (
        "black", "jet black", "deep black", "charcoal black", "inky black", "very dark", "dark",
    ),
    "white": (
        "white", "bright white", "pure white", "off-white", "creamy white", "cream", "ivory",
        "pale", "very light", "chalky white", "milky white",
    ),
    "gray": (
        "gray", "mid-gray", "grayish", "slate gray", "ash gray", "silvery gray", "dull gray",
        "gunmetal gray", "stony gray",
    ),
    "maroon": (
        "dark red", "maroon", "deep red", "burgundy", "wine red", "rich dark red", "crimson",
    ),
    "red": (
        "red", "bright red", "vivid red", "scarlet", "crimson red", "strong red", "glowing red",
    ),
    "orange": (
        "orange", "bright orange", "deep orange", "vivid orange", "reddish-orange", "tangerine",
        "warm orange",
    ),
    "yellow": (
        "yellow", "bright yellow", "sunny yellow", "lemon yellow", "vivid yellow", "warm yellow",
    ),
    "golden": (
        "golden", "golden brown", "golden-yellow", "amber", "honey-colored", "ochre", "tawny",
        "mustard",
    ),
    "brown": (
        "brown", "dark brown", "medium brown", "reddish-brown", "chestnut", "chocolate brown",
        "earthy brown", "rusty brown", "russet",
    ),
    "tan": (
        "tan", "beige", "light brown", "pale brown", "buff", "light tan", "straw-colored",
        "cream to tan", "pale golden", "yellowish-beige",
    ),
    "green": ("green", "bright green", "leafy green", "medium green", "rich green", "fresh green"),
    "dark green": ("dark green", "deep green", "forest green", "bottle green", "bluish-green"),
    "light green": ("light green", "pale green", "yellow-green", "lime green", "yellowish-green"),
    "blue": ("blue", "bright blue", "strong blue", "royal blue", "cobalt blue", "vivid blue"),
    "light blue": ("light blue", "pale blue", "soft blue", "powder blue", "baby blue", "bluish"),
    "navy": ("dark blue", "navy blue", "navy", "deep blue", "midnight blue", "inky blue"),
    "purple": ("purple", "violet", "deep purple", "plum", "lilac purple", "bright purple"),
    "pink": ("pink", "light pink", "rosy pink", "pale pink", "soft pink", "salmon pink"),
}

# Colours close enough that a caption about one might be said of the other.
SIMILAR: dict[str, tuple[str, ...]] = {
    "black": ("navy", "gray", "maroon", "dark green", "brown"),
    "white": ("tan", "light blue", "pink", "gray"),
    "gray": ("white", "black", "light blue", "tan", "navy"),
    "maroon": ("red", "brown", "black", "purple"),
    "red": ("maroon", "orange", "pink"),
    "orange": ("red", "golden", "yellow", "brown"),
    "yellow": ("golden", "orange", "light green", "tan"),
    "golden": ("yellow", "orange", "brown", "tan"),
    "brown": ("maroon", "golden", "tan", "black", "orange"),
    "tan": ("golden", "white", "brown", "yellow", "gray", "pink"),
    "green": ("dark green", "light green"),
    "dark green": ("green", "black"),
    "light green": ("green", "yellow"),
    "blue": ("light blue", "navy", "purple"),
    "light blue": ("blue", "white", "gray"),
    "navy": ("blue", "black", "purple", "gray"),
    "purple": ("navy", "pink", "maroon", "blue"),
    "pink": ("purple", "red", "white", "tan"),
}

PATTERN_WORDS: dict[str, tuple[str, ...]] = {
    "plain": (
        "is plain and unmarked", "a uniform, even color all over", "is solid-colored",
        "no markings", "a single even tone without stripes or spots",
        "is uniform, with no pattern", "a clean, plain surface",
    ),
    "upright stripes": (
        "bold {a} and {b} stripes", "vertical stripes of {a} and {b}",
        "is covered in {a} and {b} stripes", "alternating {a} and {b} bands running up and down",
        "is striped in {a} and {b}", "a striking pattern of {b} stripes on {a}",
        "contrasting stripes wrapped around the body",
    ),
    "level stripes": (
        "horizontal bands of {a} and {b}", "level stripes of {a} and {b}",
        "is banded in {a} and {b}", "alternating {a} and {b} layers",
        "{a} and {b} stripes from side to side", "stripes running along its length",
    ),
    "slanting stripes": (
        "diagonal stripes of {a} and {b}", "slanting {a} and {b} stripes",
        "is striped diagonally", "{b} stripes across {a}",
    ),
    "stripes": (
        "broad stripes of {a} and {b}", "is striped in {a} and {b}",
        "alternating {a} and {b} bands", "parallel bands of two colors",
        "long {b} stripes on {a}",
    ),
    "spots": (
        "round {b} spots on {a}", "is spotted with {b}", "is dotted all over with {b} dots",
        "{b} polka dots", "many round spots", "small round marks scattered over it",
    ),
    "rings": (
        "small {b} rings on {a}", "ring-shaped {b} marks all over",
        "is marked with little {b} circles",
    ),
    "patches": (
        "irregular {a} patches separated by thin {b} lines",
        "large {a} patches with {b} gaps between them",
        "is covered in {a} blotches outlined in {b}", "a net of {b} lines between {a} patches",
        "a mosaic of angular {a} patches",
        "a patchwork of uneven {a} shapes divided by {b} lines",
    ),
    "blotches": (
        "large {b} blotches on {a}", "is blotched with {b}", "irregular patches of {a} and {b}",
        "is patchy, {a} with {b} areas", "big uneven {b} patches", "is mottled in {a} and {b}",
    ),
    "blotchy": (
        "large {b} blotches on {a}", "is blotched with {b}", "irregular patches of {a} and {b}",
        "is patchy, {a} with {b} areas", "uneven stains of {b}", "is mottled in {a} and {b}",
    ),
    "checks": (
        "a checkered pattern of {a} and {b}", "is checkered in {a} and {b}",
        "alternating {a} and {b} squares", "a checkerboard of {a} and {b}",
        "squares of two colors in a grid",
    ),
    "courses": (
        "rows of {a} blocks with {b} lines between them", "staggered rows of {a} rectangles",
        "{a} blocks laid in offset rows with {b} joints",
        "a repeating pattern of {a} blocks and {b} mortar lines",
        "rectangular {a} blocks stacked in courses, each row shifted by half",
        "horizontal rows of small blocks",
        "a grid of offset rectangles divided by thin {b} lines",
        "regular rows of blocks with visible joints",
    ),
    "speckles": (
        "is speckled with {b}", "tiny {b} flecks all over", "is sprinkled with small {b} specks",
        "{b} speckles on {a}", "scattered {b} sprinkles", "is flecked and dotted with {b}",
    ),
    "two halves": (
        "is half {a} and half {b}", "is {a} above and {b} below", "is two-toned, {a} and {b}",
        "two halves of different color",
    ),
    "one band": (
        "a single {b} band across {a}", "one {b} stripe around the middle",
        "is {a} with a {b} belt",
    ),
    "fading": (
        "fades from {a} to {b}", "is {a} at the top, changing softly to {b} below",
        "a smooth gradient from {a} into {b}", "blends gradually from one color into another",
    ),
    "grainy": (
        "is evenly speckled with tiny grains", "a fine, even grain and no clear pattern",
        "countless tiny specks", "a uniform scatter of grains",
    ),
    "rubble": (
        "scattered pebbles and clods", "random lumps and small stones",
        "an uneven scatter of clumps",
    ),
    "rippled": (
        "wavy ripples", "soft parallel ridges", "low ripples and gentle dunes",
        "curving ripple lines", "wind-blown ridges",
    ),
    "planks": (
        "long parallel boards with dark gaps between them", "lines of narrow boards",
        "parallel strips with streaky grain", "long straight planks side by side",
        "streaks of grain running along each board",
    ),
    "tiles": (
        "a grid of squares with thin lines between them",
        "repeating square slabs divided by joint lines", "a regular square grid",
        "evenly spaced squares separated by thin lines",
    ),
    "blades": (
        "countless thin upright blades", "fine vertical strokes side by side",
        "many narrow tufts", "dense thin blades",
    ),
    "wavy": (
        "long flat waves", "streaks of waves with lighter crests",
        "horizontal ripples and small crests", "rolling wave lines",
    ),
    "puffs": (
        "soft billowing heaps", "puffy rounded masses with shaded undersides",
        "fluffy drifting lumps", "soft uneven billows",
    ),
}

TEXTURE_WORDS: dict[str, tuple[str, ...]] = {
    "smooth": (
        "is smooth", "is glossy", "a smooth, shiny surface", "is sleek and polished",
        "a slick, glossy skin", "is smooth to look at, with a soft shine",
        "a glazed, shiny finish", "a firm, smooth skin",
    ),
    "rough": (
        "is rough", "a coarse, rough surface", "is grainy and coarse", "a gritty surface",
        "is rough and uneven", "a harsh, scratchy feel", "is coarse-grained",
    ),
    "fuzzy": (
        "is woolly", "is fluffy and soft", "a fuzzy, woolly surface", "a thick, fleecy coat",
        "a soft, furry cover", "is shaggy", "dense curly fleece",
    ),
    "bumpy": (
        "is bumpy", "a bumpy, pebbled surface", "is knobbly", "is covered in tiny bumps",
        "a dimpled, uneven skin", "many small rounded bumps packed together",
        "a clustered, beaded surface",
    ),
    "wrinkled": (
        "is wrinkled", "a creased, wrinkled surface", "is folded and lined",
        "a leathery skin full of fine wrinkles", "deep creases all over",
    ),
    "grainy": (
        "is grainy", "a fine, granular surface", "a loose, grainy feel", "is coarse and gritty",
        "a powdery, grainy look",
    ),
    "rubble": (
        "is rough and crumbly", "a coarse, lumpy surface", "is loose and uneven",
        "a stony, crumbly feel",
    ),
    "plain": ("is smooth", "a flat, smooth surface", "is soft and even", "a clean, even surface"),
    "fading": ("is smooth", "a soft, even surface"),
    "rippled": ("is rippled", "a softly ridged surface", "is uneven, with low ridges"),
    "courses": ("a rough, blocky surface", "is hard and uneven, with sunken joints"),
    "planks": ("a lightly grained surface", "is smooth with fine streaks of grain"),
    "tiles": ("is hard and smooth", "a smooth, flat surface with fine grooves"),
    "blades": ("is soft and bristly", "a fine, hairy texture", "is bristly and tufted"),
    "wavy": ("a rippling, wet-looking surface", "is glassy and rippled"),
    "puffs": ("is soft and fluffy", "a cottony look", "is airy and soft"),
}
