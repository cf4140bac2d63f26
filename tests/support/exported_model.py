"""An exported model made by hand, in milliseconds: two small ONNX graphs and their description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_model.deploy.description import MODEL, ExportedModel, file_digest

SIDE, PATCH = 16, 4
WIDTH = 8


def write_exported(folder: Path, **changes: Any) -> ExportedModel:
    """Dense features are a patch's colours through a matrix, texts the mean of their tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((WIDTH, 3, PATCH, PATCH)).astype(np.float32)
    table = rng.standard_normal((49408, WIDTH)).astype(np.float32)
    _save(
        folder / "dense.onnx",
        ("images", "float", ["pictures", 3, SIDE, SIDE]),
        ("features", ["pictures", SIDE // PATCH, SIDE // PATCH, WIDTH]),
        {"kernel": kernel},
        [
            ("Conv", ["images", "kernel"], "maps", {"strides": [PATCH, PATCH]}),
            ("Transpose", ["maps"], "moved", {"perm": [0, 2, 3, 1]}),
            ("LpNormalization", ["moved"], "features", {"axis": -1, "p": 2}),
        ],
    )
    _save(
        folder / "text.onnx",
        ("tokens", "int64", ["texts", "length"]),
        ("embeddings", ["texts", WIDTH]),
        {"table": table, "axis": np.array([1], np.int64)},
        [
            ("Gather", ["table", "tokens"], "each", {}),
            ("ReduceMean", ["each", "axis"], "means", {"keepdims": 0}),
            ("LpNormalization", ["means"], "embeddings", {"axis": -1, "p": 2}),
        ],
    )
    fields: dict[str, Any] = {
        "name": "by hand", "weights_hash": "none", "runtime": "onnx", "size": SIDE,
        "patch_size": PATCH, "embed_dim": WIDTH, "dense": "catseg", "tokenizer": "CLIP",
        "context_length": 77, "short_texts": True, "short_side": SIDE, "stride": SIDE // 2,
        "files": {one.name: file_digest(one) for one in sorted(folder.glob("*.onnx"))},
    }  # fmt: skip
    model = ExportedModel(**{**fields, **changes})
    (folder / MODEL).write_text(model.text(), "utf-8")
    return model


def _save(
    path: Path,
    given: tuple[str, str, list[Any]],
    made: tuple[str, list[Any]],
    constants: dict[str, np.ndarray],
    nodes: list[tuple[str, list[str], str, dict[str, Any]]],
) -> None:
    """A graph of one input and one output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.FLOAT if given[1] == "float" else TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output], **how) for op, inputs, output, how in nodes],
        path.stem,
        [helper.make_tensor_value_info(given[0], kind, given[2])],
        [helper.make_tensor_value_info(made[0], TensorProto.FLOAT, made[1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
