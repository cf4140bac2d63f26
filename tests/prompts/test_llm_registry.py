"""The LLM interface: names, the bundled provider, and what a provider must keep to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.generation.stage1 import ask_attributes
from lsmseg_prompts.llm import LLM, Reply, Request, make_llm
from lsmseg_prompts.llm.providers import called
from lsmseg_prompts.llm.registry import check_name
from lsmseg_prompts.vocabularies import ClassEntry, load_vocabulary

COCO = load_vocabulary("coco-stuff")


def ask(entry: ClassEntry, attribute: str = "color", vocabulary: str = "mine") -> Reply:
    request = Request("Describe it.", vocabulary=vocabulary, entry=entry, attributes=(attribute,))
    return asyncio.run(make_llm("bundled").complete(request))


def test_bundled_keeps_to_the_protocol() -> None:
    llm = make_llm("bundled")
    assert isinstance(llm, LLM)
    assert llm.name == "bundled" and llm.free and "not GPT-4" in llm.provenance


@pytest.mark.parametrize(
    ("name", "kind", "model"),
    [
        ("gpt-4", "OpenAIChat", "gpt-4"), ("o3-mini", "OpenAIChat", "o3-mini"),
        ("GPT-4o", "OpenAIChat", "gpt-4o"), ("openai/llama3", "OpenAIChat", "llama3"),
        ("openai/Qwen/Qwen2.5-7B-Instruct", "OpenAIChat", "Qwen/Qwen2.5-7B-Instruct"),
        ("chatgpt-4o-latest", "OpenAIChat", "chatgpt-4o-latest"),
        ("qwen-max", "DashScope", "qwen-max"), ("qwq-plus", "DashScope", "qwq-plus"),
        ("dashscope/deepseek-v3", "DashScope", "deepseek-v3"),
    ],
)  # fmt: skip
def test_names(name: str, kind: str, model: str) -> None:
    llm = make_llm(name)
    assert isinstance(llm, LLM)
    assert (type(llm).__name__, llm.name, llm.model, llm.free) == (kind, name, model, False)
    assert llm.host is not None and model in llm.provenance and llm.host in llm.provenance


@pytest.mark.parametrize(
    "name", ["", "bundle", "oracle", "openai/", "gpt-", "o", "gpt 4", "gpt-4#2"]
)
def test_a_name_that_stands_for_nothing(name: str) -> None:
    for call in (make_llm, check_name):
        with pytest.raises(UsageError, match="no LLM") as caught:
            call(name)
        assert caught.value.exit_code == 2


def test_a_misspelt_name_is_told_what_it_resembles() -> None:
    with pytest.raises(UsageError, match=r"did you mean bundled"):
        check_name("bundeld")
    with pytest.raises(UsageError, match=r"did you mean .*gpt-4o"):
        check_name("gtp-4o")


def test_a_base_url_is_for_openais_protocol() -> None:
    llm = make_llm("openai/m", base_url="http://localhost:8000/v1/")
    assert llm.host == "http://localhost:8000/v1"
    with pytest.raises(UsageError, match=r"--llm openai/qwen-max"):
        make_llm("qwen-max", base_url="http://localhost:8000/v1")
    with pytest.raises(UsageError, match=r"--base-url"):
        make_llm("bundled", base_url="http://localhost:8000/v1")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://a b/v1"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="base URL"):
        make_llm("openai/m", base_url=url)


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:secret@one:1/v1")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "http://two:2/api/v1")
    assert make_llm("gpt-4").host == "http://***@one:1/v1"
    assert make_llm("gpt-4", base_url="http://three:3/v1").host == "http://three:3/v1"
    assert make_llm("qwen-max").host == "http://two:2/api/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "one:1")
    with pytest.raises(ConfigurationError, match="base URL"):
        make_llm("gpt-4").check()


@pytest.mark.process
@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("box", "http://box:11434/v1"), ("box:1", "http://box:1/v1"),
        ("http://box", "http://box/v1"), ("https://box/", "https://box/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"), ("[::]:1", "http://127.0.0.1:1/v1"),
        (":1", "http://127.0.0.1:1/v1"), ("[::1]", "http://[::1]:11434/v1"),
    ],
)  # fmt: skip
def test_ollamas_address_is_read_as_ollama_reads_it(
    given: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", given)
    assert called("ollama").address() == address


def test_making_an_llm_touches_neither_key_nor_sdk() -> None:
    code = (
        "import sys; from lsmseg_prompts.llm import make_llm\n"
        "make_llm('gpt-4', key_file='missing'); make_llm('qwen-max', key_file='missing')\n"
        "assert not {'openai', 'dashscope', 'httpx2', 'aiohttp'} & set(sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(root)})


def test_a_shipped_class_is_answered_by_its_index() -> None:
    reply = ask(COCO[22], vocabulary="coco-stuff")
    assert reply.text is not None and "zebra" in reply.text.lower()
    assert reply.error_scope is None


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
    said = reply.error_message or ""
    assert "of a computer mouse (coco-stuff/mouse), not of the small rodent" in said


def test_vocabularies_share_texts_where_the_senses_agree() -> None:
    def text(vocabulary: str, name: str) -> str | None:
        return ask(load_vocabulary(vocabulary).find(name), "color", vocabulary).text

    mouse = ask(COCO.find("mouse"), vocabulary="coco-stuff").text
    assert mouse and text("pc-59", "mouse") == text("pc-459", "mouse") == mouse
    couch = ask(COCO.find("couch"), vocabulary="coco-stuff").text
    sofa = text("voc-20", "sofa")
    assert couch and sofa
    assert sofa.lower() == couch.lower().replace("couches", "sofas").replace("couch", "sofa")
    # COCO-Stuff's straw is hay and its dish is food: each vocabulary has its own.
    straw = ask(COCO.find("straw"), vocabulary="coco-stuff").text
    assert text("pc-459", "straw") not in (None, straw)
    dish = ask(COCO.find("dish"), vocabulary="coco-stuff").text
    assert text("ade20k-847", "dish, dish aerial, dish antenna, saucer") not in (None, dish)


def test_classes_of_no_shipped_vocabulary_are_answered_by_name_and_sense() -> None:
    mine = ClassEntry(0, "crane", "crane", "the wading bird")
    assert ask(mine, "color", "mine").text is None
    assert ask(ClassEntry(0, "obelisk", "obelisk"), "color", "mine").text


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
