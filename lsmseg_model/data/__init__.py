"""Pictures with label maps: the drawn MiniStuff and folders on disk."""

from lsmseg_model.data.benchmark import IGNORE, Benchmark, competing, load_benchmark, scored_names

__all__ = ["IGNORE", "Benchmark", "competing", "load_benchmark", "scored_names"]
