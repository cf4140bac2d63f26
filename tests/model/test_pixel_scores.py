"""The scores of texts at one pixel, of every kind of model, and embeddings that are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lsmseg_model.deploy.scores import Cosines
from lsmseg_model.deploy.texts import TextRows
from lsmseg_model.errors import UsageError
from lsmseg_model.inference.augmented import MeanScores
from lsmseg_model.inference.embeddings import ClassEmbeddings
from lsmseg_model.inference.pictures import CostMaps
from lsmseg_model.inference.reading import Reading
from lsmseg_model.inference.text_cache import TextCache

SIZE = (11, 23)


def scores(kind: str) -> Any:
    """Five texts in 4 x 6 positions; "owned": seven rows of them."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4, 6, 8)).astype(np.float32)
    rows = rng.standard_normal((7 if "owned" in kind else 5, 8)).astype(np.float32)
    owners = (0, 0, 1, 2, 2, 3, 4) if "owned" in kind else None
    if "numpy" in kind:
        return Cosines(features, rows, owners, SIZE)
    embedded = ClassEmbeddings(torch.from_numpy(rows), owners)
    maps = CostMaps(torch.from_numpy(features), embedded, SIZE)
    return MeanScores([(maps, False), (maps, True)], 5) if kind == "views" else maps


@pytest.mark.parametrize("kind", ["plain", "owned", "numpy", "numpy owned", "views"])
def test_the_scores_at_a_pixel_are_those_of_the_maps(kind: str) -> None:
    decoded, wanted = scores(kind), [3, 0, 4]
    maps = decoded.scores(wanted)
    for pixel in ((0, 0), (10, 22), (5, 11), (1, 20), (10, 0)):
        found = decoded.at(wanted, pixel)
        assert found.dtype == np.float32 and found.shape == (3,)
        assert found == pytest.approx(maps[:, pixel[0], pixel[1]], abs=1e-5)


class Counting:
    """Embeds a text as its letters and words, and writes down what it was asked."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.asked = kind, []  # type: ignore[var-annotated]

    def embed(self, texts: Any, reading: Any = None) -> Any:
        self.asked.append([tuple(group) for group in texts])
        if not texts:
            raise UsageError("Name at least one class.")
        rows = [[len(group[0]), float(len(group))] for group in texts]
        return self.kind(torch.tensor(rows) if self.kind is ClassEmbeddings else np.array(rows))


@pytest.mark.parametrize("kind", [ClassEmbeddings, TextRows])
def test_only_new_texts_are_embedded(kind: Any) -> None:
    model = Counting(kind)
    cache = TextCache(model, most=3)  # type: ignore[arg-type]
    made = cache.embed([["a"], ["bb", "b"], ["a"]])
    assert made.rows.tolist() == [[1, 1], [2, 2], [1, 1]] and made.owners is None
    assert cache.embed([["ccc"], ["a"]]).rows.tolist() == [[3, 1], [1, 1]]
    assert model.asked == [[("a",), ("bb", "b")], [("ccc",)]]
    cache.embed([["dddd"]])  # now (bb, b), not used for longest, is gone
    assert cache.embed([["bb", "b"], ["a"]]).rows.tolist() == [[2, 2], [1, 1]]
    assert model.asked[2:] == [[("dddd",)], [("bb", "b")]]
    many = [[letter] for letter in "abcd"]
    for texts, reading in ((many, Reading()), ([["a"]], Reading("max"))):
        cache.embed(texts, reading)
        assert model.asked[-1] == [tuple(group) for group in texts]
    with pytest.raises(UsageError, match="at least one"):
        cache.embed([])
