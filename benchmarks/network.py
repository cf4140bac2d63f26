"""How long one picture takes: lsmseg without SAM beside cat-seg, both in this code, in one run.

python benchmarks/network.py                     # 171, 459 and 847 classes
python benchmarks/network.py --classes 171

ViT-B/16, random weights, one picture of 640 x 640, the protocol with four crops and the whole,
texts given. cat-seg keeps 256 classes, pads its class attention, and enlarges all classes at once,
as published (this code computes the padding and the guidance once, with the same result). Each row
is a process of its own; the memory is the highest of that process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def measure(name: str, classes: int) -> dict[str, float]:
    """Seconds of CLIP alone, of the network, and of making the label map; GiB at the highest."""
    import torch
    from torch.nn import functional as F

    from lsmseg_model.networks import build_network
    from lsmseg_model.sliding import label, look

    torch.manual_seed(0)
    network = build_network(name).eval()
    image = torch.rand(3, 640, 640)
    texts = F.normalize(torch.randn(classes, network.clip.embed_dim), dim=-1)
    with torch.inference_mode():
        views = torch.rand(5, 3, 384, 384)
        network.clip.encode_layers(views[:1], network.config.blocks)  # the first call is slower
        began = time.perf_counter()
        network.clip.encode_layers(views, network.config.blocks)
        clip = time.perf_counter() - began
    began = time.perf_counter()
    seen = look(network, image, texts)
    looked = time.perf_counter() - began
    began = time.perf_counter()
    label(seen, classes, (640, 640), dense=name.startswith("cat-seg"))
    labelled = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"clip": clip, "look": looked, "label": labelled, "gib": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="*", default=[171, 459, 847])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]))))
        return
    print("| classes | network | CLIP s | network s | label map s | all s | / cat-seg | GiB |")
    print("|---|---|---|---|---|---|---|---|")
    for classes in arguments.classes:
        base = None
        for name in ("cat-seg-b", "lsmseg-b-no-sam"):
            command = [sys.executable, __file__, "--one", name, str(classes)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            total = found["look"] + found["label"]
            base = base or total
            print(
                f"| {classes} | {name} | {found['clip']:.2f} | {found['look']:.2f} | "
                f"{found['label']:.2f} | {total:.2f} | {total / base:.3f} | {found['gib']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
