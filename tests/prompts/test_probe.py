"""`--dry-run --probe N`: some cells are asked for real, and the rest is extrapolated."""

from __future__ import annotations

from collections import Counter
from itertools import count
from math import sqrt
from pathlib import Path

import pytest
from support.generating import MODEL, attempts, classes, described, rows, summary
from support.scripted_llm import PETS, Scripted, failed, good, reply

from lsmseg_prompts.errors import BudgetError
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.probe import MOST, T_975, Interval, interval, probe, spread
from lsmseg_prompts.generation.questions import Call
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.vocabularies import load_vocabulary

PRICE = ("--price-in", "1", "--price-out", "2")
LIMITS = Limits(price=Price(1.0, 2.0), concurrency=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def growing(request: Request) -> Reply:
    """Replies of 20, 30, 40 ... tokens, ten in."""
    return reply(good(request), output_tokens=next(growing.tokens))  # type: ignore[attr-defined]


# -- the numbers -------------------------------------------------------------------------


def test_the_interval_by_hand() -> None:
    """20, 30, 40: mean 30, deviation 10, t 4.303 at two degrees: 4.303 x 10 / sqrt(3) = 24.844."""
    assert interval([20, 30, 40]) == Interval(
        30, pytest.approx(30 - 24.844, abs=0.001), pytest.approx(30 + 24.844, abs=0.001)
    )
    assert interval([0, 1]) == Interval(0.5, 0.0, pytest.approx(0.5 + 12.706 / 2))
    assert interval([7]) == Interval(7, None, None)
    assert interval([7]).times(2) == Interval(14, None, None)


def test_the_quantiles_are_those_of_the_printed_tables() -> None:
    tables = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 19: 2.093, 29: 2.045, 40: 2.021}
    assert {degrees: T_975[degrees - 1] for degrees in tables} == tables
    assert MOST == 50 and list(T_975) == sorted(set(T_975), reverse=True) and T_975[-1] > 1.96


def test_the_calls_are_spread_over_classes_and_attributes() -> None:
    coco = load_vocabulary("coco-stuff")
    names = "abcdefghij"
    calls = [Call(entry, (name,)) for entry in coco for name in names]
    for number in (1, 5, 10, 19, 50):  # 1,710 / 19 is a multiple of ten
        chosen = spread(calls, number)
        assert chosen == spread(calls, number) and len(chosen) == number
        used = Counter(call.attributes for call in chosen)
        assert max(used.values()) - min(used.values()) <= 1 and len(used) == min(10, number)
        places = [call.entry.index for call in chosen]
        assert places == sorted(places) and len(set(places)) == number
    assert spread(calls[:3], 50) == calls[:3]
    assert spread([], 5) == []


def test_a_probe_by_hand(path: Path) -> None:
    growing.tokens = count(20, 10)  # type: ignore[attr-defined]
    llm = Scripted(growing)
    request = GenerationRequest(PETS, [llm], limits=LIMITS, store=path)
    (found,) = probe(request, 3)
    assert len(llm.requests) == 3 and len(set(llm.asked)) == 3
    assert found.summary is not None and found.summary.done == 3
    assert (found.estimate.missing, found.estimate.calls) == (17, 17)
    seen = found.probe
    assert seen is not None and (seen.calls, seen.thoughts) == (3, None)
    assert seen.input_tokens == Interval(10, 10, 10)
    assert seen.output_tokens == interval([20, 30, 40])
    # (10 + 2 x 20), 70, 90 millionths of a dollar: mean 70, deviation 20; 17 calls are left.
    half = 4.303 * 20 / sqrt(3)
    assert seen.cost_usd == Interval(
        pytest.approx(17 * 70e-6),
        pytest.approx(17 * (70 - half) * 1e-6),
        pytest.approx(17 * (70 + half) * 1e-6),
    )
    again = probe(request, 50)[0]  # only what is left
    assert len(llm.requests) == 20 and again.estimate.missing == 0
    assert again.probe is not None and again.probe.cost_usd == Interval(0.0, 0.0, 0.0)
    nothing = probe(request, 5)[0]
    assert (nothing.summary, nothing.probe, len(llm.requests)) == (None, None, 20)


def test_replies_asked_again_count_with_their_call(path: Path) -> None:
    """One cell takes two replies, of 20 tokens each: 40 out and 20 in."""
    llm = Scripted(lambda r: good(r) if r.history or r.entry.name == "cat" else "No idea.")
    request = GenerationRequest(PETS, [llm], ["color"], limits=LIMITS, store=path)
    (found,) = probe(request, 2)
    assert found.probe is not None and len(llm.requests) == 3
    assert found.probe.output_tokens.mean == 30 and found.probe.input_tokens.mean == 15


def test_failed_cells_are_filed_and_their_tokens_count(path: Path) -> None:
    llm = Scripted(lambda r: good(r) if r.entry.name == "cat" else "No idea.")
    request = GenerationRequest(PETS, [llm], ["color"], limits=LIMITS, store=path)
    (found,) = probe(request, 2)
    assert found.summary is not None and (found.summary.done, found.summary.failed) == (1, 1)
    assert found.probe is not None and found.probe.output_tokens.mean == (20 + 60) / 2


def test_replies_that_do_not_tell_their_tokens_give_no_numbers(path: Path) -> None:
    llm = Scripted(lambda r: reply(good(r), input_tokens=None, output_tokens=None))
    (found,) = probe(GenerationRequest(PETS, [llm], limits=LIMITS, store=path), 3)
    assert found.probe is None and found.summary is not None and found.summary.done == 3


def test_with_redo_and_a_limit_the_rest_is_what_was_planned(path: Path) -> None:
    llm = Scripted(good)
    request = GenerationRequest(PETS, [llm], limits=LIMITS, store=path)
    probe(request, 50)
    redone = GenerationRequest(PETS, [llm], limits=LIMITS, store=path, redo=True, limit=6)
    (found,) = probe(redone, 2)
    assert (found.estimate.missing, found.estimate.beyond_limit) == (4, 14)
    assert len(llm.requests) == 22


def test_samples_are_probed_as_the_cells_they_are(path: Path) -> None:
    llm = Scripted(good)
    request = GenerationRequest(
        PETS, [llm], ["color", "shape"], samples=2, limits=LIMITS, store=path
    )
    (found,) = probe(request, 3)
    assert (len(llm.requests), found.estimate.missing) == (3, 5)
    assert found.probe is not None and found.probe.calls == 3
    assert probe(request, 50)[0].estimate.missing == 0 and len(llm.requests) == 8


def test_several_llms_share_the_budget(path: Path) -> None:
    """Each may cost at most its worst case: the second finds less than the first."""
    pair = [Scripted(good, "one"), Scripted(good, "two")]
    limits = Limits(price=Price(1.0, 2.0), concurrency=1, max_calls=4)
    first, second = probe(GenerationRequest(PETS, pair, limits=limits, store=path), 3)
    assert [len(llm.requests) for llm in pair] == [3, 1]
    assert first.summary is not None and first.summary.error is None
    assert second.summary is not None and isinstance(second.summary.error, BudgetError)


def test_requests_that_cost_nothing_do_not_count(path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lsmseg_prompts.generation.engine.FIRST_BACKOFF", 0.001)
    answers = iter([failed("passing"), None, None])
    llm = Scripted(lambda r: next(answers) or good(r))
    (found,) = probe(GenerationRequest(PETS, [llm], limits=LIMITS, store=path), 2)
    assert found.probe is not None and found.probe.output_tokens == Interval(20, 20, 20)


# -- the command -------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "dashscope"])
def test_a_model_that_thinks_is_probed(provider, server, generate) -> None:
    """Two replies with 300 tokens of thoughts; the first, cut at 256, is asked for once more."""
    classes("cat", "dog", "cow", "hen")
    server.script([{"thinks": {"tokens": 300}}])
    words = ("--dry-run", "--probe", "2", *PRICE)
    said = summary(generate(server, *words, "--json", provider=provider, code=0))
    outs = [row["output_tokens"] for row in attempts() if row["error_class"] is None]
    assert len(outs) == 2 and all(out > 300 for out in outs)
    assert said["probe"]["output_tokens"]["mean"] == sum(outs) / 2
    assert said["probe"]["thoughts"] == 600 / sum(outs)
    assert (said["missing"], said["asked"], said["requests"]) == (2, 2, 3)
    assert said["room"] == 4096 and len(described()) == 2
    spent = sum(row["cost_usd"] for row in attempts())
    assert said["spent_usd"] == pytest.approx(spent)
    shown = generate(server, *words[:2], "1", *PRICE, provider=provider, code=0).out
    assert "1 cell asked in 2 requests: $" in shown and "of it thoughts" in shown
    assert "it gives no interval" in shown and "Nothing was sent" not in shown
    assert len(described()) == 3 and rows("SELECT * FROM claims") == []
    assert {row["llm"] for row in attempts()} == {MODEL[provider]}


def test_without_a_probe_the_range_says_what_it_assumes(server, generate) -> None:
    classes("cat", "dog")
    plain = generate(server, "--dry-run", *PRICE, code=0).out
    assert "thoughts" not in plain and "Nothing was sent." in plain
    told = " ".join(generate(server, "--dry-run", *PRICE, "--reasoning", "low", code=0).out.split())
    assert "at most 4,096 tokens of thoughts a reply are assumed" in told
    assert "--probe 5 asks five cells and tells" in told


def test_the_lines_of_a_probe(server, generate) -> None:
    classes("cat", "dog", "cow", "hen")
    shown = generate(server, "--dry-run", "--probe", "3", *PRICE, code=0).out
    assert "cells:  1 missing of 4 in classes" in shown
    assert "[from, to]: 95 % t-interval of 3 calls" in shown
    assert max(map(len, shown.splitlines())) <= 80
    whole = generate(server, "--dry-run", "--probe", "50", *PRICE, "--per-call", "class",
                     attribute="color,size", code=0).out  # fmt: skip
    assert "0 missing of 8" in whole and len(described()) == 8
    calls = len(server.requests())
    nothing = generate(server, "--dry-run", "--probe", "5", *PRICE, code=0)
    assert "0 missing of 4" in nothing.out and len(server.requests()) == calls


def test_a_probe_ends_as_a_run_does(server, generate) -> None:
    classes("cat", "dog", "cow", "hen")
    words = ("--dry-run", "--probe", "3", *PRICE)
    server.script(key="another")
    wrong = generate(server, *words, code=4)
    assert "The key was refused" in wrong.err and wrong.out == ""
    server.script([{"match": {"class": "dog"}, "content_filter": True}])
    some = generate(server, *words, code=3)
    assert "probe:" in some.out and "failed: dog, " in some.err
    over = generate(server, *words, "--max-calls", "0", attribute="shape", code=7)
    assert over.out == "" and "limit of 0 requests" in over.err


def test_where_a_probe_has_no_effect(server, generate, call) -> None:
    assert "--probe has no effect without --dry-run" in generate(server, "--probe", "3", code=2).err
    free = call("generate", "--dry-run", "--probe", "3")
    assert free.code == 2 and "--probe has no effect with --llm bundled" in free.err
    for number in ("0", "51"):
        assert generate(server, "--dry-run", "--probe", number, code=2).out == ""
    assert server.requests() == []
