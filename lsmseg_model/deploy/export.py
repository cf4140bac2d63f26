"""A model written as files for other runtimes: dense features, text tower, whole network."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lsmseg_model.deploy.description import (
    MODEL,
    ExportedModel,
    file_digest,
    is_exported,
)
from lsmseg_model.deploy.graphs import (
    Graph,
    dense_graph,
    may_be_short,
    network_graph,
    text_graph,
    trace,
    write_onnx,
    write_torch,
)
from lsmseg_model.deploy.sessions import check_packages
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.files import check_folder, check_free, new_folder
from lsmseg_model.inference.options import ModelOptions
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.proxy import SAM_PROXY
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.segmenter import drawings_only, load_model

RUNTIMES = {"onnx": ".onnx", "torch": ".pt2"}
PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}


@dataclass(frozen=True, kw_only=True)
class ModelExportRequest(ModelOptions):
    """A model to be written into a new folder ``out``.

    runtime: "onnx", or "torch" for torch.export's files. force: replace an exported model that is
    there.
    """

    out: str | Path
    runtime: str = "onnx"
    force: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.runtime not in RUNTIMES:
            raise UsageError(f"There is no runtime {self.runtime!r}; choose torch or onnx.")
        if self.dense == SAM_PROXY:
            raise UsageError(
                "The dense variant sam-proxy is not exported, as another encoder computes a part "
                "of it: choose another one with --dense."
            )


@dataclass(frozen=True)
class ModelExportResult:
    """The folder of an exported model, and what stands in its `model.json`."""

    folder: Path
    model: ExportedModel


def model_export(
    request: ModelExportRequest, on_message: Callable[[str], None] | None = None
) -> ModelExportResult:
    """Write a model for another runtime, whole or not at all, and compare it with torch's.

    A backbone becomes `dense` and `text`, a whole network `network` and `text`, each a file of
    that name, and `model.json`, which says what whoever runs them has to know.

    Args:
        request: The model, the folder and the runtime.
        on_message: Is told each file that is done.

    Raises:
        UsageError: Where packages are missing.
        DataError: For a folder that holds something else, or an exported model without ``force``.
    """
    folder = Path(request.out)
    check_folder(folder, "model export", is_exported, request.force)
    check_free([folder / MODEL], request.force, (request.pretrained, request.checkpoint))
    check_packages(*PACKAGES[request.runtime])
    model = load_model(request).eval()
    if not isinstance(model, Backbone | LsmSeg):
        raise UsageError(
            f"{model.name} cannot be exported: model export writes CLIPs and LSMSeg networks; use "
            "it with --checkpoint."
        )
    backbone = model.clip if isinstance(model, LsmSeg) else model
    short_texts = may_be_short(backbone)
    first = network_graph(model) if isinstance(model, LsmSeg) else dense_graph(backbone)
    files, difference = {}, {}
    with _whole_folder(folder) as place:
        for graph in (first, text_graph(backbone, short_texts)):
            name, far = _write(graph, place, request.runtime)
            difference[name] = far
            if on_message:
                on_message(f"{folder / name}: at most {far:.1g} from torch's result")
        files = {path.name: file_digest(path) for path in sorted(place.iterdir())}
        described = _described(request, model, backbone, short_texts, files, difference)
        (place / MODEL).write_text(described.text(), "utf-8")
    return ModelExportResult(folder, described)


def _write(graph: Graph, place: Path, runtime: str) -> tuple[str, float]:
    """Write one file: its name, and how far its results are from torch's."""
    write = write_onnx if runtime == "onnx" else write_torch
    name = f"{graph.name}{RUNTIMES[runtime]}"
    return name, write(graph, trace(graph), place / name)


def _described(
    request: ModelExportRequest,
    model: Backbone | LsmSeg,
    backbone: Backbone,
    short_texts: bool,
    files: dict[str, str],
    difference: dict[str, float],
) -> ExportedModel:
    """What stands in model.json; see `model_export` for the parameters.

    Args:
        request: What was asked for.
        model: The whole model.
        backbone: Itself, or the network's.
        short_texts: See `may_be_short`.
        files: Their hashes.
        difference: What was measured for each.
    """
    network = model if isinstance(model, LsmSeg) else None
    drawings = drawings_only(request.model, request.pretrained, request.checkpoint)
    return ExportedModel(
        name=model.name,
        weights_hash=model.weights_hash,
        runtime=request.runtime,
        size=backbone.view.window,
        patch_size=backbone.patch_size,
        embed_dim=backbone.embed_dim,
        dense=backbone.dense,
        tokenizer=backbone.tokenizer.name,
        context_length=backbone.tokenizer.context_length,
        short_texts=short_texts,
        short_side=backbone.view.short_side if network is None else 0,
        stride=backbone.view.stride if network is None else 0,
        protocol=None if network is None else network.protocol,
        k=0 if network is None else network.config.k,
        published_texts=network is not None and network.loaded is not None,
        data=None if drawings is None else "ministuff",
        difference=difference,
        files=files,
        versions={
            name: version(name) for name in ("lsmseg-prompts", "torch", *PACKAGES[request.runtime])
        },
    )


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """An empty place whose files are moved into ``folder`` on success, MODEL last.

    Of an earlier export there MODEL goes first, so that no two are ever mixed.
    """
    with new_folder(folder.parent):
        try:
            place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        except OSError as error:
            raise _no_place(folder, error) from error
        try:
            yield place
            with new_folder(folder):
                (folder / MODEL).unlink(missing_ok=True)
                for path in sorted(place.iterdir(), key=lambda path: path.name == MODEL):
                    os.replace(path, folder / path.name)
        except OSError as error:
            raise _no_place(folder, error) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _no_place(folder: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(f"Cannot write into {folder}: {reason}; choose a writable place.")
