"""The page Try with other models and pictures: exported, whole networks, folders of one's own."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.inference.class_prompts import ClassPrompts

LINES = ["sky", "zebra", "grass", "brick wall"]


def ask(client: Any, kind: str = "segment", **fields: Any) -> Any:
    sent = {"picture": "report-0000", "lines": LINES, **fields}
    reply = client.post(f"/api/try/{kind}", json=sent)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("kind", ["exported", "network"])
def test_other_models(open_studio: Any, tmp_path: Path, kind: str) -> None:
    if kind == "exported":
        pytest.importorskip("onnxruntime")
        from support.exported_model import write_exported

        from lsmseg_model.deploy.runtime import OnnxModel
        from lsmseg_prompts.tokens import token_ids

        write_exported(tmp_path / "model")
        model: Any = OnnxModel(tmp_path / "model", token_ids)
        client = open_studio(model=model, runtime="onnx")
    else:
        from support.whole_network import small_network

        from lsmseg_model.segmenter import Segmenter

        model = Segmenter.of(small_network())
        client = open_studio(model=model)
    image, prompts = MiniStuff().picture(0), ClassPrompts(model, LINES)
    decoded = prompts.decode(image)
    told = ask(client)
    found = np.frombuffer(zlib.decompress(base64.b64decode(told["map"])), "<u2")
    assert (found.reshape(told["size"]) == prompts.predict(image, decoded).masks).all()
    assert told["score"] == ("cosine" if kind == "exported" else "probability")
    scores = decoded.scores(range(4))
    best = ask(client, "pixel", x=77, y=11)["best"]
    order = np.argsort(-scores[:, 11, 77], kind="stable")
    assert [one["name"] for one in best] == [LINES[at] for at in order]
    assert [one["score"] for one in best] == pytest.approx(scores[order, 11, 77], abs=1e-5)
    heat = ask(client, "map", place=1)
    assert (heat["low"], heat["high"]) == pytest.approx((scores[1].min(), scores[1].max()))


def test_a_folder_of_ones_own(open_studio: Any, tiny: Any, data: Path, tmp_path: Path) -> None:
    vocabulary = tmp_path / "own.txt"
    vocabulary.write_text("\n".join(f"thing {letter}" for letter in "abcdefghijk"))
    client = open_studio(model=tiny, data=str(data), split="val", vocab=str(vocabulary))
    names = client.get("/api/try/pictures").json()["names"]
    told = ask(client, picture=names[1], lines=["thing a", "thing b", "sky"])
    assert len(names) == 2 and told["size"] == [24, 32]
    rows = {row["name"]: row for row in told["labelled"]["classes"]}
    assert len(rows) == 11 and rows["thing k"]["phrase"] is None and rows["thing b"]["phrase"] == 1
    assert len(client.get("/api/try/names").json()["classes"]) == 11
    reply = client.get("/api/try/thumbnail", params={"name": names[0]})
    assert reply.headers["content-type"] == "image/png"


def test_background_of_many_prompts(open_studio: Any, tiny: Any, tmp_path: Path) -> None:
    """voc-21 calls many words background: each of them means that class."""
    from ablations.studio.trying.labelled import Labelled, all_classes
    from lsmseg_prompts.vocabularies import load_vocabulary

    class Pictures:
        name, split, vocabulary, seen = "voc-21", "val", "voc-21", None
        class_indices = tuple(range(21))
        owners = (*range(21), *[20] * (len(load_vocabulary("voc-21")) - 21))

    studio = open_studio(model=tiny, vocab="voc-21").studio
    studio.__dict__["benchmark"] = Pictures()
    labelled = Labelled(studio, np.array([[0, 20, -1]]))
    assert labelled.positions.tolist() == [[0, 20, -1]] and labelled.names[20] == "background"
    words = all_classes(studio.benchmark, studio.vocabulary)
    assert [labelled.meant(words[at]) for at in (0, 19, 20, 25, len(words) - 1)] == [
        0,
        19,
        20,
        20,
        20,
    ]
    assert labelled.meant("background") == 20 and labelled.meant("no such thing") is None
