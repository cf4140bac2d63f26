"""The table of a vocabulary's cells, and texts that are still being written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lsmseg_prompts.curation.drafts import draft
from lsmseg_prompts.curation.edits import edit, editable
from lsmseg_prompts.curation.table import SORTS, CellsRequest, cells
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.tokens import count_tokens, find_budget
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
FENCE, SKY = CAMVID.find("fence").index, CAMVID.find("sky").index


@pytest.fixture
def store(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", str(tmp_path / "s.sqlite"))
    with open_store(tmp_path / "s.sqlite") as opened:
        opened.add_vocabulary(CAMVID)
        put(opened, FENCE, "color", "A fence is brown.")
        put(opened, FENCE, "color#2", "A fence is white.")
        put(opened, SKY, "color", None, status="failed", reason="no sentence came")
        put(opened, SKY, "contrast:tree", "A sky is blue.")
        put(opened, FENCE, "shape", "A fence is brown.", review="of another sense")
        opened.mark_stale(CAMVID, "gpt-4", [(FENCE, "shape")])
        yield opened


def put(store: Store, index: int, attribute: str, text: str | None, **more: object) -> None:
    tokens = None if text is None else count_tokens(text)
    new = Description("camvid", index, attribute, "gpt-4", text, tokens, **more)  # type: ignore[arg-type]
    store.put_description(new)


def asked(**more: object) -> list[tuple[str, str, str]]:
    request = CellsRequest(llms=("gpt-4",), limit=1000, **more)  # type: ignore[arg-type]
    return [(r["class"], r["attribute"], r["status"]) for r in cells("camvid", request).rows]


def test_without_a_store_there_are_the_bundled_texts(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = cells("camvid", CellsRequest(limit=3))
    assert table.total == len(CAMVID) * 11  # the nine, typical, and the set that won
    assert table.counts == {"done": table.total} and table.llms == ["bundled"]
    assert [row["attribute"] for row in table.rows] == ["color", "shape", "size"]
    assert (table.rows[0]["limit"], table.rows[0]["source"]) == (77, "llm")
    assert not (tmp_path / "runs").exists()


def test_what_an_llm_lacks_is_missing(store: Store) -> None:
    found = asked()
    assert len(found) == 2 * len(CAMVID), "of the two attributes that it has"
    assert ("fence", "color", "done") in found and ("fence", "shape", "stale") in found
    assert ("sky", "color", "failed") in found and ("sky", "shape", "missing") in found
    table = cells("camvid", CellsRequest(llms=("gpt-4",)))
    assert table.counts == {"done": 2, "failed": 1, "missing": 2 * len(CAMVID) - 3,
                            "stale": 1, "review": 1}  # fmt: skip
    assert table.llms == ["bundled", "gpt-4"]


def test_filters(store: Store) -> None:
    assert asked(statuses=("failed", "review")) == [
        ("sky", "color", "failed"), ("fence", "shape", "stale")
    ]  # fmt: skip
    assert asked(name="FEN", samples=True) == [
        ("fence", "color", "done"), ("fence", "color#2", "done"), ("fence", "shape", "stale"),
    ]  # fmt: skip
    assert asked(search="white FENCE", samples=True) == [("fence", "color#2", "done")]
    assert asked(search="sentence came") == [("sky", "color", "failed")]
    assert ("sky", "contrast:tree", "done") in asked(pairs=True)
    assert asked(attributes=("contrast:tree",)) == [("sky", "contrast:tree", "done")]
    assert asked(index=FENCE, attributes=("color",)) == [("fence", "color", "done")]
    assert asked(index=FENCE, attributes=("size",)) == [("fence", "size", "missing")]
    with pytest.raises(UsageError, match="A cell is never 'lost'"):
        CellsRequest(statuses=("lost",))
    with pytest.raises(UsageError, match="cannot be sorted by 'x'"):
        CellsRequest(sort="x")


def test_pages_and_orders(store: Store) -> None:
    whole = asked(statuses=("missing",))
    pages = [asked(statuses=("missing",), offset=at) for at in (0, 3)]
    assert pages == [whole, whole[3:]]
    for sort in SORTS:
        assert asked(sort=sort, descending=True) == asked(sort=sort)[::-1]
    by_status = [status for _, _, status in asked(sort="status")]
    assert by_status[:2] == ["done", "failed"]
    assert cells("camvid", CellsRequest(limit=2, offset=1)).total == cells("camvid").total


def test_a_row_says_what_is_to_be_known_of_a_cell(store: Store) -> None:
    request = CellsRequest(llms=("gpt-4",), statuses=("done", "failed"))
    sky, color, shape = cells("camvid", request).rows
    assert (color["samples"], color["tokens"], color["findings"]) == (2, 7, [])
    assert shape["review"] == "of another sense" and shape["stale"] and not shape["locked"]
    assert {finding["rule"] for finding in shape["findings"]} == {"leak", "duplicate"}
    assert shape["findings"][-1]["message"] == "the same text as fence/color"
    assert sky["reason"] == "no sentence came" and sky["tokens"] is None
    assert "generate --llm gpt-4 --vocab camvid --attribute color" in sky["remedy"]


def test_tokens_are_of_the_budget_in_use(store: Store) -> None:
    request = CellsRequest(llms=("gpt-4",), name="fence", attributes=("color",))
    (row,) = cells("camvid", request, budget=find_budget("6")).rows
    assert (row["tokens"], row["limit"]) == (7, 6)
    assert [finding["rule"] for finding in row["findings"]] == ["tokens"]


def test_texts_that_classes_take_from_described_ones_are_shown(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("sofa\nblorp\n")
    mine = load_vocabulary(tmp_path / "mine.txt")
    table = cells(mine, CellsRequest(attributes=("color",)))
    sofa, blorp = table.rows
    assert sofa["text"] == editable(mine, "sofa", "color") and "sofa" in sofa["text"].lower()
    assert (blorp["status"], blorp["text"]) == ("missing", None)


def test_the_working_store_goes_before_the_shipped_one(store: Store) -> None:
    edit("camvid", "fence", "color", "A fence is green.")
    request = CellsRequest(llms=("bundled",), name="fence", attributes=("color",))
    (row,) = cells("camvid", request).rows
    assert (row["text"], row["source"], row["status"]) == ("A fence is green.", "human", "locked")


# -- drafts ------------------------------------------------------------------------------


def test_a_draft_is_told_what_an_edit_would_say() -> None:
    good = draft("camvid", "fence", "shape", "  A fence is a row\nof bars. ")
    assert (good["text"], good["refused"]) == ("A fence is a row of bars.", None)
    assert (good["tokens"], good["limit"], good["findings"]) == (10, 77, [])
    leak = draft("camvid", "fence", "shape", "A fence is green.")
    assert leak["refused"] is None and [f["rule"] for f in leak["findings"]] == ["leak"]
    nameless = draft("camvid", "fence", "color", "It is green")
    assert nameless["forced"] and "does not name fence" in nameless["refused"]
    long = draft("camvid", "fence", "color", "A fence is " + "green " * 80 + ".")
    assert long["tokens"] > 77 and not long["forced"] and "more than CLIP reads" in long["refused"]
    assert draft("camvid", "fence", "color", "")["refused"] is not None
    with pytest.raises(UsageError, match="did you mean"):
        draft("camvid", "fnce", "color", "x")
