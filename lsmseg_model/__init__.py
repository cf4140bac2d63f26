"""Vision: pictures and texts in, masks out. Knows no LLM and no attribute store.

What `__all__` names is loaded when it is asked for: importing the package loads no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsmseg_model.data.benchmark import Benchmark, load_benchmark
    from lsmseg_model.data.check import DataCheckRequest, data_check
    from lsmseg_model.data.prepare import DataPrepareRequest, data_prepare
    from lsmseg_model.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        LsmsegModelError,
        TrainingError,
        UsageError,
    )
    from lsmseg_model.evaluate import EvaluateRequest, Evaluation, evaluate
    from lsmseg_model.networks.profile import NetworkProfile, profile
    from lsmseg_model.predict import PredictRequest, PredictResult, predict
    from lsmseg_model.pretrain import PretrainResult, pretrain
    from lsmseg_model.segmenter import ModelOptions, Prediction, Segmenter
    from lsmseg_model.train import TrainResult, train
    from lsmseg_model.training.options import (
        PretrainOptions,
        PretrainRequest,
        TrainOptions,
        TrainRequest,
    )

_HOMES = {
    "data.benchmark": "Benchmark load_benchmark",
    "data.check": "DataCheckRequest data_check",
    "data.prepare": "DataPrepareRequest data_prepare",
    "errors": "CheckpointError ConfigError DataError LsmsegModelError TrainingError UsageError",
    "evaluate": "EvaluateRequest Evaluation evaluate",
    "networks.profile": "NetworkProfile profile",
    "predict": "PredictRequest PredictResult predict",
    "pretrain": "PretrainResult pretrain",
    "segmenter": "ModelOptions Prediction Segmenter",
    "train": "TrainResult train",
    "training.options": "PretrainOptions PretrainRequest TrainOptions TrainRequest",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Benchmark", "CheckpointError", "ConfigError", "DataCheckRequest", "DataError",
    "DataPrepareRequest", "EvaluateRequest", "Evaluation", "LsmsegModelError", "ModelOptions",
    "NetworkProfile", "PredictRequest", "PredictResult", "Prediction", "PretrainOptions",
    "PretrainRequest",
    "PretrainResult", "Segmenter", "TrainOptions", "TrainRequest", "TrainResult", "TrainingError",
    "UsageError", "data_check", "data_prepare", "evaluate", "load_benchmark", "predict",
    "pretrain", "profile", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`lsmseg_model.train` is the function: importing the module of that name must not hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
