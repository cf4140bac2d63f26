"""Pictures segmented with any class names, known ones described by attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ablations.scoring.budgets import budget_for
from lsmseg_model.data.captioners import open_captions, words_of
from lsmseg_model.data.images import by_suffix
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.predict import PredictRequest, PredictResult, find_pictures
from lsmseg_model.predict import predict as predict_pictures
from lsmseg_prompts.prompts.class_texts import ClassTexts, read_as, texts_for_classes
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import token_ids
from lsmseg_prompts.vocabularies import Vocabulary

LISTED = 30  # classes whose texts are shown one by one


def predict(
    request: PredictRequest,
    *,
    attributes: Sequence[str] | None = None,
    llm: str = "bundled",
    store: str | Path | None = None,
    prompts: PromptSet | None = None,
    vocabulary: Vocabulary | None = None,
    budget: str | None = None,
    on_progress: OnProgress | None = None,
    on_message: Callable[[str], None] | None = None,
) -> PredictResult:
    """What the command `predict` does: the texts of the request's classes, then the pictures.

    Args:
        request: Pictures, classes and model; its texts are filled in here.
        attributes: Those that classes are described by, see `texts_for_classes`.
        llm: Who wrote the descriptions.
        store: Where they are.
        prompts: A prompt set that has the texts instead.
        vocabulary: The classes, with their senses, in place of the request's. Without either
            the objects that the request's captions name are the classes.
        budget: The token budget that the texts must fit; None is that of the model.
        on_progress: Called after each picture.
        on_message: Is told the text of every class, what became of a checkpoint's keys, which
            files of folders are no pictures, and where the model knows drawings only.

    Raises:
        UsageError, DataError: What `texts_for_classes` and `lsmseg_model.predict` raise.
    """
    as_published = request.format == "cat-seg" and prompts is None and attributes is None
    wanted = ("name",) if as_published else attributes
    classes = vocabulary or request.classes or _told(request)
    model = request.model if request.checkpoint is None else None
    tokens = budget_for(budget, model, request.pretrained)
    chosen = texts_for_classes(classes, wanted, llm, store, prompts, tokens)

    def tell() -> None:
        if on_message and not as_published:
            for line in _lines(chosen):
                on_message(line)

    read = chosen.texts if prompts is None else read_as(prompts, chosen)
    texts = None if as_published else read
    result = predict_pictures(
        replace(request, classes=chosen.classes, texts=texts),
        tokenize=token_ids,
        on_progress=on_progress,
        on_ready=tell,
    )
    if on_message and result.keys is not None:
        on_message(f"{request.checkpoint}: {result.keys}")
    if on_message and result.skipped:
        on_message(f"Skipped, not read as pictures: {by_suffix(result.skipped)}.")
    if on_message and result.note is not None:
        on_message(result.note)
    return result


def _told(request: PredictRequest) -> list[str]:
    """Without classes the objects that the captions of the pictures name."""
    captions = open_captions(request.captions, None)
    files = find_pictures(request.pictures)[0] if captions else []
    return words_of(captions, [file.name for file in files]) if captions else []


def _lines(chosen: ClassTexts) -> list[str]:
    """The text of every class; of many classes only how many are described."""
    if len(chosen.classes) > LISTED:
        described = sum(chosen.described)
        return [f"{described} of {len(chosen.classes)} classes described, the others by name only"]
    return [
        f"{name}: {'described' if described else 'by name only'}: {' '.join(text)}"
        for name, text, described in zip(*chosen, strict=True)
    ]
