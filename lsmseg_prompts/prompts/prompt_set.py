"""Prompt sets: for every class of a vocabulary, the text or texts a model is scored with.

A prompt set is made from descriptions by a composition: `concat` (the descriptions one after
another, see compose.py), `sentence` (one that the LLM wrote about all the attributes), or
a sentence an attribute, which whoever embeds them reads together: `ensemble` (the mean of their
embeddings), `mean-score` (the mean of their cosines), `max` (the highest cosine), `adaptive` (the
mean, weighted by how well each fits the picture). `refined` is made class by class, with any number
of texts for each, read as those of `ensemble`.
Beside it stand the controls (controls.py) and the templates around the name (name_templates.py).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, combined, named_once
from lsmseg_prompts.attributes.samples import with_samples
from lsmseg_prompts.english import has_hidden, has_word, nearest
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.compose import SENTENCE, Writing, can_be_written, compose
from lsmseg_prompts.prompts.controls import CONTROLS, Descriptions, random_like, shuffle
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES, name_texts, without_template
from lsmseg_prompts.tokens import TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

COMPOSITIONS = ("concat", "ensemble", "sentence", "mean-score", "max", "adaptive", "refined")
BUILT = COMPOSITIONS[:-1]
"""Those that `build_prompt_set` makes of attributes."""
WEIGHTED = ("ensemble", "mean-score", "refined")
"""Those whose texts can have weights."""
READ_BY_CLIP = ("mean-score", "max", "adaptive")
"""Those whose texts are not read as one embedding of length 1: trained networks cannot."""
NOT_ONE_ROW = ("max", "adaptive")
"""Those of which no single embedding a class says all."""
MISSING = ("fail", "name", "skip")
"""What becomes of a class without a description: an error, its plain name, or no text."""
TEMPERATURE = 1.0
"""Of `adaptive`, where none is given: of 0.3 to 4 the best on MiniStuff's selection split."""


@dataclass(frozen=True)
class PromptSet:
    """The texts of every class, `texts[i]` those of the class with index i in the vocabulary.

    name: see `set_name`.
    class_names: the benchmark's names, in order.
    shortened: indices of the classes where something was left out to fit the token budget.
    dropped: indices of those that lost the whole description of an attribute, or several.
    undescribed: indices of those without any of the descriptions, see `build_prompt_set`.
    weights: of every text of every class, signed (None: all 1): the mean of a class's embeddings
    e_i is sum_i w_i e_i / sum_i |w_i|. temperature: of `adaptive`; the lower, the more those texts
    count that fit a picture best.

    Raises UsageError for weights and temperatures that do not fit.
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
    weights: tuple[tuple[float, ...], ...] | None = None
    temperature: float | None = None
    undescribed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.composition == "adaptive" and self.temperature is None:
            object.__setattr__(self, "temperature", TEMPERATURE)
        if self.temperature is not None:
            if self.composition != "adaptive":
                raise UsageError(
                    f"The composition {self.composition} has no temperature: leave it out."
                )
            if not 0 < self.temperature < math.inf:
                raise UsageError(
                    f"The temperature {self.temperature:g} of {self.name} is not a number above "
                    "0: give one, or none for the usual one."
                )
        if self.weights is not None:
            self._check_weights(self.weights)

    def _check_weights(self, weights: tuple[tuple[float, ...], ...]) -> None:
        """Raise UsageError for weights that cannot be those of the texts."""
        if self.composition not in WEIGHTED:
            raise UsageError(
                f"Texts by the composition {self.composition} have no weights: leave them out, or "
                f"choose {', '.join(WEIGHTED)}."
            )
        if list(map(len, weights)) != list(map(len, self.texts)):
            raise UsageError(f"{self.name} has not one weight for each text: give as many.")
        for name, group in zip(self.class_names, weights, strict=True):
            if not all(map(math.isfinite, group)) or (group and not any(group)):
                raise UsageError(
                    f"The weights of {name!r} in {self.name} are {', '.join(map(str, group))}: "
                    "give numbers that are not all 0."
                )

    @property
    def plain(self) -> bool:
        """Whether the texts of each class are one, or are read as their mean: no weights."""
        if self.weights is not None:
            return False
        several = any(len(group) > 1 for group in self.texts)
        return not several or self.composition not in READ_BY_CLIP

    def for_training(self) -> tuple[tuple[str, ...], ...]:
        """The texts; UsageError where a network trained with them could not read them as meant."""
        if not self.plain:
            raise UsageError(
                f"A network cannot be trained with the weights or the composition "
                f"{self.composition} of {self.name}: use concat, ensemble or sentence."
            )
        return self.texts

    def __len__(self) -> int:
        return len(self.texts)


def set_name(attributes: Sequence[str], composition: str | None, control: str | None = None) -> str:
    """What a prompt set is called: "name", "color", "color+shape", "ensemble(color+shape)".

    Controls are "random(color+shape)" and "shuffled(ensemble(color+shape))".
    """
    name = "+".join(attributes)
    if len(attributes) > 1 and composition != "concat":
        name = f"{composition}({name})"
    return f"{control}({name})" if control else name


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
    missing: str = "fail",
    writing: Writing = SENTENCE,
) -> PromptSet:
    """Compose the descriptions of every class of `vocabulary`.

    Where there are further samples of a description (see `attributes.samples`), each is a text of
    its own, unless several attributes are joined to one.

    Args:
        descriptions: what there is, {(class index, attribute): one sentence}.
        vocabulary: the classes.
        attributes: any of those described, in the order they shall stand in; or one of
            `NAME_TEMPLATES` alone, such as ("name",), the baseline "a photo of a {readable name}".
        composition: one of `BUILT`.
        llm: who wrote the descriptions.
        control: None, "random" or "shuffled"; both depend only on `seed` and the other arguments.
        seed: of the control.
        only: indices of the classes to compose, which takes most of the time; the others have no
            text.
        missing: one of `MISSING`. Without "fail" a class is described by what there is of it that
            fits the token budget; without anything it has its plain name ("name") or no text
            ("skip").
        writing: as sentences or phrases, and the tokens that each may take.

    Raises:
        UsageError: an unknown attribute, composition or control, or a class without a description.
        RefusedError: a description has no word, or is over the token budget and cannot be
            shortened.
    """
    attributes = tuple(attributes)
    _check(descriptions, vocabulary, attributes, composition, control, missing)
    name = "+".join(attributes)
    names = tuple(entry.name for entry in vocabulary)
    if name in NAME_TEMPLATES:
        how = composition if name == "name" else "ensemble"
        named = tuple(named_texts(entry, name, writing) for entry in vocabulary)
        return PromptSet(name, vocabulary.name, attributes, how, "none", names, named)
    read = cells(attributes, composition)
    if composition != "sentence" and (composition != "concat" or len(read) == 1):
        read = with_samples(read, {attribute for _, attribute in descriptions})
        composition = "ensemble" if composition == "concat" and len(read) > 1 else composition
    if control == "shuffled":
        descriptions = shuffle(descriptions, vocabulary, read, seed)
    texts, *lists = _texts(descriptions, vocabulary, read, composition, only, missing, writing)
    if control == "random":
        texts = random_like(texts, vocabulary, seed, writing.budget)
    shortened, dropped, undescribed = (tuple(one) for one in lists)
    of = set_name(attributes, composition, control), vocabulary.name, attributes, composition
    made = tuple(texts), shortened, dropped
    return PromptSet(*of, llm, names, *made, undescribed=undescribed)


def _texts(
    descriptions: Descriptions,
    vocabulary: Vocabulary,
    read: Sequence[str],
    composition: str,
    only: Collection[int] | None,
    missing: str,
    writing: Writing,
) -> tuple[list[tuple[str, ...]], list[int], list[int], list[int]]:
    """Every class's texts, and the `shortened`, `dropped` and `undescribed` of a `PromptSet`."""
    texts: list[tuple[str, ...]] = []
    shortened: list[int] = []
    dropped: list[int] = []
    undescribed: list[int] = []
    for entry in vocabulary:
        places = ((entry.index, attribute) for attribute in read)
        sentences = [descriptions[place] for place in places if place in descriptions]
        if missing != "fail":
            sentences = [text for text in sentences if can_be_written(text, entry, writing)]
        undescribed += [entry.index] * (not sentences)
        if only is not None and entry.index not in only:
            texts.append(())
        elif not sentences:
            texts.append(named_texts(entry, "name", writing) if missing == "name" else ())
        else:
            group, cut, kept = _composed(sentences, entry, composition, writing)
            texts.append(group)
            shortened += [entry.index] * cut
            dropped += [entry.index] * (kept < len(sentences))
    return texts, shortened, dropped, undescribed


def check_missing(missing: str) -> None:
    """Raise UsageError for what is not one of `MISSING`."""
    if missing not in MISSING:
        raise UsageError(f"--missing is one of {', '.join(MISSING)}, not {missing!r}.")


def named_texts(entry: ClassEntry, kind: str, writing: Writing = SENTENCE) -> tuple[str, ...]:
    """The name alone: in templates of ours, or as a reader with a template of its own wants it."""
    if writing.form == "sentence":
        return _checked(name_texts(entry, kind), entry, writing.budget)
    return (without_template(entry.readable, entry, writing.form),)


def _checked(texts: Sequence[str], entry: ClassEntry, budget: TokenBudget) -> tuple[str, ...]:
    """A class's texts, once it is sure that the model reads each as a whole."""
    for text in texts:
        budget.check(text, entry.readable)
    return tuple(texts)


def _composed(
    sentences: Sequence[str], entry: ClassEntry, composition: str, writing: Writing
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
    if composition == "sentence" and writing == SENTENCE:
        return _checked(sentences, entry, writing.budget), False, len(sentences)
    # One alone is shortened in the same way whatever the composition.
    groups = [sentences] if composition == "concat" else [[sentence] for sentence in sentences]
    composed = [compose(group, entry, writing) for group in groups]
    kept = sum(one.kept for one in composed)
    left_out = kept < len(sentences) or any(one.cuts for one in composed)
    return tuple(one.text for one in composed), left_out, kept


def _check(
    descriptions: Descriptions,
    vocabulary: Vocabulary,
    attributes: tuple[str, ...],
    composition: str,
    control: str | None,
    missing: str,
) -> None:
    """Raise UsageError for whatever cannot be built from these arguments."""
    if composition == "refined":
        raise UsageError(
            "A refined prompt set is made class by class, not of attributes: `refine` makes one."
        )
    if composition not in BUILT:
        raise UsageError(f"There is no composition {composition!r}: choose {', '.join(BUILT)}.")
    check_missing(missing)
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
        if attribute not in described and missing == "fail":
            hint = nearest(attribute, [k for k in names if k != attribute])
            raise UsageError(
                f"The vocabulary {vocabulary.name} has no descriptions of {attribute!r}{hint}: "
                "generate them, or choose another attribute."
            )
    for attribute in cells(attributes, composition) if missing == "fail" else ():
        lacking = [e.name for e in vocabulary if (e.index, attribute) not in descriptions]
        if lacking:
            more = len(lacking) - 1
            others = f" and {more} more class{'es' if more > 1 else ''}" if more else ""
            raise UsageError(
                f"There is no description of the {attribute} of {lacking[0]!r}{others} in the "
                f"vocabulary {vocabulary.name}: generate what is missing first."
            )
