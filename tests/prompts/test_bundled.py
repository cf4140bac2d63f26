"""The bundled descriptions: complete, clean, and the same in the JSON Lines and the store."""

from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lsmseg_model.data.ministuff.scenes import CLASS_INDICES
from lsmseg_prompts import load_pairs
from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.attributes.samples import sample, sampled
from lsmseg_prompts.descriptions.bundled import (
    PAIRED,
    SAMPLED,
    read_bundled,
    read_lines,
    read_pairs,
    read_samples,
)
from lsmseg_prompts.descriptions.lint import lint, nearly_same
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.english import is_named
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.llm.bundled import (
    BUNDLED_ATTRIBUTES,
    DESCRIBED_VOCABULARIES,
    PROVENANCE,
    TOGETHER,
    Bundled,
)
from lsmseg_prompts.prompts.from_store import prompt_set, provenance
from lsmseg_prompts.store.sqlite import shipped_store_path
from lsmseg_prompts.store.store import open_store_readonly
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
)

VOCABULARIES = DESCRIBED_VOCABULARIES
SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
SHIPPED_STORE = runpy.run_path(str(SCRIPTS / "shipped_store.py"))
CORPUS = runpy.run_path(str(SCRIPTS / "corpus.py"))
build, check, main = (SHIPPED_STORE[name] for name in ("build", "check", "main"))


@pytest.fixture(scope="module")
def built() -> bytes:
    return build()


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_cell_is_filled(name: str) -> None:
    wanted = {(e.index, a) for e in load_vocabulary(name).classes for a in BUNDLED_ATTRIBUTES}
    assert set(read_bundled(name)) == wanted


def test_a_class_has_own_texts_or_those_of_one_other_class() -> None:
    bundled = Bundled()
    for name in set(available_vocabularies()) - set(VOCABULARIES):
        for entry in load_vocabulary(name):
            if name == "lvis-1203" and entry.bundled == "":
                with pytest.raises(UsageError, match=r"gives .* no bundled descriptions"):
                    bundled.answer(name, entry, "color")
            else:
                assert entry.bundled and bundled.answer(name, entry, "color")
    for name in VOCABULARIES:
        lines = read_lines(name)
        own = {index for index, _ in lines.texts}
        assert own.isdisjoint(lines.same_as)
        assert own | set(lines.same_as) == set(range(len(load_vocabulary(name))))
        for other, at in lines.same_as.values():
            assert (at, "color") in read_lines(other).texts


@pytest.mark.parametrize("name", VOCABULARIES)
def test_shared_texts_call_the_class_as_its_vocabulary_does(name: str) -> None:
    vocabulary, same_as = load_vocabulary(name), read_lines(name).same_as
    for (index, attribute), text in {**read_bundled(name), **read_samples(name)}.items():
        entry = vocabulary[index]
        home, at = same_as.get(index, (name, index))
        alike = entry.names == load_vocabulary(home)[at].names
        named = entry.names if alike else (entry.readable,)
        assert is_named(text, named), f"{attribute} of {entry.readable}: {text}"


def test_a_sofa_is_not_called_a_couch() -> None:
    cells = read_bundled("pc-59")
    sofa = load_vocabulary("pc-59").find("sofa").index
    for attribute in BUNDLED_ATTRIBUTES:
        assert not is_named(cells[sofa, attribute], ("couch",))


def test_the_measures_are_those_of_the_document(root: Path) -> None:
    document = (root / "docs" / "corpus.md").read_text("utf-8")
    assert CORPUS["tables"]() in document and CORPUS["samples_table"]() in document
    assert CORPUS["in_common"]("A cat is gray.", "The gray cat is gray.") == 2 * 3 / (4 + 5)


def test_openings_are_compared_without_the_name() -> None:
    cat, dog, cow = (ClassEntry(0, name, name) for name in ("cat", "dog", "cow"))
    texts = [("A cat is a pet.", cat), ("A dog is a pet.", dog), ("Two horns crown a cow.", cow)]
    assert CORPUS["shared_openings"](texts) == 2 / 3


def test_a_class_is_found_where_its_text_is_nearest_to_its_own_typical() -> None:
    found, typical = CORPUS["found"], np.eye(2)
    assert found(np.array([[0.8, 0.6], [0, 1]]), typical) == 1
    assert found(np.array([[0.8, 0.6], [0.9, 0.1]]), typical) == 1 / 2


@pytest.mark.parametrize("name", VOCABULARIES)
def test_lint_is_clean(name: str) -> None:
    findings = lint(read_bundled(name), load_vocabulary(name))
    assert findings == []


@pytest.mark.parametrize("file", [*VOCABULARIES, *(f"{name}-samples" for name in SAMPLED)])
def test_lines_stand_in_order_and_are_plain(file: str, root: Path) -> None:
    lines = (
        (root / "lsmseg_prompts" / "descriptions" / "bundled" / f"{file}.jsonl")
        .read_text("utf-8")
        .splitlines()
    )
    rows = [json.loads(line) for line in lines]
    names = [sampled(row.get("attribute", "color"))[0] for row in rows]
    order = [(r["index"], BUNDLED_ATTRIBUTES.index(a)) for r, a in zip(rows, names, strict=True)]
    assert order == sorted(order)
    for row in rows:
        if "same_as" in row:
            assert list(row) == ["index", "class", "same_as"]
            assert list(row["same_as"]) == ["vocabulary", "index", "class"]
        else:
            assert list(row) == ["index", "class", "attribute", "text"]
            assert row["text"].isascii() and "  " not in row["text"]


@pytest.mark.parametrize("name", ["coco-stuff", "ade20k-150"])
def test_every_cell_has_a_second_sample_in_other_words(name: str) -> None:
    first, second = read_bundled(name), read_samples(name)
    assert list(second) == [(index, sample(attribute, 2)) for index, attribute in first]
    for (index, attribute), text in first.items():
        assert not nearly_same(text, second[index, sample(attribute, 2)])


def test_what_reads_one_description_a_cell_reads_the_first_sample(monkeypatch) -> None:
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "absent.sqlite")
    vocabulary, first = load_vocabulary("coco-stuff"), read_bundled("coco-stuff")
    usual = [a for a in BUNDLED_ATTRIBUTES if "+" not in a]
    loaded = load(vocabulary)
    assert loaded == {cell: text for cell, text in first.items() if cell[1] in usual}
    for attributes, composition in ((["texture"], "sentence"), (TOGETHER.split("+"), "sentence")):
        filed = attributes[0] if len(attributes) == 1 else TOGETHER
        made = prompt_set(vocabulary, attributes, composition)
        assert made.texts == tuple((first[entry.index, filed],) for entry in vocabulary)
    assert Bundled().answer(None, ClassEntry(0, "zebra", "zebra"), "color") == first[22, "color"]


def test_second_samples_are_read_alone_and_beside_the_first(monkeypatch) -> None:
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "absent.sqlite")
    ade, first, second = "ade20k-150", read_bundled("ade20k-150"), read_samples("ade20k-150")
    alone = load(ade, "bundled#2", ["color"])
    assert alone == {(i, "color"): text for (i, a), text in second.items() if a == "color#2"}
    made = prompt_set(ade, ["color"], llm="bundled#2")
    assert made.llm == "bundled#2" and provenance(made)["descriptions"] == PROVENANCE
    assert len(load(ade, attributes=["color", TOGETHER], samples=True)) == 2 * 2 * 150
    both = prompt_set(ade, ["shape"], samples=True)
    assert both.composition == "ensemble"
    assert both.texts[0] == (first[0, "shape"], second[0, "shape#2"])
    with pytest.raises(UsageError, match="leave out #2, or --all-samples"):
        load(ade, "bundled#2", samples=True)
    with pytest.raises(ConfigurationError, match=r"^55 of 209 .* bundled#2 cannot be asked"):
        load("cityscapes-19", "bundled#2", BUNDLED_ATTRIBUTES)


def test_the_pair_cells_tell_ministuffs_classes_from_eight_others_and_300_pairs_both_ways() -> None:
    vocabulary, cells = load_vocabulary(PAIRED), read_pairs(PAIRED)
    pairs = {(index, vocabulary.find(other_of(a) or "").index) for index, a in cells}
    drawn = {pair for pair in pairs if set(pair) <= set(CLASS_INDICES)}
    others = Counter(index for index, _ in drawn)
    assert set(others) == set(CLASS_INDICES) and set(others.values()) == {8}
    assert len(drawn) == 320 and len(pairs - drawn) == 2 * 300
    assert all((b, a) in pairs for a, b in pairs - drawn)
    assert {index for index, _ in pairs} == set(range(len(vocabulary)))


def test_a_pair_cell_is_a_text_of_its_own_that_names_its_class_first() -> None:
    vocabulary, cells = load_vocabulary(PAIRED), read_pairs(PAIRED)
    assert len({text.lower() for text in cells.values()}) == len(cells)
    for (index, _), text in cells.items():
        assert re.match(rf"(An? |The )?{vocabulary[index].readable}\b", text, re.IGNORECASE)
        assert len(text.split()) <= 45 and text.isascii()


def test_the_lines_of_the_pair_cells_stand_in_order(root: Path) -> None:
    path = root / "lsmseg_prompts" / "descriptions" / "bundled" / f"{PAIRED}-pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    order = [(row["index"], load_vocabulary(PAIRED).find(row["other"]).index) for row in rows]
    assert order == sorted(order)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_lint_of_the_pair_cells_is_clean(name: str) -> None:
    assert lint(read_pairs(name), load_vocabulary(name)) == []


def test_other_vocabularies_have_the_pairs_of_which_they_have_both_classes() -> None:
    cells, ours = read_pairs("voc-20"), load_vocabulary("voc-20")
    pairs = {(ours[index].name, other_of(attribute)) for index, attribute in cells}
    assert ("horse", "cow") in pairs and ("cat", "dog") in pairs and len(pairs) == 28
    assert load_pairs("voc-20") == cells
    assert load_pairs(PAIRED) == read_pairs(PAIRED)


def test_bundled_answers_pairs_of_classes_of_your_own() -> None:
    names = ("yak", "cow", "zorse", "horse")
    mine = Vocabulary("mine", "Mine", tuple(ClassEntry(i, n, n) for i, n in enumerate(names)))
    assert list(load_pairs(mine)) == [(1, "contrast:horse"), (3, "contrast:cow")]
    text = Bundled().answer(None, mine[1], "contrast:horse")
    assert load_pairs(mine)[1, "contrast:horse"] == text
    assert text.startswith("A cow has a broad boxy body")
    with pytest.raises(UsageError, match="no bundled description of the attribute 'contrast:bus'"):
        Bundled().answer(None, mine[1], "contrast:bus")


def test_what_costs_a_class_most() -> None:
    costliest = runpy.run_path(str(SCRIPTS / "confused_pairs.py"))["costliest"]
    counts = np.array([[90, 1, 6, 0], [3, 50, 1, 0], [0, 0, 70, 2], [9, 0, 0, 10]])
    assert costliest(counts, 2) == [[3, 2], [0, 2], [0, 3], [0, 2]]


def test_the_nearest_pairs_but_those_of_two_classes_left_out() -> None:
    nearest = runpy.run_path(str(SCRIPTS / "near_pairs.py"))["nearest"]
    near = np.array([[1, 0.9, 0.2], [0.9, 1, 0.4], [0.2, 0.4, 1]])
    assert nearest(near, ()) == [(0, 1), (1, 2), (0, 2)]
    assert nearest(near, (0, 1)) == [(1, 2), (0, 2)]


@pytest.mark.parametrize(("name", "words"), [("coco-stuff", 4), ("ade20k-847", 6), ("pc-459", 6)])
def test_no_opening_is_a_template(name: str, words: int) -> None:
    """No opening words, the class's name aside, begin an eighth of an attribute's texts: not four
    in COCO-Stuff; elsewhere, where "An X is a ..." is common, not six."""
    vocabulary = load_vocabulary(name)
    cells = read_bundled(name)
    for attribute in BUNDLED_ATTRIBUTES:
        starts: Counter[str] = Counter()
        for entry in vocabulary.classes:
            text = cells[entry.index, attribute].lower()
            for called in sorted(entry.names, key=len, reverse=True):
                text = text.replace(called.lower(), "x")
            starts[" ".join(text.split()[:words])] += 1
        phrase, count = starts.most_common(1)[0]
        assert count <= len(vocabulary) / 8, f"{attribute}: {count} begin with {phrase!r}"


def test_the_shipped_store_agrees_with_the_json_lines() -> None:
    check()
    with open_store_readonly(shipped_store_path()) as store:
        for name in VOCABULARIES:
            written = {**read_bundled(name), **read_samples(name), **read_pairs(name)}
            assert store.descriptions(load_vocabulary(name)) == written
            for cell in store.cells(name)[::37]:
                assert cell["tokens"] == count_tokens(cell["text"])
        assert store.rows("SELECT provenance FROM llms") == [{"provenance": PROVENANCE}]


def test_provenance_does_not_pretend() -> None:
    assert "not GPT-4" in PROVENANCE and "language model" in PROVENANCE


def test_rebuilding_gives_the_same_bytes(built: bytes) -> None:
    assert built == build()


def test_the_shipped_store_is_not_in_wal_mode(built: bytes) -> None:
    # Bytes 18 and 19 of a SQLite file: 1 for the rollback journal, 2 for WAL, which could not
    # be opened from a folder that is not writable.
    assert built[18:20] == b"\x01\x01"


@pytest.mark.slow
def test_check_refuses_a_store_that_differs(built: bytes, tmp_path: Path, capsys) -> None:
    other = tmp_path / "store.sqlite"
    with pytest.raises(RefusedError, match="make store"):
        check(other)
    assert main(["--check", "-o", str(other)]) == 6
    assert "differs" in capsys.readouterr().err
    assert main(["-o", str(other)]) == 0
    assert main(["--check", "-o", str(other)]) == 0
    data = bytearray(built)
    place = data.index(b"A zebra's coat")
    data[place : place + 7] = b"A cobra"
    other.write_bytes(data)
    with pytest.raises(RefusedError):
        check(other)


def test_check_accepts_the_same_contents_in_other_bytes(built: bytes, tmp_path: Path) -> None:
    other = tmp_path / "store.sqlite"
    data = bytearray(built)
    data[96:100] = (3_050_000).to_bytes(4, "big")
    other.write_bytes(data)
    check(other)


def test_no_bundled_texts_of_another_vocabulary() -> None:
    with pytest.raises(UsageError, match="pc-60"):
        read_bundled("pc-60")


def test_the_shipped_store_is_small_and_opens_fast() -> None:
    assert shipped_store_path().stat().st_size < 12e6
