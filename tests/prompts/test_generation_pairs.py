"""Asking for pair cells: the question, what will do, asking again, resuming, batches."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.generating import (
    asked,
    attempts,
    classes,
    described,
    descriptions,
    ended,
    start,
    summary,
    wait_for,
    whole,
)
from support.scripted_llm import PETS, Scripted, failed, good, is_follow_up

from lsmseg_prompts import load_pairs, load_vocabulary
from lsmseg_prompts.errors import BudgetError, ConfigurationError, UsageError
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.pairs import pair_cells
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import dry_run, generate_all
from lsmseg_prompts.llm import Request
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.templates import query

COCO = load_vocabulary("coco-stuff")
CAT, DOG = (0, "contrast:dog"), (1, "contrast:cat")
PAIRS = "zebra:horse,horse:zebra,cow:horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def ask(path: Path, llm: Any, *cells: tuple[int, str], **options: Any) -> Any:
    (found,) = generate_all(GenerationRequest(PETS, [llm], cells=cells, store=path, **options))
    return found


# -- one by one, against a scripted LLM ----------------------------------------------------


def test_the_question_is_about_both_classes(path: Path) -> None:
    llm = Scripted(good)
    assert (ask(path, llm, CAT, DOG).done, ask(path, llm, CAT, DOG).done) == (2, 0)
    assert llm.asked == [("cat", "contrast:dog"), ("dog", "contrast:cat")]
    assert llm.requests[0].prompt == (
        "What in a photograph tells a cat from a dog? Say in one sentence what a cat looks like "
        'where a dog looks different. Name "cat", do not name "dog", and say only what is there '
        'to be seen: no negation and no comparison, such as "not", "without", "unlike" or "than". '
        "The sentence must be under 77 tokens as per the CLIP tokenizer."
    )
    assert load_pairs(PETS, "scripted", path).keys() == {CAT, DOG}
    with open_store(path) as store:
        rows = store.rows("SELECT DISTINCT template_hash AS hash FROM descriptions")
        assert rows == [{"hash": query("contrast").hash}]


def test_the_senses_stand_in_the_question() -> None:
    request = GenerationRequest(COCO, cells=[(14, "contrast:bear")])
    (estimate,) = dry_run(request)
    asked_about = estimate.longest[0]["prompt"]
    assert "a bird (the feathered animal) from a bear (the wild animal)?" in asked_about
    assert (estimate.cells, estimate.missing, estimate.calls) == (1, 1, 1)


FAULTS = {
    "A cat has a flat face where a dog has a long snout.": 'names the other class, "dog"',
    "A cat has a flat face and no long snout.": 'says what is absent, or compares: "no"',
    "It has a flat face.": "it does not name cat",
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_will_not_do_is_asked_again_with_the_reason(said: str, path: Path) -> None:
    better = "A cat has a flat round face and upright ears."
    llm = Scripted(lambda request: better if is_follow_up(request) else said)
    assert ask(path, llm, CAT).done == 1
    first, second = llm.requests
    assert FAULTS[said] in second.prompt
    assert "Describe the looks that tell it from a dog again" in second.prompt
    assert second.history == ((first.prompt, said),)
    assert load_pairs(PETS, "scripted", path) == {CAT: better}


def test_one_that_never_will_do_fails_and_a_refused_one_is_asked_in_other_words(
    path: Path,
) -> None:
    llm = Scripted(lambda request: "A cat, unlike a dog, purrs.")
    found = ask(path, llm, CAT)
    assert (found.failed, len(llm.requests)) == (1, 3)
    assert 'it names the other class, "dog"; it says what is absent' in found.failures[0].reason

    def shy(request: Request) -> str:
        first = request.prompt.startswith("What in")
        return "I'm sorry, I can't." if first else "A dog has a long snout."

    llm = Scripted(shy, "shy")
    assert ask(path, llm, DOG).done == 1
    assert "usual for a dog as to the looks that tell it from a cat?" in llm.requests[1].prompt


def test_one_text_for_two_pairs_is_kept_for_review_where_the_llm_insists(path: Path) -> None:
    llm = Scripted(lambda request: "A zebra has black and white stripes.")
    zebra = COCO.find("zebra").index
    cells = [(zebra, "contrast:horse"), (zebra, "contrast:cow")]
    limits = Limits(concurrency=1)
    request = GenerationRequest(COCO, [llm], cells=cells, store=path, limits=limits)
    (found,) = generate_all(request)
    assert (found.done, found.review, len(llm.requests)) == (2, 1, 4)
    assert "word for word what was said of zebra, told from horse" in llm.requests[-1].prompt


def test_cells_are_asked_for_exactly_also_beside_others(path: Path) -> None:
    llm = Scripted(good)
    ask(path, llm, (1, "colour"), CAT, CAT)
    assert llm.asked == [("dog", "color"), ("cat", "contrast:dog")]
    ask(path, llm, CAT, redo=True)
    assert llm.asked[2:] == [("cat", "contrast:dog")]
    assert ask(path, llm).cells == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": [CAT], "attributes": ["color"]}, "leave out attributes and classes"),
        ({"cells": [CAT], "per_call": "class"}, "one by one: leave out --per-call class"),
        ({"cells": [(2, "color")]}, "has no class 2: its classes are 0 to 1"),
        ({"cells": [(0, "contrast:cat")]}, "from itself: name another class"),
        ({"cells": [(0, "contrast:cow")]}, "has no class 'cow'"),
        ({"cells": [(0, "smell")]}, "There is no attribute 'smell'"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: Any, message: str, path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        generate_all(GenerationRequest(PETS, [Scripted(good)], store=path, **options))
    assert not path.exists()


def test_a_budget_ends_it_and_what_failed_in_passing_is_still_missing(path: Path) -> None:
    llm = Scripted(good)
    found = ask(path, llm, CAT, DOG, limits=Limits(max_calls=1, concurrency=1))
    assert isinstance(found.error, BudgetError) and (found.done, found.left) == (1, 1)
    dear = Limits(max_cost=1e-9, price=Price(1, 1, "a test", ""))
    assert isinstance(ask(path, llm, DOG, limits=dear).error, BudgetError)
    gone = Scripted(lambda request: failed("passing"))
    ask(path, gone, DOG, limits=Limits(max_retries=0))
    assert load_pairs(PETS, "scripted", path).keys() == {CAT}


def test_bundled_answers_its_own(path: Path) -> None:
    cells = pair_cells("cow:horse, sofa:cow", load_vocabulary("coco-stuff"))
    request = GenerationRequest(COCO, cells=cells, store=path)
    (found,) = generate_all(request)
    assert (found.done, found.failed) == (1, 1)
    assert "no bundled description of the attribute 'contrast:cow'" in found.failures[0].reason


# -- as a user writes pairs ----------------------------------------------------------------


def test_pairs_in_words_and_in_a_file(tmp_path: Path) -> None:
    zebra, wall = COCO.find("zebra").index, COCO.find("wall-brick").index
    cells = [(zebra, "contrast:wall-brick"), (wall, "contrast:zebra")]
    assert pair_cells("zebra:brick wall, wall-brick:zebra,zebra:wall-brick", COCO) == cells
    file = tmp_path / "pairs.csv"
    file.write_text('class,other,pixels\nzebra,"wall-brick",3\nbrick wall,zebra,4\n')
    assert pair_cells(str(file), COCO) == cells
    for text, message in {
        "class,other\nzebra,\n": "Line 2 of .* lacks its class or the other",
        "a,b\nzebra,horse\n": "Line 2 of",
        "class,other\n": "There is no pair in",
        '"': "is not a CSV file",
    }.items():
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            pair_cells(str(file), COCO)
    with pytest.raises(ConfigurationError, match="check the path of the pairs"):
        pair_cells(str(tmp_path / "none.csv"), COCO)
    for wrong in ("zebra", "zebra:", ",", "zebra:zebra"):
        with pytest.raises(UsageError):
            pair_cells(wrong, COCO)


# -- the command, against the server -------------------------------------------------------


def pairs(generate: Any, server: Any, *more: str, **options: Any) -> Any:
    classes("zebra", "horse", "cow")
    return generate(server, "--pairs", PAIRS, *more, attribute=None, **options)


def test_the_command_asks_judges_and_asks_again(server: Any, generate: Any) -> None:
    match = {"class": "zebra", "tries": 1}
    server.script([{"match": match, "reply": "A zebra has stripes, unlike a horse."}])
    found = summary(pairs(generate, server, "--json", code=0))
    assert (found["cells"], found["done"], found["requests"]) == (3, 3, 4)
    assert {row["attempt_number"] for row in attempts()} == {1, 2}
    bad, better = (row for row in attempts() if row["class_index"] == 0)
    assert 'it names the other class, "horse"' in bad["verdict"]
    assert bad["verdict"] in better["prompt"] and better["verdict"] == "accepted"
    assert json.loads(better["history"])[0][1] == bad["reply"]
    assert set(described()) == {(0, "contrast:horse"), (1, "contrast:zebra"), (2, "contrast:horse")}
    whole()
    pairs(generate, server, code=0)
    assert len(server.requests()) == 4


def test_replies_on_file_are_judged_and_not_asked_for_again(server: Any, generate: Any) -> None:
    said = "A zebra, unlike a horse, is striped."
    server.script([{"match": {"class": "zebra", "tries": 1}, "reply": said}])
    pairs(generate, server, "--max-calls", "3", "-j", "1", code=7)
    with sqlite3.connect("s.sqlite") as store:  # as if killed before the verdicts
        store.execute("UPDATE attempts SET verdict = NULL")
        store.execute("DELETE FROM descriptions")
    store.close()
    before = len(server.requests())
    pairs(generate, server, code=0)
    again = asked(server)[before:]
    assert ("horse", "contrast:zebra") not in again and len(described()) == 3
    assert all(row["reply"] != said or "names the other" in row["verdict"] for row in attempts())


@pytest.mark.slow
@pytest.mark.process
def test_killed_in_the_middle_the_same_command_goes_on(server: Any, generate: Any) -> None:
    names = ["zebra", "horse", "cow", "sheep", "bear", "cat", "dog", "fox"]
    classes(*names)
    every = ",".join(f"{name}:{other}" for name in names for other in names if name != other)
    server.reset(latency=0.02)
    process = start(server, "--pairs", every, "-j", "2", attribute=None)
    wait_for(lambda: len(server.requests()) >= 12)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    on_file = {(row["class_index"], row["attribute"]) for row in attempts() if row["reply"]}
    before = len(server.requests())
    assert ended(start(server, "--pairs", every, "-j", "2", attribute=None)).code == 0
    again = {(names.index(name), attribute) for name, attribute in asked(server)[before:]}
    assert on_file and on_file.isdisjoint(again) and len(described()) == 56
    assert {row["status"] for row in descriptions()} == {"done"}
    whole()


def test_in_a_batch(server: Any, generate: Any) -> None:
    server.script([{"match": {"class": "cow", "nth": 1}, "reply": "A cow lacks a mane."}])
    pairs(generate, server, "--batch", code=0)
    pairs(generate, server, "--batch", code=0)
    assert len(described()) == 2
    pairs(generate, server, "--batch", code=0)
    assert set(described()) == {(0, "contrast:horse"), (1, "contrast:zebra"), (2, "contrast:horse")}
    assert sum('says what is absent, or compares: "lacks"' in r["prompt"] for r in attempts()) == 1


def test_options_that_pairs_do_not_go_with(server: Any, generate: Any) -> None:
    for options, message in {
        ("--per-call", "class"): "one by one: leave out --per-call class",
        ("--classes", "zebra"): "--classes has no effect beside --pairs",
        ("--wording", "thesis"): "--wording has no effect beside --pairs",
    }.items():
        assert message in " ".join(pairs(generate, server, *options, code=2).err.split())
    said = pairs(generate, server, "--dry-run", code=0).out
    assert "3 missing of 3 in" in said and "tells a cow from a horse?" in said
    assert server.requests() == []
