"""SAN and mmsegmentation's CLIPTextEncoder, which is made after it: class strings in templates."""

from __future__ import annotations

import importlib
import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lsmseg_prompts.export.checking.modules import function, having, load, said
from lsmseg_prompts.export.checking.reading import Asked, Reading, named_otherwise, stopping
from lsmseg_prompts.export.checking.recording import Encoder, Prompt, open_clip_tokenize
from lsmseg_prompts.export.checking.stand_ins import stand_ins

SAN_FILES = {
    "san.model.clip_utils.classifier": "san/model/clip_utils/classifier.py",
    "san.model.clip_utils.utils": "san/model/clip_utils/utils.py",
    "san.data.datasets.register_coco_stuff_164k": "san/data/datasets/register_coco_stuff_164k.py",
    "san.data.datasets.register_ade20k_full": "san/data/datasets/register_ade20k_full.py",
    "san.data.datasets.register_pcontext": "san/data/datasets/register_pcontext.py",
    "san.data.datasets.register_voc": "san/data/datasets/register_voc.py",
}
REGISTERED = {  # vocabulary: what registers it, and as what; ade20k-150 comes with detectron2
    "coco-stuff": ("register_coco_stuff_164k", "coco_2017_test_stuff_sem_seg"),
    "ade20k-847": ("register_ade20k_full", "ade20k_full_sem_seg_val"),
    "pc-59": ("register_pcontext", "pcontext_sem_seg_val"),
    "pc-459": ("register_pcontext", "pcontext_full_sem_seg_val"),
    "voc-20": ("register_voc", "voc_sem_seg_val"),
}
MMSEG_FILES = {
    "mmseg.models.text_encoder.clip_text_encoder": "mmseg/models/text_encoder/clip_text_encoder.py",
    "mmseg.utils.tokenizer": "mmseg/utils/tokenizer.py",
    "mmseg.utils.get_templates": "mmseg/utils/get_templates.py",
    "mmseg.utils.class_names": "mmseg/utils/class_names.py",
    "mmseg.datasets.basesegdataset": "mmseg/datasets/basesegdataset.py",
    "mmseg.datasets.coco_stuff": "mmseg/datasets/coco_stuff.py",
    "mmseg.datasets.ade": "mmseg/datasets/ade.py",
    "mmseg.datasets.pascal_context": "mmseg/datasets/pascal_context.py",
    "mmseg.datasets.voc": "mmseg/datasets/voc.py",
}
DATASETS = {
    "coco-stuff": ("coco_stuff", "COCOStuffDataset"),
    "ade20k-150": ("ade", "ADE20KDataset"),
    "pc-59": ("pascal_context", "PascalContextDataset59"),
    "voc-21": ("voc", "PascalVOCDataset"),
}
TEMPLATES = "vild"  # of SAN's configuration and of mmsegmentation's CLIPTextEncoder


def read_san(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Register the data set, put the list in the place of its classes, make their classifier."""
    with stand_ins(files, asked.folder):
        module, utils = map(load, list(files)[:2])
        kind = having(module, "get_classifier_by_dataset_name")
        templates = function(utils, "get_predefined_templates")(TEMPLATES)
        module.tokenizer.tokenize = asked.recorder.wrap(open_clip_tokenize)
        register, name = REGISTERED.get(asked.vocabulary, ("", "described"))
        if register:
            load(f"san.data.datasets.{register}")
        metadata = importlib.import_module("detectron2.data").MetadataCatalog.get(name)
        theirs = list(getattr(metadata, "stuff_classes", ()))

        def read() -> None:
            if theirs:
                del metadata.stuff_classes  # as docs/export.md says: it may not be changed
            metadata.stuff_classes = json.loads(asked.file.read_text("utf-8"))
            kind.get_classifier_by_dataset_name(_made(kind, templates), name)

        classes = _by_class(asked, read)
        return Reading(classes, named_otherwise(theirs, asked.classes) if theirs else [])


def read_mmseg(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Take the vocabulary and the class names of the configuration as mmsegmentation does."""
    with stand_ins(files, asked.folder):
        encoders, tokenizer, templates = map(load, list(files)[:3])
        kind = having(encoders, "template_encode")
        texts = function(templates, "get_predefined_templates")(TEMPLATES)
        tokenizer.tokenize = asked.recorder.wrap(function(tokenizer, "tokenize"))
        dataset, name = DATASETS.get(asked.vocabulary, ("basesegdataset", "BaseSegDataset"))
        described = function(load(f"mmseg.datasets.{dataset}"), name)
        values: dict[str, Any] = {}

        def read() -> None:
            values.update(runpy.run_path(str(asked.file)))
            encoder = _made(kind, texts)
            encoder.dataset_name, encoder.vocabulary = None, values["text_vocabulary"]
            encoder.cat_bg, encoder.logit_scale = False, encoder.bg_embed
            kind.forward(encoder)

        classes = _by_class(asked, read)
        theirs = list(vars(described).get("METAINFO", {}).get("classes", ()))
        unmatched = named_otherwise(theirs, asked.classes) if theirs else []
        refused = ""
        if "metainfo" in values:
            try:
                described.get_label_map(tuple(values["metainfo"]["classes"]))
            except Exception as error:
                refused = said(error)
        return Reading(classes, unmatched, refused)


def _made(kind: Any, templates: list[str]) -> Any:
    """A text encoder without its network."""
    torch = importlib.import_module("torch")
    encoder = kind.__new__(kind)
    if isinstance(encoder, torch.nn.Module):
        torch.nn.Module.__init__(encoder)
    encoder.templates, encoder.cache_feature, encoder.cache = templates, True, {}
    encoder.text_projection = encoder.bg_embed = torch.ones(1, 2)
    encoder.encode_text = Encoder().encode_text
    return encoder


def _by_class(asked: Asked, read: Callable[[], object]) -> list[list[Prompt]]:
    """The prompts of each class; the reader takes all classes at once, a template at a time."""
    asked.recorder.taken()
    with stopping():
        read()
    return [list(each) for each in zip(*asked.recorder.taken(), strict=True)]
