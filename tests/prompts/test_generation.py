"""Stage 2: asking for what is missing, asking again with the reason, resuming."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.scripted_llm import PETS, Scripted, failed, generate, good, is_follow_up, reply

from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import (
    BudgetError,
    ConfigurationError,
    ProviderError,
    StoreError,
    UsageError,
)
from lsmseg_prompts.generation import asking, cells, engine, run
from lsmseg_prompts.generation.cell_writer import CellWriter
from lsmseg_prompts.generation.ledger import Ledger, free_dead_runs, restore_rescued
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import dry_run, generate_all
from lsmseg_prompts.llm import Reply, Request
from lsmseg_prompts.llm.bundled import TOGETHER
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.store import runs
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

CAT = Vocabulary("p", "p", PETS.classes[:1])
FAST = Limits(concurrency=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.001)


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    with open_store_readonly(path) as store:
        return store.rows(sql)


# -- filling and resuming ----------------------------------------------------------------


def test_the_bundled_1710_cells_come_fast_and_whole(path: Path) -> None:
    began = time.process_time()
    summary = generate(path, "coco-stuff")
    assert time.process_time() - began < 15
    assert (summary.cells, summary.done, summary.failed, summary.review) == (1710, 1710, 0, 0)
    with open_store_readonly(path) as store:
        bundled = read_bundled("coco-stuff")
        assert store.descriptions("coco-stuff") == {
            cell: text for cell, text in bundled.items() if cell[1] != TOGETHER
        }
        (row,) = store.status()
        assert row["attempts"] == 1710
        assert store.rows("SELECT count(*) AS n FROM descriptions WHERE attempt_id IS NULL") == [
            {"n": 0}
        ]
        assert store.rows("SELECT * FROM claims") == []


def test_the_same_call_again_asks_for_nothing(path: Path) -> None:
    llm = Scripted(good)
    first = generate(path, PETS, llm, ["color", "shape"])
    again = generate(path, PETS, llm, ["color", "shape"])
    assert (first.asked, again.asked, again.skipped) == (4, 0, 4)
    assert generate(path, PETS, llm, ["size", "shape"]).asked == 2
    assert generate(path, PETS, llm, ["shape"], redo=True).asked == 2
    assert len(llm.asked) == 8


def test_failed_cells_are_asked_again_only_when_told(path: Path) -> None:
    bad = Scripted(lambda r: "" if r.entry and r.entry.name == "dog" else good(r))
    first = generate(path, PETS, bad, ["color"])
    assert (first.done, first.failed, len(bad.asked)) == (1, 1, 4)  # three tries for the dog
    llm = Scripted(good)
    second = generate(path, PETS, llm, ["color"])
    assert (second.asked, second.failed_before, llm.asked) == (0, 1, [])
    third = generate(path, PETS, llm, ["color"], retry_errors=True)
    assert (third.done, llm.asked) == (1, [("dog", "color")])


def test_classes_and_limit_narrow_the_run(path: Path) -> None:
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color", "shape"], classes=["dog"]).cells == 2
    assert llm.asked == [("dog", "color"), ("dog", "shape")]
    summary = generate(path, PETS, llm, ["color", "shape", "size"], limit=3)
    assert (summary.asked, summary.cells, summary.skipped, summary.left) == (3, 6, 2, 1)
    with pytest.raises(UsageError, match=r"no class 'dig'.*dog"):
        generate(path, PETS, llm, classes=["dig"])


def test_a_redo_that_was_cut_short_is_gone_on_with(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])

    def once(request: Request) -> str | Reply:
        if request.entry and request.entry.name == "dog":
            return failed("account", "Quota", 429)
        return "A cat is now pink."

    with pytest.raises(ProviderError, match=r"Quota happened.*goes on from there"):
        generate(path, PETS, Scripted(once), ["color"], redo=True)
    assert load(PETS, "scripted", ["color"], path) == {
        (0, "color"): "A cat is now pink.",
        (1, "color"): "A dog is white and brown.",
    }
    llm = Scripted(lambda r: "A dog is now pink.")
    assert generate(path, PETS, llm, ["color"]).done == 1
    assert llm.asked == [("dog", "color")]
    assert load(PETS, "scripted", ["color"], path)[1, "color"] == "A dog is now pink."


def test_a_failed_redo_keeps_the_old_text(path: Path) -> None:
    generate(path, CAT, Scripted(good), ["color"])
    assert generate(path, CAT, Scripted(lambda r: ""), ["color"], redo=True).failed == 1
    assert load(CAT, "scripted", ["color"], path) == {(0, "color"): "A cat is white and brown."}
    assert generate(path, CAT, Scripted(good), ["color"]).asked == 0


def test_a_locked_text_stays_whatever_is_redone(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    with open_store(path) as store:
        store.execute("UPDATE descriptions SET locked = 1, text = 'Mine.' WHERE class_index = 0")
    llm = Scripted(lambda r: "A dog is red.")
    assert generate(path, PETS, llm, ["color"], redo=True).done == 1
    assert llm.asked == [("dog", "color")]
    assert load(PETS, "scripted", ["color"], path)[0, "color"] == "Mine."


def test_progress_reaches_the_end(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(path, PETS, Scripted(good), ["color"], on_progress=lambda a, b: seen.append((a, b)))
    assert seen[0] == (1, 2) and seen[-1] == (2, 2)


def test_it_works_inside_a_running_loop(path: Path) -> None:
    async def notebook() -> int:
        return generate(path, PETS, Scripted(good), ["color"]).done

    assert asyncio.run(notebook()) == 2


def test_the_raw_reply_is_kept_and_the_clean_one_used(path: Path) -> None:
    raw = 'Sure! "A **cat** is often black."'
    generate(path, CAT, Scripted(lambda r: raw), ["color"])
    (row,) = rows(path, "SELECT reply, verdict, state, input_tokens FROM attempts")
    assert row == {"reply": raw, "verdict": "accepted", "state": "ended", "input_tokens": 10}
    assert load(CAT, "scripted", ["color"], path) == {(0, "color"): "A cat is often black."}


def test_a_users_vocabulary_is_answered_as_far_as_known(path: Path) -> None:
    names = ["flux capacitor", "hyperdrive", "tricorder", "sonic screwdriver", "sofa"]
    mine = Vocabulary(
        "mine", "mine", tuple(ClassEntry(i, name, name) for i, name in enumerate(names))
    )
    summary = generate(path, mine)
    assert (summary.done, summary.failed) == (20, 30)  # of a screwdriver too, by its head word
    assert "flux capacitor" in {f.name for f in summary.failures}
    assert len(load(mine, store=path, require=False)) == 20
    with pytest.raises(ConfigurationError, match=r"30 of 50 .*flux capacitor"):
        load(mine, store=path)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_first_question_that_always_fails_holds_nobody_up(path: Path, concurrency: int) -> None:
    def answer(request: Request) -> str | Reply:
        return failed("passing") if request.entry and request.entry.name == "cat" else good(request)

    limits = Limits(concurrency=concurrency, max_retries=1)
    summary = generate(path, PETS, Scripted(answer), ["color"], limits=limits)
    assert (summary.done, summary.failed) == (1, 1)


def test_a_corrected_name_or_sense_is_asked_anew(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color", "shape"])
    with open_store(path) as store:
        store.execute("UPDATE descriptions SET locked = 1 WHERE attribute = 'shape'")
    corrected = Vocabulary(
        "pets", "pets", (PETS[0], ClassEntry(1, "dog", "dog", sense="the animal"))
    )
    (planned,) = dry_run(
        GenerationRequest(corrected, [Scripted(good)], ["color", "shape"], store=path)
    )
    assert planned.missing == 1
    llm = Scripted(good)
    assert generate(path, corrected, llm, ["color", "shape"]).done == 1
    assert llm.asked == [("dog", "color")] and "(the animal)" in llm.requests[0].prompt
    assert generate(path, corrected, llm, ["color", "shape"]).asked == 0


def test_a_redo_that_could_not_begin_marks_nothing(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    with pytest.raises(ConfigurationError):
        generate(path, PETS, Scripted(lambda r: failed("setup")), ["color"], redo=True)
    assert generate(path, PETS, Scripted(good), ["color"]).asked == 0


# -- asking again ------------------------------------------------------------------------


def test_the_reason_is_given_in_the_same_conversation(path: Path) -> None:
    long = "A cat is " + "very " * 80 + "black."

    def answer(request: Request) -> str:
        return good(request) if is_follow_up(request) else long

    llm = Scripted(answer)
    assert generate(path, CAT, llm, ["color"]).done == 1
    first, second = llm.requests
    assert second.history == ((first.prompt, long),)
    assert "87 CLIP tokens and 77 are the most" in second.prompt and '"cat"' in second.prompt
    assert [m["role"] for m in second.messages] == ["user", "assistant", "user"]
    found = rows(path, "SELECT attempt_number, verdict, history FROM attempts")
    assert [row["attempt_number"] for row in found] == [1, 2]
    assert "87 CLIP tokens" in found[0]["verdict"] and found[1]["verdict"] == "accepted"
    assert json.loads(found[1]["history"]) == [[first.prompt, long]]


def test_three_tries_then_the_cell_has_failed_with_its_reason(path: Path) -> None:
    llm = Scripted(lambda r: "It is black.")
    summary = generate(path, CAT, llm, ["color"])
    assert (summary.failed, len(llm.requests)) == (1, 3)
    assert len(llm.requests[2].history) == 2
    (cell,) = rows(path, "SELECT status, reason, text FROM descriptions")
    assert cell == {"status": "failed", "reason": "it does not name cat", "text": "It is black."}


def test_a_refusal_is_asked_once_in_other_words(path: Path) -> None:
    llm = Scripted(lambda r: reply(None, refusal="I can't."))
    assert generate(path, CAT, llm, ["color"]).failed == 1
    assert len(llm.requests) == 2 and llm.requests[1].history == ()
    assert llm.requests[0].prompt != llm.requests[1].prompt
    assert {row["reply"] for row in rows(path, "SELECT reply FROM attempts")} == {"I can't."}


def test_a_reply_that_was_cut_off_gets_more_room(path: Path) -> None:
    def answer(request: Request) -> str | Reply:
        assert request.max_output_tokens is not None
        if request.max_output_tokens < 1000:
            return reply("A cat is whi", finish_reason="length")
        return good(request)

    llm = Scripted(answer)
    assert generate(path, CAT, llm, ["color"]).done == 1
    assert [r.max_output_tokens for r in llm.requests] == [256, 512, 1024]


def test_the_content_filter_fails_one_cell_at_once(path: Path) -> None:
    def answer(request: Request) -> str | Reply:
        if request.entry and request.entry.name == "cat":
            return failed("cell", "ContentFilter", 400)
        return good(request)

    llm = Scripted(answer)
    summary = generate(path, PETS, llm, ["color"])
    assert (summary.done, summary.failed, len(llm.requests)) == (1, 1, 2)


def test_a_text_of_another_class_is_asked_again_and_then_kept_for_review(path: Path) -> None:
    twins = Vocabulary(
        "twins",
        "twins",
        (ClassEntry(0, "sofa", "sofa", synonyms=("couch",)), ClassEntry(1, "couch", "couch")),
    )
    llm = Scripted(lambda r: "A couch is often gray.")
    summary = generate(path, twins, llm, ["color"])
    assert (summary.done, summary.review, len(llm.requests)) == (2, 1, 4)
    assert "word for word what was said of sofa" in llm.requests[2].prompt
    found = rows(path, "SELECT class_index, status, review FROM descriptions ORDER BY class_index")
    assert found[0]["review"] is None
    assert found[1]["status"] == "done" and "said of sofa" in found[1]["review"]


def test_a_later_worse_reply_does_not_cost_the_earlier_one(path: Path) -> None:
    texts = iter(["A cat is small and round.", "", "No."])
    summary = generate(path, CAT, Scripted(lambda r: next(texts)), ["color"])
    assert (summary.done, summary.review) == (1, 1)
    assert load(CAT, "scripted", ["color"], path) == {(0, "color"): "A cat is small and round."}


# -- all attributes of a class in one request --------------------------------------------


def test_one_request_for_a_class(path: Path) -> None:
    llm = Scripted(good)
    summary = generate(path, PETS, llm, per_call="class")
    assert (summary.done, summary.requests) == (20, 2)
    request = llm.requests[0]
    assert "Describe a cat with respect to a given color." in request.prompt
    assert "its typical attributes" in request.prompt
    assert request.schema is not None and next(iter(request.schema["properties"])) == "color"
    hashes = rows(path, "SELECT DISTINCT attribute, template_hash FROM descriptions")
    assert len({row["template_hash"] for row in hashes}) == 2  # typical has a query of its own
    assert {row["template_hash"] for row in hashes if row["attribute"] != "typical"} == {
        request.template_hash
    }


def test_only_what_will_not_do_is_asked_again(path: Path) -> None:
    def answer(request: Request) -> str:
        if is_follow_up(request):
            return good(request)
        return '{"color": "A cat is gray.", "shape": "Round."}'

    llm = Scripted(answer)
    summary = generate(path, CAT, llm, ["color", "shape", "size"], per_call="class")
    assert (summary.done, summary.requests) == (3, 2)
    assert llm.asked == [("cat", "color+shape+size"), ("cat", "shape+size")]
    assert "shape: it does not name cat" in llm.requests[1].prompt
    (first, _) = rows(path, "SELECT attribute, attributes, verdict FROM attempts")
    assert first["attribute"] is None and json.loads(first["attributes"])[2] == "size"
    assert "color" not in first["verdict"]


# -- retries -----------------------------------------------------------------------------


def test_passing_failures_are_tried_again_and_all_are_on_file(path: Path) -> None:
    script = iter([failed("passing"), failed("throttled", "RateLimit", 429), None])

    def answer(request: Request) -> str | Reply:
        return next(script) or good(request)

    summary = generate(path, CAT, Scripted(answer), ["color"])
    assert (summary.done, summary.requests, summary.failed_requests) == (1, 3, 2)
    found = rows(path, "SELECT error_class, http_status, state FROM attempts")
    assert [row["error_class"] for row in found] == ["Failed", "RateLimit", None]
    assert {row["state"] for row in found} == {"ended"}


def test_retry_after_is_waited_for_by_all(path: Path) -> None:
    times: list[float] = []
    wait = 0.15

    def answer(request: Request) -> str | Reply:
        times.append(time.monotonic())
        if len(times) == 2:
            return failed("throttled", status=429, retry_after_seconds=wait)
        return good(request)

    many = Vocabulary("m", "m", tuple(ClassEntry(i, f"cat {i}", f"cat {i}") for i in range(9)))
    generate(path, many, Scripted(answer), ["color"], limits=Limits(concurrency=1))
    assert times[2] - times[1] >= wait


def test_a_provider_that_is_down_ends_the_run(path: Path) -> None:
    llm = Scripted(lambda r: failed("passing"))
    with pytest.raises(ProviderError, match=r"keeps failing .3 times in a row.*goes on"):
        generate(path, PETS, llm, ["color"], limits=Limits(max_retries=2))
    assert len(llm.requests) == 6  # two questions, to know that it is not the question
    assert generate(path, PETS, Scripted(good), ["color"]).done == 2


def test_one_question_that_keeps_failing_does_not(path: Path) -> None:
    def answer(request: Request) -> str | Reply:
        if request.entry and request.entry.name == "cat 3":
            return failed("passing")
        return good(request)

    many = Vocabulary("m", "m", tuple(ClassEntry(i, f"cat {i}", f"cat {i}") for i in range(40)))
    llm = Scripted(answer, delay=0.005)
    limits = Limits(concurrency=2, max_retries=2)
    summary = generate(path, many, llm, ["color"], limits=limits)
    assert (summary.done, summary.failed, summary.requests) == (39, 1, 42)
    assert summary.failures[0].passing
    assert rows(path, "SELECT * FROM descriptions WHERE status = 'failed'") == []
    assert generate(path, many, Scripted(good), ["color"]).done == 1


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (failed("setup", "WrongKey", 401), ConfigurationError),
        (failed("passing", "Refused", None), ConfigurationError),
        (failed("passing", "DNS", None), ConfigurationError),
        (failed("account", "Quota", 429), ProviderError),
        (failed("throttled", status=429, retry_after_seconds=3600), ProviderError),
    ],
)
def test_what_ends_the_run_costs_one_request(
    path: Path, problem: Reply, error: type[Exception]
) -> None:
    llm = Scripted(lambda r: problem)
    with pytest.raises(error):
        generate(path, PETS, llm, limits=Limits(concurrency=32))
    assert len(llm.requests) == 1
    assert len(rows(path, "SELECT * FROM attempts WHERE state = 'ended'")) == 1


def test_a_server_that_refuses_everything_ends_the_run(path: Path) -> None:
    llm = Scripted(lambda r: failed("cell", "BadRequest", 400))
    with pytest.raises(ProviderError, match=r"refuses every request \(5 in a row\)"):
        generate(path, PETS, llm, limits=Limits(concurrency=32))
    assert len(llm.requests) == 5
    assert rows(path, "SELECT * FROM descriptions") == []


def test_a_refused_connection_later_is_only_passing(path: Path) -> None:
    script = iter([None, failed("passing", "Refused", None), None])

    def answer(request: Request) -> str | Reply:
        return next(script) or good(request)

    assert generate(path, PETS, Scripted(answer), ["color"]).done == 2


def test_an_adapted_request_is_sent_again_at_once(path: Path) -> None:
    script = iter([failed("adapted", status=400), None])
    llm = Scripted(lambda r: next(script) or good(r))
    assert generate(path, CAT, llm, ["color"]).done == 1
    assert len(llm.requests) == 2


def test_no_more_at_once_than_allowed_and_one_at_first(path: Path) -> None:
    many = Vocabulary("m", "m", tuple(ClassEntry(i, f"cat {i}", f"cat {i}") for i in range(40)))
    llm = Scripted(good, delay=0.01)
    generate(path, many, llm, ["color"], limits=Limits(concurrency=7))
    assert llm.most_at_once == 7


# -- money -------------------------------------------------------------------------------


def test_cost_is_counted_and_bounds_are_marked(path: Path) -> None:
    script = iter([failed("passing", "Timeout", None, billed=True), failed("passing"), None])
    price = Price(10.0, 20.0)
    summary = generate(
        path, CAT, Scripted(lambda r: next(script) or good(r)), ["color"],
        limits=Limits(price=price),
    )  # fmt: skip
    exact = (10 * 10 + 20 * 20) / 1e6
    found = rows(path, "SELECT cost_usd, cost_is_bound FROM attempts")
    assert [row["cost_is_bound"] for row in found] == [1, 0, 0]
    assert found[0]["cost_usd"] > exact and found[1]["cost_usd"] == 0
    assert found[2]["cost_usd"] == pytest.approx(exact)
    assert summary.cost_usd == pytest.approx(found[0]["cost_usd"] + exact)
    assert summary.uncertain_usd == pytest.approx(found[0]["cost_usd"])


def test_the_budget_stops_and_the_same_call_goes_on(path: Path) -> None:
    limits = Limits(concurrency=3, price=Price(0.0, 1000.0), max_cost=0.6)
    llm = Scripted(good)
    with pytest.raises(BudgetError, match=r"budget of \$0.6"):
        generate(path, PETS, llm, limits=limits)
    spent = rows(path, "SELECT sum(cost_usd) AS spent FROM attempts")[0]["spent"]
    assert 0 < spent <= 0.6
    assert len(llm.requests) == round(spent / 0.02)
    assert generate(path, PETS, llm).left == 0


def test_a_budget_without_a_price_is_refused(path: Path) -> None:
    llm = Scripted(good)
    with pytest.raises(ConfigurationError, match=r"price of scripted at .* is not known"):
        generate(path, PETS, llm, limits=Limits(max_cost=1.0))
    assert llm.requests == []


def test_dry_run_counts_without_asking(path: Path) -> None:
    llm = Scripted(good)
    generate(path, PETS, llm, ["color"])
    asked = len(llm.requests)
    limits = Limits(price=Price(1.0, 2.0))
    request = GenerationRequest(PETS, [llm], per_call="class", limits=limits, store=path)
    (found,) = dry_run(request)
    assert (found.cells, found.missing, found.calls, len(llm.requests)) == (20, 18, 2, asked)
    assert found.cost_low_usd is not None and found.cost_high_usd is not None
    assert 0 < found.cost_low_usd < found.cost_high_usd
    assert found.cost_high_usd == pytest.approx(
        (found.input_tokens + 2 * found.output_tokens_at_most) / 1e6
    )
    assert "Describe a" in found.longest[0]["prompt"]


def test_dry_run_makes_no_store(path: Path) -> None:
    dry_run(GenerationRequest(PETS, [Scripted(good)], store=path))
    assert not path.exists()


def test_an_open_store_will_do(path: Path) -> None:
    with open_store(path) as store:
        request = GenerationRequest(PETS, [Scripted(good)], ["color"], store=store)
        assert dry_run(request)[0].missing == 2
        assert generate(store, PETS, Scripted(good), ["color"]).done == 2
        assert dry_run(request)[0].missing == 0


def test_progress_is_that_of_all_llms_together(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    llms = [Scripted(good, "a"), Scripted(good, "b")]
    request = GenerationRequest(PETS, llms, ["color"], store=path)
    summaries = run.generate(request, on_progress=lambda *now: seen.append(now))
    assert [summary.done for summary in summaries] == [2, 2]
    assert seen[-1] == (4, 4) and seen == sorted(seen)


# -- several LLMs and several processes --------------------------------------------------


def test_several_llms_fill_side_by_side_and_one_may_fail(path: Path) -> None:
    a, b = Scripted(good, "a"), Scripted(lambda r: failed("setup", "WrongKey", 401), "b")
    first, second = generate_all(GenerationRequest(PETS, [a, b], ["color"], store=path))
    assert first.done == 2 and first.error is None
    assert second.left == 2 and isinstance(second.error, ConfigurationError)
    assert {row["llm"] for row in rows(path, "SELECT llm FROM descriptions")} == {"a"}
    with pytest.raises(UsageError, match="twice"):
        generate_all(GenerationRequest(PETS, [a, a], store=path))


def test_claims_of_others_are_left_alone_until_they_are_gone(path: Path) -> None:
    with open_store(path) as store:
        store.add_vocabulary(PETS)
        with Ledger(store, 4) as one, Ledger(store, 4) as other:
            cells = [(0, "color"), (1, "color")]
            assert len(list(path.parent.glob("*.ballast-*"))) == 2
            mine, others = (CellWriter(ledger, PETS, "a") for ledger in (one, other))
            assert mine.claim(cells[:1], False) == (cells[:1], [])
            assert others.claim(cells, False) == (cells[1:], cells[:1])
            assert CellWriter(other, PETS, "b").claim(cells, False) == (cells, [])
            mine.unclaim(cells)
            assert others.claim(cells[:1], False) == (cells[:1], [])
        assert store.rows("SELECT * FROM claims") == []
        assert not list(path.parent.glob("*.ballast*"))


def test_a_dead_run_is_known_by_its_pid_or_its_silence(path: Path) -> None:
    with open_store(path) as store:
        store.add_vocabulary(PETS)
        living = Ledger(store).__enter__()
        for run, pid, seen in (("gone", 2**22 + 1, time.time()), ("silent", 1, 0.0)):
            row = {"id": run, "host": _host(store), "pid": pid, "started_at": "x", "seen_at": seen}
            store.write("runs", row)
            store.write(
                "claims",
                {"vocabulary": "pets", "class_index": 0, "attribute": run, "llm": "a",
                 "owner": run},
            )  # fmt: skip
            store.record_attempt(
                PETS, 0, "color", "a", asked_model="m", prompt="p", run=run, state="sent",
                cost_usd=0.5, cost_is_bound=1,
            )  # fmt: skip
        assert free_dead_runs(store) == 2
        assert store.rows("SELECT * FROM claims") == []
        lost = store.rows("SELECT state, cost_usd FROM attempts")
        assert lost == [{"state": "lost", "cost_usd": 0.5}] * 2
        living.__exit__()


def test_a_run_waits_for_another_machine_a_bounded_time_and_says_for_whom(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other machine's clock is an hour ahead of this one's, and the run there is dead."""
    monkeypatch.setattr(cells, "POLL", 0.0)
    ours = itertools.count(step=10.0)
    clock = SimpleNamespace(time=time.time, monotonic=lambda: next(ours))
    monkeypatch.setattr(runs, "time", clock)
    with open_store(path) as store:
        store.add_vocabulary(PETS)
        store.add_llm("scripted", "A test.")
        store.add_attribute("color")
        row = {"id": "other", "host": "attic", "pid": 77, "started_at": "x"}
        store.write("runs", {**row, "seen_at": time.time() + 3600})
        claim = {"vocabulary": "pets", "class_index": 0, "attribute": "color", "owner": "other"}
        store.write("claims", {**claim, "llm": Scripted(good).name})
        said: list[str] = []
        request = GenerationRequest(PETS, [Scripted(good)], ["color"], store=store, limits=FAST)
        (summary,) = generate_all(request, on_message=said.append)
    assert summary.done == 2 and next(ours) < 300
    assert len(said) == 1 and "Waiting for 1 cell of " in said[0]
    assert "that process 77 on attic asks for" in said[0]


def test_a_clock_ahead_is_no_death_while_it_goes_on(path: Path, monkeypatch) -> None:
    ours = itertools.count(step=40.0)
    monkeypatch.setattr(runs, "time", SimpleNamespace(time=time.time, monotonic=lambda: next(ours)))
    with open_store(path) as store:
        row = {"id": "ahead", "host": "attic", "pid": 77, "started_at": "x"}
        store.write("runs", {**row, "seen_at": time.time() + 3600})
        for beat in range(4):
            store.execute("UPDATE runs SET seen_at = ?", [time.time() + 3600 + beat])
            assert runs.is_under_way(store, "ahead")
        assert not runs.is_under_way(store, "ahead")


def _host(store: Store) -> str:
    return str(store.rows("SELECT host FROM runs LIMIT 1")[0]["host"])


# -- nothing that is paid for is lost ----------------------------------------------------


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
    assert len(rows(path, "SELECT * FROM attempts WHERE state = 'lost'")) >= 1


def test_a_reply_on_file_that_was_not_judged_is_judged_by_the_next_run(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    with open_store(path) as store:
        store.execute("DELETE FROM descriptions")
        store.execute("UPDATE attempts SET verdict = NULL")
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color"]).skipped == 2
    assert llm.requests == []
    assert len(load(PETS, "scripted", ["color"], path)) == 2


def test_a_reply_the_store_cannot_take_is_rescued(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Store.update_attempt

    def full(self: Store, attempt: int, **fields: Any) -> None:
        if "reply" in fields:
            raise StoreError("The disk is full.")
        update(self, attempt, **fields)

    monkeypatch.setattr(Store, "update_attempt", full)
    llm = Scripted(good)
    with pytest.raises(StoreError, match="full"):
        generate(path, PETS, llm, ["color"])
    assert len(llm.requests) == 1  # no more paid calls
    monkeypatch.undo()
    (rescued,) = path.parent.glob("lsmseg-rescued-*.jsonl")
    assert "A cat is white and brown." in rescued.read_text()
    again = Scripted(good)
    generate(path, PETS, again, ["color"])
    assert again.asked == [("dog", "color")]
    assert load(PETS, "scripted", ["color"], path)[0, "color"] == "A cat is white and brown."
    assert not rescued.exists()


def test_the_ballast_makes_room_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Store.update_attempt

    def full(self: Store, attempt: int, **fields: Any) -> None:
        if "reply" in fields and list(path.parent.glob("*.ballast-*")):
            raise StoreError("The disk is full.")
        update(self, attempt, **fields)

    monkeypatch.setattr(Store, "update_attempt", full)
    with pytest.raises(StoreError, match="full"):
        generate(path, PETS, Scripted(good), ["color"])
    assert not list(path.parent.glob("lsmseg-rescued-*"))
    assert [r["reply"] for r in rows(path, "SELECT reply FROM attempts WHERE reply NOT NULL")] == [
        "A cat is white and brown."
    ]
    with open_store(path) as store:
        assert restore_rescued(store) == 0


# -- templates and parameters ------------------------------------------------------------


def test_a_template_of_ones_own(path: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.j2"
    own.write_text("In one line: the {{ attribute }} ({{ meaning }}) of {{ class_name }}?")
    llm = Scripted(good)
    generate(path, CAT, llm, ["color", "typical"], template=own)
    assert llm.requests[0].prompt.startswith("In one line: the color (the hues")
    assert "typical attributes" in llm.requests[1].prompt
    (row,) = rows(path, "SELECT t.name, t.text FROM descriptions d JOIN templates t "
                        "ON t.hash = d.template_hash WHERE attribute = 'color'")  # fmt: skip
    assert row == {"name": "mine.j2", "text": own.read_text()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ attribute }} of it", "does not name the class"),
        ("{{ class_name }}", "does not name the attribute"),
        ("{{ class_name }} {{ attribute", "cannot be used"),
        ("{{ class_name }} {{ attribute }} {{ weather }}", "lacks a value"),
        ("{{ class_name.__class__.__mro__ }} {{ attribute }}", "cannot be used"),
        ("{{ class_name }} {{ attribute * 10000000000 }}", "cannot be used"),
        (
            "{{ class_name }} {{ attribute }} {% for i in range(9000) %}xxx{% endfor %}",
            "more than 2,000 steps",
        ),
    ],
)
def test_bad_templates_are_refused_before_anything_is_asked(
    path: Path, tmp_path: Path, text: str, says: str
) -> None:
    own = tmp_path / "mine.j2"
    own.write_text(text)
    llm = Scripted(good)
    with pytest.raises(UsageError, match=says):
        generate(path, CAT, llm, ["color"], template=own)
    assert llm.requests == [] and not path.exists()


def test_the_sense_is_in_the_question_and_parameters_go_along(path: Path) -> None:
    crane = Vocabulary("c", "c", (ClassEntry(0, "crane", "crane", sense="the lifting machine"),))
    llm = Scripted(good)
    generate(path, crane, llm, ["color"], parameters={"temperature": 0.2})
    assert "Describe a crane (the lifting machine)" in llm.requests[0].prompt
    assert llm.requests[0].parameters == {"temperature": 0.2}
    (row,) = rows(path, "SELECT parameters FROM attempts")
    assert json.loads(row["parameters"]) == {"temperature": 0.2, "max_output_tokens": 256}


# -- one question at a time, for the other commands --------------------------------------


def test_ask_returns_replies_in_order_and_keeps_the_attempts(path: Path) -> None:
    def answer(request: Request) -> str | Reply:
        return failed("cell", status=200) if request.prompt == "1" else request.prompt

    with open_store(path) as store:
        replies = asking.ask(
            Scripted(answer), [Request(str(i)) for i in range(4)], purpose="names", store=store
        )
    assert [r.text for r in replies] == ["0", None, "2", "3"]
    found = rows(path, "SELECT purpose, vocabulary, attribute FROM attempts")
    assert found == [{"purpose": "names", "vocabulary": None, "attribute": None}] * 4
    with pytest.raises(ConfigurationError):
        asking.ask(Scripted(lambda r: failed("setup")), [Request("a")], purpose="names")
