"""The files that `export` writes, in the readers' own code, where checkouts of them are there.

LSMSEG_PROMPTS_READERS names a folder that holds them, each called as its repository is (CAT-Seg,
SED, fc-clip, ...; mmsegmentation may be the installed package's folder): docs/export.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lsmseg_prompts
from lsmseg_model.data.layouts import background_prompts
from lsmseg_prompts.export.checking import READERS, CheckRequest, Report, check
from lsmseg_prompts.export.consumers import CONSUMERS, writing_for
from lsmseg_prompts.vocabularies import BUILT_IN

FOLDER = os.environ.get("LSMSEG_PROMPTS_READERS", "")
ATTRIBUTES = ("size", "shape", "texture", "color")

pytestmark = pytest.mark.process


def checked(format: str, vocabulary: str, composition: str) -> Report:
    """An export of the paper's four attributes in the reader's own code."""
    reader = READERS[format]
    checkout = Path(FOLDER, reader.repository.partition("/")[2])
    if not FOLDER or not checkout.is_dir():
        pytest.skip(
            f"no checkout of {reader.repository}: clone it below the folder that "
            "LSMSEG_PROMPTS_READERS names"
        )
    classes = lsmseg_prompts.load_vocabulary(vocabulary)
    writing = writing_for(format)
    prompts = lsmseg_prompts.prompt_set(classes, ATTRIBUTES, composition, writing=writing)
    file, background = Path("exported.txt"), background_prompts(vocabulary)
    made = lsmseg_prompts.export(prompts, classes, file, format, background=background)
    return check(CheckRequest(checkout, file, format, classes, made.texts, background))


@pytest.mark.parametrize("format", READERS)
def test_every_text_of_a_small_vocabulary_arrives(format: str) -> None:
    report = checked(format, "voc-20", "concat")
    assert report.good and report.over == 0, report


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", BUILT_IN[:10])  # the others are variants of their names
@pytest.mark.parametrize(
    ("format", "composition"),
    [
        (format, composition)
        for composition in ("concat", "sentence", "ensemble")
        for format in READERS
        if composition != "ensemble" or CONSUMERS[format].several
    ],
)
def test_every_text_arrives(format: str, composition: str, vocabulary: str) -> None:
    report = checked(format, vocabulary, composition)
    assert report.good and report.over == 0, report
