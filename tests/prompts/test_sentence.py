"""The composition `sentence`: one cell for several attributes, however they are ordered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY
from support.command_line import refused

from lsmseg_prompts.attributes import combined
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.generation.questions import QuestionBuilder, spoken
from lsmseg_prompts.prompts.prompt_set import build_prompt_set, cells
from lsmseg_prompts.templates import query

TOGETHER = {
    (entry.index, "color+shape"): f"A {entry.readable} has its shape and its color."
    for entry in VOCABULARY
}


def test_several_attributes_are_one_cell_in_the_paper_s_order() -> None:
    assert combined(["size", "shape", "texture", "color"]) == "color+shape+size+texture"
    assert cells(["shape", "color"], "sentence") == ("color+shape",)
    assert cells(["shape", "color"], "concat") == ("shape", "color")
    assert cells(["shape"], "sentence") == ("shape",)


def test_a_prompt_set_of_sentences() -> None:
    descriptions = {**DESCRIPTIONS, **TOGETHER}
    made = build_prompt_set(descriptions, VOCABULARY, ["shape", "color"], "sentence")
    assert made.name == "sentence(shape+color)" and made.attributes == ("shape", "color")
    assert made.texts == tuple((TOGETHER[i, "color+shape"],) for i in range(4))
    alone = build_prompt_set(descriptions, VOCABULARY, ["shape"], "sentence")
    assert alone.texts[0] == (DESCRIPTIONS[0, "shape"],)
    shuffled = build_prompt_set(
        descriptions, VOCABULARY, ["shape", "color"], "sentence", control="shuffled"
    )
    assert shuffled.name == "shuffled(sentence(shape+color))" and len(shuffled.texts) == 4
    with pytest.raises(UsageError, match=r"no descriptions of 'color\+action'"):
        build_prompt_set(descriptions, VOCABULARY, ["color", "action"], "sentence")


def test_names_of_sets() -> None:
    assert check_attributes(["colour+shape", "size"]) == ("color+shape", "size")
    assert check_attributes(["shape+color"]) == ("color+shape",)
    for wrong in ("color+", "color+color", "color+typical", "color+smell"):
        with pytest.raises(UsageError):
            check_attributes([wrong])


def test_the_question_speaks_of_all() -> None:
    assert spoken("color+shape+size") == "color, shape and size" and spoken("color") == "color"
    asked = QuestionBuilder(VOCABULARY, query("describe-paper"), {})
    assert "with respect to a given color and shape." in asked.question(
        VOCABULARY[0], "color+shape"
    )


def test_export_and_ablate(call: Any) -> None:
    options = ("--composition", "sentence")
    four = call("export", "--attributes", "size,shape,texture,color", *options, "-o", "four.json")
    assert four.code == 0, four.err
    refused(call("ablate", *options), 2, "nothing to search among", "`evaluate`")
    lacking = call("export", "--attributes", "color,action", *options, "-o", "x.json")
    refused(lacking, 4, "color+action", "generate")
    assert not Path("x.json").exists()
