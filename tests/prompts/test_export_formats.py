"""Files for other projects: what each of them reads is what was meant, or nothing is written.

The readers here do what the consumers' code does with a class string: split it, put it into
templates, count or cut tokens. Their tokenizers repair a full-width comma, as `token_ids` does.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import safe_open
from support.command_line import refused
from support.small_clip import SMALL

from ablations.scoring.embeddings import export_embeddings, load_embeddings, text_hashes
from lsmseg_model.data.layouts import background_prompts
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.export import FORMATS, export, load_export
from lsmseg_prompts.export.consumers import CONSUMERS, writing_for
from lsmseg_prompts.export.formats import seen_file
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.name_templates import (
    NAME_TEMPLATES,
    name_texts,
    plain_name,
    without_template,
)
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens, token_ids
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

NAMES = ("zebra", "sky", "fire hydrant")
VOCABULARY = Vocabulary("three", "three", tuple(ClassEntry(i, n, n) for i, n in enumerate(NAMES)))
PLAIN = (("A zebra is black and white.",), ("The sky is blue.",), ("A fire hydrant is red.",))
PHRASES = (("zebra, black and white",), ("sky, blue",), ("fire hydrant, red",))
COMMAS = (("A zebra has a mane, round ears, and stripes.",), *PLAIN[1:])
SEVERAL = (("A zebra has stripes.", "A zebra is as tall as a pony."), *PLAIN[1:])


PAPER = ("size", "shape", "texture", "color")


def prompts(texts: tuple[tuple[str, ...], ...]) -> PromptSet:
    return PromptSet("color", "three", ("color",), "concat", "llm", NAMES, texts)


def ensemble(texts: tuple[tuple[str, ...], ...]) -> PromptSet:
    return dataclasses.replace(prompts(texts), composition="ensemble")


# -- what the consumers do -----------------------------------------------------------------


def cat_seg(path: Path) -> list[list[str]]:
    """Its first piece in a template; over 77 tokens CLIP's tokenizer raises."""
    names = [name.split(", ")[0] for name in json.loads(path.read_text())]
    return [[_tokenized("a jpeg corrupted photo of the {}.", name)] for name in names]


def sed(path: Path) -> list[list[str]]:
    return [
        [_tokenized("a jpeg corrupted photo of the {}.", name) for name in line.split(", ")]
        for line in json.loads(path.read_text())
    ]


def class_names(path: Path) -> list[list[str]]:
    return [
        [_tokenized("a jpeg corrupted photo of a {}.", name) for name in line.split(", ")]
        for line in path.read_text().splitlines()
    ]


def fc_clip(path: Path) -> list[list[str]]:
    found = []
    for line in path.read_text().splitlines():
        number, name = line.split(":")
        if name != "invalid_class_id":
            assert int(number) == len(found) + 1
            pieces = name.replace(", ", ",").split(",")
            found.append([_tokenized("There is a medium {} in the scene.", n) for n in pieces])
    return found


def san(path: Path) -> list[list[str]]:
    return [
        [_tokenized("This is a photo of a medium {}.", n)] for n in json.loads(path.read_text())
    ]


def detectron2(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())["stuff_classes"]
    return [[_tokenized("There is a medium {} in the scene.", n)] for n in raw]


def mmseg(path: Path) -> list[list[str]]:
    words: dict[str, Any] = {}
    exec(compile(ast.parse(path.read_text()), str(path), "exec"), {}, words)
    return [[_tokenized("There is a medium {} in the scene.", n)] for n in words["text_vocabulary"]]


def open_clip(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())
    assert raw["names"] == list(NAMES)
    return [[_tokenized(t, n) for t in raw["templates"]] for n in raw["classnames"]]


def cupl(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())
    return [[_tokenized("{}", text) for text in raw[name]] for name in NAMES]


def clip_benchmark(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())["three"]
    return [[_tokenized("{}", text) for text in raw[name]] for name in list(raw)]


def dclip(path: Path) -> list[list[str]]:
    return [
        [_tokenized("{}.", f"{name}, {_worded(one)}") for one in group]
        for name, group in json.loads(path.read_text()).items()
    ]


def _worded(descriptor: str) -> str:
    """As DCLIP's make_descriptor_sentence does."""
    if descriptor.startswith(("a", "used")):
        return f"which is {descriptor}"
    alone = descriptor.startswith(("has", "often", "typically", "may", "can"))
    return f"which {descriptor}" if alone else f"which has {descriptor}"


READERS: dict[str, Callable[[Path], list[list[str]]]] = {
    "cat-seg": cat_seg, "sed": sed, "fc-clip": fc_clip, "maft": fc_clip, "san": san,
    "mmseg": mmseg, "detectron2": detectron2, "class-names": class_names, "open_clip": open_clip,
    "clip-benchmark": clip_benchmark, "cupl": cupl, "dclip": dclip, "json": cupl,
}  # fmt: skip
SEVERAL_READ = [name for name in READERS if CONSUMERS[name].several]
ONE_READ = [name for name in READERS if not CONSUMERS[name].several]


def _tokenized(template: str, text: str) -> str:
    """The text, if all of the prompt is read."""
    assert count_tokens(template.format(text)) <= CONTEXT_LENGTH
    return text


def tokens(groups: Any) -> list[list[tuple[int, ...]]]:
    return [[token_ids(text) for text in group] for group in groups]


# -- formats ---------------------------------------------------------------------------------


def test_every_format_has_a_reader_here() -> None:
    assert set(FORMATS) == set(READERS) == set(CONSUMERS)


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_what_was_meant(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    made = export(prompts(PLAIN), VOCABULARY, path, name)
    assert tokens(READERS[name](path)) == tokens(made.texts)
    if name == "dclip":
        assert made.texts[0] == ("zebra, which typically is black and white",)
    else:
        form = CONSUMERS[name].form
        assert made.texts == (PHRASES if form == "phrase" else PLAIN)
        for form, texts in (("phrase", PHRASES), ("sentence", PLAIN)):
            other = export(prompts(PLAIN), VOCABULARY, path, name, form, force=True)
            assert other.texts == texts and tokens(READERS[name](path)) == tokens(texts)
    again = export(made, VOCABULARY, path, name, force=True)
    assert again.texts == made.texts  # what has the form already stays as it is


@pytest.mark.parametrize("name", SEVERAL_READ)
def test_several_texts_of_a_class(name: str, tmp_path: Path) -> None:
    made = export(ensemble(SEVERAL), VOCABULARY, tmp_path / "file", name)
    assert len(made.texts[0]) == 2
    assert tokens(READERS[name](tmp_path / "file")) == tokens(made.texts)


@pytest.mark.parametrize("name", ONE_READ)
def test_several_texts_are_joined_where_one_is_read(name: str, tmp_path: Path) -> None:
    made = export(ensemble(SEVERAL), VOCABULARY, tmp_path / "file", name)
    phrased = CONSUMERS[name].form == "phrase"
    joined = "zebra, with stripes; as tall as a pony"
    assert made.texts[0] == (
        joined if phrased else "A zebra has stripes. A zebra is as tall as a pony.",
    )
    named = (("a photo of a zebra", *SEVERAL[0]), *SEVERAL[1:])
    assert export(ensemble(named), VOCABULARY, tmp_path / "named", name).texts == made.texts
    refined = dataclasses.replace(prompts(SEVERAL), composition="refined")
    says = "takes one text a class and color has several of zebra: use --format embeddings, or"
    with pytest.raises(RefusedError, match=says):
        export(refined, VOCABULARY, tmp_path / "other", name)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", SEVERAL_READ)
def test_names_among_the_texts_of_a_class(name: str, tmp_path: Path) -> None:
    """Refined sets have them: in a template of ours, which a reader with its own does not want."""
    texts = ("a photo of a zebra", "itap of a zebra.", "a photo of a striped horse", *SEVERAL[0])
    refined = dataclasses.replace(prompts((texts, *PLAIN[1:])), composition="refined")
    made = export(refined, VOCABULARY, tmp_path / "file", name)
    assert (
        made.texts[0]
        == {
            "phrase": ("zebra", "striped horse", "zebra, with stripes", "zebra, as tall as a pony"),
            "sentence": texts,
            "descriptor": (
                "zebra, which is a zebra",
                "zebra, which is a striped horse",
                "zebra, which has stripes",
                "zebra, which is as tall as a pony",
            ),
        }[CONSUMERS[name].form]
    )
    assert tokens(READERS[name](tmp_path / "file")) == tokens(made.texts)


def test_only_texts_tell_what_is_a_name(tmp_path: Path) -> None:
    """Not what the set is called: a file that is read back is called as the file is."""
    path = tmp_path / "cat-seg.json"
    made = export(prompts(PLAIN), VOCABULARY, path, "cat-seg")
    back = load_export(path, "cat-seg", VOCABULARY)
    assert back.name == "cat-seg" in NAME_TEMPLATES
    assert export(back, VOCABULARY, tmp_path / "sed.json", "sed").texts == made.texts
    entry = ClassEntry(0, "apple, cut", "apple, cut")
    for kind in NAME_TEMPLATES:
        assert {plain_name(text, entry) for text in name_texts(entry, kind)} == {"apple, cut"}
    assert without_template("apple", entry, "descriptor") == "apple, cut, which is an apple"


def test_a_name_whose_case_folds_to_other_letters(tmp_path: Path) -> None:
    own = Vocabulary("three", "three", (ClassEntry(0, "Fuß", "Fuß"), *list(VOCABULARY)[1:]))
    made = prompts((("A Fuß is flat.",), *PLAIN[1:]))
    written = export(made, own, tmp_path / "file", "san")
    assert written.texts[0] == ("Fuß, flat",)


@pytest.mark.parametrize("name", READERS)
def test_commas_stay_and_split_nothing(name: str, tmp_path: Path) -> None:
    made = export(prompts(COMMAS), VOCABULARY, tmp_path / "file", name)
    read = READERS[name](tmp_path / "file")
    assert tokens(read) == tokens(made.texts) and [len(group) for group in read] == [1, 1, 1]
    assert made.texts[0][0].count(",") >= 2 and " or " not in made.texts[0][0]


@pytest.mark.parametrize(
    ("name", "around"),
    [("cat-seg", 9), ("sed", 9), ("class-names", 9), ("fc-clip", 8), ("san", 8), ("json", 0)],
)
def test_tokens_are_counted_inside_the_consumer_s_longest_template(name: str, around: int) -> None:
    assert CONSUMERS[name].room == CONTEXT_LENGTH - around
    assert CONSUMERS[name].tokens("a zebra") == count_tokens("a zebra") + around


def test_a_text_is_shortened_for_its_consumer(tmp_path: Path) -> None:
    """Clause by clause, from the end; what has no clause to leave out is refused with advice."""
    many = " and ".join(["white and gray"] * 15)
    text = f"A zebra is {many}, with a stiff mane, with a long tail."
    made = export(prompts(((text,), *PLAIN[1:])), VOCABULARY, tmp_path / "a", "san")
    assert made.texts[0] == (f"zebra, {many}, with a stiff mane",) and made.shortened == (0,)
    whole = export(prompts(((text,), *PLAIN[1:])), VOCABULARY, tmp_path / "b", "json")
    assert whole.texts[0] == (text,) and whole.shortened == ()
    long = prompts((("A zebra is " + "very " * 66 + "big",), *PLAIN[1:]))
    with pytest.raises(RefusedError, match="'zebra' takes 71 tokens where 69 fit"):
        export(long, VOCABULARY, tmp_path / "c", "san")
    assert not (tmp_path / "c").exists()


def test_colons_would_end_an_index(tmp_path: Path) -> None:
    odd = prompts((("Zebra: an animal.",), *PLAIN[1:]))
    export(odd, VOCABULARY, tmp_path / "file", "fc-clip", "sentence")
    assert tokens(fc_clip(tmp_path / "file"))[0] == [token_ids("Zebra: an animal.")]
    assert load_export(tmp_path / "file", "fc-clip", VOCABULARY).texts[0] == odd.texts[0]


def test_ids_as_fc_clip_wants_them(tmp_path: Path) -> None:
    """COCO's 182 ids have gaps; the line 0 of VOC's file is the background's."""
    path = tmp_path / "x.txt"
    for name, line, last in (("coco-stuff", "0:invalid_class_id", 182), ("voc-20", "0:b", 20)):
        classes = load_vocabulary(name)
        export(prompt_set(classes, ["color"]), classes, path, "fc-clip", force=True)
        lines = path.read_text().splitlines()
        assert lines[0].startswith(line) and len(lines) == last + 1
        assert [int(each.partition(":")[0]) for each in lines] == list(range(last + 1))
    classes = load_vocabulary("coco-stuff")
    export(prompt_set(classes, ["color"]), classes, path, "fc-clip", force=True)
    gaps = [n for n, each in enumerate(path.read_text().splitlines()) if each.endswith("_id")]
    assert gaps == [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]
    classes = load_vocabulary("cityscapes-19")
    export(prompt_set(classes, ["name"]), classes, path, "fc-clip", force=True)
    assert path.read_text().splitlines()[::18] == ["0:road", "18:bicycle"]


@pytest.mark.parametrize("format", ["fc-clip", "class-names"])
def test_the_background_is_one_line_ahead(format: str, tmp_path: Path) -> None:
    classes, path, background = load_vocabulary("voc-21"), tmp_path / "x.txt", range(20, 59)
    made = prompt_set(classes, ["color", "shape"], "ensemble", writing=writing_for(format))
    made = export(made, classes, path, format, background=background)
    lines = path.read_text().splitlines()
    assert len(lines) == 21
    split = ", " if format == "class-names" else ","
    assert [len(line.split(split)) for line in lines] == [78] + [2] * 20
    assert load_export(path, format, classes, background).texts == made.texts


def test_which_classes_are_seen_is_a_second_file(tmp_path: Path) -> None:
    """FC-CLIP compares names to find them, and descriptions are nobody's names."""
    classes, path = load_vocabulary("pc-59"), tmp_path / "pc59.txt"
    export(prompt_set(classes, ["color"]), classes, path, "maft")
    second = seen_file(path, "maft", classes)
    assert second == tmp_path / "pc59.seen.json" and second is not None
    assert json.loads(second.read_text()) == [int(bool(entry.seen)) for entry in classes]
    with pytest.raises(ConfigurationError, match=r"pc59.seen.json"):
        export(prompt_set(classes, ["color"]), classes, tmp_path / "pc59.list", "fc-clip")
    assert not (tmp_path / "pc59.list").exists()
    assert seen_file(path, "fc-clip", VOCABULARY) is None  # nobody said so
    assert seen_file(path, "sed", classes) is None


@pytest.mark.parametrize("vocabulary", ["camvid", *(
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("voc-20", "voc-21", "pc-59", "pc-459", "coco-stuff", "ade20k-150", "ade20k-847")
)])  # fmt: skip
def test_the_paper_s_attributes_come_out_of_every_format(vocabulary: str, tmp_path: Path) -> None:
    classes = load_vocabulary(vocabulary)
    background = background_prompts(vocabulary)
    for name, consumer in CONSUMERS.items():
        for composition in ("concat", "sentence", "ensemble"):
            how = composition if consumer.several else composition.replace("ensemble", "concat")
            made = prompt_set(classes, PAPER, how, writing=writing_for(name))
            path = tmp_path / f"{name}.{composition}"
            written = export(made, classes, path, name, background=background, force=True)
            assert written.texts == made.texts
            assert max(consumer.tokens(t) for group in made.texts for t in group) <= 77
            back = load_export(path, name, classes, background)
            assert tokens(back.texts) == tokens(made.texts)


SIGNS = "abc ,;:.\n\r\v\x85\u2028Xé😀'\"{}\\"
TEXT = st.text(st.sampled_from(SIGNS), min_size=1, max_size=60).filter(str.strip)
GROUP = st.lists(TEXT, min_size=1, max_size=2).map(tuple)


@given(
    groups=st.tuples(GROUP, GROUP, GROUP), name=st.sampled_from(sorted(READERS)), more=st.booleans()
)
@example(groups=(("a 😀",), ("b",), ("c",)), name="mmseg", more=False)
@example(groups=(("a\u2028b",), ("b",), ("c\rd",)), name="fc-clip", more=False)
@example(groups=((":",), ("b",), ("c",)), name="fc-clip", more=True)
def test_what_is_not_refused_is_read_as_it_was_written(
    groups: tuple[tuple[str, ...], ...],
    name: str,
    more: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    try:
        made = export(ensemble(groups), VOCABULARY, path, name, "phrase" if more else "sentence")
    except RefusedError:
        assert not path.exists()
        return
    assert tokens(READERS[name](path)) == tokens(made.texts)
    assert tokens(load_export(path, name, VOCABULARY).texts) == tokens(made.texts)


@pytest.mark.parametrize("name", READERS)
def test_the_way_back(name: str, tmp_path: Path) -> None:
    made = export(prompts(COMMAS), VOCABULARY, tmp_path / "mine.txt", name)
    back = load_export(tmp_path / "mine.txt", name, VOCABULARY)
    assert back.texts == made.texts and back.class_names == NAMES and back.name == "mine"
    with pytest.raises(UsageError, match=r"3 classes and camvid has 11|is not a file of"):
        load_export(tmp_path / "mine.txt", name, load_vocabulary("camvid"))
    (tmp_path / "bad").write_text("{")
    with pytest.raises(UsageError):
        load_export(tmp_path / "bad", name, VOCABULARY)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cupl", {"zebra": "A zebra.", "sky": ["b"], "fire hydrant": ["c"]}, "has 'A zebra.' inst"),
        ("cupl", {"zebra": [], "sky": ["b"], "fire hydrant": ["c"]}, r"a class has \[\] instead"),
        ("cupl", {"zebra": ["a"], "sky": ["b"], "hydrant": ["c"]}, "names a class 'hydrant'"),
        ("cupl", {"zebra": ["a"], "sky": ["b"]}, "it has no 'fire hydrant'"),
        ("cupl", ["a", "b", "c"], "it holds a list"),
        ("cat-seg", {"zebra": ["a"], "sky": ["b"], "fire hydrant": ["c"]}, "it holds a dict"),
        ("san", {"zebra": ["a"], "sky": ["b"], "fire hydrant": ["c"]}, "it holds a dict"),
        ("san", ["a", 7, "c"], "a text of a class is 7"),
        ("sed", ["a", "", "c"], "a text of a class is ''"),
        ("open_clip", {"classnames": ["a", "b", "c"]}, "it has no 'templates'"),
        ("fc-clip", "0:invalid_class_id\n1:a\n3:b\n2:c\n", "the line of 2 comes after that of 3"),
        ("maft", "a\nb\nc\n", "is not a file of maft"),
        ("json", {"sky": ["b"]}, r"no 'zebra' and 1 more. Take it into the store with `store im"),
        ("mmseg", "text_vocabulary = " + "-" * 20_000 + "1\n", "is not a file of mmseg"),
    ],
)
def test_other_shapes_are_refused(name: str, content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError, match=message):
        load_export(path, name, VOCABULARY)


def test_what_is_read_is_what_the_consumer_sees(tmp_path: Path) -> None:
    path = tmp_path / "file"
    templates = {"classnames": list(NAMES), "templates": ["a photo of a {}.", "a {} in a {}"]}
    path.write_text(json.dumps(templates))
    texts = load_export(path, "open_clip", VOCABULARY).texts
    assert texts[0] == ("a photo of a zebra.", "a zebra in a zebra")
    path.write_text("1:zebra,zebras\n2:invalid_class_id\n7:sky\n9:fire hydrant\n")
    texts = load_export(path, "fc-clip", VOCABULARY).texts
    assert texts == (("zebra", "zebras"), ("sky",), ("fire hydrant",))
    path.write_text(json.dumps(["very " * 90, "b", "c"]))
    with pytest.raises(RefusedError, match="'zebra' takes 92 of CLIP's 77 tokens"):
        load_export(path, "san", VOCABULARY)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("clip-benchmark", f'"{NAMES[1]}":', '"sea":', "it names a class 'sea'"),
        ("fc-clip", "\n2:", "\n4:", "the line of 3 comes after that of 4"),
        ("open_clip", f'"{NAMES[0]}",\n', '"horse",\n', "it names other classes"),
        ("cupl", f'"{NAMES[1]}":', '"sea":', "it names a class 'sea'"),
        ("native", '"vocabulary": "three"', '"vocabulary": "four"', "the vocabulary was renamed"),
    ],
)
def test_other_classes_are_not_read(
    name: str, old: str, new: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    export(prompts(PLAIN), VOCABULARY, path, name)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=says):
        load_export(path, name, VOCABULARY)


def test_a_native_file_of_another_vocabulary_is_not_read(tmp_path: Path) -> None:
    export(prompts(PLAIN), VOCABULARY, tmp_path / "p.json")
    with pytest.raises(UsageError, match="with other classes than camvid has"):
        load_export(tmp_path / "p.json", "native", load_vocabulary("camvid"))


def test_names_that_are_keys_must_differ(tmp_path: Path) -> None:
    twice = Vocabulary("three", "t", tuple(ClassEntry(i, "bag", "bag") for i in range(3)))
    for name in ("cupl", "dclip"):
        with pytest.raises(RefusedError, match="several called 'bag'"):
            export(prompts(PLAIN), twice, tmp_path / "file", name)


# -- embeddings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_embeddings(suffix: str, tmp_path: Path) -> None:
    clip = build_backbone(SMALL)
    path = export_embeddings(prompts(SEVERAL), clip, tmp_path / f"e{suffix}")
    found = load_embeddings(path, prompts(SEVERAL))
    np.testing.assert_allclose(found.matrix, clip.encode_texts(SEVERAL).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.matrix, axis=1), 1, atol=1e-5)
    assert found.about["classes"] == list(NAMES) and found.about["model"] == clip.name
    sky = hashlib.sha256(b'["The sky is blue."]').hexdigest()
    assert found.about["text_hashes"][1] == sky == text_hashes(prompts(SEVERAL))[1]
    with pytest.raises(UsageError, match="made of other texts"):
        load_embeddings(path, prompts(PLAIN))
    with pytest.raises(UsageError, match="made for other classes"):
        load_embeddings(path, dataclasses.replace(prompts(SEVERAL), class_names=NAMES[::-1]))
    with pytest.raises(ConfigurationError, match="There is no file"):
        load_embeddings(tmp_path / f"none{suffix}")
    wrong = dataclasses.replace(prompts(SEVERAL), vocabulary="camvid")
    export_embeddings(wrong, clip, tmp_path / f"wrong{suffix}")
    with pytest.raises(UsageError, match="has 3 classes and camvid has 11"):
        load_embeddings(tmp_path / f"wrong{suffix}")
    if suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            assert list(file.keys()) == ["embeddings"]
    with pytest.raises(UsageError, match=r"\.safetensors or \.npz"):
        export_embeddings(prompts(PLAIN), clip, tmp_path / "e.pt")
    clip.encode_texts = lambda texts: torch.full((len(texts), 4), torch.nan)  # type: ignore[method-assign]
    export_embeddings(prompts(SEVERAL), clip, tmp_path / f"nan{suffix}")
    with pytest.raises(ConfigurationError, match="NaN or infinite values"):
        load_embeddings(tmp_path / f"nan{suffix}")
    (tmp_path / f"bad{suffix}").write_bytes(b"no")
    with pytest.raises(UsageError, match="not a file of embeddings"):
        load_embeddings(tmp_path / f"bad{suffix}")


READ_OTHERWISE = [
    ({"composition": "mean-score"}, "texts read by mean-score of color: .* native or embeddings"),
    ({"composition": "max"}, "texts read by max of color: use --format native.$"),
    ({"composition": "adaptive"}, "texts read by adaptive of color: use --format native.$"),
    ({"weights": ((1.0, -1.0), (1.0,), (1.0,))}, "the weights of color: .* native or embeddings"),
]


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_reader_cannot_hold_is_refused(format: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    refined = dataclasses.replace(prompts(SEVERAL), composition="refined")
    for changes, says in READ_OTHERWISE:
        with pytest.raises(RefusedError, match=f"{format} reads several .* cannot hold {says}"):
            export(dataclasses.replace(refined, **changes), VOCABULARY, path, format)
        if "composition" in changes:  # one text a class is read the same by all
            export(dataclasses.replace(prompts(PLAIN), **changes), VOCABULARY, path, format)
            path.unlink()
    export(dataclasses.replace(refined, texts=PLAIN), VOCABULARY, path, format)
    path.unlink()
    if CONSUMERS[format].joined is None:
        with pytest.raises(RefusedError, match=f"{format} takes one text a class"):
            export(refined, VOCABULARY, path, format)
    else:
        export(refined, VOCABULARY, path, format)


def test_embeddings_of_other_readings(tmp_path: Path) -> None:
    clip = build_backbone(SMALL)
    refined = dataclasses.replace(prompts(SEVERAL), composition="refined")
    one, two = clip.encode_texts([[text] for text in SEVERAL[0]]).numpy()
    weighted = dataclasses.replace(refined, weights=((2.0, -1.0), (1.0,), (1.0,)))
    expected = 2 * one - two
    found = load_embeddings(export_embeddings(weighted, clip, tmp_path / "w.npz"), weighted)
    np.testing.assert_allclose(found.matrix[0], expected / np.linalg.norm(expected), atol=1e-5)
    with pytest.raises(UsageError, match="or with other weights or another composition"):
        load_embeddings(tmp_path / "w.npz", refined)
    score = dataclasses.replace(weighted, composition="mean-score")
    found = load_embeddings(export_embeddings(score, clip, tmp_path / "s.npz"), score)
    np.testing.assert_allclose(found.matrix[0], expected / 3, atol=1e-6)
    assert found.about["composition"] == "mean-score" and found.about["normalised"] is False
    with pytest.raises(UsageError, match="or with other weights or another composition"):
        load_embeddings(tmp_path / "s.npz", refined)
    about = json.dumps({**found.about, "normalised": True})
    np.savez(tmp_path / "long.npz", embeddings=found.matrix, about=np.array(about))
    with pytest.raises(UsageError, match="a row is not of length 1"):
        load_embeddings(tmp_path / "long.npz")
    for how in ("max", "adaptive"):
        other = dataclasses.replace(refined, composition=how)
        with pytest.raises(RefusedError, match=f"texts read by {how} of color: use --format nat"):
            export_embeddings(other, clip, tmp_path / "m.npz")


# -- the command ----------------------------------------------------------------------------------


def test_the_command_fits_and_tells(call: Any) -> None:
    base = ("export", "--vocab", "camvid", "--attributes", "size,shape,texture,color")
    done = call(*base, "-o", "out.json", "--format", "cat-seg")
    assert done.code == 0
    assert "11 of 11 classes have texts that were over 68 tokens" in done.err
    texts = json.loads(Path("out.json").read_text())
    assert len(texts) == 11 and texts[0].startswith("sky: a large area")
    joined = call(*base, "-o", "j.json", "--format", "cat-seg", "--composition", "ensemble")
    assert "cat-seg reads one text a class" in joined.err
    assert json.loads(Path("j.json").read_text()) == texts
    done = call(*base, "-o", "f.txt", "--format", "fc-clip", "--form", "sentence")
    assert (
        done.out.split() == ["f.txt", "f.seen.json"] and ":The sky is" in Path("f.txt").read_text()
    )
    assert call(*base, "-o", "d.json", "--format", "dclip", "--form", "phrase").code == 2
    assert "--format" in call("export", "--read", "out.json", "-o", "n.json").err
    back = ("export", "--read", "out.json", "--vocab", "camvid", "--format", "cat-seg", "-o")
    assert call(*back, "n.json").code == 0
    assert call("export", "--prompts", "n.json", "--format", "cat-seg", "-o", "o.json").code == 0
    assert Path("o.json").read_text() == Path("out.json").read_text()
    several = ("--composition", "max", "-o")
    base = ("export", "--vocab", "camvid", "--attributes", "color,shape")
    refused(call(*base, *several, "m.txt", "--format", "fc-clip"), 6, "cannot hold texts read by")
    assert call(*base, *several, "max.json").code == 0
    again = ("export", "--prompts", "max.json", "-o")
    assert call(*again, "again.json").code == 0
    assert Path("again.json").read_text() == Path("max.json").read_text()
    refused(call(*again, "m.npz", "--format", "embeddings"), 6, "have one row a class")
    assert "one of the three" in call(*again, "b.json", "--attributes", "color").err
    assert "without --attributes" in call(*again, "b.json", "--composition", "max").err
    base = ("export", "--vocab", "camvid", "--attributes", "color", "-o", "out.json")
    embedded = call(*base[:-1], "e.npz", "--format", "embeddings")
    assert embedded.code == 0 and "lsmseg-tiny knows drawings only" in embedded.err
    assert load_embeddings("e.npz").matrix.shape == (11, 128)
