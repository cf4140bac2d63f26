"""The published weights as rows of a table."""

from __future__ import annotations

from typing import Any

from lsmseg_model.pull import catalogue
from lsmseg_model.pull.find import tag_places
from lsmseg_model.pull.notes import readable
from lsmseg_model.pull.places import Place


def tag_rows(wanted: str = "") -> list[dict[str, Any]]:
    """The weights that open_clip lists, a row for each model and tag; those with `wanted` in it."""
    rows = []
    for model, those in catalogue.tags().items():
        text = catalogue.configuration(model.removesuffix("-quickgelu")).get("text_cfg", {})
        for tag in those:
            if wanted.lower() in f"{model}:{tag}".lower():
                reads = text.get("hf_tokenizer_name") or text.get("hf_model_name") or "CLIP"
                about = {"context": text.get("context_length", 77), "tokenizer": reads}
                places = tag_places(model, tag)
                rows.append(row(model, tag, places, catalogue.licence(model, tag), about))
    return rows


def row(
    model: str, tag: str, places: list[Place], licence: str, reads: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A row of the table.

    Args:
        model: The name of the network.
        tag: That of its weights, "" where it has only these.
        places: Where they may be had.
        licence: Theirs, "" where it is not surely known.
        reads: Of a text tower, the context length and the tokenizer.
    """
    expected = places[0].expected
    return {
        "model": model,
        "tag": tag,
        **(reads or {"context": None, "tokenizer": ""}),
        "licence": licence,
        "size": expected.size and readable(expected.size),
        "here": any(place.here() for place in places),
        "address": expected.address,
    }
