"""Prompt sets: for every class of a vocabulary, the text or texts a model is scored with.

A prompt set is made from descriptions by a composition: `concat` (one sentence a class, clause by
clause, see compose.py), `ensemble` (a sentence an attribute; whoever encodes them averages) or
`sentence` (one that the LLM wrote about all the attributes together).
Beside it stand the controls (controls.py) and the templates around the name (name_templates.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, combined, named_once
from lsmseg_prompts.english import has_hidden, has_word, nearest
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.compose import compose
from lsmseg_prompts.prompts.controls import CONTROLS, Descriptions, random_like, shuffle
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES, name_texts
from lsmseg_prompts.tokens import check_fits
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

COMPOSITIONS = ("concat", "ensemble", "sentence")


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

    Args:
        descriptions: what there is, {(class index, attribute): one sentence}.
        vocabulary: the classes.
        attributes: any of those described, in the order they shall stand in; or one of
            `NAME_TEMPLATES` alone, such as ("name",), the baseline "a photo of a {readable name}".
        composition: one of `COMPOSITIONS`.
        llm: who wrote the descriptions.
        control: None, "random" or "shuffled"; both depend only on `seed` and the other arguments.
        seed: of the control.
        only: indices of the classes to compose, which takes most of the time; the others have no
            text.

    Raises:
        UsageError: an unknown attribute, composition or control, or a class without a description.
        RefusedError: a description has no word, or is over the token budget and cannot be
            shortened.
    """
    attributes = tuple(attributes)
    _check(descriptions, vocabulary, attributes, composition, control)
    name = "+".join(attributes)
    names = tuple(entry.name for entry in vocabulary)
    if name in NAME_TEMPLATES:
        how = composition if name == "name" else "ensemble"
        named = tuple(_checked(name_texts(entry, name), entry) for entry in vocabulary)
        return PromptSet(name, vocabulary.name, attributes, how, "none", names, named)
    read = cells(attributes, composition)
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
        group, cut, kept = _composed(sentences, entry, composition)
        texts.append(group)
        shortened += [entry.index] * cut
        dropped += [entry.index] * (kept < len(sentences))
    if control == "random":
        texts = random_like(texts, vocabulary, seed)
    made = (tuple(texts), tuple(shortened), tuple(dropped))
    name = f"{control}({name})" if control else name
    return PromptSet(name, vocabulary.name, attributes, composition, llm, names, *made)


def _checked(texts: Sequence[str], entry: ClassEntry) -> tuple[str, ...]:
    """A class's texts, once it is sure that CLIP reads each as a whole."""
    for text in texts:
        check_fits(text, entry.readable)
    return tuple(texts)


def _composed(
    sentences: Sequence[str], entry: ClassEntry, composition: str
) -> tuple[tuple[str, ...], bool, int]:
    """A class's texts, whether something was left out to fit, and how many sentences are in."""
    for sentence in sentences:
        if not has_word(sentence):
            raise RefusedError(
                f"A description of {entry.readable!r} has no word: {sentence!r}. Write a sentence "
                "about the class."
            )
        if has_hidden(sentence):
            raise RefusedError(
                f"A description of {entry.readable!r} has control characters or invisible signs: "
                f"{sentence!r}. Write it anew."
            )
    if composition == "concat":
        composed = compose(sentences, entry)
        left_out = composed.cuts > 0 or composed.kept < len(sentences)
        return (composed.text,), left_out, composed.kept
    return _checked(sentences, entry), False, len(sentences)


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
    named_once(attributes)
    for attribute in attributes:
        if attribute in NAME_TEMPLATES:
            if len(attributes) > 1 or control:
                raise UsageError(
                    f"{attribute} is a baseline without descriptions: it stands alone, without a "
                    "control."
                )
            return
    described = {attribute for _, attribute in descriptions}
    names = [*ATTRIBUTES, *PSEUDO_ATTRIBUTES, *sorted(described - set(ATTRIBUTES))]
    for attribute in cells(attributes, composition):
        if attribute in CONTROLS:
            raise UsageError(
                f'{attribute} is a control: give it with the attributes it stands for, as control="'
                f'{attribute}".'
            )
        if attribute not in described:
            hint = nearest(attribute, [k for k in names if k != attribute])
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
