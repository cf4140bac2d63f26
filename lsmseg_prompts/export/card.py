"""A vocabulary card: what a paper should print of the words that it scored with.

Words that papers do not print move mIoU by points. A card has them all: the class names and what
they were written as, senses, synonyms, texts, what counts as background, the threshold, the
tokenizer, and hashes of the words and of the texts; beside them the scores that the store has. It
depends on nothing but these, so the same set gives the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import plain, write_whole
from lsmseg_prompts.prompts.from_store import provenance
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.word_lists import WORDS
from lsmseg_prompts.store.sqlite import existing_store_path
from lsmseg_prompts.store.store import open_store_readonly
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary

FORMAT, VERSION = "lsmseg-prompts/vocabulary-card", 1
KINDS = (".md", ".json")
SCORED = ("benchmark", "split", "pictures", "model", "weights_hash", "subset")
"""What makes two scores the same: of these the last one is shown."""
Card = dict[str, Any]


def vocabulary_card(
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    background: Sequence[int] = (),
    threshold: float | None = None,
    store: str | os.PathLike[str] | None = None,
    budget: TokenBudget = CLIP,
) -> Card:
    """The card of a prompt set and its vocabulary, as JSON can hold it.

    Args:
        prompts: the prompt set.
        vocabulary: its own vocabulary.
        background: indices of the words whose pixels count as background.
        threshold: a pixel whose best score is below it is background.
        store: where the scores are; None for the working store.
        budget: that of the model which reads the texts.

    Raises:
        UsageError: the prompt set is of another vocabulary.
        StoreError: the store is named and not there, or cannot be read.
    """
    names = tuple(entry.name for entry in vocabulary)
    if prompts.vocabulary != vocabulary.name or prompts.class_names != names:
        raise UsageError(
            f"The prompt set {prompts.name} was made for the vocabulary {prompts.vocabulary}, not "
            f"for {vocabulary.name}: make the card with its own."
        )
    words = _words(prompts, vocabulary, budget)
    return {
        "format": FORMAT,
        "version": VERSION,
        "vocabulary": _about(vocabulary),
        "prompts": _read(prompts),
        "background": {
            "rule": _background(background),
            "indices": list(background),
        },
        "threshold": threshold,
        "tokenizer": {
            "name": budget.tokenizer_name,
            "file": budget.file.name,
            "sha256": hashlib.sha256(budget.file.read_bytes()).hexdigest(),
            "context": budget.limit,
            "longest": max(max(w["tokens"], default=0) for w in words),
        },
        "scores": _scores(prompts, store),
        "words": words,
    }


def _about(vocabulary: Vocabulary) -> dict[str, Any]:
    known = [entry.seen for entry in vocabulary if entry.seen is not None]
    words = [[e.name, e.readable, e.sense, list(e.synonyms)] for e in vocabulary]
    return {
        "name": vocabulary.name,
        "title": vocabulary.title,
        "classes": len(vocabulary),
        "seen": sum(known) if known else None,
        "unseen": len(known) - sum(known) if known else None,
        "sha256": _sha256(words),
    }


def _read(prompts: PromptSet) -> dict[str, Any]:
    """What the texts are and how they are read."""
    return {
        "name": prompts.name,
        "attributes": list(prompts.attributes),
        "composition": prompts.composition,
        "temperature": prompts.temperature,
        "llm": prompts.llm,
        **provenance(prompts),
        "shortened": len(prompts.shortened),
        "dropped": len(prompts.dropped),
        "sha256": texts_sha256(prompts),
    }


def _words(prompts: PromptSet, vocabulary: Vocabulary, budget: TokenBudget) -> list[dict[str, Any]]:
    """A row a class."""
    return [
        {
            "index": entry.index,
            "name": entry.name,
            "readable": entry.readable,
            "sense": entry.sense,
            "synonyms": list(entry.synonyms),
            "seen": entry.seen,
            "texts": list(texts),
            "tokens": [budget.count(text) for text in texts],
            "weights": None if prompts.weights is None else list(prompts.weights[entry.index]),
        }
        for entry, texts in zip(vocabulary, prompts.texts, strict=True)
    ]


def texts_sha256(prompts: PromptSet) -> str:
    """The hash of a prompt set's texts and of how they are read."""
    return _sha256([prompts.composition, prompts.temperature, prompts.weights, prompts.texts])


def check_card(path: str | Path) -> None:
    """Raise UsageError for a file of another kind than `KINDS`."""
    if Path(path).suffix.lower() not in KINDS:
        raise UsageError(f"A card is a .md or a .json file, and {path} is neither: rename it.")


def export_card(card: Card, path: str | Path) -> Path:
    """Write a card as Markdown or JSON, by the end of the file's name; returns the path.

    Raises UsageError for another kind of file, ConfigurationError where it cannot be written.
    """
    check_card(path)
    if Path(path).suffix.lower() == ".md":
        return write_whole(path, markdown(card))
    text = json.dumps(plain(card), indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, text + "\n")


def markdown(card: Card) -> str:
    """The card as Markdown; words and texts are escaped, as anybody may have written them."""
    vocabulary, prompts = card["vocabulary"], card["prompts"]
    background, tokenizer, threshold = card["background"], card["tokenizer"], card["threshold"]
    seen = "" if vocabulary["seen"] is None else f", {vocabulary['seen']} of them in COCO-Stuff too"
    by = f", by {escaped(prompts['llm'])}" if prompts["llm"] != "none" else ""
    facts = {
        "Words": f"{escaped(vocabulary['title'])} ({vocabulary['classes']} classes{seen}); SHA-256 "
        f"`{vocabulary['sha256']}`",
        "Texts": f"{escaped(prompts['name'])}, composition {prompts['composition']}{by}; SHA-256 "
        f"`{prompts['sha256']}`",
        "Background": background["rule"],
        "Threshold": "none: every pixel gets the best class"
        if threshold is None
        else f"{threshold:g}: a pixel whose best score is below it is background",
        "Tokenizer": f"{tokenizer['name']} (`{tokenizer['file']}`, SHA-256 "
        f"`{tokenizer['sha256']}`); at most {tokenizer['context']} tokens, the longest text has "
        f"{tokenizer['longest']}",
        "Made by": escaped(prompts["made_by"]),
    }
    if "descriptions" in prompts:
        facts["Descriptions"] = escaped(prompts["descriptions"])
    lines = [f"# Vocabulary card: {escaped(vocabulary['name'])}", ""]
    lines += [f"- {what}: {fact}" for what, fact in facts.items()]
    lines += ["", "## Scores", ""]
    if card["scores"]:
        heads = ("benchmark", "split", "pictures", "model", "weights", "classes", "mIoU in %")
        rows = [
            [*(one[key] for key in SCORED), _score(one["miou"], one["miou_low"], one["miou_high"])]
            for one in card["scores"]
        ]
        lines += [*_table(heads, rows), ""]
        lines += ["Scores that the store has under the name of these texts, with 95 % intervals."]
    else:
        lines += ["The store has none."]
    heads = ("index", "class", "written", "sense", "synonyms", "texts", "tokens")
    rows = [
        [
            *(one[key] for key in ("index", "name", "readable")),
            one["sense"] or "",
            ", ".join(one["synonyms"]),
            *("\n".join(map(str, one[key])) for key in ("texts", "tokens")),
        ]
        for one in card["words"]
    ]
    return "\n".join([*lines, "", "## Words", "", *_table(heads, rows), ""])


def escaped(text: object) -> str:
    """A text that Markdown shows as it is: no markup, no link, on one line."""
    plain_text = " ".join(c for c in str(text).split())
    safe = "".join(c for c in plain_text if c.isprintable())
    safe = re.sub(r"([\\`*_\[\]|~])", r"\\\1", safe)
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("://", "\\://").replace("www.", "www\\.").replace("@", "\\@")


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table; lines inside a cell are parted by <br>."""
    cells = [["<br>".join(map(escaped, str(cell).split("\n"))) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)]


def _score(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    ends = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value:.1f}{ends}"


def _background(indices: Sequence[int]) -> str:
    if indices:
        which = f"{indices[0]} to {indices[-1]}"
        if list(indices) != list(range(indices[0], indices[-1] + 1)):
            which = ", ".join(map(str, indices))
        return f"what is found to be one of the words {which} below counts as background"
    return "none: no class is background, and pixels without a label are not scored"


def _scores(prompts: PromptSet, store: str | os.PathLike[str] | None) -> list[Mapping[str, Any]]:
    """The last evaluations of the prompt set in a fixed order.

    Those with the hash of its texts; of others, where they have none, the ones of its name, LLM
    and composition. Names are everybody's; word lists of one name may be of any words.
    """
    path = existing_store_path(store)
    if path is None:
        return []
    with open_store_readonly(path) as file:
        evaluations = file.evaluations()
    texts, named = texts_sha256(prompts), prompts.llm == "none"
    last: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for one in evaluations:
        if (one["vocabulary"], one["prompt_set"]) != (prompts.vocabulary, prompts.name):
            continue
        same = named or (one["llm"], one["composition"]) == (prompts.llm, prompts.composition)
        by_name = same and not prompts.name.startswith(WORDS)
        scored = one["details"].get("texts")
        if by_name if scored is None else scored == texts:
            keys = (*SCORED, "miou", "miou_low", "miou_high", "run", "created_at")
            last[tuple(str(one[key]) for key in SCORED)] = {key: one[key] for key in keys}
    return [last[key] for key in sorted(last)]


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()
