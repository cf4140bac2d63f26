"""Stage 1: what an answer says and lacks of the nine, and the thesis's check on pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from lsmseg_prompts.attributes import ATTRIBUTES, plain_names
from lsmseg_prompts.errors import ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.picture_check import check_images, read_picture, split_sentences
from lsmseg_prompts.generation.stage1 import ask_attributes, parse_attributes
from lsmseg_prompts.llm.base import LLM, Reply
from lsmseg_prompts.store.store import open_store

NINE = list(ATTRIBUTES)


class Canned(LLM):
    """An LLM that gives the texts in turn; an exception's text fails that question."""

    name = model = "openai/canned"
    host, provenance, free = None, "A test.", True

    def __init__(self, *texts: str | None) -> None:
        self.texts = list(texts)
        self.requests = []

    def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def complete(self, request):
        text = self.texts[len(self.requests)]
        self.requests.append(request)
        if text is None:
            return Reply(None, self.model, error_scope="cell", error_message="no images here",
                         http_status=400)  # fmt: skip
        return Reply(text, self.model, finish_reason="stop")


# -- reading the answer ------------------------------------------------------------------

GPT = """Here are key visual attributes:

### 1. **Color and Hue**
- Why: it tells a tiger from a horse
- Example: "an orange cat"

### 2. **Shape & Form**
- Example: round

### 3. **Visual Texture Information**
   1. smooth
   2. rough

### 4. **Spatial Relationships**

In summary, these attributes help."""


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (GPT, ["color", "shape", "texture", "spatial relationships"]),
        ("**Color**: hues\n**Size/Scale**: how big\n**Lighting**: light", ["color", "size",
                                                                         "lighting"]),
        ("## Color\nhues\n## Contextual cues\nwhere", ["color", "context"]),
        ("1. Color and texture: both\n2. Pattern", ["color", "texture", "pattern"]),
        ("| Attribute | Meaning |\n|---|---|\n| **Color** | hue |\n| State | pose |",
         ["color", "action"]),
        ('Sure!\n```json\n{"attributes": ["Hue", "Dimensions"]}\n```\nDone.', ["color", "size"]),
        ('[{"attribute": "Material properties", "description": "wood"}]', ["material"]),
        ("- Color: a\n  - red\n  - blue\n- Shape: b", ["color", "shape"]),
        ("Use color, shape, and surroundings.", ["use color", "shape", "context"]),
        ("I am sorry, I cannot do that.", []),
        ("", []),
        ("{", []),
        ("[" * 5000, []),
        ("- This is a sentence about nothing in particular\n- And so is this one", []),
    ],
)  # fmt: skip
def test_replies_are_read(reply, names):
    assert [a.name for a in parse_attributes(reply)] == names


@given(st.text())
def test_any_reply_is_read_and_what_is_read_is_tame(reply):
    for attribute in parse_attributes(reply) + parse_attributes(f"1. {reply}\n2. {reply}"):
        assert attribute.name.isprintable() and 0 < len(attribute.name) <= 40
        assert attribute.meaning.isprintable() and len(attribute.meaning) <= 300
        assert attribute.written.isprintable()


@given(st.lists(st.sampled_from(NINE), unique=True, min_size=2), st.sampled_from("1.-*•"))
def test_the_nine_are_read_from_any_list(names, mark):
    lines = [f"{i}." if mark in "1." else mark for i in range(1, len(names) + 1)]
    reply = "\n".join(f"{m} **{n.title()}**: x" for m, n in zip(lines, names, strict=True))
    assert [a.name for a in parse_attributes(reply)] == names


def test_control_characters_do_not_reach_the_terminal():
    (found,) = parse_attributes('["Gl\x1b[31mow\\u001b[2J"]') or parse_attributes(
        "1. Gl\x1b[31mow: bri\x07ght"
    )
    assert found.name.isprintable() and "\x1b" not in found.written + found.meaning


def test_plain_names():
    assert plain_names("Position or Location") == ["position"]
    assert plain_names("Action/State") == ["action"]
    assert plain_names("Contextual Relationships") == ["context"]
    assert plain_names("Color Information") == ["color"]
    assert plain_names("color and shape") == ["color", "shape"]
    assert plain_names("") == []


def test_the_difference_to_the_nine():
    answer = ask_attributes(Canned("1. Colour: hues\n2. Lighting: light\n3. Shape\n4. State"))
    assert [a.name for a in answer] == ["color", "lighting", "shape", "action"] and len(answer) == 4
    assert answer.missing == ["size", "texture", "material", "position", "pattern", "context"]
    assert answer.additional == ["lighting"]
    assert answer.renamed == {"color": "Colour", "action": "State"}
    assert answer.reply.startswith("1. Colour")


def test_raw_replies_are_kept_also_those_that_name_nothing():
    with open_store("s.sqlite") as store:
        ask_attributes(Canned("1. Color\n2. Shape"), "thesis", store)
        with pytest.raises(ProviderError, match="without naming"):
            ask_attributes(Canned("No."), store=store)
        rows = store.rows("SELECT purpose, reply, llm FROM attempts ORDER BY id")
    assert [row["reply"] for row in rows] == ["1. Color\n2. Shape", "No."]
    assert {(row["purpose"], row["llm"]) for row in rows} == {("attributes", "openai/canned")}


# -- pictures ----------------------------------------------------------------------------


def picture(name: str, size=(40, 20), mode="RGB", **save) -> Path:
    Pictures.new(mode, size, 128 if mode in "LPI;16" else (200, 30, 30, 90)[: len(mode)]).save(
        name, **save
    )
    return Path(name)


def test_pictures_are_reduced_and_carry_nothing_along():
    exif = Pictures.Exif()
    exif[0x010E], exif[0x0112] = "my garden", 6  # a description; turned by 90 degrees
    path = picture("a.jpg", (3000, 1000), exif=exif, comment=b"secret")
    sent = read_picture(path)
    assert sent.mime == "image/jpeg" and b"garden" not in sent.data and b"secret" not in sent.data
    opened = Pictures.open(io.BytesIO(sent.data))
    assert opened.format == "JPEG" and opened.size == (341, 1024) and not opened.getexif()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_pictures_of_all_modes(mode):
    path = Path("a.png")
    Pictures.new("RGB", (30, 60), "red").convert(mode).save(path)
    assert Pictures.open(io.BytesIO(read_picture(path).data)).size == (30, 60)


def test_small_pictures_stay_and_transparent_is_white():
    Pictures.new("RGBA", (8, 8), (0, 0, 0, 0)).save("a.png")
    opened = Pictures.open(io.BytesIO(read_picture("a.png").data))
    assert opened.size == (8, 8) and min(opened.getpixel((4, 4))) > 250


def test_what_is_no_picture_is_refused():
    Path("text.jpg").write_text("hello")
    Path("cut.png").write_bytes(picture("whole.png").read_bytes()[:50])
    Path("empty.jpg").touch()
    Path("folder").mkdir()
    for name, says in [("text.jpg", "not a picture"), ("cut.png", "not a picture"),
                       ("empty.jpg", "not a picture"), ("none.jpg", "no picture"),
                       ("folder", "folder")]:  # fmt: skip
        with pytest.raises(ConfigurationError, match=says):
            read_picture(name)


def test_several_frames_are_refused():
    frames = [Pictures.new("L", (4, 4), grey) for grey in (0, 90)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(UsageError, match=r"a\.gif has 2 frames or pages: give one picture"):
        read_picture("a.gif")


def test_huge_pictures_are_refused(monkeypatch):
    monkeypatch.setattr(Pictures, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ConfigurationError, match="too many pixels"):
        read_picture(picture("a.png", (90, 90)))


FIVE = ["A cat lies there.", "It has 3.5 stripes, e.g. two.", "Is it big?", "It's orange!", "End."]


@pytest.mark.parametrize(
    "reply",
    [
        "\n".join(f"{i}. {s}" for i, s in enumerate(FIVE, 1)),
        "Sure! Here are five sentences:\n\n"
        + "\n\n".join(f"**{i}.** {s}" for i, s in enumerate(FIVE, 1))
        + "\n\nI hope this helps!",
        " ".join(f"{i}) {s}" for i, s in enumerate(FIVE, 1)),
        "\n".join(f"- **{s}**" for s in FIVE),
        "Here they are:\n" + " ".join(FIVE),
        "\n".join(FIVE),
        json.dumps(FIVE),
        json.dumps({"sentences": FIVE}),
        "```json\n" + json.dumps({str(i): s for i, s in enumerate(FIVE)}) + "\n```",
    ],
)
def test_sentences_are_split(reply):
    assert split_sentences(reply) == FIVE


@given(st.text())
def test_any_text_is_split_tamely(text):
    for sentence in split_sentences(text):
        assert sentence.isprintable() and 0 < len(sentence) <= 600
    assert len(split_sentences("A. " * 100 + text)) <= 30


THESIS = [
    "1. The image features an orange tabby cat with a slightly turned head.\n"
    "2. Its fur is thick and well-groomed, with subtle stripes.\n"
    "3. The blurred background suggests an outdoor setting.",
    "1. A traditional vessel with two large sails.\n2. The boat has a dark wooden hull.\n"
    "3. The water has gentle ripples.\n4. The vessel appears to be moving, below the sun.\n"
    "5. It is curved and smooth.",
]


def test_check_images_counts_sentences():
    llm = Canned(*THESIS)
    paths = [picture("cat.jpg"), picture("boat.png", mode="RGBA")]
    with open_store("s.sqlite") as store:
        result = check_images(llm, paths, store)
        kept = store.rows("SELECT reply, purpose, prompt FROM attempts ORDER BY id")
    assert [row["reply"] for row in kept] == THESIS
    assert {row["purpose"] for row in kept} == {"check-images"}
    assert {r.prompt for r in llm.requests} == {"Describe this image in five separate sentences."}
    assert all(len(r.images) == 1 for r in llm.requests)
    cat, boat = result.pictures
    assert (cat.count("color"), cat.count("pattern"), cat.count("context")) == (1, 2, 1)
    assert boat.count("material") == 1 and boat.sentences[1].words["material"] == ["wooden"]
    assert result.total["color"] == 2 and result.unnamed == []
    table = result.table()
    assert [row["picture"] for row in table if row["picture"]] == ["cat.jpg", "boat.png", "total"]
    assert len(table) == 2 + 3 + 5 + 1 and table[1]["color"] == "x" and table[2]["color"] == ""
    assert table[-1]["sentence"] == "8 sentences"


def test_check_images_says_what_no_sentence_names_and_what_failed():
    result = check_images(Canned("A red ball.", None), [picture("a.jpg"), picture("b.jpg")])
    assert "color" not in result.unnamed and {"material", "action"} <= set(result.unnamed)
    assert [(p.picture, p.error) for p in result.failed] == [("b.jpg", "no images here")]
    with pytest.raises(ProviderError, match=r"none of the 1 pictures: no images here; .* vision"):
        check_images(Canned(None), [picture("a.jpg")])


def test_nothing_is_sent_when_a_picture_is_none():
    llm = Canned("x", "y")
    Path("b.jpg").write_text("no picture")
    with pytest.raises(ConfigurationError):
        check_images(llm, [picture("a.jpg"), "b.jpg"])
    with pytest.raises(UsageError):
        check_images(llm, [])
    assert llm.requests == []


# -- the command -------------------------------------------------------------------------


def test_the_command_with_bundled(call):
    done = call("attributes")
    assert done.code == 0 and "additional: none" in done.out and not Path("runs").exists()
    assert "missing of the nine: none" in done.out
    shown = json.loads(call("attributes", "--json").out)
    assert [a["name"] for a in shown["attributes"]] == NINE and shown["missing"] == []
    assert call("attributes", "--raw").out.startswith("1. Color: the hues")


def test_wrong_calls_of_check_images(call):
    picture("a.jpg")
    for arguments in (["--check-images"], ["a.jpg"], ["--check-images", "a.jpg"],
                      ["--check-images", "--check-images"]):  # fmt: skip
        done = call("attributes", *arguments)
        assert done.code == 2 and done.out == ""
    assert "vision model" in call("attributes", "--check-images", "a.jpg").err
    assert not Path("runs").exists()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-stage-one-0123456789")


def test_the_command_asks_a_server(server, key, call):
    server.script()
    arguments = ["attributes", "--llm", "gpt-4", "--base-url", server.url, "--store", "s.sqlite"]
    done = call(*arguments)
    assert done.code == 0, done.err
    assert "additional: lighting" in done.out and "missing of the nine: none" in done.out
    assert 'yes, as "Shape or Form"' in done.out
    raw = call(*arguments, "--raw").out
    assert raw.startswith("Here are the visual attributes that matter most:")
    with open_store("s.sqlite") as store:
        rows = store.rows("SELECT reply FROM attempts WHERE purpose = 'attributes'")
    assert len(rows) == 2 and {row["reply"].strip() for row in rows} == {raw.strip()}


@pytest.mark.parametrize(
    "form",
    [
        ["--check-images", "a.jpg", "b.jpg", "c.jpg"],
        ["--check-images", "a.jpg", "--check-images", "b.jpg", "--check-images", "c.jpg"],
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_check_images_as_it_is_written(server, key, call, form, first, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    server.script()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        picture(name)
    rest, before = ["--llm", "gpt-4", "--base-url", server.url], len(server.requests())
    done = call("attributes", *(form + rest if first else rest + form))
    assert done.code == 0, done.err
    assert len(server.requests()) - before == 3
    head, *rows = done.out.splitlines()
    assert head.split() == ["picture", "sentence", *NINE]
    assert sum(row.startswith(("a.jpg", "b.jpg", "c.jpg")) for row in rows) == 3
    assert any(row.startswith("total") and "15 sentences" in row for row in rows)
    assert rows[-1].startswith("named by no sentence: ")
    with open_store("runs/attribute_store.sqlite") as store:
        assert len(store.rows("SELECT 1 FROM attempts WHERE purpose = 'check-images'")) == 3


def test_a_picture_that_is_refused_ends_with_3(server, key, call):
    picture("a.jpg"), picture("b.jpg")
    server.script([{"match": {"n": 2}, "refusal": "I cannot look at this."}])
    done = call("attributes", "--check-images", "a.jpg", "b.jpg", "--llm", "gpt-4",
                   "--base-url", server.url, "--json")  # fmt: skip
    assert done.code == 3 and "1 of 2 pictures" in done.err
    shown = json.loads(done.out)
    assert sorted(len(p["sentences"]) for p in shown["pictures"]) == [0, 5]
    assert set(shown["sentences_naming"]) == set(NINE)
