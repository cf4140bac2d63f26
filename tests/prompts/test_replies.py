"""JSON in replies: put right where it can mean one thing only, and refused where it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted_llm import PETS, reply

from lsmseg_prompts.generation.repair import repaired
from lsmseg_prompts.generation.replies import AMBIGUOUS, read_json, read_object
from lsmseg_prompts.generation.verdicts import judge
from lsmseg_prompts.llm import Request

KEYS = ("color", "shape")
BOTH = {"color": "A cat is gray.", "shape": "A cat's back is round."}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(BOTH),
        "```json\n" + json.dumps(BOTH, indent=2) + "\n```",
        "Sure! Here it is:\n" + json.dumps(BOTH) + "\nI hope {this} helps.",
        '{"color": "A cat is gray.", "shape": "A cat\'s back is round.",}',
        '{"color": "A cat is gray.", "shape": "A cat\'s back is round."',
        '```json\n{"color": "A cat is gray.", "shape": "A cat\'s back is round."\n```',
        '{"answers": {"color": "A cat is gray.", "shape": "A cat\'s back is round."',
        "{'color': 'A cat is gray.', 'shape': 'A cat\\'s back is round.'}",
        "{'color': 'A cat is gray.', 'shape': 'A cat's back is round.'}",
        "{'color': 'A cat is gray.', 'shape': \"A cat's back is round.\"}",
        "{“color”: “A cat is gray.”, “shape”: “A cat's back is round.”}",
        "{”color”: ”A cat is gray.”, ‘shape’: ‘A cat's back is round.’}",
        "\ufeff" + json.dumps(BOTH),
        '{" Color": "A cat is gray.", "SHAPE ": "A cat\'s back is round."}',
        json.dumps(BOTH) + "\n\n" + json.dumps(BOTH),
        '{"color": "A cat is gray.", "color": "A cat is gray.", "shape": "A cat\'s back is round."',
        '{"color": "A cat is gray."}\n{"shape": "A cat\'s back is round."}',
        'The keys are {"color", "shape"}. {"note": "x"} ' + json.dumps(BOTH),
    ],
)  # fmt: skip
def test_what_can_only_mean_one_thing_is_read(text: str) -> None:
    assert read_object(text, KEYS) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        '{"color": "A cat is gr',
        '{"color": "A cat is gray.", "sha',
        '{"color": "A cat is gray.", "shape":',
        '{"color": "A cat is "gray"."}',
        "{'color': 'The cats' coat is gray.'}",
        "{color: gray}",
        '{"color": "A cat is gray." "shape": "A cat is round."}',
        '{"draft": {"color": "A cat is black."}, "color": "A "gray" cat."}',
        '{"color": "\\x41"}',
        '{"color": ' + "9" * 5000 + "}",
        "{",
    ],
)
def test_what_is_cut_off_or_a_guess_is_refused(text: str) -> None:
    assert read_object(text, KEYS) is None
    assert read_json(text) is None


def test_literals_and_line_breaks() -> None:
    text = "{'a': None, 'b': [True, False, -1.5e3,], 'c': 'one\ntwo\\n\\u00e9', 'd': {}}"
    value = {"a": None, "b": [True, False, -1500.0], "c": "one\ntwo\né", "d": {}}
    assert read_object(text) == value and read_json(f"```python\n{text}\n```") == value
    assert read_json("['a', “b”,]") == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '{"color": "A cat is gray.", "Color": "A cat is black.", "shape": "A cat is round."}',
        '{"color": "A cat is gray.", "shape": "A cat is round."} {"color": "A cat is black."}',
        '{"color": "...", "color": "A cat is gray.", "color": "...", "shape": "A cat is round."}',
    ],
)
def test_two_answers_to_a_question_are_none(text: str) -> None:
    read = read_object(text, KEYS)
    assert read is not None and read["color"] is AMBIGUOUS
    request = Request("", entry=PETS[0], attributes=("color#2", "shape#2"))
    found = judge(reply(text), request, lambda a, t: None)
    assert found["color#2"].fault == "the reply has two sentences under this key"
    assert found["shape#2"].fault is None


def test_the_same_key_twice_is_no_json() -> None:
    assert read_json('{"a": 1, "a": 2}') is None and read_json("{'a': 1, 'a': 2}") is None
    assert read_json('{"a": 1, "a": 1}') == {"a": 1}


def test_thoughts_with_braces_are_not_read() -> None:
    request = Request("", entry=PETS[0], attributes=KEYS)
    thought = '<think>{"color": "A cat is black.", "shape": "x"} no, {</think>'
    found = judge(reply(thought + json.dumps(BOTH)), request, lambda a, t: None)
    assert {a: verdict.text for a, verdict in found.items()} == BOTH


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(value=_VALUES, ascii=st.booleans(), indent=st.sampled_from([None, 1]))
def test_no_repair_changes_valid_json(value: Any, ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)
    assert repaired(text) == (value, len(text))


@given(
    texts=st.dictionaries(st.sampled_from(["color", "shape", "size"]), st.text(), min_size=1),
    before=st.text(st.characters(exclude_characters="{"), max_size=9),
    after=st.text(st.characters(exclude_characters="{"), max_size=9),
    ascii=st.booleans(),
)
def test_every_object_survives(texts: dict[str, str], before: str, after: str, ascii: bool) -> None:
    text = before + json.dumps(texts, ensure_ascii=ascii) + after
    assert read_object(text) == read_object(text, texts) == texts


@given(st.text(st.sampled_from("{}[]\"'“”:,\\ \nabN1`u")))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_object(text)
    read_json(text)
