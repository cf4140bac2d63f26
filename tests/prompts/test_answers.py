"""Replies on file: which question they answer, and what was paid for them."""

from __future__ import annotations

from pathlib import Path

from support.scripted_llm import PETS, Scripted, failed, generate, good, reply

from lsmseg_prompts.generation.answers import answers, described
from lsmseg_prompts.generation.asking import ask, ask_all
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.llm import Request
from lsmseg_prompts.llm.base import Image
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.store.store import open_store

PRICED = Limits(price=Price(1000.0, 1000.0))  # 30 tokens: $0.03


def test_a_question_is_its_words_its_history_and_its_pictures() -> None:
    image = Image("image/jpeg", b"1")
    some = [
        Request("a"),
        Request("b"),
        Request("a", history=(("b", "c"),)),
        Request("a", system="s"),
        Request("a", images=(image,)),
        Request("a", images=(Image("image/jpeg", b"2"),)),
        Request("a", images=(image, image)),
    ]
    assert len({request.hash for request in some}) == len(some)
    assert Request("a", max_output_tokens=5, parameters={"seed": 1}).hash == some[0].hash
    assert Request("\ud800").hash  # half a character, from a file of the user's


def test_the_first_answer_to_each_question_is_found(tmp_path: Path) -> None:
    said = iter(["one", failed("cell"), reply(None, refusal="no"), "two"])
    llm = Scripted(lambda _: next(said))
    asked = [Request("a"), Request("b"), Request("c"), Request("a")]
    with open_store(tmp_path / "s.sqlite") as store:
        limits = Limits(concurrency=1, price=PRICED.price)
        ask(llm, asked, purpose="rewrite", store=store, limits=limits)
        found = answers(store, "scripted", "rewrite", asked)
        assert set(found) == {asked[0].hash, asked[2].hash}
        assert found[asked[0].hash].reply.text == "one"
        assert found[asked[0].hash].paid == {1: 0.03}
        assert found[asked[2].hash].reply.refusal == "no"
        assert answers(store, "scripted", "picture", asked) == {}
        assert answers(store, "other", "rewrite", asked) == {}


def test_what_ends_asking_stands_beside_what_came_back() -> None:
    limits = Limits(max_calls=2)
    asked = ask_all(Scripted(lambda _: "x"), [Request(c) for c in "abc"], purpose="names",
                    limits=limits)  # fmt: skip
    assert len(asked.replies) == 2 and asked.usage.requests == 2
    assert str(asked.error).startswith("The limit of 2 requests is reached")


def test_cells_with_every_try_at_them(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    said = iter(["It is black.", "A cat is black.", "No.", "No.", "No."])
    generate(path, PETS, Scripted(lambda _: next(said)), ["color"],
             limits=Limits(concurrency=1, price=PRICED.price))  # fmt: skip
    generate(path, PETS, Scripted(good, "other"), ["size"])
    cells = [(0, "color"), (1, "color"), (0, "size")]
    with open_store(path) as store:
        found = described(store, PETS, "scripted", cells)
    assert found == {
        (0, "color"): ("A cat is black.", {1: 0.03, 2: 0.03}),
        (1, "color"): (None, {3: 0.03, 4: 0.03, 5: 0.03}),
    }
