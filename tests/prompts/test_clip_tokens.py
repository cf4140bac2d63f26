"""The token count is open_clip's own."""

import subprocess
import sys
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens, fits, is_whole_word, token_ids


def test_known_counts():
    assert count_tokens("") == 2
    assert count_tokens("a photo of a cat") == 7
    paper = (
        "A cat has a small, sleek, and agile shape with a long tail and pointed ears, is small to "
        "medium-sized, weighing between 3 to 7 kg, has soft, fluffy fur with a smooth or slightly "
        "rough tongue, and is often black, white, orange, or gray."
    )
    assert 57 <= count_tokens(paper) <= 66  # what the paper's four-attribute sentences take


@lru_cache
def clip():
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@given(st.text(max_size=200))
@example("café — naïve & <b>bold</b> 😀 'tis")
@example("<start_of_text> a cat <END_OF_TEXT>!")
@example("It&amp;#39;s 12 km/h; I'LL see’n it\u3000now")
def test_tokens_are_open_clips_own(text):
    assert list(token_ids(text)) == clip().encode(text)


def test_every_word_of_clip_and_pairs_of_them_are_split_as_clip_does():
    words = [token[:-4] for token in clip().encoder if token.endswith("</w>")]
    pairs = [a + b for a, b in zip(words[::7], words[3::7], strict=False)]
    assert len(pairs) > 3000
    wrong = [w for w in words[::5] + pairs if list(token_ids(w)) != clip().encode(w)]
    assert wrong == []


def test_whole_words():
    assert is_whole_word("bamboo") and is_whole_word("weaving")
    assert not is_whole_word("bambooweaving")


def test_the_budget_is_exact():
    word = "cat "
    assert fits(word * (CONTEXT_LENGTH - 2))
    assert not fits(word * (CONTEXT_LENGTH - 1))


@pytest.mark.process
def test_importing_the_room_loads_no_torch():
    code = (
        "import sys, lsmseg_prompts.tokens, lsmseg_prompts.prompts.prompt_set, "
        "lsmseg_prompts.descriptions.lint, "
        "lsmseg_prompts.export, lsmseg_prompts.templates, lsmseg_prompts.descriptions.cleaning; "
        "print([m for m in ('torch', 'open_clip', 'jinja2', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
