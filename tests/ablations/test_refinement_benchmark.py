"""The control of benchmarks/refinement.py: random words in place of every candidate's text."""

from ablations.refinement.texts import TextStore
from benchmarks.refinement import random_words
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

VOCABULARY = load_vocabulary("coco-stuff")
ZEBRA, HORSE = (VOCABULARY.find(name).index for name in ("zebra", "horse"))


def test_random_words_are_as_many_and_say_nothing() -> None:
    color = "A zebra is usually black and white, with stripes all over."
    pair = "A zebra is covered in black and white stripes."
    cells = {(ZEBRA, "color"): color, (HORSE, "color"): "A horse is usually brown all over."}
    store = TextStore(VOCABULARY, "bundled", cells, {(ZEBRA, HORSE): pair}, {"other": cells})
    random = random_words(store)
    assert random == random_words(store) and random != random_words(store, 1)
    for found, text in (
        (random.descriptions[ZEBRA, "color"], color),
        (random.pairs[ZEBRA, HORSE], pair),
    ):
        assert found.startswith("a photo of a zebra, ") and "black" not in found
        assert count_tokens(found) == count_tokens(text)
    assert list(random.descriptions) == list(cells) and not random.others
