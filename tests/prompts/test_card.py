"""The vocabulary card: all of it, escaped, and the same each time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lsmseg_model.data.layouts import background_prompts
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.card import escaped, export_card, markdown, vocabulary_card
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

CAMVID = load_vocabulary("camvid")


def scored(store: Path, **fields: object) -> None:
    with open_store(store) as file, file.transaction():
        known = {
            "benchmark": "camvid", "split": "val: report", "pictures": 50, "model": "lsmseg-tiny",
            "weights_hash": "3b05", "vocabulary": "camvid", "llm": "bundled", "prompt_set": "color",
            "composition": "concat", "miou": 0.25, "miou_low": 0.2, "miou_high": 0.3,
        }  # fmt: skip
        file.add_evaluation(**(known | fields))  # type: ignore[arg-type]


def test_a_card_holds_words_texts_hashes_and_the_last_scores(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    scored(store, miou=0.1)
    scored(store)
    scored(store, prompt_set="shape")
    scored(store, composition="max")
    scored(store, subset="seen", miou=None, miou_low=None, miou_high=None)
    prompts = prompt_set(CAMVID, ["color"])
    card = vocabulary_card(prompts, CAMVID, threshold=0.21, store=store)
    assert [(s["subset"], s["miou"]) for s in card["scores"]] == [("all", 0.25), ("seen", None)]
    word = card["words"][9]
    assert (word["name"], word["sense"]) == ("pedestrian", CAMVID[9].sense)
    assert word["texts"] == list(prompts.texts[9])
    assert word["tokens"] == [count_tokens(prompts.texts[9][0])]
    assert card["vocabulary"]["seen"] == 7 and card["vocabulary"]["unseen"] == 4
    assert card["background"] == {
        "rule": "none: no class is background, and pixels without a label are not scored",
        "indices": [],
    }
    page = markdown(card)
    assert (
        "| camvid | val: report | 50 | lsmseg-tiny | 3b05 | all | 25.0 \\[20.0, 30.0\\] |" in page
    )
    assert "- Threshold: 0.21: a pixel whose best score is below it is background" in page
    assert page.count("\n| ") == 2 * 2 + 2 + 11
    # The hashes are of words and of texts, and nothing else.
    other = vocabulary_card(prompt_set(CAMVID, ["shape"]), CAMVID, store=store)
    assert other["vocabulary"] == card["vocabulary"] and other["tokenizer"] | {
        "longest": 0
    } == card["tokenizer"] | {"longest": 0}
    assert other["prompts"]["sha256"] != card["prompts"]["sha256"]
    renamed = replace(CAMVID, classes=(replace(CAMVID[0], sense="x"), *CAMVID.classes[1:]))
    again = vocabulary_card(prompts, renamed, store=store)
    assert again["vocabulary"]["sha256"] != card["vocabulary"]["sha256"]
    assert again["prompts"]["sha256"] == card["prompts"]["sha256"]


def test_the_background_of_voc_21_and_the_files_are_the_same_each_time(call) -> None:
    assert background_prompts("voc-21") == tuple(range(20, 59)) and background_prompts("x") == ()
    words = ("export", "--attributes", "name", "--vocab", "voc-21", "--card")
    assert call(*words, "a.md").out == "a.md\n" and call(*words, "b.md", "-o", "p.json").code == 0
    page = Path("a.md").read_text()
    assert page == Path("b.md").read_text()
    assert "one of the words 20 to 58 below counts as background" in page
    assert "The store has none." in page and "none: every pixel gets the best class" in page
    assert call(*words, "a.json").code == 0
    card = json.loads(Path("a.json").read_text())
    assert card["background"]["indices"] == list(range(20, 59)) and len(card["words"]) == 59


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--card a.txt", 2, "a.txt is neither"),
        ("--card a.md -o a.md", 2, "another file"),
        ("", 2, "give -o FILE, or --card"),
        ("--card a.md --format cat-seg", 2, "--format has no effect without -o"),
        ("--card there.md", 4, "there.md exists"),
    ],
)
def test_what_is_refused(call, words: str, code: int, says: str) -> None:
    Path("there.md").write_text("mine")
    done = call("export", "--attributes", "name", "--vocab", "camvid", *words.split())
    assert done.code == code and says in done.err.replace("\n", " ")
    assert {path.name for path in Path().iterdir()} >= {"there.md"}
    assert Path("there.md").read_text() == "mine" and not Path("a.md").exists()


def test_markdown_shows_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    evil = "a|b\n# <script>*x*</script> [l](http://h) `c` \u202e\x1b www.h @me &amp; \\ ~~s~~"
    shown = escaped(evil)
    assert shown == (
        "a\\|b # &lt;script&gt;\\*x\\*&lt;/script&gt; \\[l\\](http\\://h) \\`c\\`  www\\.h \\@me "
        "&amp;amp; \\\\ \\~\\~s\\~\\~"
    )
    entry = ClassEntry(0, evil, "zebra", sense=evil, synonyms=(evil,))
    mine = Vocabulary("mine|", evil, (entry,))
    page = markdown(vocabulary_card(prompt_set(mine, ["name"]), mine))
    assert "<script>" not in page and "\x1b" not in page and "[l](" not in page
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 3
    assert page.splitlines()[-1].count(" | ") == 6


def test_a_card_is_of_its_own_vocabulary(tmp_path: Path) -> None:
    prompts = prompt_set(CAMVID, ["name"])
    with pytest.raises(UsageError, match="make the card with its own"):
        vocabulary_card(prompts, load_vocabulary("voc-20"))
    with pytest.raises(UsageError, match="neither"):
        export_card(vocabulary_card(prompts, CAMVID), tmp_path / "card.html")
