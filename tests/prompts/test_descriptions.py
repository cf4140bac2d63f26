"""The descriptions that are there: loading, showing, checking."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scripted_llm import PETS, Scripted, generate, good

from lsmseg_prompts.descriptions.bundled import read_bundled, read_pairs, read_samples
from lsmseg_prompts.descriptions.loading import (
    DESCRIBED,
    check_attributes,
    described_by,
    lint_store,
    load,
    show,
)
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_load_takes_bundled_texts_without_a_store_and_writes_none() -> None:
    nine_and_typical = {c: t for c, t in read_bundled("camvid").items() if c[1] in DESCRIBED}
    assert load("camvid") == nine_and_typical
    assert list(Path().iterdir()) == []


def test_load_prefers_the_working_store(path: Path) -> None:
    camvid = load_vocabulary("camvid")
    with open_store(path) as store:
        store.add_vocabulary(camvid)
        store.put_description(Description("camvid", 0, "color", "bundled", "The sky is green.", 7))
    found = load(camvid, attributes=["color"], store=path)
    assert found[0, "color"] == "The sky is green."
    assert found[1, "color"] == read_bundled("camvid")[1, "color"]
    assert show(camvid, "sky", store=path)[0]["text"] == "The sky is green."


def test_load_says_what_to_run(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    assert len(load(PETS, "scripted", ["color"], path)) == 2
    with pytest.raises(ConfigurationError, match="scripted cannot be asked"):
        load(PETS, "scripted", ["shape"], path)
    with pytest.raises(ConfigurationError, match="generate --llm gpt-4"):
        load(PETS, "gpt-4", ["shape"], path)
    with pytest.raises(UsageError, match=r"no LLM 'gtp-4' .did you mean gpt-4"):
        load(PETS, "gtp-4", ["shape"], path)


def test_attribute_names() -> None:
    assert check_attributes(None) == DESCRIBED
    assert check_attributes(["Colour", "shape"]) == ("color", "shape")
    with pytest.raises(UsageError, match="color is named twice"):
        check_attributes(["Colour", "shape", "color"])
    with pytest.raises(UsageError, match="did you mean color"):
        check_attributes(["colr"])
    for wrong in (["name"], ["random"], []):
        with pytest.raises(UsageError):
            check_attributes(wrong)


def test_lint_store_reads_texts_once_but_all_of_another_llm(path: Path) -> None:
    everything = set(available_vocabularies())
    assert set(described_by("bundled")) < set(described_by("gpt-4")) == everything
    ade = load_vocabulary("ade20k-150")
    with open_store(path) as store:
        store.add_vocabulary(ade)
        store.put_description(Description(ade.name, 7, "color", "gpt-4", "It is wooden.", 6))
    count, findings = lint_store(llm="gpt-4", store=path)
    assert count == 1
    assert {(f["vocabulary"], f["class"]) for f in findings} == {("ade20k-150", "bed ")}
    count, findings = lint_store(store=path)
    kinds = (read_bundled, read_samples, read_pairs)
    assert count == sum(len(kind(v)) for v in described_by("bundled") for kind in kinds)
    assert findings == []


def test_lint_store_finds_what_was_put_in(path: Path) -> None:
    camvid = load_vocabulary("camvid")
    with open_store(path) as store:
        store.add_vocabulary(camvid)
        text = "It is wooden. It is blue."
        store.put_description(Description("camvid", 0, "color", "bundled", text, 10))
    count, findings = lint_store(["camvid"], store=path)
    assert count == 121
    assert {f["rule"] for f in findings} >= {"class-named", "one-sentence", "leak"}
    assert {(f["class"], f["attribute"]) for f in findings} == {("sky", "color")}
