"""Files for other projects: what each of them reads is what was meant, or nothing is written.

The readers here do what the consumers' code does with a class string: split it, put it into
templates, count or cut tokens. Their own code was not run.
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
from lsmseg_model.networks.backbones.clip import build_clip
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.export import FORMATS, export, load_export
from lsmseg_prompts.export.consumers import CONSUMERS
from lsmseg_prompts.export.formats import descriptor
from lsmseg_prompts.export.loading import READABLE
from lsmseg_prompts.export.rewriting import without_separators
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

NAMES = ("zebra", "sky", "fire hydrant")
VOCABULARY = Vocabulary("three", "three", tuple(ClassEntry(i, n, n) for i, n in enumerate(NAMES)))
PLAIN = (("A zebra is black and white.",), ("The sky is blue.",), ("A fire hydrant is red.",))
COMMAS = (("A zebra has a mane, round ears, and stripes.",), *PLAIN[1:])
SEVERAL = (("A zebra has stripes.", "A zebra is as tall as a pony."), *PLAIN[1:])


def prompts(texts: tuple[tuple[str, ...], ...]) -> PromptSet:
    return PromptSet("color", "three", ("color",), "concat", "llm", NAMES, texts)


# -- what the consumers do -----------------------------------------------------------------


def cat_seg(path: Path) -> list[list[str]]:
    """Its first piece in one template; over 77 tokens CLIP's tokenizer raises."""
    names = [name.split(", ")[0] for name in json.loads(path.read_text())]
    return [[_tokenized(f"A photo of a {name} in the scene", name)] for name in names]


def sed(path: Path) -> list[list[str]]:
    return [
        [_tokenized(f"A photo of a {name} in the scene", name) for name in line.split(", ")]
        for line in json.loads(path.read_text())
    ]


def fc_clip(path: Path) -> list[list[str]]:
    found = []
    for line in path.read_text().splitlines():
        number, name = line.split(":")
        if name != "invalid_class_id":
            assert int(number) == len(found) + 1
            found.append(
                [_tokenized(f"There is a medium {n} in the scene.", n) for n in name.split(",")]
            )
    return found


def san(path: Path) -> list[list[str]]:
    return [
        [_tokenized(f"This is a photo of a medium {n}.", n)] for n in json.loads(path.read_text())
    ]


def mmseg(path: Path) -> list[list[str]]:
    words: dict[str, Any] = {}
    exec(compile(ast.parse(path.read_text()), str(path), "exec"), {"dict": dict}, words)
    assert words["metainfo"] == {"classes": NAMES}
    return [
        [_tokenized(f"There is a medium {n} in the scene.", n)] for n in words["text_vocabulary"]
    ]


def open_clip(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())
    assert raw["names"] == list(NAMES)
    return [[_tokenized(t.format(n), n) for t in raw["templates"]] for n in raw["classnames"]]


def cupl(path: Path) -> list[list[str]]:
    raw = json.loads(path.read_text())
    return [[_tokenized(text, text) for text in raw[name]] for name in NAMES]


READERS: dict[str, Callable[[Path], list[list[str]]]] = {
    "cat-seg": cat_seg, "sed": sed, "fc-clip": fc_clip, "maft": fc_clip, "san": san,
    "mmseg": mmseg, "open_clip": open_clip, "cupl": cupl,
}  # fmt: skip


def _tokenized(prompt: str, text: str) -> str:
    """The text, if all of the prompt is read."""
    assert count_tokens(prompt) <= CONTEXT_LENGTH
    return text


# -- formats ---------------------------------------------------------------------------------


def test_every_format_has_a_reader_here() -> None:
    assert set(FORMATS) == {*READERS, "dclip"} == set(CONSUMERS)


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_what_was_meant(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert export(prompts(PLAIN), VOCABULARY, path, name) == 0
    assert READERS[name](path) == [list(group) for group in PLAIN]


@pytest.mark.parametrize("name", ["sed", "fc-clip", "maft", "cupl"])
def test_several_texts_of_a_class(name: str, tmp_path: Path) -> None:
    export(prompts(SEVERAL), VOCABULARY, tmp_path / "file", name)
    assert READERS[name](tmp_path / "file") == [list(group) for group in SEVERAL]


@pytest.mark.parametrize("name", ["cat-seg", "san", "mmseg", "open_clip"])
def test_several_texts_are_refused_where_one_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"takes one text a class .* --format embeddings"):
        export(prompts(SEVERAL), VOCABULARY, tmp_path / "file", name)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("name", ["cat-seg", "sed", "fc-clip", "maft"])
def test_commas_are_refused_or_rewritten(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RefusedError, match=r"splits a class string on ',\s?'.* texts of zebra: "):
        export(prompts(COMMAS), VOCABULARY, path, name)
    assert not path.exists()
    assert export(prompts(COMMAS), VOCABULARY, path, name, rewrite=True) == 1
    assert READERS[name](path)[0] == ["A zebra has a mane and round ears and stripes."]


@pytest.mark.parametrize("name", ["san", "mmseg", "open_clip", "cupl"])
def test_commas_do_no_harm_where_nothing_is_split(name: str, tmp_path: Path) -> None:
    assert export(prompts(COMMAS), VOCABULARY, tmp_path / "file", name, rewrite=True) == 0
    assert READERS[name](tmp_path / "file")[0] == list(COMMAS[0])


def test_tokens_are_counted_inside_the_consumer_s_template(tmp_path: Path) -> None:
    """72 tokens, start and end included: with "A photo of a ... in the scene" 79."""
    text = "A zebra is " + "very " * 66 + "big"
    assert count_tokens(text) == 72
    long = prompts(((text,), *PLAIN[1:]))
    for name, adds in (("cat-seg", 7), ("fc-clip", 8), ("san", 8)):
        assert CONSUMERS[name].tokens(text) == 72 + adds
        with pytest.raises(RefusedError, match="the texts of zebra are over CLIP's 77 tokens"):
            export(long, VOCABULARY, tmp_path / "file", name)
    export(long, VOCABULARY, tmp_path / "file", "open_clip")
    assert open_clip(tmp_path / "file")[0] == [text]


def test_colons_would_end_an_index(tmp_path: Path) -> None:
    odd = prompts((("Zebra: an animal.",), *PLAIN[1:]))
    with pytest.raises(RefusedError):
        export(odd, VOCABULARY, tmp_path / "file", "fc-clip")
    export(odd, VOCABULARY, tmp_path / "file", "fc-clip", rewrite=True)
    assert fc_clip(tmp_path / "file")[0] == ["Zebra an animal."]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Bowls are white, cream, or blue.", "Bowls are white or cream or blue."),
        ("It is red, blue, and green.", "It is red and blue and green."),
        ("A cat, often black, naps.", "A cat often black naps."),
        ("A dome, with a rim, is wide; it opens.", "A dome with a rim is wide it opens."),
        (
            "In fog, the sky ends where roofs, trees, or hills are.",
            "In fog the sky ends where roofs or trees or hills are.",
        ),
        ("Plain as it is.", "Plain as it is."),
    ],
)
def test_rewriting(text: str, plain: str) -> None:
    assert without_separators(text) == plain


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
        export(prompts(groups), VOCABULARY, path, name, rewrite=more)
    except RefusedError:
        assert not path.exists()
        return
    found = READERS[name](path)
    if not more:
        assert found == [list(group) for group in groups]
    assert [len(group) for group in found] == [len(group) for group in groups]
    if name in READABLE:
        assert load_export(path, name, VOCABULARY).texts == tuple(map(tuple, found))


@pytest.mark.parametrize("name", ["cat-seg", "sed", "san", "fc-clip", "maft", "open_clip", "cupl"])
def test_the_way_back(name: str, tmp_path: Path) -> None:
    export(prompts(PLAIN), VOCABULARY, tmp_path / "mine.txt", name)
    back = load_export(tmp_path / "mine.txt", name, VOCABULARY)
    assert back.texts == PLAIN and back.class_names == NAMES and back.name == "mine"
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


def test_descriptors() -> None:
    zebra = ClassEntry(0, "zebra", "zebra")
    assert descriptor("A zebra has a stiff mane.", zebra) == "a stiff mane"
    assert descriptor("Zebras have stripes.", zebra) == "stripes"
    assert descriptor("Grass surrounds a zebra.", zebra) == "Grass surrounds a zebra"


def test_names_that_are_keys_must_differ(tmp_path: Path) -> None:
    twice = Vocabulary("three", "t", tuple(ClassEntry(i, "bag", "bag") for i in range(3)))
    for name in ("cupl", "dclip"):
        with pytest.raises(RefusedError, match="several called 'bag'"):
            export(prompts(PLAIN), twice, tmp_path / "file", name)


# -- embeddings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_embeddings(suffix: str, tmp_path: Path) -> None:
    clip = build_clip(SMALL)
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
    clip = build_clip(SMALL)
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


def test_the_command_refuses_and_rewrites(call: Any) -> None:
    base = ("export", "--vocab", "camvid", "--attributes", "color", "-o", "out.json")
    refused(call(*base, "--format", "cat-seg"), 6, "cat-seg splits", "--rewrite leaves")
    assert not Path("out.json").exists()
    done = call(*base, "--format", "cat-seg", "--rewrite")
    assert done.code == 0 and "rewritten without the separators of cat-seg" in done.err
    assert len(json.loads(Path("out.json").read_text())) == 11
    assert call(*base, "--rewrite").code == 2
    several = ("--composition", "max", "-o")
    base = ("export", "--vocab", "camvid", "--attributes", "color,shape")
    refused(call(*base, *several, "m.txt", "--format", "fc-clip"), 6, "cannot hold texts read by")
    assert call(*base, *several, "max.json").code == 0
    again = ("export", "--prompts", "max.json", "-o")
    assert call(*again, "again.json").code == 0
    assert Path("again.json").read_text() == Path("max.json").read_text()
    refused(call(*again, "m.npz", "--format", "embeddings"), 6, "have one row a class")
    assert "one of the two" in call(*again, "b.json", "--attributes", "color").err
    assert "beside --prompts" in call(*again, "b.json", "--composition", "max").err
    base = ("export", "--vocab", "camvid", "--attributes", "color", "-o", "out.json")
    embedded = call(*base[:-1], "e.npz", "--format", "embeddings")
    assert embedded.code == 0 and "lsmseg-tiny knows drawings only" in embedded.err
    assert load_embeddings("e.npz").matrix.shape == (11, 128)


@pytest.mark.parametrize("vocabulary", ["coco-stuff", "ade20k-847", "pc-459", "voc-21"])
def test_bundled_texts_export_everywhere(vocabulary: str, tmp_path: Path) -> None:
    classes = load_vocabulary(vocabulary)
    made = prompt_set(classes, ["color"])
    for name in FORMATS:
        export(made, classes, tmp_path / name, name, rewrite=True)
