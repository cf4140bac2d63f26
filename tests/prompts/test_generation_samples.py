"""`generate --samples`: each cell asked several times, with the very same question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.generating import asked, classes, described, summary
from support.scripted_llm import PETS, Scripted, failed, is_follow_up
from support.scripted_llm import generate as generate_in

from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import dry_run
from lsmseg_prompts.llm import Request
from lsmseg_prompts.llm.base import Reply
from lsmseg_prompts.store.store import open_store_readonly

COLORS = ("white", "brown", "gray", "black", "orange", "red")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def varied() -> Scripted:
    """An LLM that has another sentence each time, of color whatever it is asked about."""

    def answer(request: Request) -> str:
        assert request.entry is not None
        word = COLORS[len(llm.requests) % len(COLORS)]
        sentence = f"A {request.entry.readable} is often {word} and {len(llm.requests)} cm wide."
        if request.schema is None:
            return sentence
        return json.dumps(dict.fromkeys(request.schema["required"], sentence))

    llm = Scripted(answer)
    return llm


def test_each_cell_is_asked_so_often_in_the_same_words(path: Path) -> None:
    llm = varied()
    summary = generate_in(path, PETS, llm, ["color", "typical"], samples=3)
    assert (summary.cells, summary.done, len(llm.requests)) == (12, 12, 12)
    assert summary.review == 0
    of_cat = [r for r in llm.requests if r.entry == PETS[0]]
    assert [r.attribute for r in of_cat] == [
        "color", "color#2", "color#3", "typical", "typical#2", "typical#3",
    ]  # fmt: skip
    assert len({(r.prompt, r.template_hash) for r in of_cat[:3]}) == 1
    assert len({(r.prompt, r.template_hash) for r in of_cat[3:]}) == 1
    texts = load(PETS, "scripted", ["color"], path, samples=True)
    assert len(texts) == len(set(texts.values())) == 6
    with open_store_readonly(path) as store:
        rows = store.rows("SELECT DISTINCT attribute, template_hash FROM descriptions")
    hashes = {row["attribute"]: row["template_hash"] for row in rows}
    assert hashes["typical"] == hashes["typical#3"] != hashes["color#3"] == hashes["color"]


def test_a_rerun_asks_only_for_what_is_missing(path: Path) -> None:
    first = varied()
    generate_in(path, PETS, first, ["color"], samples=2)
    more = varied()
    assert generate_in(path, PETS, more, ["color"], samples=3).asked == 2
    assert [r.attribute for r in more.requests] == ["color#3", "color#3"]
    assert generate_in(path, PETS, varied(), ["color"]).asked == 0
    assert generate_in(path, PETS, varied(), ["color"], samples=3, redo=True).asked == 6
    assert generate_in(path, PETS, varied(), ["color"], samples=5, limit=3).left == 1


def test_failed_samples_are_asked_again_where_that_is_wanted(path: Path) -> None:
    llm = varied()
    good = llm.answer
    llm.answer = lambda r: failed("cell", status=200) if r.attribute == "color#2" else good(r)
    assert generate_in(path, PETS, llm, ["color"], samples=2).failed == 2
    assert generate_in(path, PETS, varied(), ["color"], samples=2).asked == 0
    assert generate_in(path, PETS, varied(), ["color"], samples=2, retry_errors=True).done == 2


def test_samples_that_are_alike_are_kept_and_those_of_another_class_are_not(path: Path) -> None:
    llm = Scripted(lambda request: "A cat is white.")
    kept = generate_in(path, PETS, llm, ["color"], classes=["cat"], samples=3)
    assert (kept.done, kept.review, len(llm.requests)) == (3, 0, 3)
    both = Scripted(lambda request: "A cat and a dog are red.")
    of_cats = generate_in(path, PETS, both, ["size"], classes=["cat"], samples=2)
    of_dogs = generate_in(path, PETS, both, ["size"], classes=["dog"], samples=2)
    assert (of_cats.review, of_dogs.review) == (0, 2)
    assert any(is_follow_up(request) for request in both.requests)


def test_a_sample_about_another_attribute_is_told_by_its_name(path: Path) -> None:
    llm = Scripted(lambda request: "A cat is round and oval and square.")
    summary = generate_in(path, PETS, llm, ["color"], classes=["cat"], samples=2)
    assert summary.review == 2
    assert "not about color. Describe its color again" in llm.requests[-1].prompt


def test_all_attributes_of_a_class_are_asked_together_once_for_each_sample(path: Path) -> None:
    llm = varied()
    summary = generate_in(path, PETS, llm, ["color", "shape"], samples=2, per_call="class")
    assert (summary.cells, summary.done) == (8, 8)
    firsts = [r for r in llm.requests if not r.history]
    assert [r.attributes for r in firsts] == [
        ("color", "shape"), ("color#2", "shape#2"), ("color", "shape"), ("color#2", "shape#2"),
    ]  # fmt: skip
    assert firsts[0].prompt == firsts[1].prompt and "#" not in firsts[1].prompt
    assert firsts[1].schema == firsts[0].schema


def test_a_dry_run_counts_each_sample_and_shows_each_question_once(path: Path) -> None:
    (found,) = dry_run(GenerationRequest(PETS, [varied()], ["color"], samples=4, store=path))
    assert (found.cells, found.missing, found.calls) == (8, 8, 8)
    assert len(found.longest) == 2


def test_what_cannot_be_sampled_is_refused() -> None:
    llm = Scripted(lambda request: Reply("", "m"))
    with pytest.raises(UsageError, match="samples must be 1 to 20, not 21"):
        GenerationRequest(PETS, [llm], samples=21)
    with pytest.raises(UsageError, match="bundled#2: leave it or --samples out"):
        GenerationRequest(PETS, samples=2)
    with pytest.raises(UsageError, match="names each sample"):
        GenerationRequest(PETS, [llm], cells=[(0, "contrast:dog")], samples=2)


def test_the_command_asks_for_samples_and_says_when_they_are_alike(server, generate) -> None:
    classes("zebra")
    first = generate(server, "--samples", "2", "--temperature", "0", code=0)
    assert "At temperature 0 the samples of a description are much alike" in first.err
    assert "the samples of 1 descriptions are word for word alike" in first.err
    server.script([{"reply": "A zebra is black and white."}])
    more = generate(server, "--samples", "3", "--json", code=0)
    assert "alike" not in more.err
    assert (summary(more)["done"], summary(more)["skipped"]) == (1, 2)
    assert asked(server) == [("zebra", "color")] * 3
    assert sorted(described()) == [(0, "color"), (0, "color#2"), (0, "color#3")]
    refused = generate(server, "--samples", "2", "--pairs", "zebra:cat", attribute=None, code=2)
    assert "--samples has no effect beside --pairs" in refused.err


def test_batches_hold_samples(server, generate) -> None:
    classes("zebra")
    server.script(batch={"polls": 0})
    generate(server, "--samples", "3", "--batch", code=0)
    generate(server, "--samples", "3", "--batch", code=0)
    assert sorted(described()) == [(0, "color"), (0, "color#2"), (0, "color#3")]


def test_who_lacks_samples_is_told_how_to_ask_for_them(path: Path) -> None:
    generate_one(path)
    with pytest.raises(ConfigurationError, match=r"generate --llm gpt-4 --samples 2 --vocab"):
        load("camvid", "gpt-4#2", ["color"], path)


def generate_one(path: Path) -> None:
    llm = Scripted(lambda r: f"A {r.entry.readable} is gray.", name="gpt-4")  # type: ignore[union-attr]
    generate_in(path, "camvid", llm, ["color"], classes=["sky"])
