"""The token count is open_clip's own."""

import subprocess
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsmseg_prompts.clip_tokens import CONTEXT_LENGTH, count_tokens, fits


def test_known_counts():
    assert count_tokens("") == 2
    assert count_tokens("a photo of a cat") == 7
    paper = (
        "A cat has a small, sleek, and agile shape with a long tail and pointed ears, is small to "
        "medium-sized, weighing between 3 to 7 kg, has soft, fluffy fur with a smooth or slightly "
        "rough tongue, and is often black, white, orange, or gray."
    )
    assert 57 <= count_tokens(paper) <= 66  # what the paper's four-attribute sentences take


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
@example("café — naïve & <b>bold</b> 😀 'tis")
def test_count_is_what_open_clip_encodes(text):
    from open_clip import get_tokenizer

    encoded = get_tokenizer("ViT-B-16", context_length=2048)([text])[0]
    assert count_tokens(text) == int((encoded != 0).sum()) + _exclamations(text, encoded)


def _exclamations(text, encoded):
    """Token 0 is "!", which the padding is made of too: count those before the end token."""
    end = int(encoded.argmax())
    return int((encoded[: end + 1] == 0).sum())


def test_the_budget_is_exact():
    word = "cat "
    assert fits(word * (CONTEXT_LENGTH - 2))
    assert not fits(word * (CONTEXT_LENGTH - 1))


def test_importing_the_room_loads_no_torch():
    code = (
        "import sys, lsmseg_prompts.clip_tokens, lsmseg_prompts.prompt_set, lsmseg_prompts.lint, "
        "lsmseg_prompts.export, lsmseg_prompts.templates, lsmseg_prompts.cleaning; "
        "print([m for m in ('torch', 'open_clip', 'jinja2', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
