"""The LLM interface: names, the bundled provider, and what a provider must keep to."""

from __future__ import annotations

import asyncio

import pytest

from lsmseg_prompts.attributes import ATTRIBUTES, ask_attributes
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm import LLM, Reply, Request, make_llm
from lsmseg_prompts.vocabularies import ClassEntry, load_vocabulary

COCO = load_vocabulary("coco-stuff")


def ask(entry: ClassEntry, attribute: str = "color", vocabulary: str = "mine") -> Reply:
    request = Request("Describe it.", vocabulary=vocabulary, entry=entry, attribute=attribute)
    return asyncio.run(make_llm("bundled").complete(request))


def test_bundled_keeps_to_the_protocol() -> None:
    llm = make_llm("bundled")
    assert isinstance(llm, LLM)
    assert llm.name == "bundled" and llm.free and "not GPT-4" in llm.provenance


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4", "OpenAI"), ("o3-mini", "OpenAI"), ("openai/llama3", "OpenAI"),
        ("GPT-4o", "OpenAI"), ("qwen-max", "DashScope"), ("dashscope/qwen2.5", "DashScope"),
    ],
)  # fmt: skip
def test_later_providers_say_what_is_missing(name: str, provider: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{provider}.*--llm bundled") as caught:
        make_llm(name)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["", "bundle", "oracle", "openai/"])
def test_a_name_that_stands_for_nothing(name: str) -> None:
    with pytest.raises(UsageError, match="no LLM"):
        make_llm(name)


def test_a_shipped_class_is_answered_by_its_index() -> None:
    reply = ask(COCO[22], vocabulary="coco-stuff")
    assert reply.text is not None and "zebra" in reply.text.lower()
    assert reply.error_scope is None and reply.cost_usd == 0


def test_a_users_class_is_answered_under_the_users_name() -> None:
    reply = ask(ClassEntry(0, "sofa", "sofa"), "shape")
    assert reply.text is not None
    assert "sofa" in reply.text.lower() and "couch" not in reply.text.lower()


def test_a_users_index_is_not_taken_for_a_shipped_one() -> None:
    reply = ask(ClassEntry(0, "zebra", "zebra"), vocabulary="coco-stuff")
    assert reply.text is not None and "zebra" in reply.text.lower()


def test_another_sense_is_not_answered() -> None:
    reply = ask(ClassEntry(0, "mouse", "mouse", "the small rodent"))
    assert reply.text is None and reply.error_scope == "cell"
    assert "of a computer mouse, not of the small rodent" in (reply.error_message or "")


@pytest.mark.parametrize(
    ("entry", "attribute"),
    [(ClassEntry(0, "flux capacitor", "flux capacitor"), "color"), (COCO[0], "smell")],
)
def test_what_is_not_bundled_fails_for_that_cell_only(entry: ClassEntry, attribute: str) -> None:
    reply = ask(entry, attribute, "coco-stuff")
    assert reply.text is None and reply.error_scope == "cell" and reply.error_message


def test_stage_1_returns_the_nine_with_meanings() -> None:
    for wording in ("paper", "thesis"):
        found = ask_attributes(make_llm("bundled"), wording)
        assert {a.name: a.meaning for a in found} == ATTRIBUTES


def test_messages_are_in_chat_form() -> None:
    assert Request("hi", system="be brief").messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
