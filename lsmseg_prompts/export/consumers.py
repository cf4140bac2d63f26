"""What other projects do to a class string: where they split it, and what they put around it.

Facts from their sources, as public in November 2026; their code was not run here. A text that its
consumer would split, or that is over CLIP's 77 tokens inside the consumer's own template, is
refused (`check`), or rewritten without the separator where that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsmseg_prompts.english import has_word
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.export.rewriting import without_separators
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES
from lsmseg_prompts.prompts.prompt_set import NOT_ONE_ROW, PromptSet
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import Vocabulary

SHOWN = 3  # classes that a message names
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # as Python's str.splitlines takes them

# The longest of ViLD's templates, which FC-CLIP, MAFT+ and SAN use.
VILD = ("This is a photo of a medium {}.", "There is a medium {} in the scene.")


@dataclass(frozen=True)
class Consumer:
    """A project that reads class strings.

    splits: what it splits a string on, "" if on nothing. joined: what puts several texts of a class
    into one string, None where a class has one text only. breaks: what else a string may not hold.
    templates: what it puts around a text, the longest of them. over: what it does beyond 77 tokens.
    """

    name: str
    splits: str
    joined: str | None
    templates: tuple[str, ...]
    over: str
    breaks: str = LINE_ENDS

    def spoiled(self, text: str) -> bool:
        """Whether the consumer would make something else of the text than is meant."""
        return (bool(self.splits) and self.splits in text) or any(b in text for b in self.breaks)

    def tokens(self, text: str) -> int:
        """CLIP tokens of the text inside the consumer's longest template."""
        return max(count_tokens(template.format(text)) for template in self.templates)


SCENE = NAME_TEMPLATES["cat-seg"]
CONSUMERS = {
    c.name: c
    for c in (
        Consumer("cat-seg", ", ", None, SCENE, "raises an error"),
        Consumer("sed", ", ", ", ", SCENE, "raises an error"),
        Consumer("fc-clip", ",", ",", VILD, "cuts the text or fails", LINE_ENDS + ":"),
        Consumer("maft", ",", ",", VILD, "cuts the text or fails", LINE_ENDS + ":"),
        Consumer("san", "", None, VILD, "cuts the text silently"),
        Consumer("mmseg", "", None, VILD, "cuts the text silently"),
        Consumer("open_clip", "", None, ("{}",), "cuts the text silently"),
        Consumer("cupl", "", "", ("{}",), "raises an error"),
        Consumer("dclip", "", "", ("{}",), "raises an error"),
    )
}


def prepare(
    prompts: PromptSet, vocabulary: Vocabulary, consumer: Consumer, rewrite: bool = False
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The texts as the consumer will read them, and how many were rewritten for it.

    Args:
        prompts: the prompt set.
        vocabulary: its vocabulary.
        consumer: who reads the file.
        rewrite: leave out the separators that the consumer splits on.

    Raises:
        UsageError: the prompt set is of another vocabulary.
        RefusedError: a text has no word, the consumer would split or cut one, takes one text a
            class and there are several, or cannot read them with the weights or as the composition
            says.
    """
    if prompts.vocabulary != vocabulary.name or len(prompts) != len(vocabulary):
        raise UsageError(
            f"The prompt set {prompts.name} was made for the vocabulary {prompts.vocabulary}, not "
            f"for {vocabulary.name}: export it with its own."
        )
    if not prompts.plain:
        what = "the weights" if prompts.weights else f"texts read by {prompts.composition}"
        also = "" if prompts.composition in NOT_ONE_ROW else " or embeddings"
        raise RefusedError(
            f"{consumer.name} reads several texts of a class in its own way and cannot hold {what} "
            f"of {prompts.name}: use --format native{also}."
        )
    if consumer.joined is None and any(len(group) > 1 for group in prompts.texts):
        raise RefusedError(
            f"{consumer.name} takes one text a class and {prompts.name} has several: use "
            "--composition concat or sentence, or --format embeddings."
        )
    texts, changed = [], 0
    for group in prompts.texts:
        kept = []
        for text in group:
            if rewrite and consumer.spoiled(text):
                text = without_separators(text, consumer.breaks)
                changed += 1
            kept.append(text)
        texts.append(tuple(kept))
    if silent := _classes(texts, vocabulary, lambda text: not has_word(text)):
        raise RefusedError(f"The texts of {silent} have no word: write sentences about them.")
    if spoiled := _classes(texts, vocabulary, consumer.spoiled):
        what = f"splits a class string on {consumer.splits!r}" if consumer.splits else "reads lines"
        advice = "write other texts" if rewrite else "--rewrite leaves the separators out"
        raise RefusedError(
            f"{consumer.name} {what}, which would break the texts of {spoiled}: {advice}, "
            "or use --format embeddings."
        )
    if long := _classes(texts, vocabulary, lambda text: consumer.tokens(text) > CONTEXT_LENGTH):
        raise RefusedError(
            f"Inside the template of {consumer.name} the texts of {long} are over CLIP's "
            f"{CONTEXT_LENGTH} tokens, beyond which it {consumer.over}: name fewer --attributes, "
            "or use --format embeddings."
        )
    return tuple(texts), changed


def _classes(
    texts: Sequence[Sequence[str]], vocabulary: Vocabulary, is_bad: Callable[[str], bool]
) -> str:
    """The classes that have a bad text, for a message; empty if there is none."""
    bad = [vocabulary[i].readable for i, group in enumerate(texts) if any(map(is_bad, group))]
    more = f" and {len(bad) - SHOWN} more classes" if len(bad) > SHOWN else ""
    return ", ".join(bad[:SHOWN]) + more
