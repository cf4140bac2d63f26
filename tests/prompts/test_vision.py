"""Pictures through the presets: what goes over the wire, and models that cannot see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer
from PIL import Image as Pictures
from support.generating import attempts, variables
from support.provider_calls import bare_network, said
from support.scripted_http import Scripted as ScriptedHTTP
from support.scripted_http import answer, with_server
from support.scripted_llm import PETS, Scripted, reply

from lsmseg_prompts.errors import ProviderError
from lsmseg_prompts.generation.answers import answers
from lsmseg_prompts.generation.asking import ask
from lsmseg_prompts.generation.picture_check import check_images
from lsmseg_prompts.generation.rewriting import sentences
from lsmseg_prompts.llm import Request, make_llm
from lsmseg_prompts.llm.base import Image
from lsmseg_prompts.llm.errors import dashscope_failure, openai_failure
from lsmseg_prompts.store.store import open_store

PRESETS = (
    "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "openrouter/qwen/qwen2.5-vl-72b-instruct",
    "ollama/llava", "vllm/Qwen/Qwen2.5-VL-7B-Instruct", "llamacpp/gemma-3", "qwen-vl-max",
    "dashscope/qvq-max",
)  # fmt: skip
FIVE = "1. A red ball. 2. It is round. 3. It lies on grass. 4. It is small. 5. It rolls."


def check(server: LLMServer, call: Any, name: str, code: int = 0) -> Any:
    Pictures.new("RGB", (8, 8), "red").save("a.jpg")
    host = [] if "qwen-" in name or "qvq" in name else ["--base-url", server.url]
    words = ("attributes", "--check-images", "a.jpg", "--llm", name, *host, "--store", "s.sqlite")
    done = call(*words, "--json", env=variables(server))
    assert done.code == code, done.err
    return done.err if code else json.loads(done.out)["pictures"][0]


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_sends_pictures_as_its_provider_documents(name, monkeypatch):
    bare_network(monkeypatch)
    picture = Image("image/jpeg", b"\xff\xd8\xff")
    request = Request("Describe this.", images=(picture, picture))

    async def use(server: ScriptedHTTP) -> Any:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{server.address}/api/v1")
        llm = make_llm(name, None if host_of_dashscope(name) else f"{server.address}/v1")
        found = await llm.complete(request)
        await llm.close()
        return found, server.calls

    native = host_of_dashscope(name)
    thought = "<think>Is it a square? {</think>" + FIVE
    body = said("qwen" if native else "openai", [{"text": thought}] if native else thought)
    found, (sent,) = with_server([answer(body)], use)
    assert found.said == FIVE and found.thinks
    url = "data:image/jpeg;base64,/9j/"
    if native:
        assert sent.path == "/api/v1/services/aigc/multimodal-generation/generation"
        (message,) = sent.body["input"]["messages"]
        assert message["content"] == [{"image": url}, {"image": url}, {"text": "Describe this."}]
    else:
        assert sent.path == "/v1/chat/completions"
        (message,) = sent.body["messages"]
        part = {"type": "image_url", "image_url": {"url": url}}
        assert message["content"] == [{"type": "text", "text": "Describe this."}, part, part]


def host_of_dashscope(name: str) -> bool:
    return name in ("qwen-vl-max", "dashscope/qvq-max")


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "qwen-vl-max"])
@pytest.mark.parametrize("form", ["field", "inline", "unopened"])
def test_thoughts_are_no_sentences(server, call, name, form):
    server.script([{"thinks": {"tokens": 50, "as": form}, "reply": FIVE}])
    texts = [sentence["text"] for sentence in check(server, call, name)["sentences"]]
    assert len(texts) == 5 and texts[0] == "A red ball."
    (row,) = attempts()
    assert "may be a horse" in (row["thoughts"] if form == "field" else row["reply"])


SAID = {
    "vllm": (400, "meta-llama/Llama-3.1-8B is not a multimodal model"),
    "vllm, newer": (400, "At most 0 image(s) may be provided in one prompt."),
    "openai": (400, "Invalid content type. image_url is only supported by certain models."),
    "openrouter": (404, "No endpoints found that support image input"),
    "deepseek": (422, "messages[0]: unknown variant `image_url`, expected `text` at line 1"),
    "groq": (400, "messages[0].content must be a string"),
    "llama.cpp": (500, "image input is not supported - hint: provide the mmproj"),
    "ollama": (500, "this model is missing data required for image input"),
    "lm studio": (400, "Model does not support images. Please use a model that does."),
    "others": (400, "This model doesn't have multimodal capabilities."),
}


@pytest.mark.parametrize("who", SAID)
def test_a_model_that_cannot_see_is_called_that(who):
    status, message = SAID[who]
    failure = openai_failure(status, {"error": {"message": message}}, "http://h/v1", "some-model")
    assert (failure.scope, failure.kind) == ("setup", "NoPictures")
    assert failure.message.startswith("some-model does not take pictures: h answered")
    assert failure.message.endswith("such as --llm gpt-4o or qwen-vl-max.")


@pytest.mark.parametrize(
    "message",
    [
        "You uploaded an unsupported image. Please use one of the following formats: png, jpeg.",
        "Unsupported value: 'temperature' does not support 0.2 with this model.",
        "The image could not be read.",
    ],
)
def test_a_picture_that_is_not_taken_is_not_the_model(message):
    body = {"error": {"message": message}}
    assert openai_failure(400, body, "http://h/v1", "m").kind == "HTTP400"


def test_dashscope_names_the_address():
    body = {"code": "InvalidParameter", "message": "url error, please check url!"}
    failure = dashscope_failure(400, body, "http://h/api/v1", "qwen-max")
    assert failure.scope == "setup" and "'qwen-max' cannot be asked like this" in failure.message


@pytest.mark.parametrize("name", ["vllm/blind", "gpt-4o"])
def test_a_blind_model_ends_the_command_with_what_to_do(server, call, name):
    server.script([{"status": 400, "message": "blind is not a multimodal model"}])
    error = check(server, call, name, code=4)
    assert "does not take pictures" in error and "is not a multimodal model" in error
    assert "Name one that does" in error and len(server.requests()) == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reply("1. A red ball. 2. It is rou", finish_reason="length"), "cut off for its length"),
        (reply("I'm sorry, I can't look at that."), "the LLM refused to answer"),
        (reply(None, refusal="No."), "No."),
        (reply("<think>It is round."), "the reply was empty but for its thoughts"),
        (reply("..."), "it says nothing"),
    ],
)
def test_a_picture_that_is_cut_or_refused_has_failed(given, reason):
    Pictures.new("RGB", (8, 8), "red").save("a.jpg")
    replies = iter([FIVE, given])
    found = check_images(Scripted(lambda _: next(replies)), ["a.jpg", "a.jpg"])
    (failed,) = found.failed
    assert reason in failed.error and failed.sentences == () and sum(found.total.values()) > 0
    with pytest.raises(ProviderError, match="described none of the 1 pictures"):
        check_images(Scripted(lambda _: given), ["a.jpg"])


def test_of_a_cut_or_thinking_reply_to_refine_no_thought_is_a_sentence():
    def texts(given):
        return [v.text for v in sentences(given, PETS[0], lambda a, t: None) if v.fault is None]

    whole = '{"sentences": ["A cat is gray."]}'
    assert texts(reply(f"<think>A cat is red.</think>{whole}")) == ["A cat is gray."]
    assert texts(reply("<think>A cat is red.")) == []
    assert texts(reply(whole, finish_reason="length")) == []


def test_a_reply_of_thoughts_alone_does_not_answer_the_question(tmp_path: Path) -> None:
    more = {"error_scope": "adapted", "error_class": "OnlyThoughts"}
    replies = iter([reply("<think>Hm.", **more), reply("A cat is gray.")])
    with open_store(tmp_path / "s.sqlite") as store:
        asked = [Request("better?")]
        ask(Scripted(lambda _: next(replies)), asked, purpose="picture", store=store)
        (found,) = answers(store, "scripted", "picture", asked).values()
    assert found.reply.said == "A cat is gray."
