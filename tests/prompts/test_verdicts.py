"""From replies to verdicts."""

from __future__ import annotations

import pytest
from support.scripted_llm import PETS, failed, reply

from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.generation.replies import read_object
from lsmseg_prompts.generation.verdicts import judge
from lsmseg_prompts.llm import Reply, Request
from lsmseg_prompts.vocabularies import ClassEntry, load_vocabulary

CAT = PETS[0]
CRANE = ClassEntry(0, "crane", "crane", sense="the lifting machine")


def about(*attributes: str, entry: ClassEntry = CAT) -> Request:
    return Request("", entry=entry, attributes=attributes)


def verdict(answer: Reply | str, attribute: str = "color", entry: ClassEntry = CAT):  # type: ignore[no-untyped-def]
    answer = reply(answer) if isinstance(answer, str) else answer
    return judge(answer, about(attribute, entry=entry), lambda a, t: None)[attribute]


@pytest.mark.parametrize(
    "text",
    [
        "A cat is often black, white, orange or gray.",
        "On the desk, close to the user's hand, a cat may be black.",
        'Sure! Here is a description: "A **cat** is often black."',
        "Cats come in black and white. They also purr.",
        "- A cat is black.\n- A cat is white.",
        "<think>\nA cat is a pet. Hm.\n</think>\n\nA cat is black.",
        "A cat is a pet, so let me say its color.\n</think>\nA cat is black.",
    ],
)
def test_what_will_do(text: str) -> None:
    found = verdict(text)
    assert found.fault is None and found.text.endswith(".") and 3 <= found.tokens <= 77


@pytest.mark.parametrize(
    ("answer", "fault", "kind", "final"),
    [
        ("A cat is " + "very " * 80 + "black.", "87 CLIP tokens and 77 are the most", "", False),
        ("A dog is brown.", "does not name cat", "", False),
        ("A cat is black; it is white.", "one sentence", "", False),
        ("", "empty", "empty", False),
        ("  \n", "empty", "empty", False),
        ("***", "says nothing", "empty", False),
        ("<think>A cat is black. Or white?", "empty", "empty", False),
        ("<think>A cat.</think> I'm sorry, I can't.", "refused", "refused", False),
        (reply("A cat is bla", finish_reason="length"), "cut off", "cut", False),
        (reply(None, refusal="I can't help with that."), "refused", "refused", False),
        ("I'm sorry, but I can't describe a cat.", "refused", "refused", False),
        ("As an AI, I have not seen a cat.", "refused", "refused", False),
        ("Unfortunately, I cannot do that.", "refused", "refused", False),
        (failed("cell", "ContentFilter", 400), "ContentFilter happened", "", True),
        (reply("A cat", finish_reason="content_filter"), "content filter", "", True),
    ],
)  # fmt: skip
def test_what_will_not_do(answer: Reply | str, fault: str, kind: str, final: bool) -> None:
    found = verdict(answer)
    assert fault in (found.fault or "")
    assert (found.kind, found.final, found.soft) == (kind, final, False)


def test_sorry_inside_a_description_is_no_refusal() -> None:
    assert verdict("A cat in a sorry state is gray.").fault is None


def test_the_fault_tells_the_sense() -> None:
    found = verdict("A bird with long legs is gray.", entry=CRANE)
    assert "crane in the sense of the lifting machine" in (found.fault or "")


def test_twins_and_other_attributes_are_soft() -> None:
    twin = judge(reply("A cat is gray."), about("color"), lambda a, t: "dog")["color"]
    assert twin.soft and "word for word what was said of dog" in (twin.fault or "")
    other = verdict("A cat is small, round and about 40 centimeters long.")
    assert other.soft and "not about color" in (other.fault or "")
    assert verdict("A cat differs from breed to breed.").fault is None  # nothing speaks against it
    assert verdict("A cat has a color that varies and is 40 centimeters long.").fault is None
    orange = ClassEntry(0, "orange", "orange")
    assert verdict("An orange is small and round.", entry=orange).soft


@pytest.mark.parametrize(
    ("attribute", "text", "soft"),
    [
        # One word of each neighbour's attributes, and none that is listed of its own.
        ("size", "Beside a cat, a mouse looks like a running toy.", False),
        ("texture", "A cat sits in pale down.", False),
        ("pattern", "The wooden cat bears a smooth stamp.", False),
        # Words that were lacking.
        ("size", "A cat at its bowl in the kitchen reaches the ankle.", False),
        ("pattern", "Carved scrolls decorate the smooth and polished cat.", False),
        # Two of the same other attribute; one of color and one of shape.
        ("texture", "A cat sits in the yard beside a wall.", True),
        ("size", "A cat is round and gray.", True),
    ],
)
def test_a_word_of_a_neighbour_is_not_enough(attribute: str, text: str, soft: bool) -> None:
    assert verdict(text, attribute).soft is soft


def test_the_bundled_descriptions_will_all_do() -> None:
    faults = []
    for name in ("coco-stuff", "camvid"):
        vocabulary = load_vocabulary(name)
        for (index, attribute), text in read_bundled(name).items():
            found = verdict(text, attribute, vocabulary[index])
            faults += [(name, text, found.fault)] if found.fault else []
    assert faults == []


def test_several_attributes_are_judged_one_by_one() -> None:
    answer = reply('```json\n{"Color": "A cat is gray.", "shape": "It is round.", "size": 3}\n```')
    found = judge(answer, about("color", "shape", "size", "action"), lambda a, t: None)
    assert found["color"].fault is None
    assert "name cat" in (found["shape"].fault or "")
    assert "no sentence under this key" in (found["size"].fault or "")
    assert "no sentence under this key" in (found["action"].fault or "")


def test_objects_among_thoughts_do_not_count() -> None:
    said = '{"color": "A cat is black.", "size": "A cat is small."}'
    raw = f'<think>Such as {{"color": "A cat is red."}}</think>{said}'
    found = judge(reply(raw), about("color", "size"), lambda a, t: None)
    assert found["color"].text == "A cat is black."


def test_no_object_at_all() -> None:
    found = judge(reply("A cat is gray."), about("color", "shape"), lambda a, t: None)
    assert {v.fault for v in found.values()} == {
        "the reply is not a JSON object with a sentence for each attribute"
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here you are: {"A ": "x"} and more', {"a": "x"}),
        ('{"cat": {"color": "x"}}', {"color": "x"}),
        ("[1]", None),
        ('{"a": ', None),
        ("{" * 100_000, None),
        ("no", None),
    ],
)
def test_objects_are_found(text: str, value: object) -> None:
    assert read_object(text) == value
