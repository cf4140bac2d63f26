"""Scores of any model on a benchmark: counts, means, tables and files, computed another way."""

from __future__ import annotations

import csv
import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from support.command_line import arguments_for
from support.whole_network import catseg_file, small_network

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.data.palette import palette
from lsmseg_model.errors import UsageError
from lsmseg_model.evaluate import EvaluateRequest, evaluate
from lsmseg_model.inference import pipeline
from lsmseg_model.inference.counting import class_rows, count_pictures, summarise
from lsmseg_model.metrics import confusion_counts, miou, open_iou
from lsmseg_model.segmenter import Segmenter

NAMES = [f"class {i}" for i in range(11)]
TEXTS = [[f"a photo of a {name}", f"there is a {name}"] for name in NAMES]


class Three:
    """Three pictures, of which the second has no labelled pixel. Five prompts: 0 and 1 are
    classes, 2 to 4 stand for the third, background."""

    name, split, vocabulary = "three", "val", "five"
    class_indices: tuple[int, ...] = (0, 1, 2)
    seen: frozenset[int] | None = frozenset({0, 2})
    owners: tuple[int, ...] | None = (0, 1, 2, 2, 2)
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return 3

    def key(self, index: int) -> str:
        return str(index)

    def picture(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (16, 24, 3), dtype=np.uint8)

    def labels(self, index: int) -> np.ndarray:
        if index == 1:
            return np.full((16, 24), IGNORE)
        return np.random.default_rng(9 + index).integers(-1, 3, (16, 24))


FIVE = [["the sky"], ["a zebra"], ["a wall", "a brick wall"], ["grass"], ["sand"]]


@pytest.mark.parametrize("kind", ["clip", "network"])
def test_prompts_are_counted_as_the_classes_they_stand_for(kind: str) -> None:
    net = small_network()
    segmenter = Segmenter.of(net if kind == "network" else net.clip)
    text = segmenter.encode_texts(FIVE)
    three = Three()
    steps: list[tuple[int, int]] = []
    saved: dict[int, np.ndarray] = {}
    counts = count_pictures(
        segmenter.model,
        three,
        text,
        on_progress=lambda *at: steps.append(at),
        save=saved.__setitem__,
    )
    assert steps == [(1, 3), (2, 3), (3, 3)] and sorted(saved) == [0, 1, 2]
    for picture in range(3):
        best = segmenter.scores(three.picture(picture), text, range(5)).argmax(axis=0)
        best = np.minimum(best, 2)
        assert (best == saved[picture]).mean() > 0.99  # but for roundings
        assert (counts[picture] == confusion_counts(saved[picture], three.labels(picture), 3)).all()
    assert counts[1].sum() == 0 and (counts[[0, 2], :, 2].sum(axis=1) > 200).all()
    some = count_pictures(segmenter.model, three, text, pictures=[2])
    assert (some == counts[2:]).all()
    means = summarise(counts, three)
    assert means["pictures"] == 2
    assert means["miou_unseen"] == miou(counts, [1])
    rows = class_rows(counts, three, [f"name {i}" for i in range(5)])
    assert [row["name"] for row in rows] == ["name 0", "name 1", "background"]
    assert [row["seen"] for row in rows] == [True, False, True]


def test_a_picture_without_labels_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter.of(small_network().clip)
    looked: list[int] = []
    real = pipeline.encode_views

    def encode_picture(*given: Any) -> Any:
        looked.append(1)
        return real(*given)

    monkeypatch.setattr(pipeline, "encode_views", encode_picture)
    counts = count_pictures(segmenter.model, Three(), segmenter.encode_texts(FIVE))
    assert len(looked) == 2 and counts[1].sum() == 0


def test_ensembles_are_open_clips_zero_shot_classifier() -> None:
    from open_clip import SimpleTokenizer, build_zero_shot_classifier

    segmenter = Segmenter.of(small_network())
    names = ["zebra", "fire hydrant", "wood floor"]
    templates = ["a photo of a {}.", "there is a {} in the scene", "{}, seen from afar"]
    expected = build_zero_shot_classifier(
        segmenter.clip.model,
        SimpleTokenizer(),
        names,
        [lambda name, t=t: t.format(name) for t in templates],
    )
    ours = segmenter.encode_texts([[t.format(name) for t in templates] for name in names])
    torch.testing.assert_close(ours, expected.T, atol=1e-6, rtol=0)


class Texts(NamedTuple):
    """A prompt set."""

    vocabulary: str
    class_names: list[str]
    texts: list[list[str]]


def run(weights: Path, **more: Any) -> Any:
    prompts = Texts("camvid", NAMES, more.pop("texts", TEXTS))
    return evaluate(
        EvaluateRequest(
            data="camvid", data_root="data", prompts=prompts, pretrained=weights, **more
        )
    )


def test_everything_from_the_saved_predictions(data: Path, weights: Path) -> None:
    """All that is reported follows from the label maps written and those on disk."""
    similarity = np.eye(11)
    similarity[0, 1:] = similarity[1:, 0] = 0.5
    result = run(weights, save_predictions="found", csv="t/rows.csv", similarity=similarity)
    found, labels = [], []
    for name in ("a", "b"):
        with Image.open(f"found/{name}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[:6] == palette(NAMES)[:2].ravel().tolist()  # type: ignore[index]
            found.append(np.asarray(image).ravel())
        labels.append(np.asarray(Image.open(f"data/annotations/val/{name}.png")).ravel())
    prediction, truth = np.concatenate(found), np.concatenate(labels)
    assert prediction.max() <= 10
    ious, accuracies = [], []
    for index, row in enumerate(result.rows):
        hit = ((prediction == index) & (truth == index)).sum()
        either = ((prediction == index) | (truth == index)).sum()
        assert row["labelled"] == (truth == index).sum()
        assert row["predicted"] == (prediction == index).sum()
        assert row["iou"] == pytest.approx(hit / either)
        assert row["accuracy"] == pytest.approx(hit / (truth == index).sum())
        ious.append(hit / either)
        accuracies.append(hit / (truth == index).sum())
    assert result.confusion.sum(axis=1).tolist() == [row["labelled"] for row in result.rows]
    assert result.confusion.sum(axis=0).tolist() == [row["predicted"] for row in result.rows]
    expected = open_iou(result.confusion, similarity)
    assert [row["open_iou"] for row in result.rows] == pytest.approx(expected.tolist())
    summary = result.summary
    assert summary["open_iou"] == pytest.approx(np.mean(expected)) and result.confusion[0, 1:].any()
    assert summary["miou"] == summary["miou_union"] == pytest.approx(np.mean(ious))
    assert summary["class_accuracy"] == pytest.approx(np.mean(accuracies))
    assert summary["pixel_accuracy"] == pytest.approx((prediction == truth).mean())
    assert (summary["model"], summary["pictures"]) == ("small", 2)
    classes = json.loads(Path("found/classes.json").read_text())["classes"]
    assert [c["name"] for c in classes] == NAMES
    with Path("t/rows.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["iou"]) for row in table] == [row["iou"] for row in result.rows]
    assert [row["name"] for row in table] == NAMES
    # The same counts as many prompt sets at once get from features computed once.
    from lsmseg_model.data.benchmark import load_benchmark
    from lsmseg_model.inference.counting import count_prompt_sets, dense_features

    clip = Segmenter(pretrained=weights).clip
    features = dense_features(clip, load_benchmark("camvid", "data", None, None, 11, "camvid"))
    assert (count_prompt_sets(clip, features, [TEXTS])[0] == result.counts).all()


def test_boundaries_and_views(data: Path, weights: Path) -> None:
    plain, more = run(weights), run(weights, boundary=True, flip=True, scales=(1.0, 2.0))
    assert (run(weights, flip=False, scales=[1.0]).confusion == plain.confusion).all()
    assert (more.confusion != plain.confusion).any()
    summary = more.summary
    assert (summary["flip"], summary["scales"]) == (True, (1.0, 2.0))
    assert not {"flip", "scales", "boundary_iou"} & plain.summary.keys()
    # Pictures of 32 x 24: boundaries are one pixel wide; noise is nothing but boundaries.
    assert [row["boundary_iou"] for row in more.rows] == pytest.approx(
        [row["iou"] for row in more.rows], abs=0.05
    )
    assert summary["boundary_iou"] == pytest.approx(
        np.mean([row["boundary_iou"] for row in more.rows])
    )
    weights_of = np.array([row["labelled"] for row in more.rows])
    ious = np.array([row["iou"] for row in more.rows])
    assert summary["fwiou"] == pytest.approx((ious * weights_of).sum() / weights_of.sum())
    with pytest.raises(UsageError, match="--scales 0: give different numbers"):
        run(weights, scales=(0,))


def test_classes_left_out_have_no_part_in_the_means(data: Path, weights: Path) -> None:
    whole, some = run(weights), run(weights, left_out=(0, 3))
    kept = [row for row in whole.rows if row["index"] not in (0, 3)]
    assert some.rows == kept and len(kept) == 9
    assert some.summary["miou"] == pytest.approx(np.mean([row["iou"] for row in kept]))
    accuracies = [row["accuracy"] for row in kept]
    assert some.summary["class_accuracy"] == pytest.approx(np.mean(accuracies))
    with pytest.raises(UsageError, match="No class of camvid is left to score"):
        run(weights, left_out=range(11))


def test_predictions_hold_the_vocabularys_indices(weights: Path) -> None:
    """MiniStuff scores 40 classes of coco-stuff's 171."""
    names = [f"thing {i}" for i in range(171)]
    request = EvaluateRequest(
        data="ministuff", prompts=Texts("coco-stuff", names, [[name] for name in names]),
        pretrained=weights, limit=2, save_predictions="found",
    )  # fmt: skip
    result = evaluate(request)
    mini = MiniStuff("report", 2)
    for index in range(2):
        with Image.open(f"found/{mini.key(index)}.png") as image:
            prediction = np.asarray(image)
        assert set(np.unique(prediction)) <= set(mini.class_indices)
        own = mini.labels(index)
        at = mini.class_indices.index(int(own[own >= 0][0]))
        hit = ((prediction == mini.class_indices[at]) & (own == mini.class_indices[at])).sum()
        assert result.counts[index, at, 0] == hit


def test_texts_too_long_are_told_before_any_picture(
    data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "encode_views", None)
    with pytest.raises(UsageError, match="too many"):
        run(weights, texts=[["very " * 90 + "long"], *TEXTS[1:]], save_predictions="found")
    assert not Path("found").exists()


# -- the command -------------------------------------------------------------------------


def test_the_command_writes_what_it_is_asked_to(call, data: Path, weights: Path) -> None:
    arguments = arguments_for("evaluate", weights)
    result = call("-q", *arguments, "--save-predictions", "found", "--csv", "rows.csv", "--json")
    assert result.code == 0 and result.err == ""
    shown = json.loads(result.out)
    summary = shown["summary"]
    assert {"miou", "miou_union", "open_iou", "class_accuracy"} <= summary.keys()
    assert sorted(p.name for p in Path("found").iterdir()) == ["a.png", "b.png", "classes.json"]
    assert len(Path("rows.csv").read_text().splitlines()) == 12
    plain = call("-q", *arguments)
    assert plain.code == 0 and "class accuracy: 0." in plain.out and "miou union: 0." in plain.out


def test_a_model_that_knows_drawings_only(call, data: Path, weights: Path, drawings: Path) -> None:
    for given, said in ((drawings, True), (weights, False)):
        done = call(*arguments_for("evaluate", given), "--json")
        assert done.code == 0 and ("WARNING" in done.err) == said
        assert (json.loads(done.out)["note"] is not None) == said
    arguments = ("--data", "ministuff", "--limit", "1", "--attributes", "name")
    assert "WARNING" not in call("evaluate", *arguments, "--pretrained", str(drawings)).err


def test_a_cat_seg_checkpoint_on_the_command_line(
    call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the template that it was trained with, and a report of its keys."""
    made = small_network(pad_len=8)
    catseg_file(Path("model_base.pth"), made)
    monkeypatch.setattr(
        "lsmseg_model.networks.build.build_network", lambda _: small_network(pad_len=8)
    )
    arguments = (
        "evaluate", "--data", "camvid", "--data-root", "data", "--model", "cat-seg-b",
        "--checkpoint", "model_base.pth", "--format", "cat-seg",
    )  # fmt: skip
    result = call(*arguments)
    assert result.code == 0, result.err
    assert "keys used; 0 missing; 2 unexpected (pixel_mean, sem_seg_head" in result.err
    assert "prompt set: cat-seg's template" in result.out
    shown = json.loads(call(*arguments, "--json").out)["summary"]
    assert shown["checkpoint_keys"]["unexpected"] == ["pixel_mean", "sem_seg_head.predictor.text"]
    assert shown["checkpoint_keys"]["used"] > 50
    from lsmseg_model.data.benchmark import load_benchmark
    from lsmseg_prompts.vocabularies import load_vocabulary

    segmenter = Segmenter.of(made)
    texts = [[f"A photo of a {entry.name} in the scene"] for entry in load_vocabulary("camvid")]
    benchmark = load_benchmark("camvid", "data", None, None, 11, "camvid")
    counts = count_pictures(segmenter.model, benchmark, segmenter.encode_texts(texts))
    assert shown["miou"] == pytest.approx(miou(counts))
    named = json.loads(call(*arguments, "--attributes", "name", "--json").out)["summary"]
    assert named["prompt_set"] == "name"


def test_what_train_leaves_is_evaluated(call, data: Path) -> None:
    from support.mini_network import NETWORK

    from lsmseg_model.networks.build import build, save_network

    torch.manual_seed(0)
    save_network(Path("w.safetensors"), build(NETWORK), {})
    result = call(
        "evaluate", "--data", "camvid", "--data-root", "data", "--checkpoint", "w.safetensors",
        "--attributes", "name", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    summary = json.loads(result.out)["summary"]
    assert (summary["model"], len(summary["weights"])) == (NETWORK["name"], 16)
    assert 0 <= summary["miou"] <= 1


def test_what_several_prompts_stand_for_is_called_background(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in voc-21: label maps hold the scored classes, and their names say so."""
    module = import_module("lsmseg_model.evaluate")
    monkeypatch.setattr(module, "load_benchmark", lambda *_: Three())
    names = ["sky", "zebra", "wall", "grass", "sand"]
    request = EvaluateRequest(
        data="three", prompts=Texts("five", names, FIVE), pretrained=weights,
        save_predictions="found",
    )  # fmt: skip
    evaluate(request)
    classes = json.loads(Path("found/classes.json").read_text())["classes"]
    assert [c["name"] for c in classes] == ["sky", "zebra", "background", "grass", "sand"]
    with Image.open("found/0.png") as image:
        assert set(np.unique(np.asarray(image))) <= {0, 1, 2}


def test_a_benchmark_is_scored_with_bundled_texts_and_another_llm_s_are_asked_for(
    call, weights: Path, tmp_path: Path
) -> None:
    """`evaluate --data NAME --data-root DIR` works for each of them."""
    for folder in ("images/validation", "annotations/validation"):
        (tmp_path / "ade" / folder).mkdir(parents=True)
    Image.new("RGB", (32, 24)).save(tmp_path / "ade/images/validation/a.jpg")
    Image.new("L", (32, 24), 1).save(tmp_path / "ade/annotations/validation/a.png")
    arguments = ["evaluate", "--data", "ade20k-150", "--data-root", str(tmp_path / "ade"),
                 "--pretrained", str(weights), "--json"]  # fmt: skip
    done = call(*arguments)
    assert done.code == 0, done.err
    assert json.loads(done.out)["summary"]["prompt_set"] == "color+shape+texture+pattern"
    asked = call(*arguments, "--attributes", "color", "--llm", "gpt-4")
    assert asked.code == 4 and "are missing" in asked.err
