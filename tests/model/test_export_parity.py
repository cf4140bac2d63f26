"""Exported graphs beside torch: any number of classes and pictures, and whole predictions.

Slow: torch.export and the ONNX exporter take seconds for each graph, whatever its size.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from support.mini_network import NETWORK
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.deploy.export import ModelExportRequest, model_export
from lsmseg_model.deploy.graphs import network_graph, trace, write_onnx
from lsmseg_model.deploy.runtime import OnnxModel
from lsmseg_model.deploy.sessions import open_session
from lsmseg_model.inference.class_prompts import ClassPrompts
from lsmseg_model.networks.build import build, load_network, save_network
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.tokens import token_ids
from lsmseg_prompts.vocabularies import load_vocabulary

pytestmark = pytest.mark.slow

CLASSES = (1, 4, 5, 40, 150, 900, 2000)  # the network keeps 4
NAMES = ["sky", "grass", "a zebra", "tree", "road", "house", "boat", "cat"]
TOLERANCE = 1e-4


def random_network(**changes: object) -> LsmSeg:
    torch.manual_seed(0)
    settings = copy.deepcopy(NETWORK)
    settings["network"] |= changes
    network = build(settings).eval()
    for parameter in network.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def example(network: LsmSeg, pictures: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes + pictures)
    side, dim = network.clip.view.window, network.clip.embed_dim
    images = torch.rand(pictures, 3, side, side, generator=generator)
    return images, F.normalize(torch.randn(classes, dim, generator=generator), dim=-1)


def check(network: LsmSeg, images: Tensor, texts: Tensor, found: tuple[Tensor, Tensor]) -> None:
    """The same classes are kept, and their logits are the same."""
    with torch.inference_mode():
        logits, kept = network(images, texts)
    if kept is None:
        kept = torch.arange(len(texts)).expand(len(images), -1)
    for picture in range(len(images)):
        mine, theirs = kept[picture].argsort(), found[1][picture].argsort()
        assert kept[picture][mine].tolist() == found[1][picture][theirs].tolist()
        difference = logits[picture][mine] - found[0][picture][theirs]
        assert float(difference.abs().max()) < TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder": "none", "fusion": "none", "pad_len": 4},
        {"refinement": "spatial", "fusion": "attention", "cost_map": "fused"},
    ],
    ids=["lsmseg", "cat-seg", "spatial"],
)
def test_a_whole_network_with_any_number_of_classes(
    changes: dict[str, object], tmp_path: Path
) -> None:
    network = random_network(**changes)
    graph = network_graph(network)
    traced = trace(graph)
    program = traced.module()
    assert write_onnx(graph, traced, tmp_path / "network.onnx") < TOLERANCE
    session = open_session(tmp_path / "network.onnx")
    assert [i.shape[0] for i in session.get_inputs()] == ["pictures", "classes"]
    for pictures in (1, 3):
        for classes in CLASSES:
            images, texts = example(network, pictures, classes)
            found = session.run(None, {"images": images.numpy(), "texts": texts.numpy()})
            check(network, images, texts, tuple(map(torch.from_numpy, found)))
            with torch.no_grad():
                check(network, images, texts, program(images, texts))


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_network(path, random_network(), {})
    return path


def test_a_network_predicts_what_it_predicts_in_torch(network_file: Path, tmp_path: Path) -> None:
    exported = model_export(ModelExportRequest(checkpoint=network_file, out=tmp_path / "model"))
    assert sorted(exported.model.files) == ["network.onnx", "text.onnx"]
    rng = np.random.default_rng(0)
    torch_model = ClassPrompts(Segmenter(checkpoint=network_file), NAMES)
    onnx_model = ClassPrompts(OnnxModel(tmp_path / "model", token_ids), NAMES)
    for size in ((40, 48), (20, 90), (48, 48)):
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        wanted, found = torch_model.decode(picture), onnx_model.decode(picture)
        every = range(len(NAMES))
        np.testing.assert_allclose(found.scores(every), wanted.scores(every), atol=TOLERANCE)
        assert np.mean(found.label()[0] != wanted.label()[0]) < 0.001


def test_torch_exports_files_are_read_back(network_file: Path, tmp_path: Path) -> None:
    exported = model_export(
        ModelExportRequest(checkpoint=network_file, out=tmp_path / "model", runtime="torch")
    )
    assert max(exported.model.difference.values()) < TOLERANCE
    program = torch.export.load(tmp_path / "model" / "network.pt2").module()
    network = load_network(network_file)
    with torch.no_grad():
        check(network, *(inputs := example(network, 1, 2000)), program(*inputs))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    model_export(ModelExportRequest(out=folder))
    return folder


def test_lsmseg_tiny_labels_ministuff_as_it_does_in_torch(tiny: Path) -> None:
    """Of 16 drawings of 128 x 128 pixels, in 40 classes, at most a few pixels differ."""
    data = load_benchmark("ministuff", split="report")
    vocabulary = load_vocabulary(data.vocabulary)
    names = [vocabulary.classes[index].readable for index in data.class_indices]
    torch_model = ClassPrompts(Segmenter("lsmseg-tiny"), names)
    onnx_model = ClassPrompts(OnnxModel(tiny, token_ids), names)
    np.testing.assert_allclose(onnx_model.text.rows, torch_model.text.rows, atol=1e-5)
    other = pixels = 0
    for index in range(16):
        wanted = torch_model.predict(data.picture(index))
        found = onnx_model.predict(data.picture(index))
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        other += int((found.masks != wanted.masks).sum())
        pixels += found.masks.size
    assert other <= pixels / 10_000


def test_a_picture_of_any_size_through_windows(tiny: Path) -> None:
    torch_model = ClassPrompts(Segmenter("lsmseg-tiny"), NAMES)
    onnx_model = ClassPrompts(OnnxModel(tiny, token_ids), NAMES)
    rng = np.random.default_rng(0)
    for size in ((200, 333), (60, 500), (500, 31)):
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        wanted, found = torch_model.predict(picture), onnx_model.predict(picture)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=TOLERANCE)
        assert np.mean(found.masks != wanted.masks) < 0.001


def test_the_command_exports(call, tmp_path: Path, weights: Path) -> None:
    done = call("model", "export", "--pretrained", str(weights), "-o", str(tmp_path / "model"))
    assert done.code == 0, done.err
    assert done.out.strip() == str(tmp_path / "model")
    assert "dense.onnx: at most" in done.err
