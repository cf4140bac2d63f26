"""From a reply to verdicts: for each attribute a sentence that will do, or why it will not.

Hard faults keep a text out of the store's descriptions. Soft ones (the very text of another
class, words of other attributes only) are worth another question; where the LLM insists, the text
is kept and marked for a person's review.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lsmseg_prompts.attributes.samples import asked_of
from lsmseg_prompts.attributes.words import named_attributes, names
from lsmseg_prompts.descriptions.cleaning import clean
from lsmseg_prompts.descriptions.lint import check_text
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.generation.replies import AMBIGUOUS, read_object
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.tokens import CLIP, TokenBudget, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry

_REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am|we['’]re) (?:very |so |truly )?(?:sorry|unable|not able|afraid)\b"
    r"|(?:sorry|unfortunately|apologies)\b[^.]{0,40}\b(?:can(?:no|['’])t|unable|not able)\b"
    r"|i (?:can(?:not|['’]t)|could not|won['’]t|will not|must decline)\b"
    r"|as an ai\b)",
    re.IGNORECASE,
)

# A model thinking aloud without marks, or repeating what it was told.
_ABOUT_THE_QUESTION = re.compile(
    r"\bthe user (is |has )?(ask|request|said|say)"
    r"|\bthe user['’]s (question|prompt|request|query)\b"
    r"|\b(the|this|your) (question|prompt|request) (asks|is|wants|says|seems)\b"
    r"|^\W*(okay,? )?(the user|let me|let's|i (need|should|must|have|will|want|think)"
    r"|we (need|should|must))\b",
    re.IGNORECASE,
)

CLOSED = ("color", "shape", "size", "texture", "material", "pattern")
"""The attributes whose words are few enough to be listed; any word may tell of a position, an
action or a context."""

# A word of these says how something looks; one of the others may just name a part or what is near.
_LOOKS = ("color", "shape", "size")

FindDuplicate = Callable[[str, str], str | None]
"""(attribute, text) -> whom this very text was said of already, if of anyone."""


@dataclass(frozen=True)
class Verdict:
    """What became of one attribute of a reply.

    text, tokens: the cleaned sentence, and how many of CLIP's it takes. fault: why it will not do,
    None if it will. soft: it may be kept all the same, for review. final: asking again is of no
    use. kind: what to do about it ("refused" is asked in other words, "cut" with a larger limit,
    "empty" once more as it was).
    """

    text: str
    tokens: int
    fault: str | None = None
    soft: bool = False
    final: bool = False
    kind: str = ""

    @property
    def keeps(self) -> bool:
        """Whether the text becomes the description."""
        return self.fault is None or self.soft


_REFUSED = Verdict("", 0, "the LLM refused to answer", kind="refused")


def judge(
    reply: Reply,
    request: Request,
    find_duplicate: FindDuplicate,
    other: ClassEntry | None = None,
) -> dict[str, Verdict]:
    """A verdict for each of the attributes that were asked for.

    Which attribute a bundled text is about has been read (docs/corpus.md): its words do not count.

    Args:
        reply: what came back.
        request: what was asked.
        find_duplicate: looks for the text among those that are on file.
        other: the other class, where a pair cell was asked for.
    """
    entry, attributes = request.entry, request.attributes
    assert entry is not None
    if whole := as_a_whole(reply):
        return dict.fromkeys(attributes, whole)
    said = reply.said
    if len(attributes) == 1:
        read = reply.asked_model == LLM_NAME
        budget = request.budget
        verdict = _sentence(said, entry, attributes[0], find_duplicate, budget, read, other)
        return {attributes[0]: verdict}
    answers = read_object(said, map(asked_of, attributes))
    if answers is None:
        fault = "the reply is not a JSON object with a sentence for each attribute"
        return dict.fromkeys(attributes, Verdict("", 0, fault))
    verdicts = {}
    for attribute in attributes:
        given = answers.get(asked_of(attribute))
        if given is AMBIGUOUS:
            verdicts[attribute] = Verdict("", 0, "the reply has two sentences under this key")
        elif not isinstance(given, str):
            verdicts[attribute] = Verdict("", 0, "the JSON object has no sentence under this key")
        elif _REFUSAL.match(given):
            verdicts[attribute] = _REFUSED
        else:
            verdicts[attribute] = _sentence(given, entry, attribute, find_duplicate, request.budget)
    return verdicts


def as_a_whole(reply: Reply) -> Verdict | None:
    """What is wrong with all of a reply: refused, cut off, empty; None if it can be read."""
    if reply.finish_reason == "content_filter":
        return Verdict("", 0, "the provider's content filter held the reply back", final=True)
    if reply.refusal:
        return _REFUSED
    if reply.error_scope == "cell":
        reason = reply.error_message or reply.error_class or "the request failed"
        return Verdict("", 0, reason.rstrip(". "), final=True)
    if reply.is_cut:
        reason = "" if reply.finish_reason == "length" else f" ({reply.finish_reason})"
        return Verdict("", 0, f"the reply was cut off for its length{reason}", kind="cut")
    if not reply.said.strip():
        thought = " but for its thoughts" if reply.thoughts or reply.text else ""
        return Verdict("", 0, f"the reply was empty{thought}", kind="empty")
    return _REFUSED if _REFUSAL.match(reply.said.strip()) else None


def _sentence(
    raw: str,
    entry: ClassEntry,
    attribute: str,
    find_duplicate: FindDuplicate,
    budget: TokenBudget = CLIP,
    read: bool = False,
    other: ClassEntry | None = None,
) -> Verdict:
    text = clean(raw).text
    if not text:
        return Verdict("", 0, "the reply says nothing", kind="empty")
    tokens = count_tokens(text)
    if _ABOUT_THE_QUESTION.search(text):
        return Verdict(text, tokens, f"it is about the question, not about {entry.readable}")
    faults = dict(check_text(text, entry, other, budget))
    if "tokens" in faults:
        faults["tokens"] = (
            f"it takes {budget.count(text)} {budget.unit} and {budget.limit} are the most"
        )
    if "class-named" in faults:
        sense = f" in the sense of {entry.sense}" if entry.sense else ""
        faults["class-named"] = f"it does not name {entry.readable}{sense}"
    for rule in {"other-named", "negation"} & faults.keys():
        faults[rule] = f"it {faults[rule]}"
    if faults:
        return Verdict(text, tokens, "; ".join(faults.values()))
    if twin := find_duplicate(attribute, text):
        return Verdict(text, tokens, f"it is word for word what was said of {twin}", soft=True)
    others = "" if read else of_other_attributes(text, entry, attribute)
    if others:
        return Verdict(
            text, tokens, f"it is about {others}, not about {asked_of(attribute)}", soft=True
        )
    return Verdict(text, tokens)


def of_other_attributes(text: str, entry: ClassEntry, attribute: str) -> str:
    """The attributes a sentence is about, where the one it should be about is not among them.

    It takes two words of the same other attribute, or two of color, shape and size.
    """
    attribute = asked_of(attribute)
    if attribute not in CLOSED:
        return ""
    rest = names_pattern(entry.names).sub(" ", text)
    if names(rest, attribute) or attribute in text.lower():
        return ""
    counts = {a: len(words) for a, words in named_attributes(rest).items()}
    looks = sum(counts.get(a, 0) for a in _LOOKS)
    if max(looks, *counts.values(), 0) < 2:
        return ""
    return " and ".join(sorted(counts, key=lambda a: -counts[a])[:2])


def warm_up() -> None:
    """Load what judging, and the table at the end, need: nobody should wait for that later."""
    import rich.console
    import rich.table  # noqa: F401

    count_tokens("a")
    for attribute in CLOSED:
        names("a", attribute)
