"""ONNX files opened with onnxruntime."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lsmseg_model.errors import DataError, UsageError


def check_packages(*names: str) -> None:
    """Raise UsageError where one of the packages for ONNX is not installed."""
    if not all(find_spec(name) for name in names):
        raise UsageError(
            'This needs packages that are not installed: pip install "lsmseg-prompts[onnx]".'
        )


def open_session(path: Path) -> Any:
    """A file ready to run on the CPU, on as many threads as $OMP_NUM_THREADS says.

    Raises UsageError without onnxruntime, DataError for a file that it cannot read.
    """
    check_packages("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit():
        options.intra_op_num_threads = int(threads)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own, one a kind
        raise DataError(
            f"{path} cannot be run by onnxruntime ({type(error).__name__}): export the model again."
        ) from error
