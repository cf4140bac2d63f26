"""What one picture takes: lsmseg without SAM beside cat-seg, all in this code, in one run.

python benchmarks/network.py                     # 171, 459 and 847 classes
python benchmarks/network.py --classes 171 --repeat 1
python benchmarks/network.py --device cuda --dtype bf16 --compile

ViT-B/16, random weights, one picture of 640 x 640, the protocol with four crops and the whole,
texts given. cat-seg keeps 256 classes and has padding classes in its class attention. It stands
there twice: `cat-seg-b as published` with PyTorch's own operations over all views together and all
classes enlarged at once, `cat-seg-b` as `predict` and `evaluate` run it: with this code's label
maps and operations for the CPU (lsmseg_model/kernels/onednn.py), like lsmseg. Both compute the
guidance and the padding classes once, which the published code does for each class. Each row is a
process of its own: the best of some repetitions, and the highest memory of that process (with CUDA:
of the GPU).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PUBLISHED, BASE, OURS = "cat-seg-b as published", "cat-seg-b", "lsmseg-b-no-sam"
TINY = ["lsmseg-tiny as published", "lsmseg-tiny"]


def measure(row: str, classes: int, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of CLIP, of the rest of the network, and of the label map; GiB at the highest."""
    import torch
    from torch.nn import functional as F

    from lsmseg_model.inference import protocol
    from lsmseg_model.kernels import onednn
    from lsmseg_model.networks.build import build_network

    torch.manual_seed(0)
    device = options.device
    network: Any = build_network(row.split()[0]).eval().to(device)
    image = torch.rand(3, 640, 640, device=device)
    texts = F.normalize(torch.randn(classes, network.clip.embed_dim, device=device), dim=-1)

    def now() -> float:
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    spent = {"clip": 0.0}
    encode = (
        torch.compile(network.clip.encode_layers)
        if options.compile
        else (network.clip.encode_layers)
    )
    if options.compile:
        network.transformer.compile()

    def timed(*given: Any) -> Any:
        began = now()
        found = encode(*given)
        spent["clip"] = now() - began
        return found

    network.clip.encode_layers = timed
    best: dict[str, float] = {}
    with ExitStack() as stack:
        if row.endswith("as published"):
            stack.enter_context(onednn.disabled())
        if options.dtype == "bf16":
            stack.enter_context(torch.autocast(device.split(":")[0], torch.bfloat16))
        with torch.inference_mode():  # the first calls of a kind are slower
            side = network.protocol.crop
            warm = torch.rand(1, 3, side, side, device=device)
            network.clip.encode_layers(warm, network.config.blocks)
        for _ in range(options.repeat):
            began = now()
            seen = protocol.decode(network, protocol.encode(network, image), texts)
            looked = now()
            if not row.endswith("as published"):
                protocol.label(seen, (640, 640))
            else:
                label_all_at_once(seen, classes, (640, 640))
            ended = now()
            parts = {
                "clip": spent["clip"],
                "head": looked - began - spent["clip"],
                "label": ended - looked,
                "all": ended - began,
            }
            if not best or parts["all"] < best["all"]:
                best = parts
    if device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated() / 2**30
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**best, "gib": memory}


def label_all_at_once(views: Any, classes: int, size: tuple[int, int]) -> Any:
    """The best class of every pixel and its probability as published: all classes enlarged."""
    import torch

    from lsmseg_model.inference.protocol import Views, scores

    logits, kept = views.logits, views.kept
    every = torch.arange(classes, device=logits.device)
    spread = logits.new_full((len(logits), classes, *logits.shape[2:]), -100.0)
    spread = spread.scatter(1, kept[:, :, None, None].expand_as(logits), logits)
    whole = Views(spread, every.expand(len(kept), -1), views.protocol)
    best, where = scores(whole, every, size).max(dim=0)
    return where, best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, nargs="*", default=[171, 459, 847])
    parser.add_argument("--rows", nargs="*", default=[PUBLISHED, BASE, OURS])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options)))
        return
    if options.small:
        options.rows, options.classes, options.repeat = TINY, [2], 1
        options.device, options.compile = "cpu", False
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    print(f"{os.cpu_count()} cores, load before: {load}; {options.device}, {options.dtype}\n")
    print(
        "| classes | network | CLIP s | head s | labels s | all s "
        "| / published | / cat-seg-b | GiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for classes in options.classes:
        totals: dict[str, float] = {}
        for row in options.rows:
            command = [sys.executable, __file__, "--one", row, str(classes)]
            command += ["--repeat", str(options.repeat), "--device", options.device]
            command += ["--dtype", options.dtype, *(["--compile"] if options.compile else [])]
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"| {classes} | {row} | failed ({done.returncode}) |" + " |" * 6, flush=True)
                continue
            found = json.loads(done.stdout)
            totals[row] = found["all"]
            ratios = [
                f"{found['all'] / totals[other]:.3f}" if other in totals else "-"
                for other in (PUBLISHED, BASE)
            ]
            times = [f"{found[part]:.2f}" for part in ("clip", "head", "label", "all")]
            cells = [str(classes), row, *times, *ratios, f"{found['gib']:.1f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nload after: {', '.join(f'{n:.1f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
