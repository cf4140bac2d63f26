"""Pictures with label maps: the drawn MiniStuff and folders on disk."""

from lsmseg_model.data.benchmark import Benchmark, competing, load_benchmark, scored_names
from lsmseg_model.data.label_maps import IGNORE

__all__ = ["IGNORE", "Benchmark", "competing", "load_benchmark", "scored_names"]
