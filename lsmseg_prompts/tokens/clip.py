"""Counting tokens as CLIP does.

CLIP reads 77 tokens, start and end included, and open_clip cuts silently what is longer, so
every text is counted here before it is stored, composed or exported. The vocabulary is the one
open_clip carries (nothing is downloaded), the byte-pair merging is tiktoken's: importing
open_clip's own tokenizer imports torch with it, six seconds instead of a fifth of one. The tests
hold the two against each other token by token.
"""

import gzip
import html
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

CONTEXT_LENGTH = 77
"""Tokens CLIP reads, with one start and one end token: 75 are left for the text."""

_MERGES = 49152 - 256 - 2  # of the file's lines, as CLIP takes them
_SPECIAL = ("<start_of_text>", "<end_of_text>")
# CLIP marks the end of a word on its last character. This byte, which UTF-8 never has, stands
# for the mark; its merges with each byte come first in the ranks, as CLIP's alphabet has them.
_END = b"\xff"


def count_tokens(text: str) -> int:
    """How many of CLIP's tokens `text` takes, the start and end tokens included."""
    return len(token_ids(text)) + 2


def fits(text: str) -> bool:
    """Whether CLIP reads the whole of `text`."""
    return count_tokens(text) <= CONTEXT_LENGTH


@lru_cache(maxsize=16384)
def token_ids(text: str) -> tuple[int, ...]:
    """CLIP's tokens of `text` in lower case, without start and end: SimpleTokenizer.encode."""
    ids: list[int] = []
    for word in _words()(" ".join(repaired(text).split()).lower()):
        ids += _word(word)
    return tuple(ids)


def repaired(text: str) -> str:
    """The text without broken signs and HTML's names of signs, as every tokenizer of open_clip."""
    if text.isascii() and text.isprintable() and "&" not in text:  # nothing to repair
        return text
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))


@lru_cache(maxsize=65536)
def _word(word: str) -> tuple[int, ...]:
    if word in _SPECIAL:
        return (49406 + _SPECIAL.index(word),)
    return tuple(_encode()(word.encode("utf-8") + _END))


def is_whole_word(word: str) -> bool:
    """Whether `word` is one token of CLIP's vocabulary: a word it has met often."""
    return len(token_ids(word)) == 1


def merges_file() -> Path:
    """The file of CLIP's byte pairs that open_clip carries."""
    package = find_spec("open_clip")
    assert package is not None and package.origin is not None
    return Path(package.origin).with_name("bpe_simple_vocab_16e6.txt.gz")


@lru_cache(maxsize=1)
def _words() -> Callable[[str], list[str]]:
    """CLIP's splitting of a text into words, digits and runs of other characters."""
    import regex

    return regex.compile(
        r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
        regex.IGNORECASE,
    ).findall


@lru_cache(maxsize=1)
def _encode() -> Callable[[bytes], list[int]]:
    """Byte-pair merging of one word with CLIP's ranks; a token's id is its rank."""
    from tiktoken import Encoding

    lines = gzip.decompress(merges_file().read_bytes()).decode("utf-8").split("\n")[1 : _MERGES + 1]
    alphabet = _alphabet()
    bytes_of = {ord(char): chr(byte) for char, byte in alphabet.items()} | {ord(" "): None}
    ranks: dict[bytes, int] = {}
    for end in (b"", _END):
        for byte in alphabet.values():
            ranks[bytes([byte]) + end] = len(ranks)
    for line in lines:
        word = line.removesuffix("</w>")
        end = b"" if word == line else _END
        ranks[word.translate(bytes_of).encode("latin-1") + end] = len(ranks)
    encoding = Encoding("clip", pat_str=r"\S+", mergeable_ranks=ranks, special_tokens={})
    return encoding._encode_single_piece


def _alphabet() -> dict[str, int]:
    """The printable characters that stand for bytes in the merges file, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }
