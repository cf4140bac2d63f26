"""Dense features on disk: the same numbers, found by all that they depend on, damage survived."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark
from support.small_clip import SMALL

from ablations.scoring.frozen import FrozenScorer
from ablations.scoring.options import cache_folder
from lsmseg_model.inference import feature_cache
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

PICTURE = FakeBenchmark().picture(0)


@pytest.fixture
def clip() -> Clip:
    torch.manual_seed(1)
    return build_backbone(SMALL, "0123").eval()


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_found_again_with_the_same_numbers(clip: Clip, tmp_path: Path) -> None:
    first = FeatureCache(clip, tmp_path)
    made = first(PICTURE)
    torch.testing.assert_close(made, picture_features(clip, PICTURE), rtol=0, atol=0)
    again = FeatureCache(clip, tmp_path)
    torch.testing.assert_close(again(PICTURE), made, rtol=0, atol=0)
    assert (first.read, first.computed, again.read, again.computed) == (0, 1, 1, 0)
    assert len(files(tmp_path)) == 1


def test_a_scorer_looks_at_no_picture_twice(clip: Clip, tmp_path: Path) -> None:
    prompts = [build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color"])]
    benchmark = FakeBenchmark(pictures=3)
    plain = FrozenScorer(clip, benchmark).score(prompts)
    for read in (0, 3):
        cache = FeatureCache(clip, tmp_path)
        np.testing.assert_array_equal(FrozenScorer(clip, benchmark, cache).score(prompts), plain)
        assert (cache.read, cache.computed) == (read, 3 - read)


def test_whatever_changes_the_features_makes_another_file(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(of: Clip = clip, picture: np.ndarray = PICTURE, half: bool = False) -> Path | None:
        return FeatureCache(of, tmp_path, half).files.path(picture)

    def other(**changes: object) -> Clip:
        made = copy.copy(clip)
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    changed = PICTURE.copy()
    changed[0, 0, 0] ^= 1
    paths = [
        path(),
        path(picture=changed),
        path(picture=PICTURE.reshape(24, 16, 3)),
        path(half=True),
        path(other(weights_hash="4567")),
        path(other(dense="sclip")),
        path(other(name="twin")),
        path(other(view=replace(clip.view, stride=4))),
        path(other(weights_hash="random")),
    ]
    assert path() == paths[0]
    monkeypatch.setattr(feature_cache, "VERSION", 99)
    assert len({*paths, path()}) == 10


def test_random_weights_are_told_apart_by_their_numbers(clip: Clip, tmp_path: Path) -> None:
    clip.weights_hash = "random"
    before = FeatureCache(clip, tmp_path).files.path(PICTURE)
    with torch.no_grad():
        clip.model.visual.proj[0, 0] += 1
    assert FeatureCache(clip, tmp_path).files.path(PICTURE) != before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_file_is_computed_again(clip: Clip, tmp_path: Path, damage: str) -> None:
    made = FeatureCache(clip, tmp_path)(PICTURE)
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(
        {"cut": data[:-9], "flipped": data, "empty": b"", "other": b"not this"}[damage]
    )
    again = FeatureCache(clip, tmp_path)
    torch.testing.assert_close(again(PICTURE), made, rtol=0, atol=0)
    assert again.computed == 1
    assert FeatureCache(clip, tmp_path)(PICTURE).equal(made)  # and is whole again


def test_half_precision_on_request(clip: Clip, tmp_path: Path) -> None:
    whole = FeatureCache(clip, tmp_path / "a")(PICTURE)
    half = FeatureCache(clip, tmp_path / "b", half=True)(PICTURE)
    assert half.dtype == torch.float32 and not half.equal(whole)
    torch.testing.assert_close(half, whole, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_kept_is_computed_all_the_same(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(clip, tmp_path / "file")
    assert cache(PICTURE).equal(picture_features(clip, PICTURE))
    assert cache.problem is not None and "Cannot write" in cache.problem
    assert FeatureCache(clip, None)(PICTURE).equal(cache(PICTURE))


def test_where_features_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == Path("runs/cache")
    monkeypatch.setenv("LSMSEG_PROMPTS_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    assert cache_folder("c") == Path("c") and cache_folder(False) is None
