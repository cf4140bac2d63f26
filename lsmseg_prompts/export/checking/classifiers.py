"""Readers for image classification: open_clip's class list, and {class: [texts]} of three others.

CuPL, DCLIP and CLIP_benchmark look a class up by its name.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

from lsmseg_prompts.export.checking.modules import cut_out, function, load, said
from lsmseg_prompts.export.checking.reading import Asked, Reading, stopping
from lsmseg_prompts.export.checking.recording import (
    Encoder,
    clip_tokenize,
    open_clip_tokenize,
)
from lsmseg_prompts.export.checking.stand_ins import stand_ins

OPEN_CLIP_FILES = {
    "open_clip.zero_shot_classifier": "src/open_clip/zero_shot_classifier.py",
    "open_clip.tokenizer": "src/open_clip/tokenizer.py",
}
CUPL_FILES = {"classify_imagenet": "classify_imagenet.py"}
DCLIP_FILES = {
    "load": "load.py",
    "loading_helpers": "loading_helpers.py",
    "descriptor_strings": "descriptor_strings.py",
}
CLIP_BENCHMARK_FILES = {
    "clip_benchmark.datasets.builder": "clip_benchmark/datasets/builder.py",
    "clip_benchmark.metrics.zeroshot_classification": (
        "clip_benchmark/metrics/zeroshot_classification.py"
    ),
    "clip_benchmark.datasets.voc2007": "clip_benchmark/datasets/voc2007.py",
}

VOC = "voc2007"  # the one vocabulary of ours that is a data set of CLIP_benchmark


def read_open_clip(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Build the zero-shot classifier of the file's class names and templates."""
    with stand_ins(files, asked.folder):
        module, tokenizer = map(load, files)
        build = function(module, "build_zero_shot_classifier")
        tokenize = asked.recorder.wrap(function(tokenizer, "tokenize"))
        with stopping():
            raw = json.loads(asked.file.read_text("utf-8"))
            build(Encoder(), tokenize, raw["classnames"], raw["templates"])
    prompts = [prompt for call in asked.recorder.taken() for prompt in call]
    each = len(raw["templates"])
    return Reading([prompts[start : start + each] for start in range(0, len(prompts), each)])


def read_cupl(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Make the classifier of each class from the file, by the script's own function.

    The script opens ImageNet and classifies it, so that the function is cut out of it.
    """
    with stand_ins({}, asked.folder):
        clip = SimpleNamespace(tokenize=asked.recorder.wrap(clip_tokenize))
        known = {
            "clip": clip,
            "json": json,
            "model": Encoder(),
            "tqdm": list,
            "torch": load("torch"),
        }
        names = ("PATH_TO_PROMPTS", "zeroshot_classifier_gpt")
        script = cut_out(files["classify_imagenet"], names, known)
        script["PATH_TO_PROMPTS"] = str(asked.file)
        classify = script["zeroshot_classifier_gpt"]
        return _by_name(asked, _keys(asked.file), lambda name: classify([name], [name], [], False))


def read_dclip(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Put the file in the place of each descriptor file and make its encodings."""
    folder = asked.folder / "descriptors"
    folder.mkdir()
    for own in (asked.checkout / "descriptors").glob("*.json"):
        shutil.copy(asked.file, folder / own.name)
    with stand_ins(files, asked.folder):
        load("loading_helpers")
        with stopping():
            script = importlib.import_module("load")
        script.clip.tokenize = asked.recorder.wrap(clip_tokenize)
        encode = function(script, "compute_description_encodings")
        asked.recorder.taken()
        with stopping():
            names = list(encode(Encoder()))
        calls = dict(zip(names, asked.recorder.taken(), strict=True))
        return _by_name(asked, names, lambda name: asked.recorder.calls.append(calls[name]))


def read_clip_benchmark(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Give the file as the custom templates and class names of a data set in WebDataset's form."""
    with stand_ins(files, asked.folder):
        builder, metrics, voc = map(load, files)
        build = function(builder, "build_dataset")
        classify = function(metrics, "zero_shot_classifier")
        builder.build_wds_dataset = lambda *_, **__: SimpleNamespace(classes=[])  # reads pictures
        tokenize = asked.recorder.wrap(open_clip_tokenize)
        with stopping():
            whole = json.loads(asked.file.read_text("utf-8"))
            name = next((n for n, value in whole.items() if isinstance(value, dict)), "none")
            own = dict.fromkeys(("custom_template_file", "custom_classname_file"), str(asked.file))
            data = build(f"wds/{name}", **own)

        def read(name: str) -> None:
            classify(Encoder(), tokenize, [name], data.templates, "cpu", amp=False)

        reading = _by_name(asked, list(data.classes), read)
        theirs = getattr(voc, "object_categories", []) if name == VOC else []
        reading.unmatched += [
            f"{each!r} of its own" for each in theirs if each not in data.templates
        ]
        return reading


def _keys(file: Path) -> list[str]:
    return list(json.loads(file.read_text("utf-8")))


def _by_name(asked: Asked, keys: list[str], read: Callable[[str], object]) -> Reading:
    """The prompts of each class, read by the name that the file gives it."""
    reading = Reading([])
    left = set(keys)
    for entry in asked.classes:
        name = next((n for n in (entry.name, entry.readable, *entry.others) if n in left), None)
        left.discard(name or "")
        if name is None:
            reading.unmatched.append(entry.name)
        asked.recorder.taken()
        try:
            read(name or entry.name)
        except Exception as error:
            reading.refused = reading.refused or said(error)
        prompts = [prompt for call in asked.recorder.taken() for prompt in call]
        reading.refused = reading.refused or next((p.error for p in prompts if p.error), "")
        reading.classes.append(prompts)
    reading.unmatched += [f"{name!r} of the file" for name in keys if name in left]
    return reading
