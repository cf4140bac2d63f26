"""A sentence without commas, colons and line breaks, for consumers that split on them.

"white, cream, or blue" becomes "white or cream or blue": inside a list that ends with "and" or "or"
a comma becomes that word. Any other comma is left out.
"""

from __future__ import annotations

import re

_COMMA = re.compile(r"\s*,\s*(?:(and|or)\b)?")
_ITEM = 4  # words of a list's item at most: more is a clause, and so is one with a participle


def without_separators(text: str, breaks: str = "") -> str:
    """`text` without commas, semicolons and the characters of ``breaks``; the same every time."""
    plain = text.replace(";", ",")
    for character in breaks:
        plain = plain.replace(character, " ")
    plain = " ".join(plain.split())
    joiner, parts, end = "", [], len(plain)
    for comma in reversed(list(_COMMA.finditer(plain))):
        piece = plain[comma.end() : end]
        if comma[1]:
            joiner = comma[1]
        elif len(piece.split()) > _ITEM or re.match(r"\w+ing\b", piece):
            joiner = ""
        parts += [piece, f" {joiner} "]
        end = comma.start()
    parts.append(plain[:end])
    return " ".join("".join(reversed(parts)).split())
