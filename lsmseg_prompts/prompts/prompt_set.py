"""Prompt sets: for every class of a vocabulary, the text or texts a model is scored with.

A prompt set is made from descriptions by a composition: `concat` (one sentence a class, clause by
clause, see compose.py), `ensemble` (a sentence an attribute; whoever encodes them averages) or
`sentence` (one that the LLM wrote about all the attributes together).
Beside it stand the controls, because extra words alone change CLIP's scores: `random` (as many
tokens of random words) and `shuffled` (the descriptions of another class).
"""

import json
import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, combined
from lsmseg_prompts.english import is_named, nearest
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.compose import compose
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

COMPOSITIONS = ("concat", "ensemble", "sentence")
CONTROLS = ("random", "shuffled")
WITHOUT_DESCRIPTIONS = ("name", *NAME_TEMPLATES)  # these stand alone

Descriptions = Mapping[tuple[int, str], str]
"""{(class index, attribute): one sentence}."""


@dataclass(frozen=True)
class PromptSet:
    """The texts of every class, `texts[i]` those of the class with index i in the vocabulary.

    name: "color+shape", "random(color+shape)", "shuffled(color+shape)", "name" or "typical".
    class_names: the benchmark's names, in order.
    shortened: indices of the classes where something was left out to fit CLIP's 77 tokens.
    dropped: indices of those that lost the whole description of an attribute, or several.
    """

    name: str
    vocabulary: str
    attributes: tuple[str, ...]
    composition: str
    llm: str
    class_names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    shortened: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


def cells(attributes: Sequence[str], composition: str) -> tuple[str, ...]:
    """The attributes whose descriptions a prompt set is made of: with `sentence` a single one."""
    if composition == "sentence" and len(attributes) > 1:
        return (combined(attributes),)
    return tuple(attributes)


def build_prompt_set(
    descriptions: Descriptions,
    vocabulary: Vocabulary,
    attributes: Sequence[str],
    composition: str = "concat",
    llm: str = "bundled",
    control: str | None = None,
    seed: int = 0,
    only: Collection[int] | None = None,
) -> PromptSet:
    """Compose the descriptions of every class of `vocabulary`.

    attributes: any of those described, in the order they shall stand in; or ("name",) alone for
        the baseline "a photo of a {readable name}", or one of `NAME_TEMPLATES` alone.
    control: None, "random" or "shuffled"; both depend only on `seed` and the other arguments.
    only: indices of the classes to compose, which takes most of the time; the others have no text.

    Raises UsageError for an unknown attribute, composition or control, and where a class lacks a
    description; RefusedError where one is over the token budget and cannot be shortened.
    """
    attributes = tuple(attributes)
    _check(descriptions, vocabulary, attributes, composition, control)
    read = cells(attributes, composition)
    joined = "+".join(attributes)
    if attributes[0] in WITHOUT_DESCRIPTIONS:
        named = [name_prompts(entry, attributes[0]) for entry in vocabulary]
        for entry, group in zip(vocabulary, named, strict=True):
            for text in group:
                _refuse_long(text, entry)
        how = composition if attributes == ("name",) else "ensemble"
        return _prompt_set(attributes[0], vocabulary, attributes, how, "none", named, [], [])
    if control == "shuffled":
        descriptions = shuffle(descriptions, vocabulary, read, seed)
    texts: list[tuple[str, ...]] = []
    shortened: list[int] = []
    dropped: list[int] = []
    for entry in vocabulary:
        if only is not None and entry.index not in only:
            texts.append(())
            continue
        sentences = [descriptions[entry.index, attribute] for attribute in read]
        if composition == "concat":
            composed = compose(sentences, entry)
            texts.append((composed.text,))
            if composed.kept < len(sentences):
                dropped.append(entry.index)
            if composed.cuts or composed.kept < len(sentences):
                shortened.append(entry.index)
        else:
            for sentence in sentences:
                _refuse_long(sentence, entry)
            texts.append(tuple(sentences))
    if control == "random":
        texts = _random_like(texts, vocabulary, seed)
    name = f"{control}({joined})" if control else joined
    return _prompt_set(name, vocabulary, attributes, composition, llm, texts, shortened, dropped)


def name_prompt(entry: ClassEntry) -> str:
    """The baseline of the paper, in CLIP's own template; a phrase may bring its article."""
    own = entry.readable.partition(" ")[0].lower() in ("a", "an", "the", "some")
    return f"a photo of {'' if own else 'a '}{entry.readable}"


def name_prompts(entry: ClassEntry, kind: str) -> tuple[str, ...]:
    """The plain name in the templates called ``kind``, one of `WITHOUT_DESCRIPTIONS`."""
    if kind == "name":
        return (name_prompt(entry),)
    return tuple(template.format(entry.readable) for template in NAME_TEMPLATES[kind])


def _prompt_set(
    name: str,
    vocabulary: Vocabulary,
    attributes: tuple[str, ...],
    composition: str,
    llm: str,
    texts: Sequence[tuple[str, ...]],
    shortened: Sequence[int],
    dropped: Sequence[int],
) -> PromptSet:
    names = tuple(entry.name for entry in vocabulary)
    return PromptSet(
        name,
        vocabulary.name,
        attributes,
        composition,
        llm,
        names,
        tuple(texts),
        tuple(shortened),
        tuple(dropped),
    )


def _check(
    descriptions: Descriptions,
    vocabulary: Vocabulary,
    attributes: tuple[str, ...],
    composition: str,
    control: str | None,
) -> None:
    """Raise UsageError for whatever cannot be built from these arguments."""
    if composition not in COMPOSITIONS:
        raise UsageError(
            f"There is no composition {composition!r}: choose {', '.join(COMPOSITIONS)}."
        )
    if control is not None and control not in CONTROLS:
        raise UsageError(f"There is no control {control!r}: choose {' or '.join(CONTROLS)}.")
    if not attributes:
        raise UsageError("Name at least one attribute, such as color.")
    twice = [a for a in attributes if attributes.count(a) > 1]
    if twice:
        raise UsageError(f"The attribute {twice[0]} is named twice: name each once.")
    for attribute in attributes:
        if attribute in WITHOUT_DESCRIPTIONS:
            if len(attributes) > 1 or control:
                raise UsageError(
                    f"{attribute} is a baseline without descriptions: it stands alone, without a "
                    "control."
                )
            return
    described = {attribute for _, attribute in descriptions}
    known = [*ATTRIBUTES, *PSEUDO_ATTRIBUTES, *sorted(described - set(ATTRIBUTES))]
    for attribute in cells(attributes, composition):
        if attribute in CONTROLS:
            raise UsageError(
                f'{attribute} is a control: give it with the attributes it stands for, as control="'
                f'{attribute}".'
            )
        if attribute not in described:
            hint = nearest(attribute, [k for k in known if k != attribute])
            raise UsageError(
                f"The vocabulary {vocabulary.name} has no descriptions of {attribute!r}{hint}: "
                "generate them, or choose another attribute."
            )
    for attribute in cells(attributes, composition):
        lacking = [e.name for e in vocabulary if (e.index, attribute) not in descriptions]
        if lacking:
            more = len(lacking) - 1
            others = f" and {more} more class{'es' if more > 1 else ''}" if more else ""
            raise UsageError(
                f"There is no description of the {attribute} of {lacking[0]!r}{others} in the "
                f"vocabulary {vocabulary.name}: generate what is missing first."
            )


def _refuse_long(text: str, entry: ClassEntry) -> None:
    tokens = count_tokens(text)
    if tokens > CONTEXT_LENGTH:
        raise RefusedError(
            f"A text for {entry.readable!r} takes {tokens} of CLIP's {CONTEXT_LENGTH} tokens: "
            f"shorten it: {text}"
        )


def donors(vocabulary: Vocabulary, seed: int = 0) -> tuple[int, ...]:
    """A derangement: donors[i] != i is the class whose descriptions class i gets when shuffled.

    Pairs in which the donor's name is part of the receiver's ("wall" for "brick wall") are
    avoided where the vocabulary allows it, so that no trace of the donor stays in the text.
    Raises UsageError for a vocabulary of one class.
    """
    count = len(vocabulary)
    if count < 2:
        raise UsageError("Shuffling descriptions across classes needs at least two classes.")
    generator = random.Random(f"shuffled {vocabulary.name} {count} {seed}")
    best: tuple[int, ...] = ()
    fewest = count + 1
    order = list(range(count))
    for _ in range(200):
        generator.shuffle(order)
        # One cycle through all classes: a derangement by construction.
        drawn = [0] * count
        for place, index in enumerate(order):
            drawn[index] = order[(place + 1) % count]
        clashes = _clashes(tuple(drawn), vocabulary)
        if clashes < fewest:
            best, fewest = tuple(drawn), clashes
        if fewest == 0:
            break
    return best


def _clashes(drawn: tuple[int, ...], vocabulary: Vocabulary) -> int:
    return sum(
        is_named(vocabulary[i].readable, vocabulary[donor].names) for i, donor in enumerate(drawn)
    )


def shuffle(
    descriptions: Descriptions, vocabulary: Vocabulary, attributes: Sequence[str], seed: int = 0
) -> dict[tuple[int, str], str]:
    """The control `shuffled`: every class gets the descriptions of its donor, renamed to itself."""
    drawn = donors(vocabulary, seed)
    return {
        (entry.index, attribute): rename(
            descriptions[drawn[entry.index], attribute], vocabulary[drawn[entry.index]], entry
        )
        for entry in vocabulary
        for attribute in attributes
    }


@cache
def _random_words() -> tuple[str, ...]:
    """Common words that name nothing to be seen, each a single token of CLIP's."""
    return tuple(
        json.loads((files("lsmseg_prompts.prompts") / "random_words.json").read_text("utf-8"))
    )


def _random_like(
    texts: Sequence[tuple[str, ...]], vocabulary: Vocabulary, seed: int
) -> list[tuple[str, ...]]:
    """ "a photo of a zebra, again chapter ..." with as many tokens as each text has."""
    named = [name for entry in vocabulary for name in entry.names]
    known = set(re.findall(r"[a-z]+", " ".join(named).lower()))
    words = [word for word in _random_words() if word not in known]
    result = []
    for entry, group in zip(vocabulary, texts, strict=True):
        generator = random.Random(f"random {vocabulary.name} {entry.index} {seed}")
        controls = []
        for text in group:
            head = name_prompt(entry)
            missing = count_tokens(text) - count_tokens(head + ",")
            drawn = [generator.choice(words) for _ in range(missing)]
            controls.append(f"{head}, {' '.join(drawn)}" if drawn else head)
            _refuse_long(controls[-1], entry)
        result.append(tuple(controls))
    return result
