"""The calls of the page Texts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ablations.runs.class_records import ClassRecords
from ablations.studio.texts import page
from ablations.studio.web.inputs import Input
from lsmseg_prompts.curation.edits import edit, editable
from lsmseg_prompts.errors import ConflictError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
FENCE = CAMVID.find("fence").index
EVIL = "<script>alert(1)</script> <img src=x onerror=alert(2)> fence \u202e."
CELL = {"vocab": "camvid", "index": FENCE, "attribute": "color", "llm": "bundled"}
OLD, NEW, THIRD = "A fence is green.", "A fence is white.", "A fence is gray."


@pytest.fixture
def client(open_studio: Any) -> Any:
    return open_studio(vocab="camvid")


def get(client: Any, what: str, **query: Any) -> Any:
    reply = client.get(f"/api/texts/{what}", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def post(client: Any, what: str, code: int = 200, **body: Any) -> Any:
    reply = client.post(f"/api/texts/{what}", json={**CELL, **body})
    assert reply.status_code == code, reply.text
    return reply.json()


def test_the_page_names_the_vocabularies(client: Any) -> None:
    text = client.get("/texts").text
    assert text.index("<option>camvid<") < text.index("<option>coco-stuff<")
    assert text.count("<option>camvid<") == 1


def test_the_table(client: Any) -> None:
    table = get(client, "table", name="fen", attributes="color,shape", limit=5)
    assert [(row["class"], row["attribute"]) for row in table["rows"]] == [
        ("fence", "color"), ("fence", "shape"),
    ]  # fmt: skip
    assert table["total"] == table["counts"]["done"] == 2 and table["counts"]["failed"] == 0
    assert table["llms"] == ["bundled"] and table["rows"][0]["score"] is None
    other = get(client, "table", vocab="voc-20", limit=1)
    assert other["rows"][0]["class"] == "aeroplane"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"vocab": "/etc/passwd"}, "vocab"), ({"attributes": "../x"}, "no attribute"),
        ({"sort": "rowid; DROP"}, "sort"),
        ({"statuses": "lost"}, "never 'lost'"), ({"limit": "1000000"}, "limit"),
        ({"offset": "-1"}, "offset"), ({"name": "x" * 6000}, "name"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be(client: Any, query: dict[str, str], says: str) -> None:
    reply = client.get("/api/texts/table", params=query)
    assert reply.status_code == 400 and says in reply.json()["error"]


def test_an_edit_and_the_way_back(client: Any) -> None:
    before = get(client, "cell", **CELL)
    shipped = before["row"]["text"]
    assert before["history"] == [] and get(client, "now", **CELL)["text"] == shipped
    after = post(client, "edit", text=NEW, expected=shipped)
    assert (after["row"]["text"], after["row"]["status"]) == (NEW, "locked")
    assert after["history"][0]["old_text"] == shipped
    assert get(client, "now", **CELL) == {"text": NEW, "locked": True, "failed": False}
    assert post(client, "undo", expected=NEW)["row"]["text"] == shipped
    assert post(client, "undo")["row"]["text"] == NEW
    first = after["history"][0]["id"]
    assert post(client, "undo", before=first)["row"]["text"] == shipped


def test_who_comes_second_is_shown_the_first(client: Any) -> None:
    shipped = get(client, "now", **CELL)["text"]
    post(client, "edit", text=OLD, expected=shipped)
    told = post(client, "edit", code=409, text=NEW, expected=shipped)
    assert told["text"] == OLD and told["exit_code"] == 6
    assert post(client, "undo", code=409, expected=shipped)["text"] == OLD
    assert post(client, "take", code=409, writer="x", expected="y")["error"].startswith("There is")
    assert get(client, "now", **CELL)["text"] == OLD


def test_two_at_once_on_one_cell_lose_nothing(client: Any) -> None:
    """Each tries again against what the other has put there, as a person in two tabs would."""
    texts = page.Texts(client.studio)

    def work(name: str) -> None:
        for number in range(8):
            text, expected = f"A fence is number {number} of {name}.", OLD
            while True:
                try:
                    texts.edit(Input({**CELL, "text": text, "expected": expected}))
                    break
                except ConflictError as error:
                    expected = error.text

    post(client, "edit", text=OLD)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("one", "two")))
    changes = get(client, "cell", **CELL)["history"][::-1]
    texts_of = [change["new_text"] for change in changes]
    assert len(set(texts_of)) == 17
    assert [change["old_text"] for change in changes[1:]] == texts_of[:-1]


def test_locking_twice_is_locking_once(client: Any) -> None:
    for locked in (True, True, False, False):
        assert post(client, "lock", locked=locked)["row"]["locked"] is locked


def test_another_llms_text(client: Any) -> None:
    with open_store(client.studio.store) as store:
        store.add_vocabulary(CAMVID)
        store.put_description(Description("camvid", FENCE, "color", "gpt-4", THIRD, 7))
    (other,) = get(client, "cell", **CELL)["others"]
    assert (other["llm"], other["text"]) == ("gpt-4", THIRD)
    assert ["second", "A fence is"] in other["words"]
    row = post(client, "take", writer=other["writer"])["row"]
    assert (row["text"], row["taken_from"], row["locked"]) == (THIRD, "gpt-4", True)


def test_a_failed_cell_says_what_to_do(client: Any) -> None:
    with open_store(client.studio.store) as store:
        store.add_vocabulary(CAMVID)
        failed = Description("camvid", FENCE, "color", "gpt-4", None, None, "failed", "no sentence")
        store.put_description(failed)
    row = get(client, "cell", **CELL | {"llm": "gpt-4"})["row"]
    assert row["reason"] == "no sentence" and "generate --llm gpt-4" in row["remedy"]
    post(client, "edit", llm="gpt-4", text=NEW, expected="")
    assert get(client, "now", **CELL | {"llm": "gpt-4"})["text"] == NEW


def test_what_is_written_is_told_what_an_edit_would_say(client: Any) -> None:
    assert post(client, "draft", text=NEW)["refused"] is None
    refused = post(client, "draft", text="It is white.")["refused"]
    assert post(client, "edit", code=422, text="It is white.")["error"] == refused
    assert post(client, "edit", text="It is white.", force=True)["row"]["text"] == "It is white."
    assert "invisible signs" in post(client, "edit", code=422, text=EVIL, force=True)["error"]
    assert post(client, "draft", code=400, text="x" * 3000)["exit_code"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": 99}, {"index": -1}, {"index": "x"}, {"index": 1.5}, {"index": None},
        {"attribute": "../x"}, {"attribute": "name"}, {"llm": "no-such-llm"}, {"vocab": "x.json"},
        {"text": 5}, {"text": None}, {"expected": ["x"]},
    ],
)  # fmt: skip
def test_cells_that_are_not_there_change_nothing(client: Any, wrong: dict[str, Any]) -> None:
    told = post(client, "edit", code=400, **{"text": NEW, **wrong})
    assert told["exit_code"] == 2 and told["error"]
    assert get(client, "table", statuses="locked")["total"] == 0


def test_pairs_and_samples_that_are_not_there_yet_can_be_written(client: Any) -> None:
    for attribute in ("contrast:tree", "color#7"):
        row = get(client, "cell", **CELL | {"attribute": attribute})["row"]
        assert (row["status"], row["attribute"]) == ("missing", attribute)
        row = post(client, "edit", attribute=attribute, text=NEW, expected="")["row"]
        assert row["text"] == NEW
        assert post(client, "undo", attribute=attribute)["row"]["status"] == "missing"
    reply = client.get("/api/texts/cell", params=CELL | {"attribute": "contrast:fence"})
    assert reply.status_code == 400


def test_another_process_is_seen(client: Any) -> None:
    get(client, "table")
    edit(CAMVID, "fence", "color", NEW, store=client.studio.store)
    assert get(client, "now", **CELL)["text"] == NEW
    assert get(client, "table", statuses="locked")["total"] == 1


def test_the_usual_store_is_not_made_by_looking(
    open_studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = open_studio(vocab="camvid", store=None)
    shipped = get(client, "cell", **CELL)["row"]["text"]
    assert shipped == editable(CAMVID, "fence", "color") and not Path("runs").exists()
    post(client, "edit", text=NEW, expected=shipped)
    assert Path("runs/attribute_store.sqlite").exists()


def test_what_runs_say_of_a_class(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = get(client, "now", **CELL)["text"]
    score = {"iou": 0.5, "run": "one", "prompts": "color", "texts": [shipped]}
    said = ClassRecords({FENCE: [score]}, {FENCE: [{"recipe": "contrast:sky"}]})
    monkeypatch.setattr(page, "class_records", lambda *_: said)
    found = get(client, "cell", **CELL)
    assert found["proposals"] == [{"recipe": "contrast:sky"}] and found["scores"] == [score]
    (row,) = get(client, "table", name="fence", attributes="color")["rows"]
    assert row["score"] == {"iou": 0.5, "run": "one", "prompts": "color"}


def test_a_public_studio_has_no_texts(open_studio: Any) -> None:
    public = open_studio(token=False, public=True)
    assert public.get("/api/texts/table").status_code == 404
    assert public.post("/api/texts/edit", json={**CELL, "text": NEW}).status_code == 404
