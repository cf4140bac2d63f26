"""What other projects do to a class string: where they split it, and what they put around it.

docs/export.md names the lines of their sources, and the commits. Here a prompt set is fitted to one
of them: written as it reads (`--form`), shortened to the token budget inside its longest template,
and spelled so that nothing in a text is taken for a separator while the tokens stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lsmseg_prompts.english import has_word, sentences
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.clauses import is_finished
from lsmseg_prompts.prompts.compose import Composed, Writing, can_be_written, compose
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES, plain_name, without_template
from lsmseg_prompts.prompts.prompt_set import NOT_ONE_ROW, PromptSet
from lsmseg_prompts.tokens import CLIP, TokenBudget, token_ids
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

SHOWN = 3  # classes that a message names

# The longest of each set, in CLIP's tokens: of the 80 for ImageNet (with and without a text's own
# period), and of ViLD's 14.
IMAGENET = ("a jpeg corrupted photo of the {}.", "a photo of a hard to see {}.")
VILD = ("This is a photo of a medium {}.", "There is a medium {} in the scene.")
SCENE = NAME_TEMPLATES["cat-seg"]
BARE = ("{}",)

# CLIP's tokenizer makes a full-width comma or colon an ordinary one (ftfy), after the reader split.
_NO_SPACE = ((", ", ","),)
_FULL_WIDTH = ((",", "\N{FULLWIDTH COMMA}"), (":", "\N{FULLWIDTH COLON}"))
_WITHOUT_SPACE = re.compile(r",(?=[^\W\d_])")


@dataclass(frozen=True)
class Consumer:
    """A project that reads class strings.

    form: how it reads a text best: "phrase" in a template, "sentence" alone, "descriptor" behind
    "which has". templates: what it puts around a text, the longest of them. over: what it does
    beyond 77 tokens. joined: what puts several texts of a class into one string, None where a class
    has one text only. spelled: what a text may not hold, and what stands for it.
    """

    name: str
    form: str
    templates: tuple[str, ...]
    over: str
    joined: str | None = None
    spelled: tuple[tuple[str, str], ...] = ()

    @property
    def several(self) -> bool:
        """Whether a class can have several texts."""
        return self.joined is not None

    @property
    def room(self) -> int:
        """The tokens of CLIP that a text may take, start and end included."""
        return self.room_in(CLIP)

    def room_in(self, budget: TokenBudget) -> int:
        """The tokens that a text may take, start and end included."""
        return budget.limit - self.tokens("x", budget) + budget.count("x")

    def tokens(self, text: str, budget: TokenBudget = CLIP) -> int:
        """The tokens of the text inside the longest template."""
        return max(budget.count(template.format(text)) for template in self.templates)

    def spell(self, text: str) -> str:
        """The text on one line, without what would be taken for a separator."""
        text = " ".join(text.split())
        for held, instead in self.spelled:
            text = text.replace(held, instead)
        return text

    def unspell(self, text: str) -> str:
        """The text of a file as it is written here."""
        if self.spelled == _NO_SPACE:
            return _WITHOUT_SPACE.sub(", ", text)
        for held, instead in self.spelled:
            text = text.replace(instead, held)
        return text


CONSUMERS = {
    c.name: c
    for c in (
        Consumer("cat-seg", "phrase", (*IMAGENET, *SCENE), "raises an error", None, _NO_SPACE),
        Consumer("sed", "phrase", (*IMAGENET, *SCENE), "cuts silently", ", ", _NO_SPACE),
        Consumer("fc-clip", "phrase", VILD, "cuts silently", ",", _FULL_WIDTH),
        Consumer("maft", "phrase", VILD, "cuts silently", ",", _FULL_WIDTH),
        Consumer("san", "phrase", VILD, "cuts silently"),
        Consumer("mmseg", "phrase", VILD, "cuts silently"),
        Consumer("detectron2", "phrase", (*IMAGENET, *VILD), "may cut silently"),
        Consumer("class-names", "phrase", IMAGENET, "raises an error", ", ", _NO_SPACE),
        Consumer("open_clip", "sentence", BARE, "cuts silently"),
        Consumer("clip-benchmark", "sentence", BARE, "cuts silently", ""),
        Consumer("cupl", "sentence", BARE, "cuts silently", ""),
        Consumer("dclip", "descriptor", ("{}.",), "raises an error", ""),
        Consumer("json", "sentence", BARE, "may cut silently", ""),
    )
}


def writing_for(format: str, form: str | None = None, budget: TokenBudget = CLIP) -> Writing:
    """How texts are written for a format: in its own form, or the given one."""
    if format not in CONSUMERS:
        return Writing(form or "sentence", budget.limit, budget)
    consumer = CONSUMERS[format]
    own = consumer.form == "descriptor"
    written = consumer.form if own else form or consumer.form
    return Writing(written, consumer.room_in(budget), budget)


def fitted(
    prompts: PromptSet,
    vocabulary: Vocabulary,
    format: str,
    form: str | None = None,
    budget: TokenBudget = CLIP,
) -> PromptSet:
    """The prompt set as the reader of a format takes it: its form, its number of texts, its room.

    Texts that are so already stay as they are.

    Args:
        prompts: the prompt set.
        vocabulary: its own vocabulary.
        format: a format of CONSUMERS, or another, whose texts stand alone.
        form: "sentence" or "phrase"; None for the reader's own.
        budget: the tokens that a text may take with what the reader puts around it.

    Raises:
        UsageError: the prompt set is of another vocabulary.
        RefusedError: a text has no word or cannot be shortened enough, or the reader cannot read
            them with the weights or as the composition says.
    """
    if prompts.vocabulary != vocabulary.name or len(prompts) != len(vocabulary):
        raise UsageError(
            f"The prompt set {prompts.name} was made for the vocabulary {prompts.vocabulary}, not "
            f"for {vocabulary.name}: export it with its own."
        )
    if silent := _classes(prompts.texts, vocabulary, lambda text: not has_word(text)):
        raise RefusedError(f"The texts of {silent} have no word: write sentences about them.")
    consumer = CONSUMERS.get(format)
    if consumer is not None:
        _check_readable(prompts, vocabulary, consumer)
    writing = writing_for(format, form, budget)
    texts, shortened, dropped = [], set(prompts.shortened), set(prompts.dropped)
    for entry, group in zip(vocabulary, prompts.texts, strict=True):
        one = consumer is not None and not consumer.several
        made = []
        for part in [_described(group, entry)] if one and group else [(t,) for t in group]:
            if len(part) == 1 and (kept := _as_it_is(part[0], entry, writing)):
                made.append(kept)
                continue
            composed, is_whole = _composed(part, entry, writing)
            made.append(composed.text)
            shortened |= set() if is_whole and not composed.cuts else {entry.index}
            dropped |= set() if is_whole else {entry.index}
        once = writing.form != "sentence" and prompts.weights is None
        texts.append(tuple(dict.fromkeys(made) if once else made))
    return replace(
        prompts,
        texts=tuple(texts),
        shortened=tuple(sorted(shortened)),
        dropped=tuple(sorted(dropped)),
    )


def _composed(part: Sequence[str], entry: ClassEntry, writing: Writing) -> tuple[Composed, bool]:
    """One text of a class's texts, and whether something of each is in it.

    A text that was joined before comes apart at its sentences where it is too long as it is.
    """
    if len(part) > 1 or can_be_written(part[0], entry, writing):
        composed = compose(part, entry, writing)
    else:
        part = [one if is_finished(one) else f"{one}." for one in sentences(part[0])]
        composed = compose(part, entry, writing)
    return composed, composed.kept == len(part)


def _described(group: Sequence[str], entry: ClassEntry) -> Sequence[str]:
    """The texts to join: a name beside descriptions says nothing more."""
    return [text for text in group if plain_name(text, entry) is None] or group[:1]


def _as_it_is(text: str, entry: ClassEntry, writing: Writing) -> str | None:
    """A text that is not composed anew: a sentence that fits, a name without its template."""
    if writing.form == "sentence":
        return text if writing.budget.count(text) <= writing.room else None
    name = plain_name(text, entry)
    return None if name is None else without_template(name, entry, writing.form)


def _check_readable(prompts: PromptSet, vocabulary: Vocabulary, consumer: Consumer) -> None:
    """Raise RefusedError for what the consumer cannot hold."""
    if not prompts.plain:
        what = "the weights" if prompts.weights else f"texts read by {prompts.composition}"
        also = "" if prompts.composition in NOT_ONE_ROW else " or embeddings"
        raise RefusedError(
            f"{consumer.name} reads several texts of a class in its own way and cannot hold {what} "
            f"of {prompts.name}: use --format native{also}."
        )
    several = _first(vocabulary[i].readable for i, g in enumerate(prompts.texts) if len(g) > 1)
    if not consumer.several and several and prompts.composition != "ensemble":
        raise RefusedError(
            f"{consumer.name} takes one text a class and {prompts.name} has several of {several}: "
            "use --format embeddings, or leave one of them in the native file, without the line "
            "sha256, and export that with --prompts."
        )


def spelled(
    prompts: PromptSet, vocabulary: Vocabulary, consumer: Consumer, budget: TokenBudget = CLIP
) -> list[list[str]]:
    """The texts of a fitted prompt set as they stand in the consumer's file.

    Args:
        prompts: the prompt set.
        vocabulary: its own vocabulary.
        consumer: who reads the file.
        budget: the tokens that a text may take with what the reader puts around it.

    Raises:
        RefusedError: they are still too long, or would come apart or change.
    """
    if long := _classes(
        prompts.texts, vocabulary, lambda text: consumer.tokens(text, budget) > budget.limit
    ):
        raise RefusedError(
            f"Inside the template of {consumer.name} the texts of {long} are over "
            f"{budget.shown} tokens, beyond which it {consumer.over}: use --composition "
            "sentence, fewer --attributes, or --format embeddings."
        )
    if changed := _classes(
        prompts.texts, vocabulary, lambda text: token_ids(consumer.spell(text)) != token_ids(text)
    ):
        raise RefusedError(
            f"{consumer.name} splits class strings, which would break the texts of {changed}: "
            "write them without signs side by side, or use --format embeddings."
        )
    return [[consumer.spell(text) for text in group] for group in prompts.texts]


def _classes(
    texts: Sequence[Sequence[str]], vocabulary: Vocabulary, is_bad: Callable[[str], bool]
) -> str:
    """The classes that have a bad text, for a message; empty if there is none."""
    return _first(
        vocabulary[i].readable for i, group in enumerate(texts) if any(map(is_bad, group))
    )


def _first(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more classes" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
