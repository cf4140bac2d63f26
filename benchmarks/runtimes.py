"""lsmseg-tiny in torch, onnxruntime and, where it is installed, OpenVINO, in one run.

The command `predict` on one picture, torch and onnxruntime in turn: wall time, time of the
processor, largest memory. Then dense features of 8 windows, each runtime in turn on the same
threads: the best times, and how far from torch's result. Beside other programs the time of the
processor says more.

python benchmarks/runtimes.py [--small] [--threads 1] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

CLASSES = "tree, road, clock, traffic light, fire hydrant, zebra"
BATCH = 8


def run(words: list[str], threads: int) -> tuple[float, float, float]:
    """Wall seconds, seconds of the processor, MB of a command in a new process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def commands(folder: Path, threads: int, rounds: int) -> None:
    words = ["predict", "docs/example.png", "--classes", CLASSES, "--force", "-o"]
    runtimes = {"torch": [], "onnx": ["--runtime", "onnx", "--model", str(folder)]}
    best: dict[str, tuple[float, ...]] = {}
    for _ in range(rounds):
        for name, options in runtimes.items():
            one = run([*words, str(folder.parent / f"{name}.png"), *options], threads)
            best[name] = tuple(map(min, one, best.get(name, one)))
    print("| predict, one picture | seconds | processor seconds | largest memory, MB |")
    print("|---|---|---|---|")
    for name, (wall, processor, memory) in best.items():
        print(f"| {name} | {wall:.2f} | {processor:.2f} | {memory:.0f} |")
    shares = [one / other for one, other in zip(best["onnx"], best["torch"], strict=True)]
    print(f"| onnx / torch | {shares[0]:.2f} | {shares[1]:.2f} | {shares[2]:.2f} |\n")


def features(folder: Path, threads: int, rounds: int) -> None:
    import torch

    from lsmseg_model.networks.backbones.load import load_backbone

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    backbone, side = load_backbone("lsmseg-tiny"), 128
    images = np.random.default_rng(0).random((BATCH, 3, side, side), dtype=np.float32)

    def in_torch(given: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return backbone.encode_dense(torch.from_numpy(given)).numpy()

    runtimes = {"torch": in_torch, "onnxruntime": onnxruntime_runs(folder)}
    if find_spec("openvino"):
        for precision in ("f32", "bf16"):
            runtimes[f"OpenVINO {precision}"] = openvino_runs(folder, threads, precision)
    wanted = in_torch(images)
    clocks = (time.perf_counter, time.process_time)
    best = dict.fromkeys(runtimes, (float("inf"),) * len(clocks))
    for _ in range(rounds):
        for name, compute in runtimes.items():
            began = [clock() for clock in clocks]
            compute(images)
            took = [clock() - start for clock, start in zip(clocks, began, strict=True)]
            best[name] = tuple(map(min, best[name], took))
    print(f"| dense features, {BATCH} windows, threads: {threads} | ms | processor ms | of torch's "
          "| difference |\n|---|---|---|---|---|")  # fmt: skip
    for name, compute in runtimes.items():
        far = float(np.abs(compute(images) - wanted).max())
        wall, processor = (1000 * one for one in best[name])
        share = best[name][1] / best["torch"][1]
        print(f"| {name} | {wall:.0f} | {processor:.0f} | {share:.2f} | {far:.1g} |")


def onnxruntime_runs(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    from lsmseg_model.deploy.sessions import open_session

    session = open_session(folder / "dense.onnx")
    return lambda images: session.run(None, {"images": images})[0]


def openvino_runs(folder: Path, threads: int, precision: str) -> Callable[[np.ndarray], np.ndarray]:
    import openvino

    compiled = openvino.Core().compile_model(
        folder / "dense.onnx",
        "CPU",
        {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision},
    )
    return lambda images: compiled([images])[0].copy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rounds = 1 if options.small else options.rounds
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        # In processes of their own: a new process begins with the memory of the one that makes it.
        run(["model", "export", "-o", str(folder)], options.threads)
        commands(folder, options.threads, rounds)
        features(folder, options.threads, 3 * rounds)


if __name__ == "__main__":
    main()
