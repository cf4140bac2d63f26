"""What a GPU makes of this code, in one run of at most eight minutes.

python benchmarks/gpu.py --out gpu.json
python benchmarks/gpu.py --small           # only to see that it runs, on a CPU too

Random weights; pictures of 480 x 640 (drawn at random), 171 texts. In this order, as long as there
is time: does the GPU give what the CPU gives (features, logits, label maps); pictures a second of
the bare CLIP encoder and of `frozen`, cat-seg-b and lsmseg-b with and without SAM, in fp32 and
bf16; steps a second and memory of training at batch 4; two processes by NCCL, where there are two
GPUs, against one; bf16 compiled. What there was no time for is named. Prints one Markdown table
with the card's name, and writes the numbers as JSON. "of the bare encoder" compares with the same
views, in batches of the same size.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FULL = {
    "frozen": "ViT-B-16",
    "cat-seg": "cat-seg-b",
    "lsmseg": "lsmseg-b-no-sam",
    "sam": "lsmseg-b",
}
SMALL = {"frozen": "lsmseg-tiny", "lsmseg": "lsmseg-tiny"}
BARE, SIZE, CLASSES = "bare encoder", (480, 640), 171
Row = dict[str, Any]


class Pictures:
    """A benchmark of random pictures with random labels."""

    name, split, vocabulary, owners, groups, seen = "random", "all", "random", None, None, None

    def __init__(self, count: int, size: tuple[int, int], classes: int) -> None:
        self.count, self.size, self.class_indices = count, size, tuple(range(classes))

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        return str(index)

    def picture(self, index: int) -> np.ndarray:
        """Coarse noise, enlarged: neighbours are alike, as in photographs."""
        coarse = np.random.default_rng(index).integers(0, 256, (15, 20, 3), dtype=np.uint8)
        return coarse.repeat(-(-self.size[0] // 15), 0).repeat(-(-self.size[1] // 20), 1)[
            : self.size[0], : self.size[1]
        ]

    def labels(self, index: int) -> np.ndarray:
        random = np.random.default_rng([1, index])
        return random.integers(0, len(self.class_indices), self.size)


def _too_long(*_: Any) -> None:
    raise TimeoutError("the time is over")


class Bench:
    """What is measured, on which device, and how long there is."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.small = options.small
        self.end = time.monotonic() + 60 * options.minutes
        self.names = SMALL if self.small else FULL
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        self.classes = 5 if self.small else CLASSES
        self.pictures = Pictures(2, (48, 64), 5) if self.small else Pictures(64, SIZE, CLASSES)
        self.batch = 2 if self.small else 64
        self._longest = 0.0
        self.cuda = self.device.startswith("cuda")
        self.card = torch.cuda.get_device_name(self.device) if self.cuda else "CPU"

    def part(self, name: str, measure: Callable[[], Row]) -> None:
        """A row, unless there may not be time for it; one that fails says why."""
        if time.monotonic() + 1.2 * self._longest > self.end:
            self.left_out.append(name)
            return
        began = time.monotonic()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(int(self.end - began) + 1)
        try:
            row = measure()
        except Exception as error:
            row = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        signal.alarm(0)
        self._longest = max(self._longest, time.monotonic() - began)
        self.rows.append({"what": name, **row})
        print(f"{name}: {row}", file=sys.stderr, flush=True)

    def now(self) -> float:
        if self.cuda:
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def model(self, kind: str, device: str) -> Any:
        """A model with random weights, the same each time."""
        import torch

        from lsmseg_model.networks.backbones.base import View
        from lsmseg_model.networks.backbones.load import load_backbone, named_backbone
        from lsmseg_model.networks.build import build_network

        torch.manual_seed(0)
        name = self.names[kind]
        if kind == "frozen" and self.small:
            return load_backbone(name, device=device)
        if kind == "frozen":
            made: Any = named_backbone(name, View(336, 224, 112))
            made.dense = made.TRAINING_FREE
        else:
            made = build_network(name)
        return made.to(device).eval()

    def texts(self, model: Any, device: str) -> Any:
        import torch
        from torch.nn import functional as F

        clip = getattr(model, "clip", model)
        random = torch.Generator().manual_seed(1)
        made = torch.randn(self.classes, clip.embed_dim, generator=random)
        return F.normalize(made, dim=-1).to(device)


def parity(bench: Bench, kind: str) -> Row:
    """How far features and logits are from the CPU's, and the share of pixels of the same class."""
    from lsmseg_model.inference.pictures import encode_picture

    image, found = bench.pictures.picture(0), []
    for device in ("cpu", bench.device):
        model = bench.model(kind, device)
        encoded = encode_picture(model, image)
        decoded = encoded.decode(bench.texts(model, device))
        features = encoded.features if kind == "frozen" else encoded.features[0]
        logits = None if kind == "frozen" else decoded.views.logits.float().cpu()  # type: ignore[union-attr]
        found.append((features.float().cpu(), logits, decoded.label()[0]))
    (one, logits, labels), (two, other, found_labels) = found
    row: Row = {"features differ by": float((one - two).abs().max())}
    if logits is not None and other is not None and logits.shape == other.shape:
        row["logits differ by"] = float((logits - other).abs().max())
    return {**row, "same class": float((labels == found_labels).mean())}


def views(bench: Bench, model: Any) -> Any:
    """All views of one picture."""
    import torch

    from lsmseg_model.inference import protocol, windows
    from lsmseg_model.inference.pictures import resized_picture

    image = bench.pictures.picture(0)
    if hasattr(model, "clip"):
        resized = resized_picture(image, model.protocol.side)
        return torch.stack(protocol.show(model, resized, model.protocol))
    return torch.stack(windows.cut(model, image).views)


def rate(bench: Bench, kind: str, precision: str, compiled: bool) -> Row:
    """Pictures a second, read and counted; and of the encoder alone, in batches of its views."""
    import torch

    from lsmseg_model.inference.compiled import compile_model
    from lsmseg_model.inference.counting import count_pictures
    from lsmseg_model.inference.options import RunOptions
    from lsmseg_model.inference.precision import lowered

    model = bench.model(kind, bench.device)
    model.precision = precision
    if compiled:
        compile_model(model)
    clip, shown, text = (
        getattr(model, "clip", model),
        views(bench, model),
        bench.texts(model, bench.device),
    )
    batch = shown.repeat(-(-bench.batch // len(shown)), 1, 1, 1)[: bench.batch].to(bench.device)
    how = RunOptions(batch_size=bench.batch if bench.cuda else None)
    if bench.cuda:
        torch.cuda.reset_peak_memory_stats(bench.device)
    with torch.inference_mode(), lowered(model):
        clip.encode_dense(batch)
        began = bench.now()
        for _ in range(rounds := 1 if bench.small else 3):
            clip.encode_dense(batch)
        bare = rounds * len(batch) / len(shown) / (bench.now() - began)
    count_pictures(model, bench.pictures, text, range(2), how=how)
    began = bench.now()
    count_pictures(model, bench.pictures, text, how=how)
    whole = len(bench.pictures) / (bench.now() - began)
    row: Row = {"pictures/s": whole, f"{BARE}, pictures/s": bare, f"of the {BARE}": whole / bare}
    return {**row, **memory(bench)}


def memory(bench: Bench) -> Row:
    """GiB at the highest, of a GPU."""
    import torch

    if not bench.cuda:
        return {}
    return {"GiB": torch.cuda.max_memory_allocated(bench.device) / 2**30}


def training(bench: Bench, kind: str, precision: str) -> Row:
    """Steps a second at batch 4, the text tower aside."""
    import torch

    from lsmseg_model.training.options import TrainOptions, training_options
    from lsmseg_model.training.step import Optimizer, Step

    model = bench.model(kind, bench.device)
    options = training_options(TrainOptions, model.settings, {})
    model.trainable(options.clip)
    model.train()
    step, optimizer = Step(model, options.ignored), Optimizer(model, options)
    side, random = model.clip.view.window, torch.Generator().manual_seed(2)
    images = torch.rand(4, 3, side, side, generator=random).to(bench.device)
    labels = torch.randint(bench.classes, (4, side, side), generator=random).to(bench.device)
    text = bench.texts(model, bench.device)
    if bench.cuda:
        torch.cuda.reset_peak_memory_stats(bench.device)
    kind_of = torch.device(bench.device).type
    for turn in range(count := 2 if bench.small else 12):
        with torch.autocast(kind_of, torch.bfloat16, enabled=precision == "bf16"):
            loss = step(images, labels, text) / labels.numel()
        loss.backward()
        optimizer.step(1e-4)
        if turn == count // 4:  # the first ones warm up
            began, left = bench.now(), count - turn - 1
    return {"steps/s": left / (bench.now() - began), **memory(bench)}


def two_processes(bench: Bench) -> Row:
    """The counts of two processes are those of one, and how much faster they are."""
    words = [str(Path(__file__).resolve()), "--share", "--device", bench.device.partition(":")[0]]
    words += ["--small"] if bench.small else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = []
    for count in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        done = subprocess.run([sys.executable, *launcher, *words], env=environment, text=True,
                              capture_output=True, check=True, timeout=200)  # fmt: skip
        found.append(json.loads(done.stdout.splitlines()[-1]))
    same = found[0]["counts"] == found[1]["counts"]
    return {"same counts": same, "pictures/s": found[1]["rate"], "of one": found[0]["rate"]}


def share(bench: Bench) -> None:
    """One process of `two_processes`: its pictures; the first prints the sum of all counts."""
    import torch

    from lsmseg_model.inference.counting import count_pictures
    from lsmseg_model.processes import processes

    with processes(bench.device) as team:
        bench.device = team.device
        model = bench.model("frozen", team.device)
        text = bench.texts(model, team.device)
        mine = range(team.rank, len(bench.pictures), team.count)
        count_pictures(model, bench.pictures, text, mine[:1])
        team.wait()
        began = bench.now()
        counts = count_pictures(model, bench.pictures, text, mine).sum(axis=0)
        total = team.sum(torch.from_numpy(counts).to(team.device)).tolist()
        if team.first:
            rate = len(bench.pictures) / (bench.now() - began)
            print(json.dumps({"counts": total, "rate": rate}))


def measure(bench: Bench, two: bool) -> None:
    """All parts, the most important first."""
    import torch

    networks = [kind for kind in bench.names if kind != "frozen"]
    if bench.cuda or bench.small:
        for kind in ("frozen", networks[-1]):
            bench.part(
                f"CPU against GPU: {bench.names[kind]}", lambda kind=kind: parity(bench, kind)
            )
    for precision in ("fp32", "bf16"):
        for kind, name in bench.names.items():
            if bench.small and precision == "bf16" and kind != "frozen":
                continue  # slow on a CPU
            about = f"{'frozen ' if kind == 'frozen' else ''}{name}, {precision}"
            bench.part(about, lambda kind=kind, p=precision: rate(bench, kind, p, False))
    for kind in networks:
        precision = "fp32" if bench.small else "bf16"
        about = f"training {bench.names[kind]}, batch 4, {precision}"
        bench.part(about, lambda kind=kind, p=precision: training(bench, kind, p))
    if two or torch.cuda.device_count() > 1:
        bench.part("two processes", lambda: two_processes(bench))
    for kind, name in bench.names.items() if not bench.small else ():
        bench.part(f"{name}, bf16, compiled", lambda kind=kind: rate(bench, kind, "bf16", True))


def table(bench: Bench) -> str:
    """The rows as Markdown."""

    def cell(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [f"| {bench.card} | |", "|---|---|"]
    for row in bench.rows:
        told = "; ".join(f"{name} {cell(value)}" for name, value in row.items() if name != "what")
        lines.append(f"| {row['what']} | {told} |")
    lines += [f"| {name} | left out: no time |" for name in bench.left_out]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", help="default: cuda, where there is one")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    parser.add_argument("--two", action="store_true", help="two processes even without two GPUs")
    parser.add_argument("--share", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    bench = Bench(options)
    if options.share:
        share(bench)
        return
    measure(bench, options.two)
    print(table(bench))
    if options.out is not None:
        import torch

        about = {"card": bench.card, "torch": torch.__version__, "cuda": torch.version.cuda}
        found = {**about, "rows": bench.rows, "left_out": bench.left_out}
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
