"""FC-CLIP and MAFT+, whose code is the same: lines `id:text,text`, texts as synonyms in templates.

Their loaders open a fixed path below the working folder, so the file is put there in a folder of
its own, beside the checkout's other files.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lsmseg_prompts.export.checking.modules import OtherVersionError, function, having, load
from lsmseg_prompts.export.checking.reading import Asked, Reading, named_otherwise, stopping
from lsmseg_prompts.export.checking.recording import Encoder, Prompt, open_clip_tokenize
from lsmseg_prompts.export.checking.stand_ins import stand_ins
from lsmseg_prompts.export.formats import INVALID

DATA = "data/datasets"
LOADERS = {  # vocabulary: the file that they open, and the module that registers it
    "coco-stuff": ("coco_stuff", "register_coco_stuff_164k"),
    "ade20k-150": ("ade20k_150", "register_ade20k_panoptic"),
    "ade20k-847": ("ade20k_847", "register_ade20k_full"),
    "pc-59": ("pascal_ctx_59", "register_pascal_ctx_59_sem_seg"),
    "pc-459": ("pascal_ctx_459", "register_pascal_ctx_459_sem_seg"),
    "voc-20": ("pascal_voc_21", "register_pascal_voc_20_semantic"),
    "voc-21": ("pascal_voc_21", "register_pascal_voc_21_semantic"),
    "ade20k-150-fcclip": ("ade20k_150", "register_ade20k_panoptic"),
    "cityscapes-19": ("cityscapes", "register_cityscapes_panoptic"),
    "mapillary-65": ("mapillary_vistas", "register_mapillary_vistas_panoptic"),
}
BATCH = 128  # texts at a time, as their get_text_classifier takes them


def files_of(package: str, model: str, *more: str) -> dict[str, str]:
    """The files of a checkout by module: the class lists, the model and CLIP's text side."""
    paths = [f"{DATA}/openseg_classes", model, "modeling/backbone/clip", *more]
    paths += [f"{DATA}/{register}" for _, register in LOADERS.values()]
    return {f"{package}.{path}".replace("/", "."): f"{package}/{path}.py" for path in paths}


FC_CLIP_FILES = files_of("fcclip", "fcclip")
MAFT_FILES = files_of("maft", "maft_plus", "utils/text_templetes")


def read_fc_clip(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Register the data set with the file in place, then make its prompts and their tokens."""
    names = list(files)
    package = names[0].partition(".")[0]
    folder = asked.folder / package / DATA
    folder.mkdir(parents=True)
    for own in (asked.checkout / package / DATA).glob("*.txt"):
        shutil.copy(own, folder)
    with stand_ins(files, asked.folder):
        lists, model, clip = map(load, names[:3])
        train = SimpleNamespace(stuff_classes=_training_names(lists))
        prepare = having(
            model, "prepare_class_names_from_metadata"
        ).prepare_class_names_from_metadata
        encoder = having(clip, "get_text_classifier")
        loader = LOADERS.get(asked.vocabulary)
        notes = [
            f"It has no loader for {asked.vocabulary}: the lines were given as a new data set's."
        ]
        unmatched = []
        if loader:
            register = f"{package}.{DATA}.{loader[1]}".replace("/", ".")
            load(register)  # with its own file
            own = _metadata()
            unmatched = named_otherwise(own.stuff_classes, asked.classes)
            usual = prepare(None, own, train)[0]
            shutil.copy(asked.file, folder / f"{loader[0]}_with_prompt_eng.txt")
        with stopping():
            metadata = _registered(register) if loader else _given(asked.file)
            seen, counts, texts = prepare(None, metadata, train)
            prompts = _tokenized(asked, encoder, texts)
        if loader:
            by_name, usually, ours = int(seen.sum()), int(usual.sum()), _mask(asked, len(seen))
            notes = [
                f"By their names it takes {by_name} of {len(seen)} classes for seen in training; "
                f"with its own file {usually}{ours}."
            ]
    templates = len(texts) // max(sum(counts), 1)
    classes, start = [], 0
    for count in counts:
        classes.append(prompts[start : start + count * templates])
        start += count * templates
    return Reading(classes, unmatched, notes=notes)


def _mask(asked: Asked, classes: int) -> str:
    """What the second file of an export says, for a note."""
    file = asked.file.with_suffix(".seen.json")
    if not file.is_file():
        return ""
    mask = json.loads(file.read_text("utf-8"))
    wrong = "" if len(mask) == classes else f", which has {len(mask)} entries"
    return f", by the mask in {file.name} {sum(mask)}{wrong}"


def _training_names(lists: Any) -> list[str]:
    return [each["name"] for each in function(lists, "get_coco_categories_with_prompt_eng")()]


def _registered(module: str) -> Any:
    """The metadata that a module registers, anew."""
    del sys.modules[module]
    importlib.import_module("detectron2.data").MetadataCatalog.clear()
    importlib.import_module(module)
    return _metadata()


def _metadata() -> Any:
    """The metadata to test on that is registered now."""
    catalog = importlib.import_module("detectron2.data").MetadataCatalog
    found = [
        m for name, m in catalog.items() if hasattr(m, "stuff_classes") and "train" not in name
    ]
    if not found:
        raise OtherVersionError("it registers no stuff_classes")
    return found[0]


def _given(file: Path) -> Any:
    """The lines of a file as the metadata of a data set that has no loader."""
    pairs = [line.split(":") for line in file.read_text("utf-8").splitlines()]
    return SimpleNamespace(stuff_classes=[text for _, text in pairs if text != INVALID])


def _tokenized(asked: Asked, encoder: Any, texts: list[str]) -> list[Prompt]:
    """What CLIP's text side is given, batch by batch."""
    asked.recorder.taken()
    clip = encoder.__new__(encoder)
    clip.text_tokenizer = asked.recorder.wrap(open_clip_tokenize)
    clip.eval = lambda: clip
    clip.encode_text = Encoder().encode_text
    for start in range(0, len(texts), BATCH):
        encoder.get_text_classifier(clip, texts[start : start + BATCH], "cpu")
    return [prompt for call in asked.recorder.taken() for prompt in call]
