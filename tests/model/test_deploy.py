"""Exported models: numpy's results are torch's, folders are whole, nothing loads torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported_model import SIDE, write_exported
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.deploy import export as exporting
from lsmseg_model.deploy.description import MODEL, read_exported
from lsmseg_model.deploy.export import ModelExportRequest, model_export
from lsmseg_model.deploy.graphs import Graph
from lsmseg_model.deploy.resizing import bilinear, smoothed
from lsmseg_model.deploy.runtime import OnnxModel
from lsmseg_model.deploy.scores import ViewScores, best_row
from lsmseg_model.deploy.texts import read
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.inference import protocol as sliding
from lsmseg_model.inference.embeddings import embed
from lsmseg_model.inference.reading import Groups, Reading
from lsmseg_model.networks.protocol import Protocol
from lsmseg_model.predict import PredictRequest
from lsmseg_prompts.tokens import token_ids


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# -- numpy in place of torch -------------------------------------------------------------


@pytest.mark.parametrize("size", [(7, 9), (16, 40), (31, 5), (12, 20)])
def test_pictures_are_resized_as_torch_does(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    wanted = F.interpolate(planes, size, mode="bilinear", antialias=True).clamp(0, 1)[0]
    np.testing.assert_allclose(smoothed(picture, size), wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(3, 4), (9, 9), (2, 11), (6, 5)])
def test_maps_are_enlarged_as_torch_does(size: tuple[int, int]) -> None:
    maps = noise(2, 6, 5)
    wanted = F.interpolate(torch.from_numpy(maps)[None], size, mode="bilinear")[0]
    np.testing.assert_allclose(bilinear(maps, size), wanted, atol=1e-5)


def test_two_values_enlarged_by_hand() -> None:
    found = bilinear(np.array([[[0.0, 1.0]]], np.float32), (1, 4))
    np.testing.assert_allclose(found, [[[0, 0.25, 0.75, 1]]])


@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("size", [(1, 1), (5, 4), (30, 41)])
def test_the_best_row_is_that_of_all_rows_enlarged(count: int, size: tuple[int, int]) -> None:
    features, rows = noise(5, 6, 8), noise(count, 8, seed=1)
    maps = bilinear((features @ rows.T).transpose(2, 0, 1), size)
    where, best = best_row(features, rows, size)
    np.testing.assert_array_equal(where, maps.argmax(axis=0))
    np.testing.assert_allclose(best, maps.max(axis=0), atol=1e-5)


@pytest.mark.parametrize("protocol", [Protocol(24, 16, 8), Protocol(16, 16, 16)])
def test_views_have_the_scores_that_torch_gives_them(protocol: Protocol) -> None:
    views = len(protocol.places) + 1
    logits = 4 * noise(views, 3, 8, 8)
    kept = np.stack([np.random.default_rng(v).permutation(7)[:3] for v in range(views)])
    mine = ViewScores(logits, kept, protocol, (20, 30))
    theirs = sliding.Views(torch.from_numpy(logits), torch.from_numpy(kept), protocol)
    wanted = sliding.scores(theirs, torch.arange(7), (20, 30)).numpy()
    np.testing.assert_allclose(mine.scores(range(7)), wanted, atol=1e-6)
    where, best = mine.label()
    np.testing.assert_allclose(best, wanted.max(axis=0), atol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(wanted, where[None], axis=0)[0], wanted.max(axis=0), atol=1e-6
    )


class Tower:
    """A text tower of random unit vectors."""

    def encode_texts(self, groups: Groups) -> Tensor:
        means = [torch.stack([vector(text) for text in group]).mean(dim=0) for group in groups]
        return F.normalize(torch.stack(means), dim=-1)


def vector(text: str) -> Tensor:
    return F.normalize(torch.from_numpy(noise(8, seed=len(text))), dim=0)


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading("mean", ((1.0, 2.0), (0.5,), (1.0, -0.5, 1.0))),
        Reading("mean-score"),
        Reading("max"),
        Reading("adaptive", None, 0.1),
    ],
)
def test_texts_are_read_as_torch_reads_them(reading: Reading) -> None:
    groups = (("a", "bb"), ("ccc",), ("dddd", "eeeee", "ffffff"))
    features = noise(3, 4, 8)
    wanted = embed(Tower(), [(groups, reading)])[0]  # type: ignore[arg-type]
    each = [torch.stack([vector(text) for text in group]).numpy() for group in groups]
    found = read(each, groups, reading).of(features)
    np.testing.assert_allclose(found.rows, wanted.of(torch.from_numpy(features)), atol=1e-6)
    assert found.owners == wanted.owners


def test_weights_that_cancel_out_are_refused() -> None:
    one = noise(1, 8)
    with pytest.raises(UsageError, match="cancel out"):
        read([np.concatenate([one, one])], [("a", "b")], Reading("mean", ((1.0, -1.0),)))


# -- folders -----------------------------------------------------------------------------


def test_a_folder_must_hold_a_whole_exported_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no exported model"):
        OnnxModel(tmp_path)
    folder = tmp_path / "model"
    model = write_exported(folder)
    assert read_exported(folder) == model
    for text in ("{}", "[", json.dumps({"format": "lsmseg-prompts/exported-model"})):
        (folder / MODEL).write_text(text)
        with pytest.raises(DataError, match="not the description"):
            OnnxModel(folder)
    write_exported(folder, runtime="torch")
    with pytest.raises(DataError, match="exported for torch"):
        OnnxModel(folder)
    write_exported(folder)
    (folder / "text.onnx").write_bytes(b"half")
    with pytest.raises(DataError, match="not the file that was exported"):
        OnnxModel(folder)
    (folder / "dense.onnx").unlink()
    with pytest.raises(DataError, match=r"dense\.onnx is missing"):
        OnnxModel(folder)


def test_a_file_that_onnxruntime_cannot_run(tmp_path: Path) -> None:
    from lsmseg_model.deploy.sessions import open_session

    (tmp_path / "dense.onnx").write_bytes(b"half")
    with pytest.raises(DataError, match="cannot be run by onnxruntime"):
        open_session(tmp_path / "dense.onnx")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Exports write a word in place of a graph; the names of those asked for."""
    names: list[str] = []

    def write(graph: Graph, place: Path, runtime: str) -> tuple[str, float]:
        names.append(graph.name)
        name = f"{graph.name}{exporting.RUNTIMES[runtime]}"
        (place / name).write_text(f"{graph.name} {len(names)}")
        return name, 0.0

    monkeypatch.setattr(exporting, "_write", write)
    return names


def test_an_export_is_whole_and_replaces_only_with_force(
    weights: Path, tmp_path: Path, written: list[str]
) -> None:
    folder = tmp_path / "out" / "model"
    request = ModelExportRequest(pretrained=weights, out=folder, runtime="torch")
    result = model_export(request)
    assert written == ["dense", "text"]
    assert sorted(one.name for one in folder.iterdir()) == ["dense.pt2", MODEL, "text.pt2"]
    assert read_exported(folder) == result.model
    assert [one.name for one in folder.parent.iterdir()] == ["model"]
    with pytest.raises(DataError, match="exists: name another file, or add --force"):
        model_export(request)
    again = model_export(
        ModelExportRequest(pretrained=weights, out=folder, runtime="torch", force=True)
    )
    assert again.model.files != result.model.files
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    with pytest.raises(DataError, match=r"holds mine\.txt"):
        model_export(ModelExportRequest(pretrained=weights, out=other))


def test_an_export_that_fails_leaves_nothing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: Graph, place: Path, runtime: str) -> tuple[str, float]:
        (place / "dense.onnx").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write", full)
    folder = tmp_path / "out" / "model"
    with pytest.raises(DataError, match="No space left on device; choose a writable place"):
        model_export(ModelExportRequest(pretrained=weights, out=folder))
    assert not folder.parent.exists()


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sam-proxy is not exported"):
        ModelExportRequest(dense="sam-proxy", sam="sam.pth", out=tmp_path)
    with pytest.raises(UsageError, match="no runtime 'tensorrt'"):
        ModelExportRequest(runtime="tensorrt", out=tmp_path)


def test_packages_that_are_missing(weights: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lsmseg_model.deploy.sessions.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "lsmseg-prompts\[onnx\]"'):
        model_export(ModelExportRequest(pretrained=weights, out=tmp_path / "model"))
    assert not (tmp_path / "model").exists()


# -- predictions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt'"),
        ({"runtime": "onnx", "pretrained": "a.pt"}, "--pretrained has no effect"),
        ({"runtime": "onnx", "dense": "sclip"}, "--dense has no effect"),
        ({"runtime": "onnx", "device": "cuda"}, "on the CPU"),
    ],
)
def test_options_that_a_runtime_does_not_have(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        PredictRequest(pictures="a.png", **options)  # type: ignore[arg-type]


def test_a_tokenizer_that_is_not_clips_and_a_text_that_is_too_long(tmp_path: Path) -> None:
    write_exported(tmp_path / "a", tokenizer="gemma")
    with pytest.raises(UsageError, match="the tokenizer gemma"):
        OnnxModel(tmp_path / "a", token_ids).embed([["sky"]])
    write_exported(tmp_path / "b", context_length=5)
    with pytest.raises(UsageError, match="6 CLIP tokens, 1 too many"):
        OnnxModel(tmp_path / "b", token_ids).embed([["a photo of sky"]])


def test_short_texts_and_whole_ones_have_tokens_of_clip(tmp_path: Path) -> None:
    write_exported(tmp_path)
    model = OnnxModel(tmp_path, token_ids)
    seen: list[np.ndarray] = []

    class Session:
        def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            seen.append(inputs["tokens"])
            return [noise(len(inputs["tokens"]), 8)]

    vars(model)["_texts"] = Session()
    model.embed([["sky", "a zebra"]])
    assert seen[0].tolist() == [[49406, 2390, 49407, 0], [49406, 320, 22548, 49407]]


@pytest.mark.process
def test_a_prediction_without_torch(tmp_path: Path, root: Path) -> None:
    write_exported(tmp_path / "model")
    code = "import sys; sys.modules['torch'] = None\nimport cli; cli.main(sys.argv[1:])"
    asked = ["predict", str(root / "docs/example.png"), "--classes", "sky, zebra, grass", "--json",
             "--runtime", "onnx", "--model", str(tmp_path / "model"), "-o", f"{tmp_path}/out/",
             "--npz", "--cost-maps"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *asked], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["shares"].values()) == pytest.approx(1)
    with np.load(tmp_path / "out/npz/example.npz") as arrays:
        np.testing.assert_allclose(arrays["cost_maps"].max(axis=0), arrays["scores"], atol=1e-6)
        assert arrays["labels"].shape[0] > SIDE
