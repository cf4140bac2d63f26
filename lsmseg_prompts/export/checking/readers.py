"""The readers whose own code `export --check` runs, by the format that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsmseg_prompts.export.checking import cat_seg, classifiers, fc_clip, side_adapter
from lsmseg_prompts.export.checking.reading import Asked, Reading


@dataclass(frozen=True)
class Reader:
    """A project, where its public code is, the commit that was tried, and how it is run.

    files: what is imported of a checkout, module by module. runs: the functions that are called.
    """

    project: str
    repository: str
    commit: str
    files: Mapping[str, str]
    runs: str
    read: Callable[[Asked, Mapping[str, Path]], Reading]


READERS = {
    "cat-seg": Reader(
        "CAT-Seg",
        "cvlab-kaist/CAT-Seg",
        "6d3a188",
        cat_seg.CAT_SEG_FILES,
        "CATSegPredictor.__init__, class_embeddings and get_text_embeds, clip.tokenize",
        cat_seg.read_cat_seg,
    ),
    "sed": Reader(
        "SED",
        "xb534/SED",
        "db20d93",
        cat_seg.SED_FILES,
        "SEDPredictor.__init__ and class_embeddings, open_clip's tokenize",
        cat_seg.read_sed,
    ),
    "fc-clip": Reader(
        "FC-CLIP",
        "bytedance/fc-clip",
        "2b0bbe2",
        fc_clip.FC_CLIP_FILES,
        "register_*.py, FCCLIP.prepare_class_names_from_metadata, CLIP.get_text_classifier",
        fc_clip.read_fc_clip,
    ),
    "maft": Reader(
        "MAFT+",
        "jiaosiyu1999/MAFT-Plus",
        "fd12806",
        fc_clip.MAFT_FILES,
        "register_*.py, MAFT_Plus.prepare_class_names_from_metadata, CLIP.get_text_classifier",
        fc_clip.read_fc_clip,
    ),
    "san": Reader(
        "SAN",
        "MendelXu/SAN",
        "e19262d",
        side_adapter.SAN_FILES,
        "LearnableBgOvClassifier.get_classifier_by_dataset_name",
        side_adapter.read_san,
    ),
    "mmseg": Reader(
        "mmsegmentation",
        "open-mmlab/mmsegmentation",
        "1.2.2",
        side_adapter.MMSEG_FILES,
        "CLIPTextEncoder.forward, tokenizer.tokenize, get_label_map of the data set",
        side_adapter.read_mmseg,
    ),
    "open_clip": Reader(
        "open_clip",
        "mlfoundations/open_clip",
        "89fb801",
        classifiers.OPEN_CLIP_FILES,
        "build_zero_shot_classifier, tokenize",
        classifiers.read_open_clip,
    ),
    "cupl": Reader(
        "CuPL",
        "sarahpratt/CuPL",
        "719619c",
        classifiers.CUPL_FILES,
        "zeroshot_classifier_gpt, cut out of classify_imagenet.py",
        classifiers.read_cupl,
    ),
    "dclip": Reader(
        "DCLIP",
        "sachit-menon/classify_by_description_release",
        "d1a3d89",
        classifiers.DCLIP_FILES,
        "load.py with load_gpt_descriptions and compute_description_encodings",
        classifiers.read_dclip,
    ),
    "clip-benchmark": Reader(
        "CLIP_benchmark",
        "LAION-AI/CLIP_benchmark",
        "48de38c",
        classifiers.CLIP_BENCHMARK_FILES,
        "build_dataset, zero_shot_classifier",
        classifiers.read_clip_benchmark,
    ),
}
