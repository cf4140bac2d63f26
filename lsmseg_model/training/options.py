"""What a training is asked for: the numbers of its recipe, and the request with data and texts.

The recipe is CAT-Seg's by default, which the paper follows. Decided here, as the texts leave it
open: the length of the warm-up (CAT-Seg has none, warmup=0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from lsmseg_model.data.ministuff.captions import Told
from lsmseg_model.errors import ConfigError
from lsmseg_model.inference.reading import check_groups
from lsmseg_model.networks.backbones.load import read_config
from lsmseg_model.networks.build import read_network
from lsmseg_model.networks.config import CLIP_PARTS
from lsmseg_model.networks.fields import (
    Above,
    From0,
    Number,
    OneOf,
    Whole,
    WholeOrZero,
    read_fields,
)
from lsmseg_model.seeds import check_seed
from lsmseg_model.training.losses import LOSSES

Options = TypeVar("Options", "TrainOptions", "PretrainOptions")
PRECISIONS = ("auto", "fp32", "bf16")
Scale = Annotated[tuple[Above, Above], Field(description="be two factors above 0, the lower first")]


@dataclass(frozen=True)
class TrainOptions:
    """The field `train` of a network's settings.

    batch_size: pictures of one step, over all processes and accumulated parts. accumulate: parts
    that a step is computed in, one after the other. clip: see `LsmSeg.trainable`;
    clip_lr_factor: of `lr`, for what learns in CLIP. warmup: steps of a linear rise before the
    cosine. clip_grad: the largest norm of all gradients together. ignored: unlabelled pixels
    "leave" the loss, or are "zero", of no class, as in CAT-Seg. short_side: pixels that a
    picture's short side is resized to, times a factor drawn from `scale`; the crop is the
    network's. optimizer: "adamw", or "sgd" with a momentum of 0.9. schedule: after the warm-up a
    "cosine" to zero, or "poly", the rest of the steps to the power of 0.9.
    """

    iterations: Whole = 80_000
    batch_size: Whole = 4
    accumulate: Whole = 1
    lr: Above = 2e-4
    clip_lr_factor: From0 = 0.01
    weight_decay: From0 = 1e-4
    warmup: WholeOrZero = 1500
    clip_grad: Above = 0.01
    clip: Annotated[str, OneOf(*CLIP_PARTS)] = "qv"
    ignored: Annotated[str, OneOf("leave", "zero")] = "leave"
    short_side: Whole = 384
    scale: Scale = (1.0, 1.0)
    evaluate_every: WholeOrZero = 5000
    checkpoint_every: WholeOrZero = 1000
    optimizer: Annotated[str, OneOf("adamw", "sgd")] = "adamw"
    schedule: Annotated[str, OneOf("cosine", "poly")] = "cosine"

    def __post_init__(self) -> None:
        if self.scale[0] > self.scale[1]:
            raise ConfigError("The scale must be two factors above 0, the lower first.")

    @classmethod
    def of(cls, config: str, **changes: object) -> TrainOptions:
        """Those of the network `config`, with these fields (not None) instead.

        Raises ConfigError for an unknown field or a wrong value, UsageError for the network.
        """
        return training_options(cls, read_network(config), changes)

    def part(self, processes: int) -> int:
        """Pictures that one process computes together. Raises ConfigError if it is not whole."""
        parts = processes * self.accumulate
        if self.batch_size % parts:
            raise ConfigError(
                f"A batch of {self.batch_size} pictures cannot be dealt out to {processes} "
                f"process(es) in {self.accumulate} part(s): choose a --batch-size that {parts} "
                "divides."
            )
        return self.batch_size // parts


@dataclass(frozen=True)
class PretrainOptions:
    """The field `train` of a CLIP's configuration.

    loss: see `losses.py`, of logits enlarged to `loss_size` pixels a side. logit_scale, logit_bias:
    what cosines are multiplied with and moved by at the start. token_table: "learned" from
    zero, or "minilm", read from a sentence model's vectors (`training.words`). word_lr_factor,
    muon_lr_factor: of `lr`, for a table that learns and for the matrices of the blocks. balance:
    see `pixel_weights`. token_dropout: share of tokens that are left out. negatives: captions of
    other pictures of the batch that each picture is compared with (`choose_texts`).
    attributes: weight of the loss on attribute prototypes (`training.prototypes`). sentences: read
    in a step beside the captions, for that loss only. paraphrases: weight of the loss that holds
    them to captions made up of the same attributes (`losses.agreement`).
    """

    iterations: Whole
    batch_size: Whole
    lr: Above
    weight_decay: From0
    warmup: WholeOrZero
    clip_grad: Above
    loss: Annotated[str, OneOf(*LOSSES)]
    loss_size: Whole
    logit_scale: Above
    logit_bias: Number
    word_lr_factor: From0
    muon_lr_factor: From0
    balance: Number
    token_dropout: From0
    negatives: WholeOrZero
    attributes: From0 = 0.0
    sentences: WholeOrZero = 0
    paraphrases: From0 = 0.0
    token_table: Annotated[str, OneOf("learned", "minilm")] = "learned"

    @classmethod
    def of(cls, config: str, **changes: object) -> PretrainOptions:
        """Those of the CLIP `config`, with these fields (not None) instead.

        Raises ConfigError for an unknown field or a wrong value, UsageError for the name.
        """
        return training_options(cls, read_config(config), changes)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What both trainings are asked for.

    Args:
        texts: For every prompt of the vocabulary one or more sentences; each step draws one.
        vocabulary_name: The vocabulary that they belong to.
        out: The folder for weights and checkpoints; held for one run at a time.
        config: The network, or the CLIP: a name or a JSON file.
        data: A benchmark's name or a folder; its train split is trained on.
        data_root: The benchmark's folder, or one above it.
        resume: Go on from out/last.pt, which must be there.
        precision: fp32, bf16, or auto (bf16 where it is native).
        seed: Of everything random.
        device: Where it is computed.
        workers: Processes that read pictures.
        minutes: Stop after so long, resumable.
        force: Write into `out` though it holds other files; never over a checkpoint, and never over
            what is read.
        progress: Show a bar.
    """

    texts: Sequence[Sequence[str]]
    vocabulary_name: str
    out: Path
    config: str = "lsmseg-tiny"
    data: str = "ministuff"
    data_root: str | Path | None = None
    resume: bool = False
    precision: str = "auto"
    seed: int = 0
    device: str = "cpu"
    workers: int = 1
    minutes: float | None = None
    force: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_groups(self.texts)
        object.__setattr__(self, "out", Path(self.out))
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"There is no precision {self.precision!r}; choose {', '.join(PRECISIONS)}."
            )


@dataclass(frozen=True, kw_only=True)
class TrainRequest(Request):
    """A network to train, and on what; see `Request` for the fields that are not named here.

    Args:
        options: The recipe (default: that of `config`), see `TrainOptions.of`.
        changes: Fields of the network, and clip or crop, instead of those of `config`.
        pretrained: CLIP's weights, see `start_network`.
        encoder: The second encoder's weights, see `start_network`.
        test_texts: The sentences of the validations (default: the first of each of `texts`).
        test_split: The split to validate on.
        test_limit: Validate on the first pictures only.
        tensorboard: Write for TensorBoard too, where it is installed.
        captions: Who describes the pictures to a network that wants it, see `open_captions`.
        class_names: Of the vocabulary, for captions by rule.
    """

    options: TrainOptions | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    pretrained: str | Path | None = None
    encoder: str | Path | None = None
    test_texts: Sequence[Sequence[str]] | None = None
    test_split: str | None = None
    test_limit: int | None = None
    tensorboard: bool = True
    captions: str | None = None
    class_names: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class PretrainRequest(Request):
    """A CLIP to pre-train, and on what; see `Request` for the fields that are not named here.

    Args:
        options: The recipe (default: that of `config`), see `PretrainOptions.of`.
        init: Weights to start from: a file, or a configuration's name.
        short_side: Pixels of a picture's short side; kept in the weights.
        told: For MiniStuff, gives what may be said of invented things, by `looks.Look.key`:
            sentences with the attributes that they tell of. Asked once all else is in order.
    """

    options: PretrainOptions | None = None
    init: str | None = None
    short_side: int | None = None
    told: Callable[[], Mapping[str, Sequence[Told]]] | None = None


def training_options(
    kind: type[Options], settings: Mapping[str, Any], changes: Mapping[str, object]
) -> Options:
    """The recipe in the settings of a network or a CLIP, with the changes that are not None."""
    given = {name: value for name, value in changes.items() if value is not None}
    values = {**settings.get("train", {}), **given}
    return read_fields(kind, values, settings["name"], "training")
