"""Which classes of a vocabulary have names that people or a language model would misread.

The rules are in docs/vocabularies.md. What is checked is the readable name, the one that prompts
use: a class whose readable name was set by a person is fine whatever its benchmark calls it. Where
a rule can make a better name, the finding proposes it; nothing is changed here.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lsmseg_prompts.english import normalise
from lsmseg_prompts.tokens import fits
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.lines import text_lines
from lsmseg_prompts.vocabularies.names import (
    ambiguous_word,
    homonyms,
    is_code_abbreviation,
    name_words,
    spaced,
    to_ascii,
)

MOST_WORDS = 10
_LIST = re.compile(r"\s*[,;]\s*")
_BRACKETS = re.compile(r"^(.*\S)\s*[(\[]([^()\[\]]+)[)\]]$")


@dataclass(frozen=True)
class Finding:
    """One rule that the name of class `index` breaks: why, and what to do about it."""

    index: int
    name: str
    rule: str
    why: str
    advice: str


def check_vocabulary(
    vocabulary: Vocabulary, raw_names: Sequence[str] | None = None
) -> list[Finding]:
    """All findings, class by class.

    `raw_names` are the names as the file spells them, before whitespace was tidied: see
    `raw_names`.
    """
    heads = Counter(head for entry in vocabulary if (head := _code_head(entry.readable)))
    firsts: dict[str, list[int]] = {}
    for entry in vocabulary:
        firsts.setdefault(normalise(_pieces(entry.readable)[0]), []).append(entry.index)
    findings = []
    for entry in vocabulary:
        broken = [*_words(entry), *_spelling(entry.readable)]
        head = _code_head(entry.readable)
        if head and (better := _from_code(entry.readable, heads[head] > 1)):
            broken.append(("separator", "a code, not words", f'write "{better}"'))
        what = _pieces(entry.readable)[0]
        if len(same := firsts[normalise(what)]) > 1:
            others = ", ".join(str(index) for index in same if index != entry.index)
            broken.append(("same", f'class {others} is called "{what}" too', "tell them apart"))
        if raw_names and (raw := raw_names[entry.index]) != " ".join(raw.split()):
            broken.append(("whitespace", f"the file has {raw!r}", f'it is read as "{entry.name}"'))
        findings += [Finding(entry.index, entry.name, *one) for one in broken]
    return findings


def _words(entry: ClassEntry) -> Iterator[tuple[str, str, str]]:
    """(rule, why, advice): what the words say, or do not say."""
    name = entry.readable
    plain = normalise(_pieces(name)[0])
    stem = _SUFFIX.sub("", name)
    if plain in name_words("placeholders") or not any(c.isalpha() for c in name):
        yield "placeholder", "it does not name a thing", "leave the class out, or say what is in it"
    elif stem != name:
        yield "suffix", "nobody writes so", f'write "{stem.replace("-", " ")}"'
    if not entry.sense and (word := ambiguous_word(_pieces(name)[0])):
        yield "sense", f'"{word}" is {" or ".join(homonyms()[word])}', "give its sense"
    if len(plain.split()) > MOST_WORDS:
        yield "long", f"{len(plain.split())} words", "give a name of a few words"
    elif not fits(f"a photo of a {name}."):
        yield "long", "CLIP reads 77 tokens", "give a name of a few words"


def _spelling(name: str) -> Iterator[tuple[str, str, str]]:
    """(rule, why, advice): how the name is written."""
    first, *others = _pieces(name)
    if others:
        advice = f'call it "{first}", the rest are synonyms'
        yield "list", "texts are split at commas and semicolons", advice
    if match := _BRACKETS.match(name):
        advice = f'call it "{match[1]}", with the sense "{match[2]}"'
        yield "brackets", "an explanation is not part of a name", advice
    if "/" in name or "\\" in name:
        yield "separator", "a slash is not a word", "give one name, and the other as a synonym"
    if re.search(r"[a-z][A-Z]", first):
        yield "separator", "camelCase is not a word", f'write "{spaced(first)}"'
    elif first.isupper() and len(first) > 4:
        yield "capitals", "capitals read as an abbreviation", f'write "{first.lower()}"'
    elif spaced(first) != first and "/" not in first:
        yield "glued", "several words in one", f'write "{spaced(first)}"'
    for word in first.split():
        if is_code_abbreviation(word):
            yield "abbreviation", f'"{word}" is not generally known', "write it out"
    if not first.isascii():
        plain = to_ascii(first)
        advice = f'write "{plain}"' if plain else "give its name in English"
        yield "ascii", "CLIP has hardly met such signs", advice
    numbers = [word for word in first.split() if re.search(r"\d", word)]
    if any(word.lower() not in name_words("abbreviations") for word in numbers):
        yield "digits", "a number says nothing of looks", "give a name without it"


_SUFFIX = re.compile(r"[-_ ](?:other|stuff|things?)$", re.IGNORECASE)


def _pieces(name: str) -> list[str]:
    return [piece for piece in _LIST.split(name) if piece] or [name]


def _code_head(name: str) -> str | None:
    """The "wall" of "wall-brick": the first part of a name in one word with hyphens."""
    low = name.lower()
    if "-" not in low.strip("-") or " " in low or low in name_words("hyphenated"):
        return None
    if _SUFFIX.search(low) or "," in low or ";" in low:
        return None
    return low.strip("-").split("-")[0]


def _from_code(name: str, is_taxonomy: bool) -> str:
    """As "brick wall" of "wall-brick" where other classes begin with wall too; else spaces."""
    head, *rest = [spaced(part) for part in name.strip("-").split("-") if part]
    if (is_taxonomy or head.lower() in name_words("code_heads")) and len(rest) == 1:
        return f"{rest[0]} {head}"
    return " ".join((head, *rest))


def raw_names(path: str | Path) -> list[str] | None:
    """The names as a vocabulary file spells them; None for what is not a file (a built-in one).

    For a file that `load_vocabulary` has read without complaint.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        return None
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix.lower() != ".json":
        lines = [line for line in text_lines(text) if line.split()]
        return [line for line in lines if not line.split()[0].startswith("#")]
    raw = json.loads(text)
    items = raw["classes"] if isinstance(raw, dict) else raw
    return [item if isinstance(item, str) else item["name"] for item in items]


def propose(vocabulary: Vocabulary, findings: Sequence[Finding]) -> dict[int, ClassEntry]:
    """Better entries, by rule alone, for the classes whose findings allow one: index -> entry.

    A readable name that another class has, or gets, is not proposed.
    """
    heads = Counter(head for entry in vocabulary if (head := _code_head(entry.readable)))
    firsts = {normalise(_pieces(entry.readable)[0]) for entry in vocabulary}
    proposals: dict[int, ClassEntry] = {}
    broken: dict[int, set[str]] = {}
    for finding in findings:
        broken.setdefault(finding.index, set()).add(finding.rule)
    for index, rules in broken.items():
        better = _better(vocabulary[index], rules, heads, firsts)
        if better != vocabulary[index]:
            proposals[index] = better
    return without_clashes(vocabulary, proposals)


def _better(
    entry: ClassEntry, rules: set[str], heads: Counter[str], firsts: set[str]
) -> ClassEntry:
    name, sense, synonyms = entry.readable, entry.sense, list(entry.synonyms)
    if "placeholder" in rules or "long" in rules:
        return entry
    if "brackets" in rules and (match := _BRACKETS.match(name)):
        name, sense = match[1], sense or match[2]
    if "list" in rules:
        name, *others = _pieces(name)
        # "mouse, computer mouse": the longer name settles what the word means
        settled = [o for o in others if o.lower().endswith(f" {name.lower()}")]
        own = [o for o in others if normalise(o) not in firsts]  # that no other class begins with
        if "sense" in rules and settled:
            name, others = settled[0], [name, *(o for o in others if o != settled[0])]
        elif "same" in rules and own:
            name, others = own[0], [name, *(o for o in others if o != own[0])]
        synonyms += [o for o in others if o not in synonyms]
    if "suffix" in rules:
        name = _SUFFIX.sub("", name).replace("-", " ")
    if (head := _code_head(name)) and "separator" in rules:
        name = _from_code(name, heads[head] > 1)
    if "/" in name:
        name, *others = [piece.strip() for piece in name.split("/") if piece.strip()] or [name]
        synonyms += [o for o in others if o not in synonyms]
    if "ascii" in rules:
        name = to_ascii(name) or name
    name = spaced(name)
    return replace(entry, readable=name, sense=sense, synonyms=tuple(synonyms))


def without_clashes(
    vocabulary: Vocabulary, proposals: dict[int, ClassEntry]
) -> dict[int, ClassEntry]:
    """The proposals whose readable name no other class has or is proposed to get."""
    names = Counter(normalise(proposals.get(entry.index, entry).readable) for entry in vocabulary)
    own = {normalise(entry.readable): entry.index for entry in vocabulary}
    return {
        index: entry
        for index, entry in proposals.items()
        if names[normalise(entry.readable)] == 1
        and own.get(normalise(entry.readable), index) == index
    }


def as_file(vocabulary: Vocabulary, proposals: dict[int, ClassEntry], name: str) -> str:
    """A vocabulary file in our own format, with the proposals filled in.

    Nothing else is changed; it is for a person to read through.
    """
    lines = []
    for entry in vocabulary:
        fields = asdict(proposals.get(entry.index, entry))
        del fields["index"]
        for key in ("seen", "coco_stuff", "bundled", "doubtful", "frequency"):
            if fields[key] in (None, ()):
                del fields[key]
        lines.append("  " + json.dumps(fields, ensure_ascii=False))
    head = json.dumps({"name": name, "title": vocabulary.title}, ensure_ascii=False, indent=1)
    return f'{head.removesuffix("}").rstrip()},\n "classes": [\n' + ",\n".join(lines) + "\n ]\n}\n"
