"""What a recipe is asked to do: a frozen request, checked where it is made; loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.scoring.executors import check_executor
from ablations.scoring.options import freeze_lists
from ablations.search.enough import check_samples
from lsmseg_model.seeds import check_seed
from lsmseg_prompts.store.sqlite import working_store_path

SEVERAL = (
    "variants", "data", "data_root", "split", "train_data", "train_root", "encoder", "backbones"
)  # fmt: skip


@dataclass(frozen=True)
class RecipeRequest:
    """A recipe, and what is done otherwise than it says.

    Without data and train_data it runs at small scale, else with the settings `full`.

    Attributes:
        recipe: A recipe that ships, by name, or a file.
        variants: Only these.
        data, data_root, vocab, limit: What is scored on, see `AblationRequest`.
        split: The part of the data, one for all benchmarks or one for each.
        llm: Who wrote the descriptions.
        scorer: Of a recipe of prompts, "frozen" (default), "trained" (with ``checkpoint``) or
            "retrain" (a network for every variant).
        model, pretrained, dense, sam, checkpoint: See `Segmenter`.
        backbones: Of a recipe that compares backbones, those: MODEL, MODEL:TAG or MODEL:FILE.
        config, train_data, train_root, iterations, batch_size, precision, workers: Of trainings,
            see `TrainRequest`.
        encoder: The second encoder's weights: its name, by which they are fetched, or FILE;
            NAME=FILE where variants need several.
        cache: The folder that keeps dense features (False: none).
        samples: Bootstrap resamples, at least 200 (default: the recipe's).
        store: The attribute store; by default the working store.
        out: The folder for results (default runs/<recipe>).
        force: Write into it though it holds other files.
        executor: Where trainings and pictures are dealt with, "local" or "ray".

    Raises:
        UsageError: For an executor that does not exist, and for a number out of range.
    """

    recipe: str | Path
    variants: Sequence[str] | None = None
    data: Sequence[str] | None = None
    data_root: Sequence[str] | None = None
    split: Sequence[str] | None = None
    vocab: str | None = None
    llm: str | None = None
    scorer: str | None = None
    model: str | None = None
    pretrained: str | None = None
    dense: str | None = None
    sam: str | None = None
    checkpoint: str | None = None
    backbones: Sequence[str] | None = None
    config: str | None = None
    train_data: Sequence[str] | None = None
    train_root: Sequence[str] | None = None
    encoder: Sequence[str] | None = None
    iterations: int | None = None
    batch_size: int | None = None
    cache: str | Path | bool | None = None
    precision: str = "auto"
    workers: int = 1
    limit: int | None = None
    samples: int | None = None
    seed: int = 0
    store: str | None = None
    out: str | Path | None = None
    force: bool = False
    device: str = "cpu"
    executor: str = "local"

    def __post_init__(self) -> None:
        freeze_lists(self, SEVERAL)
        if self.samples is not None:
            check_samples(self.samples)
        check_executor(self.executor)
        check_seed(self.seed)

    @property
    def small(self) -> bool:
        """Whether it runs at small scale."""
        return not self.data and not self.train_data

    @property
    def store_path(self) -> Path:
        """The store that is read and written."""
        return Path(working_store_path(self.store))
