"""Stage 2: asking for what is missing, judging replies, resuming after a kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lsmseg_prompts.bundled import read_bundled
from lsmseg_prompts.clip_tokens import count_tokens
from lsmseg_prompts.descriptions import (
    DESCRIBED,
    check_attributes,
    generate,
    judge,
    lint_store,
    load,
    show,
)
from lsmseg_prompts.errors import ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.llm import Reply, Request
from lsmseg_prompts.store import open_store, open_store_readonly
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

PETS = Vocabulary("pets", "pets", (ClassEntry(0, "cat", "cat"), ClassEntry(1, "dog", "dog")))


class Scripted:
    """An LLM whose replies a test writes; each has been paid for, so each is committed."""

    name = "scripted"
    provenance = "written by a test"
    free = False
    commit_every = 1

    def __init__(self, answer: Callable[[Request], str | Reply]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def complete(self, request: Request) -> Reply:
        assert request.entry is not None and request.attribute is not None
        self.asked.append((request.entry.name, request.attribute))
        answer = self.answer(request)
        return answer if isinstance(answer, Reply) else Reply(answer, "scripted-1")


def good(request: Request) -> str:
    assert request.entry is not None
    return f"The {request.attribute} of a {request.entry.name} is plain to see."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_the_bundled_1710_cells_come_fast_and_whole(path: Path) -> None:
    count_tokens("loads the tokenizer")  # whose import takes seconds and is not measured here
    began = time.monotonic()
    summary = generate(path, "coco-stuff")
    assert time.monotonic() - began < 5
    assert (summary.cells, summary.done, summary.failed) == (1710, 1710, 0)
    with open_store_readonly(path) as store:
        assert store.descriptions("coco-stuff") == read_bundled("coco-stuff")
        (row,) = store.status()
        assert row["attempts"] == 1710
        assert store.rows("SELECT count(*) AS n FROM descriptions WHERE attempt_id IS NULL") == [
            {"n": 0}
        ]


def test_the_same_call_again_asks_for_nothing(path: Path) -> None:
    llm = Scripted(good)
    first = generate(path, PETS, llm, ["color", "shape"])
    again = generate(path, PETS, llm, ["color", "shape"])
    assert (first.asked, again.asked, again.skipped) == (4, 0, 4)
    assert generate(path, PETS, llm, ["size", "shape"]).asked == 2
    assert generate(path, PETS, llm, ["shape"], redo=True).asked == 2
    assert len(llm.asked) == 8


def test_only_failed_cells_are_asked_again(path: Path) -> None:
    bad = generate(
        path, PETS, Scripted(lambda r: "" if "dog" in str(r.entry) else good(r)), ["color"]
    )
    assert (bad.done, bad.failed) == (1, 1)
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color"]).done == 1
    assert llm.asked == [("dog", "color")]


def test_a_kill_keeps_what_was_committed(path: Path) -> None:
    def until_dog(request: Request) -> str:
        if request.entry is not None and request.entry.name == "dog":
            raise KeyboardInterrupt
        return good(request)

    with pytest.raises(KeyboardInterrupt):
        generate(path, PETS, Scripted(until_dog), ["color", "shape"])
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color", "shape"]).asked == 2
    assert {name for name, _ in llm.asked} == {"dog"}


def test_an_end_of_the_run_is_recorded_and_resumable(path: Path) -> None:
    over = Reply(
        None, "scripted-1", error_scope="run", error_class="Quota", error_message="no quota"
    )
    with pytest.raises(ProviderError, match=r"no quota.*goes on from there"):
        generate(
            path, PETS, Scripted(lambda r: over if "dog" in str(r.entry) else good(r)), ["color"]
        )
    with open_store_readonly(path) as store:
        assert len(store.rows("SELECT * FROM attempts")) == 2
        assert [cell["class"] for cell in store.cells()] == ["cat"]
    assert generate(path, PETS, Scripted(good), ["color"]).asked == 1


def test_the_raw_reply_is_kept_and_the_clean_one_used(path: Path) -> None:
    raw = 'Sure! "A **cat** is often black."'
    generate(path, Vocabulary("p", "p", PETS.classes[:1]), Scripted(lambda r: raw), ["color"])
    with open_store_readonly(path) as store:
        assert store.rows("SELECT reply FROM attempts") == [{"reply": raw}]
        assert store.descriptions("p", "scripted") == {(0, "color"): "A cat is often black."}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("A dog is brown.", "m"), "name"),
        (Reply("", "m"), "empty"),
        (Reply("A cat is very " + "very " * 80 + "black.", "m"), "tokens"),
        (Reply("A cat is bla", "m", finish_reason="length"), "cut off"),
        (Reply(None, "m", error_scope="cell", error_message="filtered"), "filtered"),
    ],
)
def test_what_is_not_accepted(path: Path, reply: Reply, reason: str) -> None:
    assert reason in (judge(reply, PETS[0])[2] or "")
    summary = generate(
        path, Vocabulary("p", "p", PETS.classes[:1]), Scripted(lambda r: reply), ["color"]
    )
    assert (summary.done, summary.failed) == (0, 1)
    with open_store_readonly(path) as store:
        assert store.descriptions("p", "scripted") == {}
        assert reason in store.cells("p")[0]["reason"]


def test_a_users_vocabulary_is_answered_as_far_as_known(path: Path) -> None:
    mine = Vocabulary(
        "mine",
        "mine",
        (ClassEntry(0, "sofa", "sofa"), ClassEntry(1, "flux capacitor", "flux capacitor")),
    )
    summary = generate(path, mine)
    assert (summary.done, summary.failed) == (10, 10)
    assert {f.name for f in summary.failures} == {"flux capacitor"}
    assert len(load(mine, store=path, require=False)) == 10
    with pytest.raises(ConfigurationError, match=r"10 of 20 .*flux capacitor"):
        load(mine, store=path)


def test_progress_reaches_the_end(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(path, PETS, Scripted(good), ["color"], progress=lambda a, b: seen.append((a, b)))
    assert seen == [(1, 2), (2, 2)]


def test_it_works_inside_a_running_loop(path: Path) -> None:
    async def notebook() -> int:
        return generate(path, PETS, Scripted(good), ["color"]).done

    assert asyncio.run(notebook()) == 2


def test_load_takes_bundled_texts_without_a_store_and_writes_none() -> None:
    assert load("camvid") == read_bundled("camvid")
    assert list(Path().iterdir()) == []


def test_load_prefers_the_working_store(path: Path) -> None:
    camvid = load_vocabulary("camvid")
    with open_store(path) as store:
        store.add_vocabulary(camvid)
        store.put_description(camvid, 0, "color", "bundled", None, "The sky is green.", 7)
    found = load(camvid, attributes=["color"], store=path)
    assert found[0, "color"] == "The sky is green."
    assert found[1, "color"] == read_bundled("camvid")[1, "color"]
    assert show(camvid, "sky", store=path)[0]["text"] == "The sky is green."


def test_load_says_what_to_run(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    assert len(load(PETS, "scripted", ["color"], path)) == 2
    with pytest.raises(ConfigurationError, match="generate --llm scripted"):
        load(PETS, "scripted", ["shape"], path)
    with pytest.raises(ConfigurationError, match="OpenAI"):
        load(PETS, "gpt-4", ["shape"], path)


def test_attribute_names() -> None:
    assert check_attributes(None) == DESCRIBED
    assert check_attributes(["Colour", "shape", "color"]) == ("color", "shape")
    with pytest.raises(UsageError, match="did you mean color"):
        check_attributes(["colr"])
    for wrong in (["name"], ["random"], []):
        with pytest.raises(UsageError):
            check_attributes(wrong)


def test_lint_store_finds_what_was_put_in(path: Path) -> None:
    camvid = load_vocabulary("camvid")
    with open_store(path) as store:
        store.add_vocabulary(camvid)
        store.put_description(camvid, 0, "color", "bundled", None, "It is wooden. It is blue.", 10)
    count, findings = lint_store(["camvid"], store=path)
    assert count == 110
    assert {f["rule"] for f in findings} >= {"class-named", "one-sentence", "leak"}
    assert {(f["class"], f["attribute"]) for f in findings} == {("sky", "color")}
