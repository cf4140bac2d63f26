"""What each offline proposer proposes, from hand-made feedback."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import ATTRIBUTES, DESCRIPTIONS, VOCABULARY

from ablations.refinement.feedback import Feedback
from ablations.refinement.proposers import (
    attributes,
    contrast,
    edit,
    names,
    open_proposers,
    sources,
)
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES

ZEBRA, SKY, ORANGE = 0, 1, 2
COLOR, SHAPE = DESCRIPTIONS[ZEBRA, "color"], DESCRIPTIONS[ZEBRA, "shape"]


def feedback(texts: tuple[str, ...] = (COLOR,), recipe: str = "color", **changed: Any) -> Feedback:
    """Of the class zebra, whose pixels are taken for sky and orange."""
    # By label (row) and prediction (column): 10 of 40 zebra pixels are taken for sky, 5 for orange.
    confusion = np.array([[25, 10, 5, 0], [0, 40, 0, 0], [2, 0, 38, 0], [0, 0, 0, 0]])
    values: dict[str, Any] = {
        "vocabulary": VOCABULARY,
        "classes": (ZEBRA,),
        "texts": (texts, *((DESCRIPTIONS[i, "color"],) for i in (1, 2, 3))),
        "recipes": dict.fromkeys(range(4), recipe),
        "confusion": confusion,
        "scored": (0, 1, 2, 3),
        "pictures": (0,),
        "tried": {},
        **changed,
    }
    return Feedback(**values)


STORE = TextStore(VOCABULARY, "bundled", DESCRIPTIONS)


def found(proposer: Any, *args: Any) -> dict[str, tuple[str, ...]]:
    return {c.recipe: c.texts for c in proposer.propose(*args)}


def test_confusions_are_worth_what_mending_them_would_bring() -> None:
    """Zebra: 25 of 42, sky 40 of 50, orange 38 of 45; mended towards sky: 35 of 42 and 40 of 40."""
    first, *others = feedback().confusions
    assert (first.label, first.predicted, first.pixels) == (ZEBRA, SKY, 10)
    assert first.gain == pytest.approx(((35 - 25) / 42 + (40 / 40 - 40 / 50)) / 3)
    assert [(one.label, one.predicted) for one in others] == [(ZEBRA, ORANGE), (ORANGE, ZEBRA)]
    assert feedback().confused_with(ZEBRA, 5) == [SKY, ORANGE]
    assert feedback().confused_with(ORANGE, 5) == [ZEBRA]
    assert feedback().iou[ZEBRA] == pytest.approx(25 / 42) and np.isnan(feedback().iou[3])


def test_attributes_alone_in_twos_averaged_and_joined() -> None:
    proposed = found(attributes, feedback(), STORE)
    described = [*ATTRIBUTES, "typical"]
    assert set(described) <= set(proposed) and proposed["color"] == (COLOR,)
    assert proposed["ensemble(color+shape)"] == (COLOR, SHAPE)
    (joined,) = proposed["color+shape"]
    assert joined.count("zebra") >= 1 and len(joined) > max(len(COLOR), len(SHAPE))
    assert "color+typical" not in proposed  # typical says all of it already


def test_what_is_there_grows_shrinks_and_changes_by_one() -> None:
    now = (COLOR, SHAPE)
    proposed = found(attributes, feedback(now, "ensemble(color+shape)"), STORE)
    assert {"color", "shape", "ensemble(color+shape+action)", "ensemble(shape+action)"} <= set(
        proposed
    )
    assert "ensemble(color+shape+action+typical)" not in proposed


def test_edits_leave_out_clauses_and_texts_and_join() -> None:
    long = "A zebra has black and white stripes, often with a brown tint, and a short upright mane."
    proposed = [c.texts for c in edit.propose(feedback((long, SHAPE), "mine"), STORE)]
    assert (long,) in proposed and (SHAPE,) in proposed
    assert any(len(texts) == 1 and texts[0] not in (long, SHAPE) for texts in proposed)
    simple = "A zebra is large and heavy, with a back as high as a person's chin."
    shorter = [c.texts for c in edit.propose(feedback((simple,), "mine"), STORE)]
    assert shorter == [("A zebra is large and heavy.",)]


def test_names_in_templates_and_beside_the_texts() -> None:
    proposed = found(names, feedback(), STORE)
    assert proposed["name"] == ("a photo of a zebra",)
    assert proposed["color & name"] == (COLOR, "a photo of a zebra")
    assert len(proposed["imagenet"]) == len(NAME_TEMPLATES["imagenet"]) == 7


def test_others_texts_alone_beside_and_in_place() -> None:
    theirs = {(ZEBRA, "color"): "A zebra is striped.", (ZEBRA, "shape"): SHAPE}
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, others={"gpt-4": theirs})
    proposed = found(sources, feedback((COLOR, SHAPE), "both"), store)
    assert proposed["color by gpt-4"] == ("A zebra is striped.",)
    assert proposed["color & by gpt-4"] == (COLOR, "A zebra is striped.")
    assert proposed["both by gpt-4"] == ("A zebra is striped.", SHAPE)
    assert found(sources, feedback(), STORE) == {}


def test_pair_cells_with_what_it_is_confused_with_the_costliest_first() -> None:
    pairs = {(ZEBRA, ORANGE): "A zebra has legs.", (ZEBRA, SKY): "A zebra has stripes."}
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, pairs)
    proposed = found(contrast, feedback(), store)
    assert next(iter(proposed)) == "contrast:sky" and proposed["contrast:sky"] == (
        "A zebra has stripes.",
    )
    assert proposed["color & contrast:sky"] == (COLOR, "A zebra has stripes.")
    assert proposed["contrast:sky & contrast:orange"] == (
        "A zebra has stripes.",
        "A zebra has legs.",
    )
    assert found(contrast, feedback(), STORE) == {}


def test_a_proposer_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="There is no proposer 'magic'"):
        open_proposers(["attributes", "magic"])
