"""The page Try: what is answered is what the library gives, and little is computed again."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.studio.trying.kept import Kept
from ablations.studio.trying.phrases import suggested_names
from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.metrics import confusion_counts, iou, miou
from lsmseg_prompts.vocabularies import load_vocabulary

LINES = ["brick wall", "wood floor", "clock", "a traffic light with two lamps"]
PICTURE = "report-0000"


@pytest.fixture
def tried(open_studio: Any, tiny: Any) -> Any:
    return open_studio(model=tiny)


def ask(client: Any, kind: str = "segment", status: int = 200, **fields: Any) -> Any:
    reply = client.post(f"/api/try/{kind}", json={"picture": PICTURE, "lines": LINES, **fields})
    assert reply.status_code == status, reply.text
    return reply.json()


def unpacked(answer: Any, kind: str = "<u2") -> np.ndarray:
    data = np.frombuffer(zlib.decompress(base64.b64decode(answer["map"])), kind)
    return data.reshape(answer["size"])


def test_the_map_is_what_the_model_predicts(tried: Any, tiny: Any) -> None:
    answer = ask(tried, threshold=0.1, background=["wood floor"])
    expected = tiny.predict(MiniStuff().picture(0), LINES, background=["wood floor"], threshold=0.1)
    assert answer["classes"] == list(expected.classes) == [*np.delete(LINES, 1), "background"]
    assert (unpacked(answer) == expected.masks).all()
    assert len(np.unique(expected.masks)) == 4
    assert answer["shares"] == pytest.approx([expected.shares[name] for name in answer["classes"]])
    assert [one["texts"] for one in answer["phrases"]][3] == [
        "a photo of a traffic light with two lamps"
    ]


def test_words_stand_with_descriptions_or_a_text_of_ones_own(tried: Any) -> None:
    lines = ["zebra", "Zebra ", "sky: a blue sky.", "blorb", "", "a cow grazes."]
    answer = ask(tried, lines=lines, attributes=["color"])
    zebra, again, sky, blorb, cow = answer["phrases"]
    assert zebra["described"] and zebra["texts"][0].startswith("The zebra is black and white")
    assert again["said"] == "named twice" and "Zebra" not in answer["classes"]
    assert (sky["name"], sky["texts"], sky["described"]) == ("sky", ["a blue sky."], False)
    assert (blorb["texts"], cow["texts"]) == (["a photo of a blorb"], ["a cow grazes."])
    assert [one["place"] for one in answer["phrases"]] == [0, 1, 2, 3, 5]
    assert answer["classes"] == ["zebra", "sky", "blorb", "a cow grazes."]


def test_tokens_are_counted_and_what_is_too_long_is_left_out(tried: Any) -> None:
    answer = ask(tried, lines=["sky", "zebra: " + "stripes " * 75, "grass: " + "blade " * 76])
    assert [one["tokens"] for one in answer["phrases"]] == [7, 77, 78]
    assert [one["said"] for one in answer["phrases"]] == [None, None, "1 token too long"]
    assert answer["classes"] == ["sky", "zebra"]


def test_iou_is_that_of_the_metrics(tried: Any, tiny: Any) -> None:
    vocabulary, benchmark = load_vocabulary("coco-stuff"), MiniStuff()
    told = ask(tried)["labelled"]
    masks, labels = tiny.predict(benchmark.picture(0), LINES).masks, benchmark.labels(0)
    found = {vocabulary[i].readable for i in np.unique(labels) if i >= 0}
    named = [next(e.index for e in vocabulary if e.readable == name) for name in LINES[:3]]
    counts = confusion_counts(np.array([*named, 171])[masks], labels, 172)[:171]
    rows = {row["name"]: row for row in told["classes"]}
    assert set(rows) == found and len(found) == 6
    for name, index in zip(LINES, named, strict=False):
        assert rows[name]["iou"] == pytest.approx(iou(counts)[index])
        assert rows[name]["phrase"] == LINES.index(name)
    assert rows["clock"]["iou"] > 0.4 and rows["donut"] == rows["donut"] | {
        "iou": 0,
        "phrase": None,
    }
    assert told["mean"] == pytest.approx(miou(counts))
    assert sum(row["share"] for row in told["classes"]) == pytest.approx(1)


def test_the_best_of_a_pixel_and_the_cost_map(tried: Any, tiny: Any) -> None:
    lines = [*LINES, "sky", "grass", "donut"]
    scores = tiny.encode(MiniStuff().picture(0)).decode(tiny.embed(tiny.default_texts(lines)))
    maps = scores.scores(range(len(lines)))
    best = ask(tried, "pixel", lines=lines, x=100, y=20)["best"]
    order = np.argsort(-maps[:, 20, 100])[:5]
    assert [one["name"] for one in best] == [lines[at] for at in order]
    assert [one["score"] for one in best] == pytest.approx(maps[order, 20, 100].tolist(), abs=1e-5)
    told = ask(tried, "map", lines=lines, place=2)
    shown = told["low"] + unpacked(told, "u1") / 255 * (told["high"] - told["low"])
    assert told["name"] == "clock" and np.abs(shown - maps[2]).max() <= np.ptp(maps[2]) / 500
    assert ask(tried, "pixel", 400, x=128, y=0)["error"].startswith("The picture has 128 x 128")
    assert "no such phrase" in ask(tried, "map", 400, place=9)["error"]


def test_an_edit_embeds_one_text_and_encodes_nothing(
    tried: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[Any] = []
    encoded: list[str] = []
    embed, encode = type(tiny).embed, type(tiny).encode
    monkeypatch.setattr(
        type(tiny), "embed", lambda self, texts: embedded.append(texts) or embed(self, texts)
    )
    monkeypatch.setattr(
        type(tiny), "encode",
        lambda self, image, name: encoded.append(name) or encode(self, image, name),
    )  # fmt: skip
    for lines in (LINES, LINES, [*LINES[:3], "red clock"], LINES[:2]):
        ask(tried, lines=lines)
    assert [len(texts) for texts in embedded] == [4, 1] and encoded == [PICTURE]
    ask(tried, "map", place=0)
    ask(tried, "pixel", x=0, y=0)
    ask(tried, threshold=0.2)
    assert len(embedded) == 2 and len(encoded) == 1


def test_without_a_phrase_there_is_no_map(tried: Any) -> None:
    answer = ask(tried, lines=["", "  ", ":"])
    assert answer["phrases"] == [] and "map" not in answer
    assert "Name at least one class" in ask(tried, "pixel", 400, lines=[], x=0, y=0)["error"]


def test_wrong_requests(tried: Any) -> None:
    for fields, says in (
        ({"picture": "../../etc/passwd"}, "has no picture"),
        ({"lines": ["x"] * 2001}, "at most 2000 texts"),
        ({"lines": "sky"}, "has to be a list"),
        ({"attributes": ["colour of night"]}, "attribute"),
        ({"threshold": 3}, "number from -1 to 1"),
        ({"background": LINES}, "Every class is background"),
    ):
        assert says in ask(tried, status=400, **fields)["error"]


def test_any_text_is_a_phrase(tried: Any) -> None:
    lines = ["<img src=x onerror=alert(1)>", "\u202eabc", "日本の空", "🦓", "'; DROP--"]
    answer = ask(tried, lines=lines)
    assert answer["classes"] == lines


def test_what_the_page_offers(tried: Any) -> None:
    told = tried.get("/api/try/names").json()
    assert len(told["classes"]) == 40 and told["vocabulary"] == "coco-stuff"
    names = {name: where for name, *where in told["names"]}
    assert [told["vocabularies"][at] for at in names["zebra"]][:1] == ["coco-stuff"]
    assert "couch" in names and suggested_names() is suggested_names()
    text = tried.get("/").text
    assert 'value="texture"' in text and 'data-limit="77"' in text


@pytest.mark.parametrize("path", ["/", "/compare"])
def test_photographs_are_warned_of_where_the_model_knows_drawings(
    open_studio: Any, tmp_path: Path, path: str
) -> None:
    assert "lsmseg-tiny knows drawings only" in open_studio().get(path).text
    (tmp_path / "real.pt").write_bytes(b"")
    real = open_studio(model="ViT-B-32", pretrained=str(tmp_path / "real.pt"))
    assert "knows drawings only" not in real.get(path).text


def test_labels_of_a_picture(tried: Any) -> None:
    told = tried.get("/api/try/labels", params={"name": PICTURE}).json()
    labels, names = MiniStuff().labels(0), load_vocabulary("coco-stuff")
    shown = [names[index].readable for index in np.unique(labels)]
    assert told["classes"] == shown
    assert (np.unique(labels)[unpacked(told)] == labels).all()


def test_pictures_come_in_pages(tried: Any) -> None:
    first, last = (tried.get(f"/api/try/pictures?page={n}").json() for n in (0, 8))
    assert first["total"] == 200 and first["names"][1] == "report-0001"
    assert last["names"][-1] == "report-0199" and len(last["names"]) == 8
    assert tried.get("/api/try/pictures?page=9").json()["names"] == []


def test_strangers_may_try(open_studio: Any, tiny: Any) -> None:
    public = open_studio(token=False, public=True, model=tiny)
    assert ask(public)["classes"] == LINES
    assert not public.studio.store.exists()
    assert "at most 200 texts" in ask(public, status=400, lines=["x"] * 201)["error"]


def test_what_was_not_used_for_longest_goes() -> None:
    kept: Kept[str, int] = Kept(2)
    for key in "ab":
        kept.put(key, ord(key))
    assert kept.get("a") == 97 and kept.put("c", 1) == 1
    assert (kept.get("b"), kept.get("a"), len(kept)) == (None, 97, 2)
