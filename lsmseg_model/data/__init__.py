"""Pictures with label maps: the drawn MiniStuff and folders on disk."""

from .benchmark import IGNORE, Benchmark, load_benchmark

__all__ = ["IGNORE", "Benchmark", "load_benchmark"]
