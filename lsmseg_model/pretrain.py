"""Pre-training a Clip for segmentation from scratch: cost map (Eq. 1) against label maps.

Each step every class is described by one of its texts, drawn at random, so that one model learns
to read names, single attributes and combinations. Everything random follows from (seed, step): a
run that was killed and resumed equals an unbroken one (tests/test_pretrain.py).
"""

import csv
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lsmseg_model.data.benchmark import load_benchmark, training_classes
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import CheckpointError, ConfigError, DataError
from lsmseg_model.files import new_folder, write_whole
from lsmseg_model.networks.backbones.clip import (
    Clip,
    View,
    build_clip,
    check_device,
    load_clip,
    read_config,
)
from lsmseg_model.networks.backbones.text import tokenize
from lsmseg_model.networks.cost_map import upsample
from lsmseg_model.training.dataset import (
    Augment,
    Places,
    TrainingItem,
    batches,
    outlive,
    training_data,
)
from lsmseg_model.training.losses import LOSSES, pixel_weights, text_targets
from lsmseg_model.training.progress import LossBar

FIELDS = {
    "iterations": int,
    "batch_size": int,
    "lr": float,
    "weight_decay": float,
    "warmup": int,
    "clip_grad": float,
    "loss": str,
    "loss_size": int,
    "logit_scale": float,
    "logit_bias": float,
    "word_lr_factor": float,
    "muon_lr_factor": float,
    "balance": float,
    "token_dropout": float,
    "decoys_per_picture": int,
}


@dataclass
class PretrainResult:
    """Where the run left its files, and how it went."""

    weights: Path
    log: Path
    iterations: int
    loss: float
    seconds: float


def bf16_is_fast(device: str) -> bool:
    """Whether 16-bit brain floats are a native instruction of the device."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # private in torch
    return device == "cpu" and native()


def pretrain(
    *,
    config: str = "lsmseg-tiny",
    data: str = "ministuff",
    texts: Sequence[Sequence[str]],
    vocabulary_name: str,
    out: Path,
    data_root: str | Path | None = None,
    init: str | None = None,
    resume: bool = False,
    iterations: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    short_side: int | None = None,
    precision: str = "auto",
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    minutes: float | None = None,
    checkpoint_every: int = 250,
    progress: bool = True,
) -> PretrainResult:
    """Train ``config`` on the train split of ``data``; texts: sentences per vocabulary class.

    Leaves in ``out``: ``<name>.safetensors`` (weights with their configuration), ``last.pt``
    (to resume from), ``loss.csv`` and ``loss.png``. ``resume`` goes on from ``last.pt`` if there is
    one. ``init``: weights to start from, a file or a
    configuration's name. ``minutes`` stops early, resumable. ``precision``: fp32, bf16, or auto
    (bf16 where it is native).
    """
    check_device(device)
    settings = read_config(config)
    options = _options(settings, iterations=iterations, batch_size=batch_size, lr=lr)
    settings["train"] = options
    if short_side:
        settings["view"]["short_side"] = short_side
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"unknown precision {precision!r}; choose auto, fp32 or bf16.")
    half = precision == "bf16" or (precision == "auto" and bf16_is_fast(device))
    benchmark = load_benchmark(data, data_root, "train", None, len(texts), vocabulary_name)
    if benchmark.vocabulary != vocabulary_name:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not {vocabulary_name}; "
            f"use --vocab {benchmark.vocabulary}."
        )
    torch.manual_seed(seed)
    clip = _start(settings, config, init, device)
    optimizer = Optimizers(clip, options)
    start = 0
    losses: list[tuple[int, float, float]] = []
    last = out / "last.pt"
    same = _fingerprint(settings, (benchmark.name, len(benchmark)), seed, texts, init)
    if resume and last.exists():
        start, losses = _resume(last, clip, optimizer, same)
    elif last.exists():
        raise DataError(f"{last} exists; add --resume to go on, or choose another --out.")
    classes = training_classes(benchmark)
    view = settings["view"]
    dataset, epoch = training_data(benchmark, Augment(view["short_side"], view["window"]), seed)
    places = Places(start, options["iterations"], options["batch_size"], seed, epoch)
    loader = (
        DataLoader(
            dataset,
            batch_sampler=places,
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=outlive,
            prefetch_factor=4,
        )
        if workers
        else DataLoader(dataset, batch_sampler=places, collate_fn=list)
    )
    loss_of = LOSSES[options["loss"]]
    began = time.monotonic()
    step = start
    clip.train()
    with new_folder(out), LossBar(progress, options["iterations"], start) as report:
        try:
            for step, items in enumerate(batches(loader), start):
                rate = _rate(step, options)
                rng = np.random.default_rng([seed, step])
                sentences, keys = choose_texts(items, classes, texts, options, rng)
                size = options["loss_size"]
                labels = torch.stack([_shrink(item.labels, size) for item in items])
                rows, compared, target = text_targets(labels, keys)
                with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
                    image = torch.stack([item.image for item in items]).to(device)
                    features = clip.encode_dense(image)
                    text = _text(clip, sentences, options, seed + step, device)[rows.to(device)]
                    cost = torch.einsum("bhwd,bkd->bkhw", features, text)  # Eq. 1
                logits = upsample(cost.float(), (size, size))
                logits = logits * clip.model.logit_scale.exp() + clip.model.logit_bias
                weight = pixel_weights(target, options["balance"])
                loss = loss_of(logits, *(t.to(device) for t in (target, compared, weight)))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(clip.parameters(), options["clip_grad"])
                optimizer.step(rate)
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise DataError(f"the loss is {value} at step {step}; try a lower --lr.")
                losses.append((step, value, rate))
                report(step + 1, value)
                spent = time.monotonic() - began
                stop = minutes is not None and spent > 60 * minutes
                if (step + 1) % checkpoint_every == 0 or stop:
                    _save_last(last, clip, optimizer, step + 1, losses, same)
                if stop:
                    break
        except KeyboardInterrupt:
            if losses:
                _save_last(last, clip, optimizer, losses[-1][0] + 1, losses, same)
            raise
    if not losses:
        raise DataError(f"{last} has already reached {start} iterations; ask for more.")
    done = losses[-1][0] + 1
    _save_last(last, clip, optimizer, done, losses, same)
    weights = out / f"{settings['name']}.safetensors"
    about = {
        "format": "lsmseg-prompts/weights",
        "config": settings,
        "data": benchmark.name,
        "vocabulary": vocabulary_name,
        "classes_trained": classes,
        "iterations": done,
        "seed": seed,
    }
    save_weights(weights, clip.model.state_dict(), about, half=True)
    log = out / "loss.csv"
    write_whole(log, lambda path: _write_log(path, losses))
    write_whole(out / "loss.png", lambda path: _plot(path, losses))
    tail = [value for _, value, _ in losses[-50:]]
    return PretrainResult(weights, log, done, sum(tail) / len(tail), time.monotonic() - began)


def choose_texts(
    items: Sequence[TrainingItem],
    classes: Sequence[int],
    texts: Sequence[Sequence[str]],
    options: dict[str, Any],
    rng: np.random.Generator,
) -> tuple[list[str], list[dict[int, int]]]:
    """One random sentence for every class, every captioned thing and some decoys.

    Returns the batch's text table and, for each picture, label value -> position in it. A picture
    is compared with all classes and with its own captions and decoys (keys below 0).
    """
    sentences = [texts[c][int(rng.integers(len(texts[c])))] for c in classes]
    shared = {c: position for position, c in enumerate(classes)}
    keys = []
    for item in items:
        own = dict(shared)
        for value, captions in item.captions.items():
            own[value] = len(sentences)
            sentences.append(captions[rng.integers(len(captions))])
        count = min(options["decoys_per_picture"], len(item.decoys))
        for n, pick in enumerate(rng.permutation(len(item.decoys))[:count]):
            own[-2 - n] = len(sentences)
            sentences.append(item.decoys[pick])
        keys.append(own)
    return sentences, keys


def _text(
    clip: Clip, sentences: list[str], options: dict[str, Any], noise: int, device: str
) -> Tensor:
    """[T, D] embeddings of the batch's sentences, some of their tokens dropped at random."""
    tokens = tokenize(sentences, clip.model.context_length)
    ends = tokens.argmax(dim=-1)
    tokens = tokens[:, : int(ends.max()) + 1]
    kept = torch.ones(tokens.shape)
    if options["token_dropout"]:
        generator = torch.Generator().manual_seed(noise)
        kept = (torch.rand(tokens.shape, generator=generator) >= options["token_dropout"]).float()
        kept[:, 0] = 1
        kept[torch.arange(len(ends)), ends] = 1  # start and end tokens stay
    tokens, kept = tokens.to(device), kept.to(device)
    embedded = clip.model.token_embedding(tokens) * kept[..., None]
    order = ends.argsort(stable=True)
    parts = []
    for rows in order.split(32):  # short sentences do not pay for the longest
        length = int(ends[rows].max()) + 1
        parts.append(clip.encode_tokens(tokens[rows, :length], embedded[rows, :length]))
    return torch.cat(parts)[order.argsort().to(device)]


def _shrink(labels: Tensor, size: int) -> Tensor:
    """labels: int64 [S, S] -> [size, size], nearest."""
    return F.interpolate(labels[None, None].float(), size=(size, size))[0, 0].long()


def _start(settings: dict[str, Any], config: str, init: str | None, device: str) -> Clip:
    """From scratch or from weights. From scratch every token starts at zero: a word that training
    never meets keeps a zero embedding, which token dropout teaches the model to pass over."""
    options = settings["train"]
    if init is None:
        clip = build_clip(settings)
        with torch.no_grad():
            clip.model.token_embedding.weight.zero_()
            clip.model.logit_scale.fill_(math.log(options["logit_scale"]))
            clip.model.logit_bias.fill_(options["logit_bias"])
        return clip.to(device)
    clip = load_clip(config, None if init == settings["name"] else init, device)
    clip.view = View(**settings["view"])
    return clip


class Optimizers:
    """Muon for the matrices of the transformer blocks, AdamW for everything else."""

    def __init__(self, clip: Clip, options: dict[str, Any]) -> None:
        named = [(n, p) for n, p in clip.named_parameters() if p.requires_grad]
        words = [p for n, p in named if "token_embedding" in n]
        blocks = [p for n, p in named if "resblocks" in n and p.ndim == 2]
        chosen = {id(p) for p in (*words, *blocks)}
        rest = [p for _, p in named if id(p) not in chosen]
        decay = options["weight_decay"]
        self.adamw = torch.optim.AdamW(
            [
                {"params": rest, "factor": 1.0},
                # A word is met rarely, so each meeting must teach more.
                {"params": words, "factor": options["word_lr_factor"]},
            ],
            lr=options["lr"],
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=True,
        )
        self.muon = torch.optim.Muon(
            [{"params": blocks, "factor": options["muon_lr_factor"]}],
            lr=options["lr"],
            weight_decay=decay,
            adjust_lr_fn="match_rms_adamw",
        )

    def step(self, rate: float) -> None:
        for optimizer in (self.adamw, self.muon):
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"adamw": self.adamw.state_dict(), "muon": self.muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adamw.load_state_dict(state["adamw"])
        self.muon.load_state_dict(state["muon"])


def _rate(step: int, options: dict[str, Any]) -> float:
    """Linear warm-up, then a cosine to zero at the last iteration."""
    warmup, total = options["warmup"], options["iterations"]
    if step < warmup:
        return options["lr"] * (step + 1) / warmup
    along = (step - warmup) / max(1, total - warmup)
    return options["lr"] * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))


def _options(settings: dict[str, Any], **given: Any) -> dict[str, Any]:
    options = {**settings["train"], **{k: v for k, v in given.items() if v is not None}}
    unknown = options.keys() - FIELDS.keys()
    missing = FIELDS.keys() - options.keys()
    if unknown or missing:
        raise ConfigError(
            f"configuration {settings['name']!r}, field 'train': unknown {sorted(unknown)}, "
            f"missing {sorted(missing)}."
        )
    if options["loss"] not in LOSSES:
        raise ConfigError(f"unknown loss {options['loss']!r}; choose one of {', '.join(LOSSES)}.")
    for name in ("iterations", "batch_size", "lr"):
        if options[name] <= 0:
            raise ConfigError(f"{name} must be above 0.")
    return {name: kind(options[name]) for name, kind in FIELDS.items()}


def _fingerprint(
    settings: dict[str, Any],
    data: tuple[str, int],
    seed: int,
    texts: Sequence[Sequence[str]],
    init: str | None,
) -> str:
    """What must stay the same for a resumed run to equal an unbroken one."""
    options = {k: v for k, v in settings["train"].items() if k != "iterations"}
    fixed = {**settings, "train": options}
    said = json.dumps([fixed, data, seed, [list(group) for group in texts], init])
    return hashlib.sha256(said.encode()).hexdigest()


def _save_last(
    path: Path,
    clip: Clip,
    optimizer: Optimizers,
    step: int,
    losses: list[Any],
    same: str,
) -> None:
    state = {
        "same": same,
        "model": clip.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "losses": torch.tensor(losses, dtype=torch.float64),
    }
    write_whole(path, lambda temporary: torch.save(state, temporary))


def _resume(path: Path, clip: Clip, optimizer: Optimizers, same: str) -> tuple[int, list[Any]]:
    try:
        state = torch.load(path, map_location=clip.device, weights_only=True)
        clip.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        losses = [(int(s), v, r) for s, v, r in state["losses"].tolist()]
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be resumed from; it is damaged or of another configuration."
        ) from error
    if state["same"] != same:
        raise CheckpointError(
            f"{path} was made with other options, texts, data or seed; repeat the command that "
            "made it with --resume, or choose another --out."
        )
    return int(state["step"]), losses


def _write_log(path: Path, losses: list[tuple[int, float, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss", "lr"])
        writer.writerows(losses)


def _plot(path: Path, losses: list[tuple[int, float, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    values = np.array([value for _, value, _ in losses])
    width = max(1, len(values) // 100)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axes.plot([s for s, _, _ in losses], values, color="0.8", linewidth=0.6)
    axes.plot([s for s, _, _ in losses][width - 1 :], smooth, color="tab:blue")
    axes.set(xlabel="iteration", ylabel="loss", yscale="log")
    figure.savefig(path, dpi=130)
    plt.close(figure)
