"""A sentence without commas, colons and line breaks, for consumers that split on them.

"white, cream, or blue" becomes "white or cream or blue": a comma in a list becomes the word that
ends the list, one before a joining word is left out.
"""

from __future__ import annotations

import re

# A comma before one of these is left out; elsewhere it stands for the list's own "and" or "or".
_COMMA = re.compile(
    r"\s*,\s*(?:(and|or|but|nor|so|while|with|without|which|where|when|that|often|sometimes|usually"
    r"|mostly|then|though|although|because|as|like|such|including|especially|in|on|at|of|from|for"
    r"|over|under|around|beside|behind|between|to|not|each|both|some|many|most)\b)?"
)


def without_separators(text: str, breaks: str = "") -> str:
    """`text` without commas, semicolons and the characters of ``breaks``; the same every time."""
    plain = " ".join(text.replace(";", ",").split())
    for character in breaks:
        plain = plain.replace(character, " ")
    plain = " ".join(plain.split())
    joiner, parts, end = "and", [], len(plain)
    for comma in reversed(list(_COMMA.finditer(plain))):
        word = comma[1]
        if word in ("and", "or"):
            joiner = word
        parts.append(plain[comma.end() : end])
        parts.append(f" {word}" if word else f" {joiner} ")
        end = comma.start()
    parts.append(plain[:end])
    return " ".join("".join(reversed(parts)).split())
