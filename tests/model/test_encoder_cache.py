"""The second encoder's features on disk: read again, never wrong, safe with two writers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support.small_network import WITH_SAM, network

from lsmseg_model.encoders.base import FrozenEncoder, resized
from lsmseg_model.encoders.cache import CachedEncoder
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.errors import DataError, UsageError


@pytest.fixture
def encoder() -> FrozenEncoder:
    torch.manual_seed(0)
    return second_encoder("sam-tiny")


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_the_same_picture_is_looked_at_once(encoder: FrozenEncoder, tmp_path: Path) -> None:
    cached = CachedEncoder(encoder, tmp_path, half=False)
    images = torch.rand(3, 3, 64, 64)
    expected = encoder(images)
    calls: list[int] = []
    encoder.register_forward_pre_hook(lambda _m, given: calls.append(len(given[0])))
    for _ in range(2):
        for found, wanted in zip(cached(images), expected, strict=True):
            assert torch.equal(found, wanted)
    again = CachedEncoder(encoder, tmp_path, half=False)
    mixed = torch.cat([torch.rand(1, 3, 64, 64), images[1:]])
    assert torch.equal(again(mixed)[1][1:], expected[1][1:])
    assert (sum(calls), cached.computed, cached.read) == (4, 3, 3)
    assert (again.computed, again.read) == (1, 2)
    assert len(files(tmp_path)) == 4
    assert again.bytes() == sum(path.stat().st_size for path in files(tmp_path))
    assert "sam-tiny: 2 pictures read" in str(again) and "1 computed" in str(again)


def test_half_the_size_and_the_grid_of_the_fusion(encoder: FrozenEncoder, tmp_path: Path) -> None:
    images = torch.rand(1, 3, 64, 64)
    whole = CachedEncoder(encoder, tmp_path / "a", half=False)
    small = CachedEncoder(encoder, tmp_path / "b", (4, 4))
    whole(images)
    found = [small(images), small(images)]
    for kept in found:
        for feature, wanted in zip(kept, encoder(images), strict=True):
            assert feature.dtype == torch.float32
            torch.testing.assert_close(feature, resized(wanted, (4, 4)), atol=2e-3, rtol=2e-3)
    for first, again in zip(*found, strict=True):  # computed, then read: no number changes
        assert torch.equal(first, again)
    assert whole.bytes() > 7 * small.bytes()


def test_numbers_too_large_for_half_are_kept_whole(
    encoder: FrozenEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [torch.full((1, 2, 3, 3), 1e6) for _ in range(3)]
    monkeypatch.setattr(encoder, "forward", lambda _images: large)
    cached, images = CachedEncoder(encoder, tmp_path), torch.rand(1, 3, 64, 64)
    assert torch.equal(cached(images)[0], cached(images)[0])
    assert cached.read == 1 and cached(images)[0].max() == 1e6


def test_other_weights_sizes_and_precisions_are_not_mixed_up(
    encoder: FrozenEncoder, tmp_path: Path
) -> None:
    images = torch.rand(1, 3, 64, 64)
    torch.manual_seed(1)
    makers = [
        CachedEncoder(encoder, tmp_path),
        CachedEncoder(encoder, tmp_path, half=False),
        CachedEncoder(encoder, tmp_path, (4, 4)),
        CachedEncoder(second_encoder("sam-tiny"), tmp_path),
    ]
    for cached in makers:
        cached(images)
    makers[0](images.flip(0, 3))
    CachedEncoder(encoder.set_precision("bf16"), tmp_path)(images)
    assert len(files(tmp_path)) == 6
    assert [cached.read for cached in makers] == [0, 0, 0, 0]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another"])
def test_a_damaged_file_is_computed_again(
    encoder: FrozenEncoder, tmp_path: Path, damage: str
) -> None:
    cached, images = CachedEncoder(encoder, tmp_path), torch.rand(1, 3, 64, 64)
    expected = cached(images)
    (path,) = files(tmp_path)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[-100] ^= 1
    wrong = {"cut": good[:-7], "flipped": bytes(bad), "empty": b"", "another": b"no tensors here"}
    path.write_bytes(wrong[damage])
    torch.testing.assert_close(cached(images)[0], expected[0])
    assert (cached.computed, cached.read) == (2, 0)
    assert path.read_bytes() == good


def test_two_may_write_at_once(encoder: FrozenEncoder, tmp_path: Path) -> None:
    images = torch.rand(4, 3, 64, 64)
    start = threading.Barrier(2)

    def fill(cached: CachedEncoder) -> None:
        start.wait()
        cached(images)

    both = [CachedEncoder(encoder, tmp_path) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, both))
    assert sum(cached.computed for cached in both) >= 4
    third = CachedEncoder(encoder, tmp_path)
    third(images)
    assert (third.read, third.computed) == (4, 0)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_a_network_reads_them_in_evaluation_only(tmp_path: Path) -> None:
    net = network(**WITH_SAM).eval()
    images, texts = torch.rand(2, 3, 16, 16), torch.randn(5, 8)
    expected, _ = net(images, texts)
    names = list(net.state_dict())
    cached = net.keep_features(tmp_path, half=False)
    for _ in range(2):
        torch.testing.assert_close(net(images, texts)[0], expected, rtol=0, atol=0)
    assert (cached.read, cached.computed) == (2, 2)
    net.train()(images, texts)
    assert (cached.read, cached.computed) == (2, 2)
    assert list(net.state_dict()) == names
    with pytest.raises(UsageError, match="no second encoder"):
        network().keep_features(tmp_path)


def test_a_folder_that_cannot_be_written(encoder: FrozenEncoder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose a writable place"):
        CachedEncoder(encoder, tmp_path / "file" / "x")(torch.rand(1, 3, 64, 64))
