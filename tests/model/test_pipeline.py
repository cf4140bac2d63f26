"""Pictures through a model, many at a time: the same counts however they are dealt with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.command_line import environment
from support.whole_network import small_network

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.errors import ConfigError, DataError, UsageError
from lsmseg_model.inference import compiled
from lsmseg_model.inference.counting import count_pictures, dense_features
from lsmseg_model.inference.feature_cache import FeatureCache, identity
from lsmseg_model.inference.options import RunOptions
from lsmseg_model.inference.pictures import EncodedPicture
from lsmseg_model.inference.pipeline import Picture, Pipeline
from lsmseg_model.inference.precision import how
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.metrics import miou
from lsmseg_model.segmenter import ModelOptions, Segmenter, load_model
from lsmseg_prompts import load_vocabulary

SIZES = [(16, 24), (40, 17), (33, 90), (8, 9), (21, 21), (64, 30), (5, 70)]
TEXTS = [[f"a photo of a {name}"] for name in ("zebra", "sky", "wall", "brick wall", "sand")]


class Several:
    """Pictures of several sizes; of the third no pixel is labelled."""

    name, split, vocabulary = "several", "val", "five"
    class_indices: tuple[int, ...] = (0, 1, 2)
    seen: frozenset[int] | None = None
    owners: tuple[int, ...] | None = (0, 1, 2, 2, 2)
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(SIZES)

    def key(self, index: int) -> str:
        return str(index)

    def picture(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (*SIZES[index], 3), dtype=np.uint8)

    def labels(self, index: int) -> np.ndarray:
        if index == 2:
            return np.full(SIZES[index], IGNORE)
        return np.random.default_rng(9 + index).integers(-1, 3, SIZES[index])


def model_of(kind: str) -> Any:
    network = small_network()
    return network if kind == "network" else network.clip


@pytest.fixture
def threads() -> Any:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["clip", "network"])
def test_counts_do_not_depend_on_how_pictures_are_dealt_with(kind: str, threads: Any) -> None:
    model, several = model_of(kind), Several()
    text = Segmenter.of(model).encode_texts(TEXTS)
    confusion = np.zeros((3, 3), dtype=np.int64)
    expected = count_pictures(model, several, text, confusion=confusion)
    assert expected[2].sum() == 0 and (expected[[0, 1, 3, 4, 5, 6], :, 2].sum(axis=1) > 20).all()
    for cores in (1, 3):
        threads(cores)
        for size in (1, 2, 3, 8, None):
            some = RunOptions(batch_size=size, workers=None if size != 8 else 2)
            np.testing.assert_array_equal(count_pictures(model, several, text, how=some), expected)
    for processes in (2, 3):
        total, matrix = np.zeros_like(expected), np.zeros_like(confusion)
        for rank in range(processes):
            mine = range(rank, len(several), processes)
            total[mine] = count_pictures(model, several, text, mine, confusion=matrix)
        np.testing.assert_array_equal(total, expected)
        np.testing.assert_array_equal(matrix, confusion)


def test_features_do_not_depend_on_the_number_of_cores(threads: Any, tmp_path: Path) -> None:
    clip, several = model_of("clip"), Several()
    threads(1)
    alone = dense_features(clip, several)
    threads(3)
    cache = FeatureCache(clip, tmp_path)
    side_by_side = dense_features(clip, several, cache=cache)
    again = dense_features(clip, several, cache=cache)
    for one, two, three in zip(alone.maps, side_by_side.maps, again.maps, strict=True):
        assert one.equal(two) and one.equal(three)
    assert alone.digests == side_by_side.digests
    assert (cache.read, cache.computed) == (len(SIZES), len(SIZES))


def through_batches(
    model: Any, size: int, cache: FeatureCache | None = None
) -> list[tuple[str, Any]]:
    """The names and features of the pictures, as a GPU would be given them; the third has none."""
    several = Several()

    def read(index: int) -> Picture:
        image = None if index == 2 else several.picture(index)
        return Picture(image, f"picture {index}")

    def work(picture: Picture, encoded: EncodedPicture | None) -> tuple[str, Any]:
        return picture.name, encoded and encoded.features

    pipeline = Pipeline(model, read, RunOptions(batch_size=size, workers=2), cache)
    return list(pipeline._in_batches(range(len(SIZES)), work))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_batches_of_several_pictures_give_what_each_gives_alone(size: int, tmp_path: Path) -> None:
    network, several = small_network(), Several()
    cache = FeatureCache(network.clip, tmp_path)
    cache(several.picture(5))  # was kept before
    for given in (None, cache):
        found = through_batches(network.clip, size, given)
        assert [name for name, _ in found] == [f"picture {i}" for i in range(len(SIZES))]
        for index, (_, features) in enumerate(found):
            if index == 2:
                assert features is None
            else:
                alone = picture_features(network.clip, several.picture(index))
                torch.testing.assert_close(features, alone, atol=1e-5, rtol=0)
    assert (cache.read, cache.computed) == (1, len(SIZES) - 1)
    segmenter = Segmenter.of(network)
    for index, (_, features) in enumerate(through_batches(network, size)):
        if index != 2:
            alone = segmenter.encode(several.picture(index)).features
            for one, two in zip(features[:2], alone[:2], strict=True):
                torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
            assert [g.shape for g in features[2]] == [g.shape for g in alone[2]]


def test_a_gpu_whose_memory_does_not_suffice_gets_smaller_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = model_of("clip")
    real, sizes = clip.encode_dense, []

    def encode_dense(images: torch.Tensor, proxy: None = None) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(images, proxy)

    expected = through_batches(clip, 64)
    monkeypatch.setattr(clip, "encode_dense", encode_dense)
    room = 3
    found = through_batches(clip, 8)
    assert sizes[:3] == [8, 4, 2] and max(sizes[3:]) == 2  # and stays so
    for (_, one), (_, two) in zip(found, expected, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    room = 0
    with pytest.raises(DataError, match="GPU's memory does not suffice"):
        through_batches(clip, 8)


@pytest.mark.parametrize("way", ["_side_by_side", "_in_batches"])
def test_an_error_names_the_picture_and_ends_the_run(way: str) -> None:
    clip, read = model_of("clip"), []

    def reading(index: int) -> Picture:
        read.append(index)
        if index == 3:
            raise DataError("b.png cannot be read.")
        return Picture(Several().picture(index % 2), f"picture {index}")

    found = []
    with pytest.raises(DataError, match=r"b\.png cannot be read"):
        found += getattr(Pipeline(clip, reading, RunOptions(workers=1)), way)(
            range(900), lambda picture, _: picture.name
        )
    assert len(read) < 9
    torch.nn.init.constant_(clip.model.visual.proj, float("nan"))
    pipeline = Pipeline(clip, lambda _: Picture(Several().picture(0), "picture a.png"))
    with pytest.raises(DataError, match=r"NaN or infinite values for picture a\.png"):
        list(getattr(pipeline, way)([0], lambda picture, _: picture.name))


def test_in_16_bits(tmp_path: Path) -> None:
    network, several = small_network(), Several()
    clip, picture = network.clip, several.picture(0)
    full, plain = picture_features(clip, picture), identity(clip)
    made = Segmenter.of(network).encode(picture).features[0]
    kinds = set()
    for precision in ("bf16", "fp16"):
        clip.precision = network.precision = precision
        half = picture_features(clip, picture)
        assert half.dtype == torch.float32 and not half.equal(full)
        torch.testing.assert_close(half, full, atol=0.05, rtol=0)
        assert not Segmenter.of(network).encode(picture).features[0].equal(made)
        kinds.add(identity(clip))
        assert how(clip) == precision
    assert len(kinds | {plain}) == 3
    clip.precision = "fp32"
    assert identity(clip) == plain and picture_features(clip, picture).equal(full)
    with pytest.raises(UsageError, match="no precision 'int8'"):
        ModelOptions(precision="int8")
    for wrong in ({"batch_size": 0}, {"workers": 0}):
        with pytest.raises(UsageError, match="must be at least 1"):
            RunOptions(**wrong)


def test_compile_that_does_not_work_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(function: Any) -> Any:
        def call(*_: Any) -> None:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nmore")

        return call

    monkeypatch.setattr(compiled.torch, "compile", no_compiler)
    with pytest.raises(ConfigError, match=r"work here \(Invalid.*found\): .* leave out --compile"):
        load_model(ModelOptions(compile=True))


@pytest.mark.slow
def test_compiled_is_the_same_but_for_rounding() -> None:
    clip = model_of("clip")
    picture = Several().picture(0)
    plain = picture_features(clip, picture)
    compiled.compile_model(clip)
    torch.testing.assert_close(picture_features(clip, picture), plain, atol=1e-5, rtol=0)
    assert how(clip) == "compiled"


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_of_torchrun_are_one(tmp_path: Path) -> None:
    """evaluate, predict and ablate: the same results, said once; files of both."""
    commands = [
        "evaluate --limit 5 --attributes color --json --save-predictions maps --csv rows.csv",
        "predict maps --classes sky,zebra --json -o found",
        "ablate --attributes color,shape --limit 8 --samples 200 --strategy greedy --json "
        "--composition concat --out run --cache cache --store s.sqlite",
    ]
    script = tmp_path / "run.py"
    script.write_text("import sys, cli\ncli.main(sys.argv[1:])\n")
    outputs: dict[str, list[str]] = {}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher in (("one", []), ("two", torchrun)):
        (tmp_path / name).mkdir()
        outputs[name] = []
        for words in commands:
            done = subprocess.run(
                [sys.executable, *launcher, str(script), *words.split()],
                cwd=tmp_path / name, env=environment(), capture_output=True, text=True,
                check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            outputs[name].append(done.stdout)
            assert done.stderr.count("WARNING: lsmseg-tiny knows drawings only") <= 1
    assert outputs["two"] == outputs["one"] and all(outputs["one"])
    one, two = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.suffix in (".png", ".csv") or path.name == "classes.json"
        }
        for name in ("one", "two")
    )
    assert len([name for name in one if name.startswith("maps/")]) == 6
    assert one == two
    assert sorted(os.listdir(tmp_path / "one")) == sorted(os.listdir(tmp_path / "two"))


@pytest.mark.slow
def test_bf16_agrees_within_what_the_documents_say() -> None:
    """docs/scale.md: 99 % of the pixels, 0.5 points of mIoU."""
    benchmark = MiniStuff("report", 40)
    names = [entry.name for entry in load_vocabulary("coco-stuff")]
    found: dict[str, dict[int, np.ndarray]] = {"fp32": {}, "bf16": {}}
    scores = []
    for precision, maps in found.items():
        segmenter = Segmenter.of(load_model(ModelOptions(precision=precision)))
        classes = [names[index] for index in benchmark.class_indices]
        text = segmenter.encode_texts(segmenter.default_texts(classes))
        counts = count_pictures(segmenter.model, benchmark, text, save=maps.__setitem__)
        scores.append(miou(counts))
    same = [(found["fp32"][i] == found["bf16"][i]).mean() for i in range(len(benchmark))]
    assert np.mean(same) >= 0.99
    assert abs(scores[0] - scores[1]) <= 0.005
