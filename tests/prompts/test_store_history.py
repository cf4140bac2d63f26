"""Changes of cells: refused against another text, taken back whole, taken from another LLM."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lsmseg_prompts.curation.edits import edit, editable, lock, take, unlock
from lsmseg_prompts.curation.history import edits, undo
from lsmseg_prompts.curation.imports import import_file
from lsmseg_prompts.errors import ConfigurationError, ConflictError, RefusedError, UsageError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
FENCE = CAMVID.find("fence").index
OLD, NEW, OTHER = "A fence is brown.", "A fence is green or gray.", "A fence is white."
CELL = ("camvid", "fence", "color", "gpt-4")


@pytest.fixture
def store(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "s.sqlite")
    with open_store("s.sqlite") as opened:
        opened.add_vocabulary(CAMVID)
        yield opened


def put(store: Store, text: str | None, llm: str = "gpt-4", **more: object) -> None:
    tokens = None if text is None else count_tokens(text)
    new = Description("camvid", FENCE, "color", llm, text, tokens, **more)  # type: ignore[arg-type]
    store.put_description(new)


def cell(store: Store, llm: str = "gpt-4") -> dict | None:
    rows = store.rows("SELECT * FROM descriptions WHERE attribute = 'color' AND llm = ?", [llm])
    return rows[0] if rows else None


def actions() -> list[tuple[str | None, str | None, str | None]]:
    return [(row["action"], row["old_text"], row["new_text"]) for row in edits("camvid", "fence")]


# -- expected ----------------------------------------------------------------------------


def test_an_edit_against_another_text_changes_nothing(store: Store) -> None:
    put(store, OLD)
    edit(*CELL[:3], OTHER, "gpt-4", expected=OLD)
    with pytest.raises(ConflictError, match="changed meanwhile") as refused:
        edit(*CELL[:3], NEW, "gpt-4", expected=OLD)
    assert (refused.value.text, refused.value.exit_code) == (OTHER, 6)
    assert actions() == [("edit", OLD, OTHER)]
    edit(*CELL[:3], NEW, "gpt-4", expected=OTHER)
    assert editable(CAMVID, "fence", "color", "gpt-4") == NEW


def test_none_is_expected_where_nothing_stands(store: Store) -> None:
    with pytest.raises(ConflictError, match="it is empty now") as refused:
        edit(*CELL[:3], NEW, "gpt-4", expected=OLD)
    assert refused.value.text == "" and cell(store) is None
    edit(*CELL[:3], NEW, "gpt-4", expected="")
    with pytest.raises(ConflictError):
        edit(*CELL[:3], OLD, "gpt-4", expected="")


def test_the_bundled_text_is_what_is_expected_of_an_untouched_cell(store: Store) -> None:
    shipped = editable(CAMVID, "fence", "color")
    with pytest.raises(ConflictError):
        edit("camvid", "fence", "color", NEW, expected="")
    edit("camvid", "fence", "color", NEW, expected=shipped)
    assert actions() == [("edit", shipped, NEW)]


def test_an_editor_is_told_that_another_was_first(store: Store, call) -> None:
    put(store, OLD)
    result = call("store", "edit", "fence", "color", "--vocab", "camvid", "--llm", "gpt-4",
                  "--text", NEW, "--expected", OTHER)  # fmt: skip
    assert result.code == 6 and OLD in result.err
    assert cell(store)["text"] == OLD  # type: ignore[index]


# -- undo --------------------------------------------------------------------------------


def test_undo_puts_the_whole_cell_back_and_undo_of_undo_is_redo(store: Store) -> None:
    put(store, OLD, review="look", budget="long-clip", other_tokens={"clip": 7})
    before = cell(store)
    edit(*CELL[:3], NEW, "gpt-4")
    edited = cell(store)
    back = undo(*CELL)
    assert back is not None and back["text"] == OLD
    assert cell(store) == before and before["source"] == "llm" and not before["locked"]  # type: ignore[index]
    undo(*CELL)
    assert cell(store) == edited and edited["source"] == "human" and edited["locked"]  # type: ignore[index]
    assert actions() == [("edit", OLD, NEW), ("undo", NEW, OLD), ("undo", OLD, NEW)]


def test_undo_of_a_first_text_empties_the_cell(store: Store) -> None:
    edit(*CELL[:3], NEW, "gpt-4")
    assert undo(*CELL) is None and cell(store) is None
    assert undo(*CELL)["text"] == NEW  # type: ignore[index]


def test_undo_of_an_edited_bundled_text_shows_the_shipped_one(store: Store) -> None:
    shipped = editable(CAMVID, "fence", "color")
    edit("camvid", "fence", "color", NEW)
    assert undo("camvid", "fence", "color")["text"] == shipped  # type: ignore[index]
    assert cell(store, "bundled") is None, "the working store has nothing of its own again"


def test_undo_brings_a_failure_back(store: Store) -> None:
    put(store, None, status="failed", reason="no sentence")
    edit(*CELL[:3], NEW, "gpt-4", expected="")
    assert undo(*CELL)["status"] == "failed"  # type: ignore[index]
    assert cell(store)["reason"] == "no sentence"  # type: ignore[index]


def test_what_a_rerun_replaced_comes_back(store: Store) -> None:
    edit(*CELL[:3], NEW, "gpt-4")
    unlock(*CELL)
    put(store, OTHER)
    row = undo(*CELL)
    assert row is not None and (row["text"], row["source"]) == (NEW, "human")
    assert undo(*CELL)["text"] == OTHER  # type: ignore[index]


def test_undo_goes_back_to_before_any_change(store: Store) -> None:
    put(store, OLD)
    for text in (NEW, OTHER):
        edit(*CELL[:3], text, "gpt-4")
    first = edits("camvid", "fence")[0]["id"]
    assert undo(*CELL, before=first)["text"] == OLD  # type: ignore[index]
    assert actions()[-1] == ("undo", OTHER, OLD)
    with pytest.raises(UsageError, match="Nothing of that kind"):
        undo(*CELL, before=99)


def test_undo_against_another_text_changes_nothing(store: Store) -> None:
    edit(*CELL[:3], NEW, "gpt-4")
    with pytest.raises(ConflictError):
        undo(*CELL, expected=OLD)
    assert len(actions()) == 1


def test_changes_that_kept_the_text_alone_come_back_as_a_persons(store: Store) -> None:
    put(store, NEW)
    row = {"vocabulary": "camvid", "class_index": FENCE, "attribute": "color", "llm": "gpt-4"}
    long = "A fence is " + " ".join(["brown"] * 90) + "."
    store.write("edits", {**row, "old_text": long, "new_text": NEW, "edited_at": "2026"})
    back = undo(*CELL)
    assert back is not None
    assert (back["text"], back["source"], back["locked"]) == (long, "human", 1)
    assert back["budget"] == str(back["tokens"])


def test_columns_that_there_are_not_are_left_out(store: Store) -> None:
    edit(*CELL[:3], NEW, "gpt-4")
    edit(*CELL[:3], OTHER, "gpt-4")
    evil = {"x) VALUES (1); --": 1, "class_index": 99}
    store.execute("UPDATE edits SET old_row = json_patch(old_row, ?)", [json.dumps(evil)])
    assert undo(*CELL)["text"] == NEW  # type: ignore[index]
    assert len(store.cells()) == 1


def test_nothing_to_undo(store: Store, call) -> None:
    with pytest.raises(UsageError, match="Nothing of that kind"):
        undo(*CELL)
    store.close()
    result = call("store", "undo", "fence", "color", "--vocab", "camvid")
    assert result.code == 2 and "--edits" in result.err


def test_undo_of_an_import_brings_dropped_samples_back(store: Store, tmp_path) -> None:
    both, one = tmp_path / "both.json", tmp_path / "one.json"
    both.write_text(json.dumps({"fence": {"color": [OLD, OTHER]}}))
    one.write_text(json.dumps({"fence": {"color": [NEW]}}))
    import_file(both, "camvid", "me")
    import_file(one, "camvid", "me", replace=True)
    assert [row[:3] for row in actions()] == [("import", OLD, NEW), ("import", OTHER, None)]
    row = undo("camvid", "fence", "color#2", "me")
    assert row is not None and (row["text"], row["source"]) == (OTHER, "import")


# -- take --------------------------------------------------------------------------------


def test_a_taken_text_stays_its_writers(store: Store) -> None:
    attempt = store.record_attempt(CAMVID, FENCE, "color", "gpt-4", asked_model="m", prompt="p")
    put(store, NEW, attempt_id=attempt)
    put(store, OLD, "o3")
    row = take("camvid", "fence", "color", "gpt-4", "o3", expected=OLD)
    assert (row["text"], row["source"], row["taken_from"]) == (NEW, "llm", "gpt-4")
    mine = cell(store, "o3")
    assert mine is not None and (mine["attempt_id"], mine["locked"]) == (attempt, 1)
    assert actions() == [("take", OLD, NEW)]
    assert undo("camvid", "fence", "color", "o3")["taken_from"] is None  # type: ignore[index]


def test_a_bundled_text_is_taken_without_a_store(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = editable(CAMVID, "fence", "color")
    row = take("camvid", "fence", "color", "bundled", "gpt-4")
    assert (row["text"], row["taken_from"]) == (shipped, "bundled")


def test_a_second_sample_is_ones_own(store: Store) -> None:
    row = take("coco-stuff", "zebra", "color", "bundled#2")
    assert row["text"] == editable(load_vocabulary("coco-stuff"), "zebra", "color#2")
    assert row["taken_from"] is None


def test_what_cannot_be_taken(store: Store) -> None:
    with pytest.raises(UsageError, match="own already"):
        take("camvid", "fence", "color", "gpt-4", "gpt-4")
    with pytest.raises(ConfigurationError, match="There is no color of 'fence' by gpt-4"):
        take("camvid", "fence", "color", "gpt-4")
    put(store, "A fence is " + "brown " * 80 + ".", budget="long-clip")
    with pytest.raises(RefusedError, match="more than CLIP reads"):
        take("camvid", "fence", "color", "gpt-4")


# -- texts that a class takes from a described one ---------------------------------------


def test_a_class_of_ones_own_is_locked_and_edited_as_it_reads(store: Store, tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("sofa\nzebra\n")
    mine = load_vocabulary("mine.txt")
    now = editable(mine, "zebra", "color")
    assert "zebra" in now
    assert [row["text"] for row in lock(mine, "zebra", "color")] == [now]
    edit(mine, "zebra", "color", "A zebra is black and white.", expected=now)
    assert undo(mine, "zebra", "color")["text"] == now  # type: ignore[index]
