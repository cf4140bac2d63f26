"""Texts for models that read more or fewer tokens than CLIP: asked for, stored, composed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import lsmseg_prompts
from lsmseg_prompts.curation.check import check
from lsmseg_prompts.curation.edits import edit
from lsmseg_prompts.errors import RefusedError, StoreError, UsageError
from lsmseg_prompts.export import export, load_export, load_native
from lsmseg_prompts.export.consumers import CONSUMERS
from lsmseg_prompts.generation.questions import Call
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import dry_run, generate
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.prompts.compose import Writing, can_be_written, compose, written_for
from lsmseg_prompts.prompts.controls import random_like
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.tokens import CLIP, TokenBudget, count_tokens, find_budget
from tests.prompts.test_token_budgets import model_folder
from tests.support.scripted_llm import PETS, Scripted

FOUR = ("color", "shape", "size", "texture")
LONG = "A cat may be " + ", ".join(f"{c} or dark {c}" for c in ("red", "blue", "gray") * 3) + "."
VERY_LONG = LONG[:-1].replace("A cat may be", "A cat may be" + " very" * 90) + "."
SHORT = "A cat is black."


@pytest.fixture
def unigram(tmp_path: Path) -> TokenBudget:
    """A model of 24 tokens with a tokenizer of its own."""
    return find_budget(f"local-dir:{model_folder(tmp_path / 'model', 'unigram', 24)}")


def asked(budget: str | None, store: Path, **more: object) -> list[Request]:
    """What one is asked whose first answers are too long."""
    llm = Scripted(lambda request: SHORT if request.history else LONG)
    cells = {"classes": ["cat"], "attributes": ["color"], **more}
    generate(GenerationRequest(PETS, [llm], budget=budget, store=store, **cells))  # type: ignore[arg-type]
    return llm.requests


def test_shorter_texts_are_asked_for_and_longer_ones_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    usual = asked(None, tmp_path / "usual.sqlite")
    first, second = asked("32", path)
    said = f"{usual[0].prompt} Use at most 18 words.".replace("77 tokens", "32 tokens")
    assert len(usual) == 1 and first.prompt == said and "exceed 32 tokens" in said
    tokens = count_tokens(LONG)
    assert f"it takes {tokens} CLIP tokens and 32 are the most. Describe" in second.prompt
    assert "one sentence of at most 18 words" in second.prompt
    with open_store(path) as store:
        (cell,) = store.cells()
        assert (cell["text"], cell["budget"], cell["other_tokens"]) == (SHORT, "32", None)
        assert [row["budget"] for row in store.rows("SELECT budget FROM attempts")] == ["32"] * 2
        with pytest.raises(StoreError, match="no budget is named above CLIP's 77"):
            long = lsmseg_prompts.Description("pets", 0, "size", "scripted", LONG, 78)
            store.put_description(long)
    assert check(path).error() is None


def test_questions_of_several_and_in_other_words_say_how_long() -> None:
    questions = GenerationRequest(PETS, ["bundled"], budget="long-clip").questions()
    call = Call(PETS[0], ("color", "typical"))
    asked_for = questions.first(call)
    assert "under 248 tokens as per" in asked_for.prompt and "77" not in asked_for.prompt
    assert "in one sentence of at most 147 words that names the class" in asked_for.prompt
    assert asked_for.max_output_tokens == 3 * 496
    assert "sentence each of at most 147 words, what is usual" in questions.reworded(call).prompt
    usual = GenerationRequest(PETS, ["bundled"]).questions().first(call)
    assert "of at most" not in usual.prompt and "under 77 tokens" in usual.prompt


def test_counts_of_another_tokenizer_are_kept(unigram: TokenBudget, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    _, second = asked(unigram.name, path)
    assert f"tokens of {unigram.name} and 24 are the most" in second.prompt
    with open_store(path) as store:
        rows = store.rows("SELECT tokenizer, tokens FROM token_counts ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [
        ("clip", count_tokens(SHORT)), (unigram.tokenizer, unigram.count(SHORT))
    ]  # fmt: skip
    assert check(path).error() is None
    with open_store(path) as store:
        store.execute(
            "UPDATE descriptions SET other_tokens = json_object(?, 3)", [unigram.tokenizer]
        )
    assert "wrong counts (token counts)" in str(check(path).error())
    (tmp_path / "model" / "tokenizer.json").unlink()
    rows = {row["check"]: row for row in check(path).rows}
    assert rows["budgets that cannot be counted here"]["count"] == 1


def test_a_longer_text_is_taken_for_a_model_that_reads_it(tmp_path: Path) -> None:
    path, long = tmp_path / "s.sqlite", find_budget("long-clip")
    open_store(path).close()
    with pytest.raises(RefusedError, match=r"CLIP tokens, \d+ more than CLIP reads: shorten"):
        edit("coco-stuff", "cat", "color", VERY_LONG, "gpt-4", path)
    cell = edit("coco-stuff", "cat", "color", VERY_LONG, "gpt-4", path, budget=long)
    assert cell["budget"] == "long-clip" and cell["tokens"] == count_tokens(VERY_LONG) > 77
    assert check(path).error() is None
    with pytest.raises(RefusedError, match=r"takes \d+ tokens where 77 fit"):
        texts(("color",), descriptions={(0, "color"): VERY_LONG, (1, "color"): "A dog is red."})


def test_a_budget_is_checked_at_once_and_priced(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no token budget 'siglip5'"):
        GenerationRequest(PETS, ["bundled"], budget="siglip5")
    wanted = {"attributes": ["color"], "store": tmp_path / "s.sqlite"}
    outputs = [
        dry_run(GenerationRequest(PETS, ["bundled"], budget=budget, **wanted))[0].output_tokens  # type: ignore[arg-type]
        for budget in (None, "32")
    ]
    assert outputs == [2 * 45, 2 * 32]


def texts(
    attributes: tuple[str, ...] = FOUR,
    budget: TokenBudget = CLIP,
    composition: str = "concat",
    missing: str = "fail",
    descriptions: dict[tuple[int, str], str] | None = None,
) -> PromptSet:
    """A prompt set of COCO-Stuff's first classes, or of pets with given descriptions."""
    if descriptions is not None:
        return build_prompt_set(descriptions, PETS, attributes, writing=written_for(budget))
    how = {"missing": missing, "writing": written_for(budget)}
    return lsmseg_prompts.prompt_set("coco-stuff", attributes, composition, **how)  # type: ignore[arg-type]


def test_texts_are_shortened_to_the_budget_and_ensemble_keeps_all() -> None:
    small = find_budget("64")
    joined, averaged = texts(budget=small), texts(budget=small, composition="ensemble")
    assert max(count_tokens(text) for (text,) in joined.texts) <= 64
    assert len(joined.dropped) > len(texts().dropped)
    assert {len(group) for group in averaged.texts} == {4} and not averaged.dropped
    assert texts(budget=find_budget("77")) == texts()


def test_what_cannot_be_shortened_is_refused_or_stands_by_its_name() -> None:
    small = find_budget("32")
    with pytest.raises(RefusedError, match="`generate --budget`, or use --missing name"):
        texts(("size",), small)
    named = texts(("size",), small, missing="name")
    assert 0 < len(named.undescribed) < 20
    assert {named.texts[i][0][:10] for i in named.undescribed} == {"a photo of"}
    assert all(small.fits(text) for (text,) in named.texts)
    entry = lsmseg_prompts.load_vocabulary("coco-stuff")[named.undescribed[0]]
    too_long = texts(("size",)).texts[entry.index][0]
    assert can_be_written(too_long, entry) and not can_be_written(
        too_long, entry, written_for(small)
    )


def test_random_words_take_no_more_tokens_of_any_tokenizer(unigram: TokenBudget) -> None:
    groups = [("A cat is black and white all over.",), ("A dog is brown and runs fast.",)]
    for budget in (replace(unigram, limit=200), find_budget("32")):
        for (text,), (control,) in zip(groups, random_like(groups, PETS, 0, budget), strict=True):
            assert 0 <= budget.count(text) - budget.count(control) < 25
            assert control.startswith("a photo of a ")
    assert random_like(groups, PETS, 0) == random_like(groups, PETS, 0, find_budget("32"))


def test_a_file_names_another_budget_than_clips(tmp_path: Path) -> None:
    vocabulary = lsmseg_prompts.load_vocabulary("coco-stuff")
    usual, small, clip = tmp_path / "usual.json", tmp_path / "small.json", texts()
    export(clip, vocabulary, usual)
    assert "budget" not in json.loads(usual.read_text("utf-8"))
    made = export(load_native(usual), vocabulary, small, budget=find_budget("64"))
    content = json.loads(small.read_text("utf-8"))
    assert content["budget"] == {"name": "64", "limit": 64, "tokenizer": "clip"}
    assert max(tokens for item in content["classes"] for tokens in item["tokens"]) <= 64
    assert load_native(small, budget=find_budget("64")).texts == made.texts
    assert made.dropped and set(clip.dropped) <= set(made.dropped)
    for read in (load_native, lambda *a, **k: load_export(*a, "native", vocabulary, **k)):
        with pytest.raises(RefusedError, match="of the 64 tokens and would be cut"):
            read(usual, budget=find_budget("64"))
        assert read(usual, budget=None).texts == clip.texts


def test_room_inside_a_readers_template(unigram: TokenBudget, tmp_path: Path) -> None:
    consumer = CONSUMERS["fc-clip"]
    assert consumer.room_in(find_budget("40")) == consumer.room - 37
    vocabulary = lsmseg_prompts.load_vocabulary("coco-stuff")
    budget = replace(unigram, limit=230)
    made = export(texts(), vocabulary, tmp_path / "f.txt", "fc-clip", budget=budget)
    inside = [consumer.tokens(text, budget) for group in made.texts for text in group]
    assert max(inside) <= 230 < max(consumer.tokens(text, budget) for (text,) in texts().texts)


def test_composing_counts_with_the_budgets_tokenizer(unigram: TokenBudget) -> None:
    horse = lsmseg_prompts.load_vocabulary("coco-stuff").find("horse")
    parts = [
        "A horse is large and heavy, with a back as high as a person's chin.",
        "A horse is brown.",
    ]
    room = unigram.count(parts[0]) - 1
    one = compose(parts[:1], horse, Writing("sentence", room, unigram))
    assert (one.text, one.cuts) == ("A horse is large and heavy.", 1)
