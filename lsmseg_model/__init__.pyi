"""The calls and types of `lsmseg_model`, each with the module that it comes from."""
# isort: skip_file

from lsmseg_model.data.benchmark import Benchmark as Benchmark
from lsmseg_model.data.benchmark import load_benchmark as load_benchmark
from lsmseg_model.data.check import DataCheckRequest as DataCheckRequest
from lsmseg_model.data.check import data_check as data_check
from lsmseg_model.data.prepare import DataPrepareRequest as DataPrepareRequest
from lsmseg_model.data.prepare import data_prepare as data_prepare
from lsmseg_model.data.pull import DataPullRequest as DataPullRequest
from lsmseg_model.data.pull import PullPlan as PullPlan
from lsmseg_model.data.pull import data_pull as data_pull
from lsmseg_model.data.pull import pull_plan as pull_plan
from lsmseg_model.deploy.export import ModelExportRequest as ModelExportRequest
from lsmseg_model.deploy.export import ModelExportResult as ModelExportResult
from lsmseg_model.deploy.export import model_export as model_export
from lsmseg_model.errors import CheckpointError as CheckpointError
from lsmseg_model.errors import ConfigError as ConfigError
from lsmseg_model.errors import DataError as DataError
from lsmseg_model.errors import LsmsegModelError as LsmsegModelError
from lsmseg_model.errors import TrainingError as TrainingError
from lsmseg_model.errors import UsageError as UsageError
from lsmseg_model.evaluate import EvaluateRequest as EvaluateRequest
from lsmseg_model.evaluate import Evaluation as Evaluation
from lsmseg_model.evaluate import evaluate as evaluate
from lsmseg_model.evaluate import evaluate_words as evaluate_words
from lsmseg_model.inference.open_words import OpenWords as OpenWords
from lsmseg_model.inference.options import Augmentation as Augmentation
from lsmseg_model.networks.profile import NetworkProfile as NetworkProfile
from lsmseg_model.networks.profile import profile as profile
from lsmseg_model.predict import PredictRequest as PredictRequest
from lsmseg_model.predict import PredictResult as PredictResult
from lsmseg_model.predict import predict as predict
from lsmseg_model.pretrain import PretrainResult as PretrainResult
from lsmseg_model.pretrain import pretrain as pretrain
from lsmseg_model.inference.options import ModelOptions as ModelOptions
from lsmseg_model.inference.prediction import Prediction as Prediction
from lsmseg_model.segmenter import Segmenter as Segmenter
from lsmseg_model.train import TrainResult as TrainResult
from lsmseg_model.train import train as train
from lsmseg_model.training.options import PretrainOptions as PretrainOptions
from lsmseg_model.training.options import PretrainRequest as PretrainRequest
from lsmseg_model.training.options import TrainOptions as TrainOptions
from lsmseg_model.training.options import TrainRequest as TrainRequest

__all__ = [
    "Augmentation",
    "Benchmark",
    "CheckpointError",
    "ConfigError",
    "DataCheckRequest",
    "DataError",
    "DataPrepareRequest",
    "DataPullRequest",
    "EvaluateRequest",
    "Evaluation",
    "LsmsegModelError",
    "ModelExportRequest",
    "ModelExportResult",
    "ModelOptions",
    "NetworkProfile",
    "OpenWords",
    "PredictRequest",
    "PredictResult",
    "Prediction",
    "PretrainOptions",
    "PretrainRequest",
    "PretrainResult",
    "PullPlan",
    "Segmenter",
    "TrainOptions",
    "TrainRequest",
    "TrainResult",
    "TrainingError",
    "UsageError",
    "data_check",
    "data_prepare",
    "data_pull",
    "evaluate",
    "evaluate_words",
    "load_benchmark",
    "model_export",
    "predict",
    "pretrain",
    "profile",
    "pull_plan",
    "train",
]  # fmt: skip
