"""`evaluate --without-classes`: the words that captions name, scored by Open IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import lsmseg_model
from ablations.commands.output import Shown, show
from lsmseg_prompts.terminal import progress_bar
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.similarity import word_similarity


def show_words(request: lsmseg_model.EvaluateRequest, vocabulary: Vocabulary, json: bool) -> None:
    """Show the Open IoU of every class, and the words that its pixels were called most often."""
    from lsmseg_model.data.benchmark import load_benchmark
    from lsmseg_model.metrics import open_iou, open_miou

    with progress_bar("looking at pictures", not Shown.quiet) as progress:
        found = lsmseg_model.evaluate_words(request, on_progress=progress)
    scored = load_benchmark(
        request.data, request.data_root, request.split, request.limit, len(vocabulary),
        request.prompts.vocabulary,
    ).class_indices  # fmt: skip
    entries = list(vocabulary)
    classes = [entries[index] for index in scored]
    confusion, similarity = classes_first(classes, found.words, found.confusion)
    each = open_iou(confusion, similarity)
    shares = found.confusion / np.maximum(1, found.confusion.sum(axis=1, keepdims=True))
    rows = [
        {
            "class": entries[index].name,
            "open_iou": None if np.isnan(score) else float(score),
            "called": ", ".join(
                f"{found.words[at]} {share[at]:.0%}"
                for at in np.argsort(-share, kind="stable")[:3]
                if share[at] >= 0.005
            ),
        }
        for index, score, share in zip(scored, each, shares, strict=True)
        if not np.isnan(score)
    ]
    summary = {
        "open_iou": open_miou(confusion, similarity),
        "words": len(found.words),
        "words_of_a_class": int((similarity[:, len(scored) :].max(axis=0) == 1).sum()),
    }
    if json:
        show({"summary": summary, "classes": rows}, json)
    else:
        show(rows, json)
        show(summary, json)


def classes_first(
    classes: list[ClassEntry], words: Sequence[str], counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts [C, W] and similarities as `open_iou` wants them, [C, C + W]: classes, then words.

    A word that is a class (`word_similarity` 1) is counted in the class's column.
    """
    readable = {entry.name: entry.readable for entry in classes}  # the rules say wall-brick
    named = [
        ClassEntry(len(classes) + at, word, readable.get(word, word))
        for at, word in enumerate(words)
    ]
    similarity = word_similarity(Vocabulary("words", "", (*classes, *named)))[: len(classes)]
    confusion = np.hstack([np.zeros((len(classes),) * 2, dtype=np.int64), counts])
    for at in len(classes) + np.flatnonzero(similarity[:, len(classes) :].max(axis=0) == 1):
        confusion[:, similarity[:, at].argmax()] += confusion[:, at]
        confusion[:, at] = 0
    return confusion, similarity
