"""The lines of docs/export.md that go into other projects, run on exported files.

The checks' stand-ins take the place of what is not installed. mmengine and clip_benchmark read
their lines themselves, so those are skipped without them.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
import tarfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import yaml
from PIL import Image
from support.small_clip import SMALL

import lsmseg_prompts
from ablations.scoring.embeddings import export_embeddings
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.export import export
from lsmseg_prompts.export.checking.recording import Encoder, Recorder, clip_tokenize
from lsmseg_prompts.export.checking.stand_ins import MetadataCatalog
from lsmseg_prompts.export.consumers import writing_for
from lsmseg_prompts.prompts.prompt_set import PromptSet

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "export.md"
CHECKOUTS = os.environ.get("LSMSEG_PROMPTS_READERS", "")
CAMVID = lsmseg_prompts.load_vocabulary("camvid")


def blocks() -> dict[str, list[str]]:
    """What the document says to write over there, by the project's name in bold."""
    section = DOCUMENT.read_text("utf-8").partition("\n## What to change over there\n")[2]
    found: dict[str, list[str]] = {}
    for part in re.split(r"^\*\*", section.partition("\n## ")[0], flags=re.M)[1:]:
        name = part.partition("**")[0]
        indented = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", part, re.M)
        found[name] = [textwrap.dedent(one).strip("\n") for one in indented]
    return {name: some for name, some in found.items() if some}


def written(format: str, file: str, composition: str = "concat") -> PromptSet:
    """An export of the 11 classes of camvid, under the name that the lines open."""
    attributes = ("color", "shape")
    writing = writing_for(format)
    made = lsmseg_prompts.prompt_set(CAMVID, attributes, composition, writing=writing)
    return export(made, CAMVID, file, format)


def ran(code: str, **names: Any) -> dict[str, Any]:
    """The names that the lines leave."""
    exec(compile(code, DOCUMENT.name, "exec"), names)
    return names


def cat_seg(code: str) -> None:
    assert [Path(name).suffix for name in yaml.safe_load(code).values()] == [".json", ".json"]
    for line, vocabulary in zip(code.splitlines(), ("coco-stuff", "ade20k-150"), strict=True):
        assert f"--vocab {vocabulary}" in line


def fc_clip(files: str, code: str) -> None:
    assert all(file.endswith("ade20k_150_with_prompt_eng.txt") for file in files.splitlines())
    written("fc-clip", "ade150.txt")
    before = torch.zeros(len(CAMVID), dtype=torch.long)
    names = {"json": json, "torch": torch, "category_overlapping_mask": before}
    tested = ran(code, metadata=object(), train_metadata=object(), **names)
    assert tested["category_overlapping_mask"].shape == (11,)
    assert tested["category_overlapping_mask"].tolist() == [int(bool(e.seen)) for e in CAMVID]
    one = object()
    trained = ran(code, metadata=one, train_metadata=one, **names)
    assert not trained["category_overlapping_mask"].any()


def san(code: str) -> None:
    made = written("san", "ade847.json")
    catalog = MetadataCatalog()
    catalog.get("ade20k_full_sem_seg_val").stuff_classes = ["wall"]
    ran(code, MetadataCatalog=catalog, json=json)
    theirs = catalog.get("ade20k_full_sem_seg_val").stuff_classes
    assert theirs == [text for (text,) in made.texts]


def detectron2(code: str) -> None:
    made = written("detectron2", "texts.json")
    catalog = MetadataCatalog()
    catalog.get("my_data_set").stuff_classes = ["wall"]
    ran(code, MetadataCatalog=catalog, json=json)
    assert catalog.get("my_data_set").stuff_classes == [text for (text,) in made.texts]


def mmsegmentation(code: str) -> None:
    """In mmengine, above mmsegmentation's own configuration where its package is unpacked."""
    config = pytest.importorskip("mmengine.config", reason="mmengine is not installed")
    made = written("mmseg", "ade150.py")
    [base] = re.findall(r"\./(san-.+?\.py)", code)
    theirs = Path(CHECKOUTS, "mmsegmentation/mmseg/.mim/configs/san", base).resolve()
    Path("mine.py").write_text(code)
    if CHECKOUTS and theirs.is_file():
        Path("mine.py").write_text(code.replace(f"./{base}", str(theirs)))
    else:
        Path(base).write_text(
            "model = dict(text_encoder=dict(type='CLIPTextEncoder', dataset_name='coco-stuff164k'),"
            " decode_head=dict(num_classes=171))\n"
        )
    model = config.Config.fromfile("mine.py").model
    assert model.text_encoder.type == "CLIPTextEncoder" and model.text_encoder.dataset_name is None
    assert model.text_encoder.vocabulary == [text for (text,) in made.texts]
    assert model.decode_head.num_classes == 11


def open_clip_lines(one: str, several: str) -> None:
    for code, format, composition in (
        (one, "open_clip", "concat"),
        (several, "json", "ensemble"),
    ):
        made = written(format, "ade150.json", composition)
        recorder, build = Recorder(), open_clip.build_zero_shot_classifier
        names = {"model": Encoder(), "tokenizer": recorder.wrap(clip_tokenize), "json": json}
        ran(code, build_zero_shot_classifier=build, **names)
        prompts = [prompt for call in recorder.taken() for prompt in call]
        assert [p.text for p in prompts] == [text for group in made.texts for text in group]
        Path("ade150.json").unlink()


def clip_benchmark(command: str) -> None:
    """With a random CLIP of two layers, on pictures of one color."""
    for package in ("webdataset", "sklearn", "clip_benchmark"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from clip_benchmark import cli

    made = written("clip-benchmark", "camvid.json", "ensemble")
    Path("root/test").mkdir(parents=True)
    Path("root/test/nshards.txt").write_text("1")
    with tarfile.open("root/test/0.tar", "w") as shard:
        for number in range(len(CAMVID)):
            picture = io.BytesIO()
            Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(picture, "WEBP")
            for end, data in ((".webp", picture.getvalue()), (".cls", str(number).encode())):
                info = tarfile.TarInfo(f"{number:03}{end}")
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    Path("tiny").mkdir()
    clip = {**SMALL["clip"], "text_cfg": {**SMALL["clip"]["text_cfg"], "vocab_size": 49408}}
    Path("tiny/tiny.json").write_text(json.dumps(clip))
    open_clip.add_model_config("tiny")
    command = re.sub("ade20k-150|ade150", "camvid", command.replace("\\\n", " "))
    more = ("--model", "tiny", "--pretrained", "", "--num_workers", "0", "--no_amp", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "argv", [*shlex.split(command), *more, "--dump_templates", "--output", "out.json"]
        )
        cli.main()
    out = json.loads(Path("out.json").read_text())
    assert out["task"] == "zeroshot_classification" and "acc1" in out["metrics"]
    names = [entry.name for entry in CAMVID]
    assert out["templates"] == dict(zip(names, map(list, made.texts), strict=True))


def embeddings(code: str) -> None:
    made = lsmseg_prompts.prompt_set(CAMVID, ["color"])
    export_embeddings(made, build_backbone(SMALL), Path("pc59.safetensors"))
    assert ran(code)["text_features"].shape == (11, 8)


LINES: dict[str, Callable[..., None]] = {
    "CAT-Seg, SED": cat_seg,
    "FC-CLIP, MAFT+": fc_clip,
    "SAN": san,
    "detectron2": detectron2,
    "mmsegmentation": mmsegmentation,
    "open_clip": open_clip_lines,
    "CLIP_benchmark": clip_benchmark,
    "Embeddings": embeddings,
}


def test_all_lines_are_run() -> None:
    assert set(blocks()) == set(LINES)


@pytest.mark.parametrize("project", LINES)
def test_lines_for_another_project(project: str) -> None:
    LINES[project](*blocks()[project])
