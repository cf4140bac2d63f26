"""The queries are the published ones, rendered safely; stage 1 reads the answers."""

import re

import pytest

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, as_reply
from lsmseg_prompts.errors import ProviderError, UsageError
from lsmseg_prompts.generation.stage1 import Attribute, ask_attributes, parse_attributes
from lsmseg_prompts.llm.base import LLM, Reply
from lsmseg_prompts.templates import NAMES, Query, query, read_query

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


TURNS, VALUES = "more than 2,000 steps", "more than (20,000|1,000,000) characters in its values"
DEEP, UNSAFE, FILTER = "nested too deep", "is unsafe", "No filter named"
DOUBLED = (
    "{% set ns = namespace(x=START) %}{% for i in range(60) %}{% set ns.x = MORE %}{% endfor %}"
)


def doubled(start: str, more: str) -> str:
    return DOUBLED.replace("START", start).replace("MORE", more)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", TURNS),
        ("{% for a in range(9999) if a > 9998 %}x{% endfor %}", TURNS),
        ("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "recursive loops"),
        ("{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}", DEEP),
        ("{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
         TURNS),
        ("{% block a %}{{ self.a() }}{% endblock %}", DEEP),
        ("{{ range(9999)|map('string')|list }}", TURNS),
        (doubled("'a'", "ns.x ~ ns.x"), VALUES),
        (doubled("'a'", "ns.x + ns.x"), VALUES),
        (doubled("'a'", "[ns.x, ns.x]"), VALUES),
        (doubled("'a'", "(ns.x, ns.x)"), VALUES),
        (doubled("'a'", "{1: ns.x, 2: ns.x}"), VALUES),
        ("{% set ns = namespace(x=2) %}{% for i in range(1999) %}"
         + "{% set ns.x = ns.x - (0 - ns.x) %}" * 50 + "{% endfor %}", VALUES),
        ("{% set x %}" + "x" * 9000 + "{% endset %}"
         "{% set y %}{% for i in range(200) %}{{ x }}{% endfor %}{% endset %}", VALUES),
        ("{% macro m() %}{% for i in range(99) %}" + "x" * 9000
         + "{% endfor %}{% endmacro %}{{ m() }}", VALUES),
        ("{{ range(99)|join('" + "a" * 999 + "') }}", VALUES),
        ("{{ '" + "a" * 999 + "'.replace('a', '" + "b" * 999 + "') }}", VALUES),
        ("{% for a in range(99) %}" + "x" * 999 + "{% endfor %}", "98,901 characters; 20,000 is"),
        ("x" * 20_001, "20,001 characters; 20,000 is the most"),
        ("{{ 'a'.ljust(1000000000) }}", UNSAFE),
        ("{{ 'a'['ljust'](1000000000) }}", UNSAFE),
        ("{{ ('a'|attr('ljust'))(1000000000) }}", FILTER),
        ("{{ '{:1000000000}'.format(1) }}", UNSAFE),
        ("{{ '1'.zfill(1000000000) }}", UNSAFE),
        ("{{ (1).to_bytes(1000000000, 'big') }}", UNSAFE),
        ("{{ 'a'|center(1000000000) }}", FILTER),
        ("{% autoescape 'a'|center(1000000000) %}{% endautoescape %}", FILTER),
        ("{{ '%1000000000d'|format(1) }}", FILTER),
        ("{{ [1]|batch(1000000000, 'x')|list }}", FILTER),
        ("{{ '%1000000000d' % 1 }}", "operator % is not allowed"),
        ("{{ 'a' * 1000000000 }}", r"operator \* is not allowed"),
        ("{{ 9**9**9**9 }}", r"operator \*\* is not allowed"),
        ("{{ lipsum(n=1000000000) }}", "'lipsum' is undefined"),
        ("{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}", DEEP),
        ("{{ " + "not " * 4000 + "1 }}", DEEP),
        ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "too many statically nested blocks"),
        ("{{ " + "9" * 9000 + " }}", "limit"),
        ("{{ 1 // 0 }}", "by zero"),
        ("{{ '\\ud800' }}", "surrogates not allowed"),
        ("{{ ''.__class__.__mro__ }}", UNSAFE),
    ],
)  # fmt: skip
def test_a_template_has_bounds(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=rf"^The template own\.j2 .*{says}.*(?<!\.)\.$"):
        Query("own.j2", text).render(class_name="zebra", attribute="color")


def test_work_that_is_no_step_ends_by_the_clock(monkeypatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("lsmseg_prompts.templates.sandbox.thread_time", lambda: next(seconds))
    text = "{% for i in range(9) %}{% if class_name == 'a' %}{% endif %}{% endfor %}"
    with pytest.raises(UsageError, match=r"does too much: more than 0\.5 s of work, so make it"):
        Query("own.j2", text).render(class_name="zebra")


def test_what_a_question_needs_is_there() -> None:
    own = Query(
        "own.j2",
        """
        {%- macro named(x) %}<{{ x }}>{% endmacro %}
        {{- named(class_name.upper().replace("-", " ")) }}{{ synonyms | map("title") | join("; ") }}
        {%- for a, b in [(1, "x"), (2, "y")] %} {{ loop.index }}{{ a }}{{ b }}
        {%- if not loop.last %},{% endif %}{% endfor %} {{ {"k": class_name[:3]}.k ~ 1 ~ [2, 3] }}
        {%- filter upper %} abc{% endfilter %} {{ attribute | with_article | quoted }}""",
    )
    shown = own.render(class_name="t-shirt", attribute="color", synonyms=["tee", "top"])
    assert shown == '<T SHIRT>Tee; Top 11x, 22y t-s1[2, 3] ABC "a color"'
