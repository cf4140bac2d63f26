"""How near the words of two classes are, for Open IoU: a table of words, never a model.

lexicon.json is a tree of words written for this project: groups with their members, which may be
groups again, and words that mean the same. A class stands where its name or one of its synonyms
stands; else beneath the last word of its name ("brick wall" beneath wall). Two places are as near
as Wu and Palmer (1994) have it: twice the depth of the deepest group above both, divided by the
sum of their own depths. A group that nothing stands above has depth 1, so words of two such groups
are not alike at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from lsmseg_prompts.english import head_phrase, normalise, plural
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.vocabularies.vocabulary import ClassEntry, Vocabulary

Path = tuple[str, ...]
"""The groups above a word, the widest first, and the word itself."""


def word_similarity(vocabulary: Vocabulary) -> np.ndarray:
    """float64 [C, C]: how near the words of two classes are, in [0, 1]; symmetric, 1 for itself.

    1 too for two classes that share a readable name or synonym; 0 for a word that has no place.
    """
    paths = [set(place(entry) or ()) for entry in vocabulary]
    names = [{normalise(name) for name in (e.readable, *e.synonyms)} for e in vocabulary]
    depth = np.array([len(path) for path in paths])
    both = np.maximum(depth[:, None] + depth, 1)
    similarity = 2 * _in_common(paths) / both  # of two paths of a tree only the beginnings agree
    similarity[_in_common(names) > 0] = 1.0
    return similarity


def _in_common(sets: Sequence[set[str]]) -> np.ndarray:
    """[C, C]: how many members two sets share."""
    members = {member: at for at, member in enumerate(sorted(set[str]().union(*sets)))}
    has = np.zeros((len(sets), len(members)))
    for row, some in zip(has, sets, strict=True):
        row[[members[member] for member in some]] = 1
    return has @ has.T


def place(entry: ClassEntry) -> Path | None:
    """Where a class stands in the table; None where none of its names does."""
    places = _places()
    readable = normalise(entry.readable)
    for name in (f"{readable} ({normalise(entry.sense or '')})", *map(normalise, entry.names)):
        if name in places:
            return places[name]
    head = head_phrase(readable).rpartition(" ")[2]
    return (*places[head], readable) if head in places else None


@cache
def _places() -> dict[str, Path]:
    """The place of every word, in the singular and in the plural."""
    table = packaged_json("lsmseg_prompts.vocabularies", "lexicon.json")
    above = {word: group for group, words in table["groups"].items() for word in words}
    words = dict.fromkeys([*table["groups"], *above, *(s[0] for s in table["same"])])
    places: dict[str, Path] = {}
    for word in words:
        path = [word]
        while path[0] in above:
            path.insert(0, above[path[0]])
        places[word] = tuple(path)
    for first, *others in table["same"]:
        places |= dict.fromkeys(others, places[first])
    for word, its in list(places.items()):
        places.setdefault(plural(word), its)
    return places
