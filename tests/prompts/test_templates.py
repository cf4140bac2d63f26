"""The queries are the published ones, rendered safely; stage 1 reads the answers."""

import re

import pytest

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, as_reply
from lsmseg_prompts.errors import ProviderError, UsageError
from lsmseg_prompts.generation.stage1 import Attribute, ask_attributes, parse_attributes
from lsmseg_prompts.llm.base import LLM, Reply
from lsmseg_prompts.templates import NAMES, query, read_query

STAGE_1 = (
    "What visual attributes are most relevant for generating descriptive text prompts to enhance "
    "pixel-level semantic segmentation?"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("attributes-paper", STAGE_1),
        ("attributes-thesis", STAGE_1),
        (
            "describe-paper",
            "Describe a cat with respect to a given color. The description should not exceed 77 "
            "tokens, consistent with the CLIP tokenizer limit.",
        ),
        ("describe-thesis", "Describe what a cat generally looks like in terms of color?"),
        (
            "typical-paper",
            "Describe a cat with respect to its typical attributes in one sentence. The "
            "description must be under 77 tokens as per the CLIP tokenizer.",
        ),
        ("check-images-thesis", "Describe this image in five separate sentences."),
    ],
)
def test_wordings_are_the_published_ones(name, text):
    assert query(name).render(class_name="cat", attribute="color") == text


def test_article_and_sense_are_put_in():
    text = query("describe-paper").render(
        class_name="orange", sense="the citrus fruit", attribute="size"
    )
    assert text.startswith("Describe an orange (the citrus fruit) with respect to")
    thesis = query("describe-thesis").render(class_name="grass", attribute="size")
    assert "what grass generally" in thesis


def test_values_are_never_run_as_templates():
    nasty = "{{ 7 * 7 }}{% for x in () %}"
    assert nasty in query("describe-paper").render(class_name=nasty, attribute="color")
    assert "B&B" in query("describe-paper").render(class_name="B&B", attribute="color")


def test_missing_values_and_unknown_names():
    with pytest.raises(UsageError, match="'attribute' is undefined"):
        query("describe-paper").render(class_name="cat")
    with pytest.raises(UsageError, match="did you mean describe-paper"):
        query("describe-papr").render()
    with pytest.raises(UsageError):
        query("../errors").render()


def test_hashes_tell_templates_apart():
    assert all(re.fullmatch("[0-9a-f]{64}", query(name).hash) for name in NAMES)
    assert query("describe-paper").hash != query("describe-thesis").hash


def test_the_nine_are_the_papers_in_its_order():
    nine = "color shape size texture material position pattern action context"
    assert list(ATTRIBUTES) == nine.split()
    assert set(PSEUDO_ATTRIBUTES) == {"name", "typical", "random", "shuffled"}
    assert parse_attributes(as_reply()) == [Attribute(n, m) for n, m in ATTRIBUTES.items()]


@pytest.mark.parametrize(
    "reply",
    [
        "1. **Color**: the hues\n2. **Position or Location** - where\n3. Action/State\n",
        "Sure! Here they are:\n\n- Colour\n- Position (location): where it is\n* Action or state\n",
        "The attributes are: color, position or location, and action/state.",
        '["Color", "position", "State"]',
        '```json\n{"attributes": [{"name": "color", "meaning": "x"}, "location", "Actions"]}\n```',
        '{"color": "x", "position": "y", "action": "z"}',
    ],
)
def test_lists_of_all_kinds_are_read(reply):
    assert [a.name for a in parse_attributes(reply)] == ["color", "position", "action"]


def test_own_attributes_and_meanings_are_kept():
    found = parse_attributes("1. Lighting conditions: how it is lit\n2. Color\n3. color: again")
    assert found == [
        Attribute("lighting conditions", "how it is lit"),
        Attribute("color", ATTRIBUTES["color"]),
    ]


class Canned(LLM):
    name = model = "canned"
    host, provenance, free = None, "A test.", True

    def __init__(self, text, message=None):
        scope = "cell" if text is None else None
        self.reply = Reply(text, "canned", error_scope=scope, error_message=message)

    def check(self):
        pass

    async def complete(self, request):
        self.request = request
        return self.reply

    async def close(self):
        pass


def test_ask_attributes_puts_the_question_and_reads_the_reply():
    llm = Canned("1. Color\n2. Shape")
    assert [a.name for a in ask_attributes(llm, "thesis")] == ["color", "shape"]
    assert llm.request.prompt == STAGE_1
    assert llm.request.template_hash == query("attributes-thesis").hash


def test_ask_attributes_with_bundled_returns_the_nine():
    from lsmseg_prompts.llm import make_llm

    assert [a.name for a in ask_attributes(make_llm("bundled"))] == list(ATTRIBUTES)


def test_ask_attributes_says_what_went_wrong():
    with pytest.raises(UsageError, match="choose paper or thesis"):
        ask_attributes(Canned("1. Color"), "book")
    with pytest.raises(ProviderError, match="quota"):
        ask_attributes(Canned(None, "the quota is used up."))
    with pytest.raises(ProviderError, match="without naming"):
        ask_attributes(Canned("I cannot help with that."))


def test_in_an_own_query_nothing_is_written_for_what_a_class_lacks(tmp_path):
    file = tmp_path / "own.j2"
    file.write_text("{{ class_name }} {{ sense }}({{ synonyms }}) {{ attribute }}")
    values = {"class_name": "bat", "attribute": "color", "meaning": "hues", "name": "bat"}
    own = read_query(file)
    assert own.render(**values, sense=None, synonyms=[]) == "bat () color"
    assert own.render(**values, sense="the animal", synonyms=["a", "b"]) == (
        "bat the animal(a, b) color"
    )
    file.write_text("{{ class_name ")
    with pytest.raises(UsageError, match=r"cannot be used: .*[^.]\.$"):
        read_query(file)
