"""CAT-Seg and SED: a JSON list of class strings, split on a comma and a space, in templates."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lsmseg_prompts.export.checking.modules import function, having, load
from lsmseg_prompts.export.checking.reading import Asked, Reading, named_otherwise, stopping
from lsmseg_prompts.export.checking.recording import Encoder, Prompt
from lsmseg_prompts.export.checking.stand_ins import stand_ins

CAT_SEG_FILES = {
    "cat_seg.modeling.transformer.cat_seg_predictor": (
        "cat_seg/modeling/transformer/cat_seg_predictor.py"
    ),
    "cat_seg.third_party.clip": "cat_seg/third_party/clip.py",
    "cat_seg.third_party.simple_tokenizer": "cat_seg/third_party/simple_tokenizer.py",
    "cat_seg.third_party.imagenet_templates": "cat_seg/third_party/imagenet_templates.py",
}
SED_FILES = {
    "sed.modeling.transformer.sed_predictor": "sed/modeling/transformer/sed_predictor.py",
    "sed.third_party.imagenet_templates": "sed/third_party/imagenet_templates.py",
    "open_clip.tokenizer": "open_clip/src/open_clip/tokenizer.py",
}
TEMPLATES = ("single", "imagenet")  # PROMPT_ENSEMBLE_TYPE of their configurations
OWN_LISTS = {
    "coco-stuff": "coco.json",
    "ade20k-150": "ade150.json",
    "ade20k-847": "ade847.json",
    "pc-59": "pc59.json",
    "pc-459": "pc459.json",
    "voc-20": "voc20.json",
}


def read_cat_seg(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Build the predictor on the file with OpenAI's CLIP, then make its text embeddings."""
    recorder = asked.recorder
    with stand_ins(files, asked.folder):
        module, clip = (load(name) for name in list(files)[:2])
        clip.tokenize = recorder.wrap(function(clip, "tokenize"))
        clip.load = lambda *_, **__: (Encoder(), None)
        encode = having(module, "get_text_embeds").get_text_embeds

        def made(predictor: Any) -> list[list[Prompt]]:
            recorder.taken()
            texts = predictor.test_class_texts
            encode(predictor, texts, predictor.prompt_templates, predictor.clip_model)
            return recorder.taken()

        return _read(asked, module, "get_text_embeds", "ViT-B/16", made)


def read_sed(asked: Asked, files: Mapping[str, Path]) -> Reading:
    """Build the predictor on the file with its ConvNeXt, which makes its text embeddings."""
    recorder = asked.recorder
    with stand_ins(files, asked.folder):
        module, _, tokenizer = map(load, files)
        tokenize = recorder.wrap(function(tokenizer, "tokenize"))
        module.open_clip = SimpleNamespace(
            create_model_and_transforms=lambda *_, **__: (Encoder(), None, None),
            get_tokenizer=lambda *_: tokenize,
        )
        return _read(
            asked, module, "class_embeddings", "Convnext-B", lambda _: recorder.taken()[1:]
        )


def _read(asked: Asked, module: Any, method: str, clip: str, made: Any) -> Reading:
    """The prompts of each class with each set of templates, `made` by a predictor on the file."""
    kind = having(module, method)
    one = asked.folder / "train.json"  # to train on; its prompts are the first call
    one.write_text('["thing"]')
    values = {"train_class_json": one, "test_class_json": asked.file, "clip_pretrained": clip}
    wanted = dict.fromkeys(inspect.signature(kind.__init__).parameters, 0)
    del wanted["self"]
    classes: list[list[Prompt]] = []
    refused = ""
    for templates in TEMPLATES:
        predictor = kind.__new__(kind)
        asked.recorder.taken()
        with stopping():
            kind.__init__(predictor, **{**wanted, **values, "prompt_ensemble_type": templates})
            predictor.training = False
            calls = made(predictor)
        refused = refused or next((p.error for call in calls for p in call if p.error), "")
        classes = [
            before + call for before, call in zip(classes or [[]] * len(calls), calls, strict=True)
        ]
    return Reading(classes, _unmatched(asked), refused)


def _unmatched(asked: Asked) -> list[str]:
    own = asked.checkout / "datasets" / OWN_LISTS.get(asked.vocabulary, "none")
    return (
        named_otherwise(json.loads(own.read_text("utf-8")), asked.classes) if own.is_file() else []
    )
