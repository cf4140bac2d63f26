"""What the tests' LLM server says by itself: reads the question, answers it well.

A describe query gets one sentence that names the class as the question does, is about the
attribute, differs from cell to cell and fits CLIP. Where JSON is asked for it is an object with
such a sentence for each attribute. Stage 1's question gets a list, a picture five sentences.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import Any, NamedTuple

ATTRIBUTES = (
    "color", "shape", "size", "texture", "material", "position", "pattern", "action", "context",
)  # fmt: skip

_SENSE = r"(?: \((?P<sense>[^()]*)\))?"
_QUERY = re.compile(
    rf"Describe (?P<a>.{{1,120}}?){_SENSE} with respect to "
    r"(?:a given (?P<b>[^.?\n]{1,60})|(?P<typical>its typical attributes))"
    rf"|Describe what (?P<c>.{{1,120}}?){_SENSE.replace('sense', 'sense_2')} generally looks? like "
    r"in terms of (?P<d>[^.?\n]{1,60})"
    rf"|what is usual for (?P<e>.{{1,120}}?){_SENSE.replace('sense', 'sense_3')} as to "
    r"(?P<f>[^?\n]{1,200})\?"
    rf"|What in a photograph tells (?P<g>.{{1,120}}?){_SENSE.replace('sense', 'sense_4')} from "
    r"(?:an? |the )?(?P<h>[^?\n(]{1,120}?)(?: \([^()]*\))?\?"
)


class Question(NamedTuple):
    """What a request asks about: `subject` is "a zebra", `name` "zebra"."""

    subject: str | None
    sense: str | None
    attributes: tuple[str, ...]

    @property
    def name(self) -> str | None:
        return self.subject and re.sub(r"^(?:an?|the) ", "", self.subject)

    @property
    def cell(self) -> dict[str, Any] | None:
        if self.subject is None:
            return None
        one = self.attributes[0] if len(self.attributes) == 1 else None
        return {"class": self.name, "attribute": one, "attributes": list(self.attributes)}


def read_question(messages: list[Any], query: re.Pattern[str] | None = None) -> Question:
    """The class and attributes of the first user message that is a describe query.

    `query`, with the groups `class` and `attribute`, reads a wording of the user's own.
    """
    for message in messages:
        if message.get("role") != "user":
            continue
        text = text_of(message)
        if query and (own := query.search(text)):
            return Question(own["class"], None, (own["attribute"],))
        found = list(_QUERY.finditer(text))
        if found:
            first = found[0]
            told = f"contrast:{first['h']}"
            names = [m["b"] or m["d"] or m["f"] or (m["h"] and told) or "typical" for m in found]
            names = ", ".join(names).replace("typical looks", "typical").split(", ")
            return Question(
                first["a"] or first["c"] or first["e"] or first["g"],
                first["sense"] or first["sense_2"] or first["sense_3"] or first["sense_4"],
                tuple(dict.fromkeys(names)),
            )
    return Question(None, None, ())


def text_of(message: Any) -> str:
    """The text of a message whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content if isinstance(p, dict) and "text" in p)
    return content if isinstance(content, str) else ""


def has_picture(messages: list[Any]) -> bool:
    """Whether a message carries a picture, in either provider's form."""
    return any(
        isinstance(part, dict) and ("image_url" in part or "image" in part)
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


def answer(
    question: Question, messages: list[Any], schema: Any, wants_json: bool, own: dict[str, Any]
) -> str:
    """A good answer. `own` holds texts to say of some attributes instead."""
    if has_picture(messages) and not wants_json:
        return PICTURE
    question = question._replace(attributes=_asked_last(question.attributes, messages))
    if wants_json:
        if schema:
            value = _instance(schema, question, own, "")
        else:
            value = {a: own.get(a, sentence(question, a)) for a in question.attributes}
        return json.dumps(value, ensure_ascii=False)
    if question.subject is None:
        asks_for_attributes = any("visual attributes" in text_of(m) for m in messages)
        return ATTRIBUTE_LIST if asks_for_attributes else "There is nothing to describe here."
    one = question.attributes[0]
    return own.get(one, sentence(question, one))


def _asked_last(attributes: tuple[str, ...], messages: list[Any]) -> tuple[str, ...]:
    """Those of the attributes that the last message asks for, after a talk about several."""
    last = text_of(messages[-1]) if messages else ""
    named = [a for a in attributes if f'"{a}"' in last] or [
        a for a in attributes if f"its {a} again" in last
    ]
    return tuple(named) or attributes


def _instance(schema: Any, question: Question, own: dict[str, Any], key: str) -> Any:
    """A value that a JSON schema allows: a good sentence for every string."""
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object" or "properties" in schema:
        inner = schema.get("properties", {})
        return {name: _instance(part, question, own, name) for name, part in inner.items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), question, own, key)]
    if kind in ("integer", "number"):
        return 1
    if kind == "boolean":
        return True
    return own.get(key, sentence(question, key))


def sentence(question: Question, attribute: str) -> str:
    """One sentence about an attribute of the class, the same for the same cell."""
    subject = question.subject or "it"
    if attribute.startswith("contrast:"):  # names no other class, and says what is there
        return _contrast(subject, attribute)
    digest = blake2b(f"{SALT}{subject}/{question.sense}/{attribute}".encode(), digest_size=16)
    number = int.from_bytes(digest.digest(), "big")

    def pick(choices: list[str]) -> str:
        nonlocal number
        number, place = divmod(number, len(choices))
        return choices[place]

    if attribute == "typical":
        tables = [_WORDS["color"], _WORDS["shape"], _WORDS["texture"]]
    elif attribute in _WORDS:
        words = _WORDS[attribute]
        number, cut = divmod(number, len(words))
        turned = words[cut:] + words[:cut]  # thirds of it, so that no words come twice
        tables = [turned[:7], turned[7:14], turned[14:]]
    else:
        tables = [[f"{word} in {attribute}" for word in _DEGREES]] * 3
    a, b, c = (pick(table) for table in tables)
    return (
        f"{pick(_OPENERS)}, {subject} {pick(_MODALS)} {pick(_VERBS)} {a} {pick(_TIMES)}, "
        f"{pick(_LINKS)} {b} {pick(_TIMES)} {pick(_LINKS)} {c} {pick(_TIMES)}."
    )


def _contrast(subject: str, attribute: str) -> str:
    digest = blake2b(f"{SALT}{subject}/{attribute}".encode(), digest_size=8).digest()
    color, shape = (
        _WORDS[of][digest[place] % len(_WORDS[of])] for place, of in enumerate(("color", "shape"))
    )
    return f"{subject[:1].upper()}{subject[1:]} is seen {color}, {shape}, {digest.hex()} times."


SALT = "6"  # one with which no two classes of COCO-Stuff get nearly the same sentence
_OPENERS = [
    "To most people", "On cold mornings", "Seen by a visitor", "In older books", "For a child",
    "As guides say", "When nobody looks", "Without any doubt", "By all accounts", "Now as before",
    "Wherever one goes", "If one waits", "In plain words", "Under good care", "Before the rain",
    "Once it is known", "Among its kind", "Given some time", "After many years", "Said in short",
]  # fmt: skip
_MODALS = ["may", "can", "might", "could", "will", "should", "would"]
_VERBS = ["be seen", "appear", "look", "be found", "turn up", "show up", "come"]
_DEGREES = ["strong", "weak", "plain", "rich", "unusual", "ordinary", "even", "varied"]
_TIMES = [
    "at dusk", "by day", "in most photos", "from afar", "up close", "in winter", "after rain",
    "at first glance", "on the whole", "now and then", "as a rule", "for the most part",
    "more often than not", "in many cases", "once in a while", "at times", "on most days",
    "in old age", "when new", "every so often",
]  # fmt: skip
_LINKS = [
    "and then", "or else", "yet also", "but sometimes", "along with", "rather than", "as well as",
    "or at least", "and perhaps", "if not", "though rarely", "followed by", "plus",
    "and equally", "or even", "and likewise", "but mainly", "or possibly", "and often", "besides",
]  # fmt: skip
_WORDS = {
    "color": [
        f"in {c}"
        for c in (
            "jet black", "pale blue", "deep red", "bright yellow", "dusty brown", "soft gray",
            "pure white", "dark green", "light pink", "rich purple", "warm beige", "crimson",
            "teal", "navy", "maroon", "turquoise", "ivory", "lavender", "scarlet", "magenta",
        )
    ],
    "shape": [
        "with a round outline", "with a square outline", "with curved edges", "cuboid",
        "with straight edges", "with a pointed tip", "oval", "boxy", "triangular", "rectangular",
        "cylindrical", "spherical", "circular", "octagonal", "conical", "dome-shaped",
        "elliptical", "hexagonal", "with a tapered end", "with a rounded body",
    ],
    "size": [
        "as tall as a doorway", "as large as a car", "small enough for one hand",
        "about two meters long", "a few centimeters wide", "as big as a house",
        "huge beside a person", "tiny beside a coin", "medium-sized", "larger than a bench",
        "smaller than a cup", "some ten inches tall", "enormous next to a child", "palm-sized",
        "as long as a bus", "as wide as a road", "massive for its kind",
        "as high as an adult's knee", "as heavy as several tons", "hand-sized",
    ],
    "texture": [
        "smooth", "rough", "fuzzy", "bumpy", "glossy", "matte", "coarse", "gritty", "velvety",
        "silky", "grainy", "fluffy", "slick", "bristly", "prickly", "slippery", "spongy",
        "finely textured", "soft in texture", "hard in texture",
    ],
    "material": [
        f"{('made of', 'built from', 'cut from', 'formed of', 'cast in')[place % 5]} {m}"
        for place, m in enumerate((
            "wood", "steel", "glass", "leather", "rubber", "plastic", "ceramic", "concrete",
            "cotton", "wool", "cardboard", "marble", "granite", "bamboo", "brass", "nylon",
            "vinyl", "aluminum", "iron", "porcelain",
        ))
    ],
    "position": [
        "at the bottom of the picture", "at the top left", "in the foreground",
        "in the background", "near the center of the scene", "along the right edge",
        "in the lower corner", "above the ground", "below the horizon", "on the left side",
        "close to the floor", "high in the frame", "in the upper half", "behind other things",
        "in front of a wall", "beside the middle", "between two walls", "under the ceiling",
        "at eye level", "on the right side",
    ],
    "pattern": [
        "with bold stripes", "with plain even areas", "spotted", "checkered", "with polka dots",
        "plaid", "speckled", "mottled", "in a herringbone pattern", "in a paisley pattern",
        "with repeated lines", "striped", "with regular rows", "with scattered patches",
        "with a grid of lines", "in a wavy pattern", "with alternating light and dark bands",
        "with a repeating pattern", "with speckles", "patterned",
    ],
    "action": [
        "standing still", "moving along", "resting", "swaying", "turning", "waiting for use",
        "leaning over", "running fast", "hanging loosely", "sliding past", "being carried",
        "falling slowly", "rolling on", "opening and closing", "growing upward", "drifting by",
        "jumping about", "lying quietly", "shaking in the wind", "being pushed",
    ],
    "context": [
        "beside people", "near buildings", "among trees", "with cars around", "next to a table",
        "in a busy street", "in a kitchen", "surrounded by grass", "around farms",
        "close to a river", "together with chairs", "in a park", "in a living room", "by a road",
        "near a shop", "alongside animals", "among tools", "in an office", "around a harbor",
        "near a playground",
    ],
}  # fmt: skip

ATTRIBUTE_LIST = """Here are the visual attributes that matter most:

1. **Color**: the hues and brightness of the object
2. **Shape or Form**: its outline and geometry
3. **Size/Scale**: how large it is beside other things
4. **Texture**: how its surface looks and feels
5. **Material**: what it is made of
6. **Position or Location**: where in the scene it lies
7. **Pattern**: repeated markings on it
8. **Action/State**: what it is doing, or its condition
9. **Contextual Relationships**: what usually surrounds it
10. **Lighting**: how light and shadow fall on it
"""

PICTURE = (
    "A brown dog with a white chest lies on a green lawn. Its body is long and rounded, with two "
    "pointed ears. The fur looks soft and slightly rough in texture. It rests in the foreground, "
    "at the left of a wooden bench. People walk past in the background, near a large old house."
)
