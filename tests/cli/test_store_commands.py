"""`store edit`, `lock`, `diff`, `import`, `backup`, `check`, `costs` and what `show` tells."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import listing, refused

from lsmseg_prompts.curation.backup import backup
from lsmseg_prompts.curation.check import check
from lsmseg_prompts.curation.reports import words_apart
from lsmseg_prompts.descriptions.loading import DESCRIBED
from lsmseg_prompts.errors import ConfigurationError, RefusedError, StoreError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
FENCE = CAMVID.find("fence").index
ASKED = "store show sky --vocab camvid --llm gpt-4 --attempts"
ON = ("--vocab", "camvid")
OLD, NEW = "A fence is brown or white.", "A fence is green or gray."


@pytest.fixture(autouse=True)
def _usual_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The working store of these tests; what is not named may be made, see test_missing.py."""
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "s.sqlite")


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store("s.sqlite") as opened:
        opened.add_vocabulary(CAMVID)
        yield opened


def put(store: Store, attribute: str, text: str | None, llm: str = "gpt-4", **more: object) -> None:
    tokens = None if text is None else count_tokens(text)
    cell = ("camvid", FENCE, attribute, llm)
    store.put_description(Description(*cell, text, tokens, **more))  # type: ignore[arg-type]


def cell(attribute: str, llm: str = "gpt-4") -> dict:
    with open_store_readonly("s.sqlite") as store:
        (row,) = store.cells(CAMVID, llm, [attribute], FENCE)
    return row


# -- locks -------------------------------------------------------------------------------


def test_nothing_replaces_a_locked_text(store: Store, call) -> None:
    put(store, "color", OLD)
    put(store, "shape", "A fence is a row of bars.")
    assert call("store", "lock", "fence", "color", "--llm", "gpt-4", *ON).out == "locked: 1\n"
    before = cell("color")
    put(store, "color", NEW)
    put(store, "color", None, status="failed", reason="no")
    put(store, "color", NEW, source="import")
    store.mark_stale(CAMVID, "gpt-4", [(FENCE, "color"), (FENCE, "shape")])
    assert cell("color") == before and before["locked"]
    missing = store.missing(CAMVID, "gpt-4", ["color", "shape"])
    assert (FENCE, "color") not in missing and (FENCE, "shape") in missing
    assert call("store", "unlock", "fence", "--llm", "gpt-4", *ON).out == "unlocked: 1\n"
    put(store, "color", NEW)
    assert cell("color")["text"] == NEW


def test_a_locked_cell_is_taken_for_filled_by_a_rerun(call) -> None:
    call("store", "edit", "fence", "color", "--text", NEW, *ON)
    result = call("generate", "--attribute", "color", "--redo", *ON)
    assert result.code == 0, result.err
    row = cell("color", "bundled")
    assert (row["text"], row["source"], row["locked"]) == (NEW, "human", 1)


def test_lock_copies_bundled_texts_and_keeps_them_as_they_are(call) -> None:
    shipped = json.loads(call("store", "show", "fence", *ON, "--json").out)
    assert call("store", "lock", "fence", *ON).out == "locked: 10\n"
    assert call("store", "lock", "fence", *ON).out == "locked: 0\n"
    now = json.loads(call("store", "show", "fence", *ON, "--json").out)
    assert [row["text"] for row in now] == [row["text"] for row in shipped]
    assert all(row["locked"] and row["source"] == "llm" for row in now)
    assert call("store", "unlock", "fence", "size", *ON).out == "unlocked: 1\n"


def test_what_is_not_there_cannot_be_locked(store: Store, call) -> None:
    refused(call("store", "lock", "fence", "--llm", "gpt-4", *ON), 4, "no description")
    put(store, "color", None, status="failed", reason="no")
    refused(call("store", "lock", "fence", "color", "--llm", "gpt-4", *ON), 4, "failed")
    refused(call("store", "lock", "fnce", *ON), 2, "did you mean fence")
    refused(call("store", "lock", "fence", "colr", *ON), 2, "did you mean color")
    store.close()
    Path("s.sqlite").unlink()
    assert call("store", "unlock", "fence", *ON).out == "unlocked: 0\n"
    assert not Path("s.sqlite").exists()


# -- edit --------------------------------------------------------------------------------


def test_an_edit_is_locked_and_keeps_the_old_text(store: Store, call) -> None:
    put(store, "color", OLD, review="nearly another's")
    store.mark_stale(CAMVID, "gpt-4", [(FENCE, "color")])
    result = call("store", "edit", "fence", "color", "--text", f"  {NEW}\n", "--llm", "gpt-4",
                  "--json", *ON)  # fmt: skip
    assert result.code == 0, result.err
    row = json.loads(result.out)
    assert (row["text"], row["source"], row["locked"], row["review"]) == (NEW, "human", 1, None)
    assert row["tokens"] == count_tokens(NEW)
    assert store.rows("SELECT stale FROM descriptions") == [{"stale": 0}]
    call("store", "edit", "fence", "color", "--text", OLD, "--llm", "gpt-4", *ON)  # locked or not
    call("store", "edit", "fence", "color", "--text", OLD, "--llm", "gpt-4", *ON)  # no change
    rows = json.loads(call("store", "show", "fence", "--edits", "--json", *ON).out)
    assert [(r["old_text"], r["new_text"]) for r in rows] == [(OLD, NEW), (NEW, OLD)]


def test_an_edit_of_a_bundled_text_leaves_the_shipped_store(call) -> None:
    shipped = json.loads(call("store", "show", "fence", "--vocab", "camvid", "--json").out)
    assert call("store", "edit", "fence", "color", "--text", NEW, *ON).code == 0
    now = json.loads(call("store", "show", "fence", *ON, "--json").out)
    assert [row["text"] for row in now][1:] == [row["text"] for row in shipped][1:]
    assert now[0]["text"] == NEW
    with open_store_readonly("s.sqlite") as store:
        (row,) = store.rows("SELECT old_text FROM edits")
        (llm,) = store.rows("SELECT provenance FROM llms WHERE name = 'bundled'")
    assert row["old_text"] == shipped[0]["text"] and "not GPT-4" in llm["provenance"]


LONG = "A fence is " + "very " * 80 + "long."


@pytest.mark.parametrize(
    ("text", "says", "forced"),
    [
        (LONG, "more than CLIP reads", False),
        ("It is green.", "does not name fence", True),
        ("A fence is green", "not exactly one sentence", True),
        ("A fence is green. A fence is gray.", "not exactly one sentence", True),
        ("", "says nothing", False),
        (" . ", "says nothing", False),
        ("A fence\0 is green.", "control characters", False),
    ],
    ids=["long", "unnamed", "no period", "two", "empty", "dot", "control"],
)
def test_texts_that_are_refused(call, text: str, says: str, forced: bool) -> None:
    given = ("store", "edit", "fence", "color", "--text", text, *ON)
    refused(call(*given), 6, says)
    assert not Path("s.sqlite").exists()
    assert call(*given, "--force").code == (0 if forced else 6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fnce", "color", "--text", NEW), "did you mean fence"),
        (("fence", "colr", "--text", NEW), "did you mean color"),
        (("fence", "name", "--text", NEW), "pseudo-attribute"),
        (("fence", "color", "--text", NEW, "--llm", "gtp4"), "no LLM 'gtp4'"),
        (("fence", "color", "--text", NEW, "--file", "f"), "not both"),
        (("fence", "color"), "--text"),
    ],
)
def test_edits_that_make_no_sense(call, monkeypatch, arguments, says: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    refused(call("store", "edit", *arguments, *ON), 2, says)
    assert listing() == {}


def test_an_edit_from_a_file_and_from_stdin(call, monkeypatch) -> None:
    Path("new.txt").write_text(f"{OLD}\n")
    call("store", "edit", "fence", "color", "--file", "new.txt", *ON)
    assert cell("color", "bundled")["text"] == OLD
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{NEW}\n".encode())))
    call("store", "edit", "fence", "color", "--file", "-", *ON)
    assert cell("color", "bundled")["text"] == NEW


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch):
    """An editor that keeps what it was given and runs a line of Python on it."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.delenv("VISUAL", raising=False)

    def use(line: str) -> None:
        code = (f"import sys, pathlib; p = pathlib.Path(sys.argv[1]); t = p.read_text(); "
                f"pathlib.Path('seen.txt').write_text(t); {line}")  # fmt: skip
        Path("editor.py").write_text(code)
        monkeypatch.setenv("EDITOR", f"'{sys.executable}' editor.py")

    return use


def test_an_edit_in_the_editor(store: Store, call, editor) -> None:
    put(store, "color", OLD)
    editor(f"p.write_text(t.replace({OLD!r}, {NEW!r}))")
    result = call("store", "edit", "fence", "color", "--llm", "gpt-4", *ON)
    assert result.code == 0, result.err
    assert Path("seen.txt").read_text().startswith(OLD) and cell("color")["text"] == NEW


def test_an_editor_that_another_was_faster_than(store: Store, call, editor) -> None:
    put(store, "color", OLD)
    editor(
        "import sqlite3; c = sqlite3.connect('s.sqlite'); "
        "c.execute(\"UPDATE descriptions SET text = 'A fence is pink.'\"); c.commit(); "
        f"p.write_text({NEW!r})"
    )
    result = call("store", "edit", "fence", "color", "--llm", "gpt-4", *ON)
    assert result.code == 6 and "A fence is pink." in result.err
    assert f"Not taken: {NEW}" in result.err, "what was written is not lost"
    assert cell("color")["text"] == "A fence is pink."


@pytest.mark.parametrize(
    ("line", "code", "says"), [("pass", 2, "same as before"), ("sys.exit(3)", 4, "ended with 3")]
)
def test_an_editor_that_changes_nothing(call, editor, line, code, says) -> None:
    editor(line)
    refused(call("store", "edit", "fence", "color", *ON), code, says)
    assert not Path("s.sqlite").exists()


def test_an_editor_that_is_not_there(call, editor, monkeypatch) -> None:
    editor("pass")
    monkeypatch.setenv("EDITOR", "./none")
    refused(call("store", "edit", "fence", "color", *ON), 4, "set EDITOR")


# -- show and diff -----------------------------------------------------------------------


def test_several_llms_side_by_side(store: Store, call) -> None:
    put(store, "color", OLD, review="nearly the text of wall")
    put(store, "shape", None, status="failed", reason="refused")
    put(store, "color", NEW, "qwen-max")
    shown = call("store", "show", "fence", "--llm", "gpt-4", "--llm", "qwen-max", *ON).out
    head, color, shape = shown.splitlines()[0], shown.splitlines()[1], shown
    assert head.split() == ["attribute", "gpt-4", "qwen-max"]
    assert OLD in color and NEW in color and "review: nearly" in shown
    assert "(failed: refused)" in shape
    rows = json.loads(call("store", "show", "fence", "--llm", "all", "--json", *ON).out)
    assert {row["llm"] for row in rows} == {"bundled", "gpt-4", "qwen-max"}
    refused(call("store", "show", "fence", "--llm", "gpt-4", "--llm", "o3", *ON), 4, "by o3")


def test_attempts_are_shown_with_their_raw_replies(store: Store, call) -> None:
    def ask(attribute: str | None, **more: object) -> None:
        store.record_attempt(CAMVID, FENCE, attribute, "gpt-4", asked_model="gpt-4", prompt="p",
                             **more)  # fmt: skip

    ask("color", reply="Sure!\n\x1b[31mA fence", verdict="not one sentence", input_tokens=5,
        cost_usd=0.25, http_status=200)  # fmt: skip
    ask("shape", state="lost", cost_usd=0.5, cost_is_bound=1, error_class="Lost")
    ask(None, attributes='["color", "size"]', reply="{}")
    ask("texture")
    shown = ("store", "show", "fence", "--llm", "gpt-4", "--attempts", *ON)
    rows = json.loads(call(*shown, "--json", "--attribute", "color,shape").out)
    assert [row["attributes"] for row in rows] == [["color"], ["shape"], ["color", "size"]]
    assert rows[0]["reply"].startswith("Sure!") and rows[0]["cost_usd"] == 0.25
    text = call(*shown).out
    assert "not one sentence" in text and "at most $0.500000" in text and "\x1b" not in text
    assert "state: lost" in text and text.count("== attempt") == 4 and text.count("\n> p\n") == 4
    assert "No question" in call("store", "show", "sky", "--attempts", *ON).out


def test_an_llm_with_failed_requests_alone_hides_no_text(store: Store, call) -> None:
    put(store, "color", OLD, "openai/good")
    store.record_attempt(CAMVID, FENCE, "color", "openai/quota", asked_model="quota", prompt="p",
                         error_class="Quota", http_status=429)  # fmt: skip
    rows = json.loads(call("store", "show", "fence", "--json", *ON).out)
    assert {row["llm"] for row in rows} == {"bundled", "openai/good"}
    put(store, "shape", "A fence is long.", "openai/other")  # and has no color
    rows = json.loads(call("store", "show", "fence", "--attributes", "color", "--json", *ON).out)
    assert {row["llm"] for row in rows} == {"bundled", "openai/good"}
    (asked,) = json.loads(call("store", "show", "fence", "--attempts", "--json", *ON).out)
    assert asked["llm"] == "openai/quota"


def test_attempts_say_what_was_asked_of_whom_and_what_it_thought(store: Store, call) -> None:
    for parameters in ({"max_output_tokens": 9}, {"max_output_tokens": 9, "top_p": 0.5}):
        store.record_attempt(
            CAMVID, FENCE, "color", "openai/r1", asked_model="r1", served_model="r1-0528",
            host="http://gpu7/v1", parameters=parameters, system="Be\nbrief.", prompt="p",
            thoughts="Hm,\n\x1b[31mred?", reasoning_tokens=3, reply="A fence is red.",
        )  # fmt: skip
    shown = ("store", "show", "fence", "--attempts", *ON)
    row = json.loads(call(*shown, "--json").out)[1]
    assert (row["asked_model"], row["served_model"]) == ("r1", "r1-0528")
    assert (row["host"], row["parameters"]["top_p"]) == ("http://gpu7/v1", 0.5)
    assert (row["system"], row["thoughts"]) == ("Be\nbrief.", "Hm,\n\x1b[31mred?")
    text = call(*shown).out
    assert "model: r1, answered by r1-0528; host: http://gpu7/v1\n" in text
    assert text.count("parameters: ") == 1 and '"top_p": 0.5' in text
    assert "system> Be\nsystem> brief.\n> p\nthoughts:\nHm,\n[31mred?\nreply:\nA fence" in text


def test_who_has_no_text_at_all_is_told_who_has(store: Store, call) -> None:
    put(store, "color", OLD, "openai/good")
    said = "there are some by bundled, openai/good (did you mean openai/good?); run"
    refused(call("store", "show", "fence", "--llm", "openai/god", *ON), 4, said)
    refused(call("store", "diff", "--llm", "openai/god", "--llm", "bundled", *ON), 4, said)
    export = ("export", "-o", "x.json", *ON, "--llm")
    refused(call(*export, "openai/god", "--attributes", "size,color"), 4, said)
    some = call(*export, "openai/good", "--attributes", "color,size").err
    assert "there are some by" not in some
    assert "generate --llm openai/good --vocab camvid --attribute color,size`" in some
    every = call(*export, "openai/good", "--attributes", ",".join(DESCRIBED)).err
    assert "--vocab camvid` and" in every


def test_diff_counts_and_marks_words(store: Store, call) -> None:
    for attribute, first, second in (
        ("color", OLD, NEW), ("shape", "A fence is long.", None), ("size", OLD, OLD),
        ("texture", None, NEW),
    ):  # fmt: skip
        for llm, text in (("gpt-4", first), ("o3", second)):
            if text is not None:
                put(store, attribute, text, llm)
    given = ("store", "diff", "--llm", "gpt-4", "--llm", "o3", *ON)
    result = call(*given)
    assert "A fence is [-brown-] {+green+} or [-white.-] {+gray.+}" in result.out
    assert result.out.splitlines()[-1] == (
        f"1 the same, 1 differ, 1 only by gpt-4, 1 only by o3, {10 * len(CAMVID) - 4} by neither."
    )
    found = json.loads(call(*given, "--json", "--attributes", "color").out)
    assert found["counts"] == {
        "same": 0, "differ": 1, "only_first": 0, "only_second": 0, "neither": len(CAMVID) - 1,
    }  # fmt: skip
    (row,) = found["cells"]
    assert (row["class"], row["first"], row["second"]) == ("fence", OLD, NEW)
    refused(call("store", "diff", "--llm", "gpt-4", *ON), 2, "--llm twice")
    refused(call("store", "diff", "--llm", "o3", "--llm", "o3", *ON), 2, "differ")
    refused(call("store", "diff", "--llm", "o3", "--llm", "gpt-5", *ON), 4, "by gpt-5")


def test_diff_is_coloured_on_a_terminal(store: Store, call, monkeypatch) -> None:
    put(store, "color", OLD)
    put(store, "color", NEW, "o3")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = call("store", "diff", "--llm", "gpt-4", "--llm", "o3", *ON).out
    assert "\x1b[31mbrown" in out and "\x1b[32mgreen" in out and "[-" not in out


words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


@given(first=words, second=words)
def test_both_sentences_can_be_read_from_their_difference(first: str, second: str) -> None:
    parts = words_apart(first, second)
    assert " ".join(text for what, text in parts if what != "second") == first
    assert " ".join(text for what, text in parts if what != "first") == second


# -- import ------------------------------------------------------------------------------


def test_import_tells_what_it_did(call) -> None:
    given = {"fence": ["Made of wood", "made of wood"], "fense": ["red"]}
    Path("f.json").write_text(json.dumps(given))
    command = ("store", "import", "f.json", "--llm", "dclip", "--format", "dclip", *ON)
    result = call(*command, "--verbose")
    assert result.code == 3 and "10 classes of camvid have nothing by dclip" in result.err
    assert "1 class, 3 texts; 1 description added" in result.out
    assert "left out of fence (repeated): made of wood" in result.out
    told = (
        "1 text left out and 1 name not taken as a class (first: 'fense' is not a class (did you "
        "mean fence?)): not-imported-dclip-camvid.csv lists all."
    )
    assert told in result.err
    with Path("not-imported-dclip-camvid.csv").open(newline="") as stream:
        listed = [(row["name"], row["text"], row["reason"]) for row in csv.DictReader(stream)]
    assert listed == [
        ("fense", "", "is not a class (did you mean fence?)"),
        ("fence", "made of wood", "repeated"),
    ]
    assert "left out of fence" not in call(*command).out
    found = json.loads(call(*command, "--json").out)
    assert (found["kept"], found["names"][0]["name"]) == (1, "fense")
    assert found["left_out"] == [{"class": "fence", "phrase": "made of wood", "reason": "repeated"}]
    assert found["format"] == "dclip" and len(found["empty"]) == 10


def test_a_whole_import_exits_with_0(call) -> None:
    Path("f.json").write_text(json.dumps({entry.readable: ["red color"] for entry in CAMVID}))
    result = call("store", "import", "f.json", "--llm", "mine", *ON)
    assert (result.code, result.err) == (0, "")
    assert call("store", "check", "--store", "s.sqlite").code == 0
    shown = call("store", "show", "fence", "--llm", "mine", *ON).out
    assert "import" in shown and "A fence: red color." in shown


# -- backup ------------------------------------------------------------------------------


def test_a_backup_is_one_whole_file(store: Store, call) -> None:
    put(store, "color", OLD)  # lies in the log only
    result = call("store", "backup", "b.sqlite", "--store", "s.sqlite")
    assert (result.code, result.out) == (0, f"{Path('b.sqlite').resolve()}\n")
    assert [path.name for path in Path().glob("b.sqlite*")] == ["b.sqlite"]
    assert Path("b.sqlite").read_bytes()[18:20] == b"\1\1"  # not in WAL mode: readable anywhere
    with open_store_readonly("b.sqlite") as copy:
        assert copy.descriptions(CAMVID, "gpt-4") == {(FENCE, "color"): OLD}
    assert check("b.sqlite").error() is None
    put(store, "color", NEW)
    before = Path("b.sqlite").read_bytes()
    refused(call("store", "backup", "b.sqlite", "--store", "s.sqlite"), 4, "exists", "--force")
    assert Path("b.sqlite").read_bytes() == before
    assert call("store", "backup", "b.sqlite", "--store", "s.sqlite", "--force").code == 0
    with open_store_readonly("b.sqlite") as copy:
        assert copy.descriptions(CAMVID, "gpt-4") == {(FENCE, "color"): NEW}


def test_backups_that_are_refused(store: Store) -> None:
    Path("folder").mkdir()
    os.symlink("s.sqlite", "link.sqlite")
    for target, says in (
        ("s.sqlite", "itself"), ("link.sqlite", "itself"), ("folder", "not a file"),
        ("/dev/null", "not a file"), ("s.sqlite/b.sqlite", "is a file"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=says):
            backup(target, "s.sqlite", force=True)
    with pytest.raises(StoreError, match="no attribute store"):
        backup("b.sqlite", "none.sqlite")
    with open_store("used.sqlite") as used:
        used.add_vocabulary(CAMVID)
        with pytest.raises(ConfigurationError, match="in use"):
            backup("used.sqlite", "s.sqlite", force=True)
    sqlite3.connect("other.sqlite").execute("CREATE TABLE t (a)")
    with pytest.raises(StoreError, match="not an attribute store"):
        backup("b.sqlite", "other.sqlite")
    assert not Path("b.sqlite").exists() and not list(Path().glob(".lsmseg*"))


def test_a_full_disk_leaves_no_half_of_a_backup(store: Store, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space"):
        backup("b.sqlite", "s.sqlite")
    assert not list(Path().glob("b.sqlite*")) and not list(Path().glob(".lsmseg*"))


def _write_pairs(path: str, ready, stop) -> None:
    """Two cells that always hold the same text, written in one transaction."""
    with open_store(path) as store:
        turn = 0
        while not stop.is_set():
            turn += 1
            with store.transaction():
                for attribute in ("color", "shape"):
                    put(store, attribute, f"A fence is number {turn}.")
            ready.set()


@pytest.mark.process
def test_a_backup_while_another_process_writes_is_of_one_moment(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    writer = context.Process(target=_write_pairs, args=("s.sqlite", ready, stop))
    writer.start()
    try:
        assert ready.wait(60)
        seen = set()
        end = time.monotonic() + 60
        while len(seen) < 4 and time.monotonic() < end:
            backup("b.sqlite", "s.sqlite", force=True)
            with open_store_readonly("b.sqlite") as copy:
                both = copy.descriptions(CAMVID, "gpt-4")
            assert both[FENCE, "color"] == both[FENCE, "shape"]
            seen.add(both[FENCE, "color"])
    finally:
        stop.set()
        writer.join(60)
    assert len(seen) == 4 and writer.exitcode == 0


# -- check -------------------------------------------------------------------------------


def levels(path: str = "s.sqlite") -> dict[str, tuple[str, int]]:
    return {row["check"]: (row["level"], row["count"]) for row in check(path).rows}


def test_a_whole_store(store: Store, call) -> None:
    put(store, "color", OLD)
    assert {level for level, _ in levels().values()} == {"ok"}
    before = listing()
    assert call("store", "check", "--store", "s.sqlite").code == 0
    assert listing().keys() == before.keys()


def test_wrong_counts_exit_with_6(store: Store, call) -> None:
    put(store, "color", OLD)
    store.put_description(Description("camvid", FENCE, "shape", "gpt-4", LONG, 70))
    store.execute("UPDATE descriptions SET tokens = 5 WHERE attribute = 'color'")
    result = call("store", "check", "--store", "s.sqlite", "--json")
    assert result.code == 6 and "token counts" in result.err
    rows = {row["check"]: row for row in json.loads(result.out)}
    assert rows["token counts"]["count"] == 2 and rows["over 77 tokens"]["count"] == 1
    assert f"5 instead of {count_tokens(OLD)}" in rows["token counts"]["detail"]


def test_what_a_person_should_look_at(store: Store, call) -> None:
    put(store, "color", OLD, review="nearly the text of wall")
    put(store, "shape", None, status="failed", reason="refused by the filter")
    put(store, "size", OLD)
    store.mark_stale(CAMVID, "gpt-4", [(FENCE, "size")])
    for run, seen, ended in (("dead", 0, None), ("alive", time.time(), None), ("over", 0, "t")):
        store.write("runs", {"id": run, "host": "elsewhere", "pid": 1, "started_at": "t",
                             "seen_at": seen, "ended_at": ended})  # fmt: skip
    for place, owner in enumerate(("dead", "alive", "over", "nobody")):
        store.write("claims", {"vocabulary": "camvid", "class_index": place, "attribute": "color",
                               "llm": "gpt-4", "owner": owner})  # fmt: skip
    for run in ("dead", "alive", None):
        store.record_attempt(CAMVID, 0, "color", "gpt-4", asked_model="m", prompt="p",
                             state="sent", run=run)  # fmt: skip
    found = levels()
    assert found["for review"] == found["failed"] == found["stale"] == ("look", 1)
    assert found["claims of dead runs"] == ("look", 3)
    assert found["requests left without a reply"] == ("look", 2)
    assert found["requests under way"] == ("ok", 1)
    result = call("store", "check", "--store", "s.sqlite")
    assert result.code == 0 and "refused by the filter" in result.out
    for index in range(7):
        store.put_description(Description("camvid", index, "context", "x", None, None, "failed"))
    all_of_it = call("store", "check", "--store", "s.sqlite", "-v").out
    assert "and 3 more" in all_of_it and all_of_it.count("\nfailed: camvid ") == 8


@pytest.mark.parametrize(
    ("statement", "check_name"),
    [
        ("DELETE FROM classes WHERE class_index = 0", "foreign keys"),
        ("DROP TABLE edits", "schema"),
        ("UPDATE descriptions SET text = x'ff00'", "texts"),
        ("DROP INDEX attempts_of_cell", "schema"),
        (
            "CREATE TRIGGER odd AFTER UPDATE ON descriptions BEGIN DELETE FROM edits; END",
            "triggers of others",
        ),
        ("UPDATE descriptions SET text = CAST(x'ff41' AS TEXT), tokens = 6", "values"),
        ("UPDATE llms SET provenance = CAST(x'ff41' AS TEXT)", "values"),
        ("UPDATE descriptions SET reason = x'00'", "values"),
        ("UPDATE classes SET synonyms = '[bad'", "values"),
        ("UPDATE classes SET synonyms = '{}'", "values"),
    ],
)
def test_damage_exits_with_8(store: Store, call, statement, check_name) -> None:
    store.put_description(Description("camvid", 0, "color", "gpt-4", "The sky is blue.", 7))
    store.close()
    db = sqlite3.connect("s.sqlite")  # without foreign keys
    db.execute(statement)
    db.commit()
    db.close()
    result = call("store", "check", "--store", "s.sqlite")
    assert result.code == 8 and f"damaged ({check_name})" in result.err


@pytest.mark.parametrize(
    ("change", "command", "code", "says"),
    [
        ("descriptions SET text = x'ff00'", "store lint --llm gpt-4", 8, "(text is not as it was"),
        ("descriptions SET text = CAST(x'ff41' AS TEXT)", "store lint --llm gpt-4", 8, "UTF-8"),
        ("descriptions SET text = CAST(x'ff41' AS TEXT)", "store show sky --vocab camvid", 8,
         "damaged (Could not decode to UTF-8"),
        ("vocabularies SET title = CAST(x'ff41' AS TEXT)", "store status", 0, ""),
        ("evaluations SET attributes = 'color'", "leaderboard", 8, "(attributes is not as it was"),
        ("evaluations SET details = '[]'", "leaderboard", 8, "(details is not as it was"),
        ("evaluations SET pictures = 'many'", "leaderboard", 8, "(pictures is not as it was"),
        ("evaluations SET split = x'ff00'", "leaderboard", 8, "(split is not as it was"),
        ("attempts SET reply = x'ff00'", ASKED, 8, "(reply is not as it was"),
        ("attempts SET cost_usd = 'dear'", ASKED, 8, "(cost_usd is not as it was"),
        ("attempts SET attributes = '{bad'", ASKED, 8, "(attributes is not as it was"),
        ("attempts SET attributes = '{}'", ASKED, 8, "(attributes is not as it was"),
        ("evaluations SET benchmark = 'a' || char(27) || '[31m'", "leaderboard", 0, ""),
    ],
)  # fmt: skip
def test_what_another_program_changed(store: Store, call, change, command, code, says) -> None:
    store.put_description(Description("camvid", 0, "color", "gpt-4", "The sky is blue.", 7))
    store.record_attempt(CAMVID, 0, "color", "gpt-4", asked_model="gpt-4", prompt="p")
    scored = {"benchmark": "ministuff", "model": "m", "prompt_set": "color", "miou": 0.5}
    store.add_evaluation(**scored, attributes=["color"], pictures=20)
    store.execute(f"UPDATE {change}")
    store.close()
    done = call(*command.split(), *(ON if "lint" in command else ()))
    assert done.code == code and says in done.err
    assert "\x1b" not in done.out + done.err


def test_a_table_of_ones_own_is_no_damage(store: Store) -> None:
    store.execute("CREATE TABLE notes (a)")
    store.execute("CREATE VIEW seen AS SELECT a FROM notes")
    done = check("s.sqlite")
    assert done.error() is None
    assert levels()["tables and views of others"] == ("look", 2)


def test_a_torn_file_exits_with_8(store: Store, call) -> None:
    put(store, "color", OLD)
    store.close()
    data = bytearray(Path("s.sqlite").read_bytes())
    data[4096 * 3 :] = b"\xaa" * (len(data) - 4096 * 3)
    Path("s.sqlite").write_bytes(data)
    result = call("store", "check", "--store", "s.sqlite")
    assert result.code == 8 and "damaged" in result.err and "Traceback" not in result.err


# -- costs and status --------------------------------------------------------------------


def test_costs_add_up(store: Store, call) -> None:
    for fields in (
        {"cost_usd": 0.25, "input_tokens": 10, "output_tokens": 5, "served_model": "gpt-4-a",
         "started_at": "2026-01-01T23:59:59.999Z"},
        {"cost_usd": 0.5, "input_tokens": 1, "output_tokens": 2, "served_model": "gpt-4-b",
         "error_class": "E", "started_at": "2026-01-02T00:00:00.000Z"},
        {"cost_usd": 1.0, "cost_is_bound": 1, "state": "lost", "error_class": "Lost",
         "started_at": "2026-01-02T00:00:00.000Z", "purpose": "attributes"},
        {"state": "sent", "started_at": "2026-01-02T00:00:00.000Z"},
    ):  # fmt: skip
        store.record_attempt(CAMVID, 0, "color", "gpt-4", asked_model="gpt-4", prompt="p", **fields)
    store.record_attempt(None, None, None, "o3", asked_model="o3", prompt="p", cost_usd=2.0,
                         started_at="2026-01-03T00:00:00.000Z")  # fmt: skip

    def rows(by: str) -> list[dict]:
        return json.loads(call("store", "costs", "--by", by, "--json", "--store", "s.sqlite").out)

    gpt, o3, total = rows("llm")
    assert gpt == {
        "llm": "gpt-4", "attempts": 4, "failed": 1, "lost": 1, "under_way": 1, "input_tokens": 11,
        "output_tokens": 7, "reasoning_tokens": 0, "cost_usd": 0.75, "bound_usd": 1.0,
        "unpriced": 1, "cells": 1, "cell_usd": 0.75, "cell_usd_sd": None,
    }  # fmt: skip
    assert (o3["cost_usd"], total["cost_usd"], total["attempts"]) == (2.0, 2.75, 5)
    names = {by: [row[by] for row in rows(by)] for by in ("model", "purpose", "day")}
    assert names == {
        "model": ["gpt-4 gpt-4", "gpt-4 gpt-4-a", "gpt-4 gpt-4-b", "o3 o3", "total"],
        "purpose": ["attributes", "describe", "total"],
        "day": ["2026-01-01", "2026-01-02", "2026-01-03", "total"],
    }
    for by in names:
        *parts, whole = rows(by)
        for key in ("attempts", "cost_usd", "bound_usd", "input_tokens", "unpriced"):
            assert sum(row[key] for row in parts) == whole[key], (by, key)
    assert "total" in call("store", "costs", "--store", "s.sqlite").out


def test_a_cost_that_is_not_known_is_not_nothing(store: Store, call) -> None:
    for llm, cost in (("gpt-4", 0.25), ("gpt-4", None), ("openai/free", 0.0), ("vllm/mine", None)):
        store.record_attempt(CAMVID, 0, "color", llm, asked_model="m", prompt="p", cost_usd=cost)
    _, gpt, free, mine, total = call("store", "costs").out.splitlines()
    assert "0.25" in gpt and "0.25" in total and "unknown" not in gpt + free + total
    assert mine.split()[:5] == ["vllm/mine", "1", "0", "0", "unknown"]


def test_costs_of_an_empty_store(store: Store, call) -> None:
    (total,) = json.loads(call("store", "costs", "--json", "--store", "s.sqlite").out)
    assert (total["attempts"], total["cost_usd"]) == (0, 0)


def test_status_counts_what_needs_a_look(store: Store, call) -> None:
    put(store, "color", OLD, review="r")
    put(store, "shape", OLD)
    put(store, "size", OLD)
    store.mark_stale(CAMVID, "gpt-4", [(FENCE, "size")])
    call("store", "lock", "fence", "shape", "--llm", "gpt-4", *ON)
    store.add_evaluation(benchmark="b", model="m", prompt_set="p", vocabulary="camvid", llm="gpt-4")
    store.add_evaluation(benchmark="b", model="m", prompt_set="p", vocabulary="camvid", llm="o3")
    rows = json.loads(call("store", "status", "--json", "--store", "s.sqlite").out)
    (row,) = [row for row in rows if row["store"] == "s.sqlite"]
    counted = [row[key] for key in ("done", "review", "locked", "stale", "evaluations")]
    assert counted == [3, 1, 1, 1, 1]


@pytest.mark.parametrize("command", ["status", "check", "costs", "backup b.sqlite"])
def test_a_store_that_is_named_and_not_there(call, command: str) -> None:
    refused(call("store", *command.split(), "--store", "none.sqlite"), 8, "no attribute store")
    assert listing() == {}


def test_edits_and_reruns_at_once_never_lose_the_persons_text(store: Store) -> None:
    from lsmseg_prompts.curation.edits import edit

    put(store, "color", OLD)
    done = threading.Event()

    def rerun() -> None:
        with open_store("s.sqlite") as other:
            while not done.is_set():
                put(other, "color", OLD)

    thread = threading.Thread(target=rerun)
    thread.start()
    try:
        edit(CAMVID, "fence", "color", NEW, "gpt-4", "s.sqlite")
        for _ in range(20):
            assert cell("color")["text"] == NEW
    finally:
        done.set()
        thread.join()
    with pytest.raises(RefusedError):
        edit(CAMVID, "fence", "color", LONG, "gpt-4", "s.sqlite", force=True)
    assert cell("color")["text"] == NEW
