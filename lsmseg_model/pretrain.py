"""Pre-training a Clip for segmentation from scratch: cost map (Eq. 1) against label maps.

Each step every class is described by one of its texts, drawn at random, so that one model learns
to read names, single attributes and combinations. Everything random follows from (seed, step): a
run that was killed and resumed equals an unbroken one (tests/model/test_pretrain.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.data.ministuff.captions import VALUES, Sentence
from lsmseg_model.data.ministuff.looks import Gallery
from lsmseg_model.data.ministuff.shown import is_false
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import ConfigError
from lsmseg_model.files import named_file, write_csv
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.load import (
    build_backbone,
    check_device,
    load_backbone,
    read_config,
)
from lsmseg_model.networks.backbones.text_tower import text_tower
from lsmseg_model.networks.cost_map import upsample
from lsmseg_model.processes import Processes
from lsmseg_model.pull.find import find, is_repository
from lsmseg_model.training.dataset import Augment, TrainingItem
from lsmseg_model.training.loop import Run, training_folder
from lsmseg_model.training.losses import LOSSES, agreement, pixel_weights, text_targets
from lsmseg_model.training.options import PretrainOptions, PretrainRequest, training_options
from lsmseg_model.training.prototypes import Prototypes, rows_of
from lsmseg_model.training.state import STEP_COLUMNS, plot
from lsmseg_model.training.step import embed
from lsmseg_model.training.words import WIDTH, Words, word_vectors

CHECKPOINT_EVERY = 250  # steps
COLUMNS = STEP_COLUMNS[:3]  # of the log


@dataclass
class PretrainResult:
    """Where the run left its files, and how it went."""

    weights: Path
    log: Path
    iterations: int
    loss: float
    seconds: float


def pretrain(request: PretrainRequest) -> PretrainResult:
    """Train the CLIP `request.config` on the train split of `request.data`.

    Leaves in `out`: <name>.safetensors (weights with their configuration), last.pt (to go on
    from), loss.csv and loss.png.

    Raises:
        ConfigError: For a wrong field or value of the configuration or the recipe.
        DataError: For pictures that cannot be used as they are, a checkpoint or other files in the
            way, and a folder that another run is writing into.
        CheckpointError: For weights that are missing or do not fit.
        UsageError: For a name that does not exist.
        TrainingError: Where the loss is not a number: what was saved before stays.
    """
    began = time.monotonic()
    check_device(request.device)
    settings = read_config(request.config)
    given = asdict(request.options) if request.options else {}
    options = training_options(PretrainOptions, settings, given)
    if request.short_side:
        settings["view"]["short_side"] = request.short_side
    team = Processes(0, 1, request.device)
    with training_folder(request, "pretrain", settings["name"], team):
        run = ClipRun(request, settings, options, team)
        run.go()
    seconds = time.monotonic() - began
    return PretrainResult(run.weights, run.log, run.step, run.history.tail(), seconds)


class ClipRun(Run):
    """The pre-training of one CLIP."""

    command = "pretrain"
    options: PretrainOptions

    def __init__(
        self,
        request: PretrainRequest,
        settings: dict[str, Any],
        options: PretrainOptions,
        team: Processes,
    ) -> None:
        super().__init__(request, settings, options, team)
        self.checkpoint_every = CHECKPOINT_EVERY
        self.log = self.out / "loss.csv"
        self.module = self.clip = _start(self.settings, options, request).train()
        self.words = self._words(request)
        torch.manual_seed(request.seed)  # whatever the sentence model has drawn
        self.prototypes = Prototypes(VALUES, self.clip.embed_dim).to(request.device)
        self.helpers = nn.ModuleList([m for m in (self.words, self.prototypes) if m is not None])
        self.optimizer = Optimizers(self.clip, self.helpers, options)
        told = request.told() if request.told else {}
        named = {key: [(text, sorted(on)) for text, on in some] for key, some in told.items()}
        self.resume(request.init, named)
        self.gallery = Gallery(told)
        view = settings["view"]
        self.load_pictures(Augment(view["short_side"], view["window"]), told)

    def _words(self, request: PretrainRequest) -> Words | None:
        """What reads the frozen word vectors, where the recipe has some."""
        embedding = self.clip.model.token_embedding.weight
        if self.options.token_table == "learned" or request.init:
            return None
        embedding.requires_grad_(False)
        count, width = embedding.shape
        known = torch.zeros(count, WIDTH) if request.resume else word_vectors()
        return Words(known, width).to(request.device)

    def learn(self, items: list[TrainingItem], rate: float) -> tuple[float, float]:
        options, clip, device = self.options, self.clip, self.request.device
        rng = np.random.default_rng([self.request.seed, self.step])
        sentences, keys = choose_texts(
            items, self.classes, self.request.texts, options.negatives, rng
        )
        told = [caption for item in items for caption in item.captions.values()]
        read = self.gallery.read(rng, options.sentences)
        alike = [(len(sentences) + i, text) for i, (_, text) in enumerate(read) if text]
        told += [sentence for sentence, _ in read]
        sentences += [sentence.text for sentence, _ in read]
        sentences += [text for _, text in alike]
        size = options.loss_size
        labels = torch.stack([item.labels for item in items])[:, None].float()
        labels = F.interpolate(labels, size=(size, size))[:, 0].long()  # nearest
        rows, compared, target = text_targets(labels, keys)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.half):
            image = torch.stack([item.image for item in items]).to(device)
            features = clip.encode_dense(image)
            text = self._embed(sentences)
            cost = torch.einsum("bhwd,bkd->bkhw", features, text[rows.to(device)])  # Eq. 1
        logits = upsample(cost.float(), (size, size))
        logits = logits * clip.model.logit_scale.exp() + clip.model.logit_bias
        weight = pixel_weights(target, options.balance)
        loss = LOSSES[options.loss](logits, *(t.to(device) for t in (target, compared, weight)))
        value = float(loss.detach())
        if options.attributes:
            ours = text[len(self.classes) :][: len(told)]
            loss = loss + options.attributes * self._on_attributes(items, features, told, ours)
        if options.paraphrases and alike:
            pairs = text[[row for row, _ in alike]], text[-len(alike) :]
            loss = loss + options.paraphrases * agreement(*pairs)
        self.must_be_a_number(float(loss.detach()), "loss")
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.optimizer.parameters(), options.clip_grad)
        self.optimizer.step(rate)
        return value, float(norm)

    def _embed(self, sentences: list[str]) -> Tensor:
        """[T, D] embeddings of the batch's sentences, some of their tokens dropped at random."""
        clip = self.clip
        tokens = clip.tokenizer.cut(sentences)
        ends = tokens.argmax(dim=-1)
        tokens = tokens[:, : int(ends.max()) + 1]
        generator = torch.Generator().manual_seed(self.request.seed + self.step)
        kept = torch.rand(tokens.shape, generator=generator) >= self.options.token_dropout
        kept[:, 0] = True
        kept[torch.arange(len(ends)), ends] = True  # start and end tokens stay
        tokens, kept = tokens.to(clip.device), kept.to(clip.device)
        words = clip.model.token_embedding if self.words is None else self.words
        return embed(clip, tokens, words(tokens) * kept[..., None])

    def _on_attributes(
        self,
        items: list[TrainingItem],
        features: Tensor,
        told: Sequence[Sentence],
        text: Tensor,
    ) -> Tensor:
        """The loss on prototypes: of positions [B, h, w, D], and of what was told, [T, D]."""
        prototypes, device = self.prototypes, features.device
        labels = torch.stack([item.labels for item in items])[:, None].float()
        labels = F.interpolate(labels, size=features.shape[1:3])[:, 0].long()
        rows, sets = rows_of(labels, [item.values for item in items])
        weight = pixel_weights(rows - 1, self.options.balance).flatten().to(device)
        seen = prototypes.truths(sets)[rows.flatten()].to(device)
        of_pictures = prototypes.loss(features.flatten(0, 2).float(), seen, weight)
        truths = prototypes.truths([sentence.values for sentence in told]).to(device)
        return of_pictures + prototypes.loss(text.float(), truths, weight.new_ones(len(told)))

    def state(self) -> dict[str, Any]:
        steps = [row[: len(COLUMNS)] for row in self.history.steps]
        return {
            "model": self.clip.model.state_dict(),
            "helpers": self.helpers.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": torch.tensor(steps, dtype=torch.float64),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.clip.model.load_state_dict(state["model"])
        self.helpers.load_state_dict(state["helpers"])
        self.optimizer.load_state_dict(state["optimizer"])
        rows = state["losses"].tolist()
        self.history.steps = [(int(step), loss, rate, 0.0, 0.0) for step, loss, rate in rows]

    def end(self) -> None:
        if self.words is not None:
            with torch.no_grad():
                self.clip.model.token_embedding.weight.copy_(self.words.table())
        about = {
            "format": "lsmseg-prompts/weights",
            "config": self.settings,
            **self.about(),
        }
        save_weights(self.weights, self.clip.model.state_dict(), about, half=True)
        rows = [row[: len(COLUMNS)] for row in self.history.steps]
        write_csv(self.log, COLUMNS, rows)
        plot(self.out / "loss.png", self.history, scores=False)


def choose_texts(
    items: Sequence[TrainingItem],
    classes: Sequence[int],
    texts: Sequence[Sequence[str]],
    negatives: int,
    rng: np.random.Generator,
) -> tuple[list[str], list[dict[int, int]]]:
    """One random sentence for every class, and the caption of every captioned thing.

    Args:
        items: The pictures of the batch.
        classes: Vocabulary indices of the classes trained on.
        texts: One or more sentences for every class of the vocabulary.
        negatives: The most captions of other pictures that a picture is compared with.
        rng: Draws.

    Returns the batch's text table and, for each picture, label value -> position in it. A picture
    is compared with all classes, its own captions and, under keys below 0, captions of other
    pictures that are false of it.
    """
    sentences = [texts[c][int(rng.integers(len(texts[c])))] for c in classes]
    shared = {c: position for position, c in enumerate(classes)}
    keys, told = [], []
    for picture, item in enumerate(items):
        own = dict(shared)
        for label, caption in item.captions.items():
            own[label] = len(sentences)
            told.append((len(sentences), picture, caption.values))
            sentences.append(caption.text)
        keys.append(own)
    for picture, (own, item) in enumerate(zip(keys, items, strict=True)):
        false = [
            row for row, other, values in told if other != picture and is_false(values, item.shown)
        ]
        for n, pick in enumerate(rng.permutation(len(false))[:negatives]):
            own[-2 - n] = false[pick]
    return sentences, keys


def _start(
    settings: dict[str, Any], options: PretrainOptions, request: PretrainRequest
) -> Backbone:
    """The CLIP to train, from scratch or from weights.

    From scratch every token starts at zero: a word that training never meets keeps a zero
    embedding, which token dropout teaches the model to pass over. Raises ConfigError for a network
    that is not a plain CLIP.
    """
    init = request.init
    if init is None:
        clip = build_backbone(settings)
        if type(clip) is not Clip or clip.model is not text_tower(clip.model):
            raise ConfigError(
                f"{settings['name']}: pretrain trains plain CLIPs, whose towers are open_clip's "
                "own; leave timm_model_name, custom_text and multimodal_cfg out of the field clip."
            )
        with torch.no_grad():
            clip.model.token_embedding.weight.zero_()
            clip.model.logit_scale.fill_(math.log(options.logit_scale))
            clip.model.logit_bias.fill_(options.logit_bias)
        return clip.to(request.device)
    if init == settings["name"]:
        weights = None
    elif is_repository(init):
        weights = find(settings["name"], init).weights
    else:
        weights = named_file(Path(init), "weights of --init")
    clip = load_backbone(request.config, weights, request.device)
    clip.view = View(**settings["view"])
    return clip


class Optimizers:
    """Muon for the matrices of the transformer blocks, AdamW for everything else."""

    def __init__(self, clip: Backbone, helpers: nn.Module, options: PretrainOptions) -> None:
        named = [*clip.named_parameters(), *helpers.named_parameters()]
        named = [(n, p) for n, p in named if p.requires_grad]
        words = [p for n, p in named if "token_embedding" in n]
        blocks = [p for n, p in named if "resblocks" in n and p.ndim == 2]
        chosen = {id(p) for p in (*words, *blocks)}
        rest = [p for _, p in named if id(p) not in chosen]
        decay = options.weight_decay
        self.adamw = torch.optim.AdamW(
            [
                {"params": rest, "factor": 1.0},
                # A word is met rarely, so each meeting must teach more.
                {"params": words, "factor": options.word_lr_factor},
            ],
            lr=options.lr,
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=True,
        )
        self.muon = torch.optim.Muon(
            [{"params": blocks, "factor": options.muon_lr_factor}],
            lr=options.lr,
            weight_decay=decay,
            adjust_lr_fn="match_rms_adamw",
        )

    def parameters(self) -> list[nn.Parameter]:
        """All that learn."""
        groups = self.adamw.param_groups + self.muon.param_groups
        return [parameter for group in groups for parameter in group["params"]]

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
