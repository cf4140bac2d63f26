"""What the corpus is, in numbers: sharing, lengths, words, near-duplicates, purity.

python benchmarks/corpus.py               # tables of docs/corpus.md
python benchmarks/corpus.py --sample 5    # cells to read again, in %
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.descriptions.bundled import PAIRED, read_bundled, read_lines, read_pairs
from lsmseg_prompts.descriptions.lint import lint, name_leaks
from lsmseg_prompts.llm.bundled import BUNDLED_ATTRIBUTES, DESCRIBED_VOCABULARIES
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

CONTRAST = "pairs"  # the pair cells' row
SEED = 20261127  # of the sample that was read a second time


def own_cells() -> Iterator[tuple[str, int, str, str]]:
    """(vocabulary, class index, attribute, text) of every text that was written."""
    for name in DESCRIBED_VOCABULARIES:
        for (index, attribute), text in read_lines(name).texts.items():
            yield name, index, attribute, text
    for (index, _), text in read_pairs(PAIRED).items():
        yield PAIRED, index, CONTRAST, text


def sample(percent: float) -> list[tuple[str, int, str, str]]:
    """A seeded choice of the written cells, the same part of each attribute's."""
    chosen = []
    for attribute in BUNDLED_ATTRIBUTES:
        cells = [cell for cell in own_cells() if cell[2] == attribute]
        count = round(len(cells) * percent / 100)
        chosen += random.Random(f"{SEED} {attribute}").sample(cells, count)
    return chosen


def tables() -> str:
    """All of it as Markdown."""
    written = list(own_cells())
    lines = [
        "| vocabulary | classes | own texts | texts of another vocabulary | cells | pair cells | "
        "findings |",
        "|---|---|---|---|---|---|---|",
    ]
    found: Counter[str] = Counter()
    for name in DESCRIBED_VOCABULARIES:
        classes, same_as = load_vocabulary(name), read_lines(name).same_as
        cells, pairs = read_bundled(name), read_pairs(name)
        findings = lint({**cells, **pairs}, classes)
        found.update(
            f"{f.rule} {CONTRAST if other_of(f.attribute) else f.attribute}" for f in findings
        )
        lines.append(
            f"| {name} | {len(classes)} | {len(classes) - len(same_as)} | {len(same_as)} | "
            f"{len(cells)} | {len(pairs)} | {len(findings)} |"
        )
    lines += [
        "",
        "| attribute | written | tokens: least, median, most | different words | near-duplicates | "
        "named by the class |",
        "|---|---|---|---|---|---|",
    ]
    for attribute in (*BUNDLED_ATTRIBUTES, CONTRAST):
        texts = [(v, i, text) for v, i, a, text in written if a == attribute]
        tokens = sorted(count_tokens(text) for _, _, text in texts)
        words = {word for _, _, text in texts for word in re.findall(r"[a-z]+", text.lower())}
        leaks = sum(bool(name_leaks(t, attribute, load_vocabulary(v)[i])) for v, i, t in texts)
        lines.append(
            f"| {attribute} | {len(texts)} | {tokens[0]}, {tokens[len(tokens) // 2]}, {tokens[-1]} "
            f"| {len(words)} | {found[f'near-duplicate {attribute}']} | {leaks} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The corpus in numbers.")
    parser.add_argument("--sample", type=float, metavar="PERCENT", help="print cells to read again")
    options = parser.parse_args()
    if options.sample is None:
        print(tables())
        return
    for name, index, attribute, text in sample(options.sample):
        entry = load_vocabulary(name)[index]
        sense = f" ({entry.sense})" if entry.sense else ""
        print(f"{name}/{index} {entry.readable}{sense} | {attribute} | {text}")


if __name__ == "__main__":
    main()
