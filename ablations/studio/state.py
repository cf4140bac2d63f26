"""What all pages of the studio share."""

from __future__ import annotations

import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ablations.scoring.budgets import budget_for
from ablations.studio.options import StudioOptions
from ablations.studio.web.tasks import Tasks
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.tokens import TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary, benchmark_vocabulary, load_vocabulary

if TYPE_CHECKING:
    from lsmseg_model.data.benchmark import Benchmark
    from lsmseg_model.inference.class_prompts import Model


class Studio:
    """The options, the model, the data, and what goes on in the background.

    ``token``: what lets a browser in. ``lock``: held while the model computes, which one request
    does at a time; each page's own memory of pictures and embeddings is guarded by it too.
    """

    def __init__(self, options: StudioOptions, model: Model | None = None) -> None:
        """Of options; ``model``: one that is loaded already, in place of theirs."""
        self.options = options
        self.token = secrets.token_urlsafe(24)
        self.tasks = Tasks()
        self.lock = RLock()
        self._loading: Future[Model] | None = None
        if model is not None:
            self._loading = Future()
            self._loading.set_result(model)

    def load(self) -> None:
        """Begin to load the model, if that has not begun; pages are there meanwhile."""
        with self.lock:
            if self._loading is None:
                worker = ThreadPoolExecutor(1, thread_name_prefix="model")
                self._loading = worker.submit(load_model, self.options)
                worker.shutdown(wait=False)

    @property
    def model(self) -> Model:
        """The model, once it is loaded. Raises what loading it raises."""
        self.load()
        assert self._loading is not None
        return self._loading.result()

    @cached_property
    def drawings(self) -> str:
        """What is said beside a photograph where the model knows drawings only; else empty."""
        options = self.options
        if options.runtime == "onnx":
            return ""
        from lsmseg_model.segmenter import drawings_only  # with torch, which onnx goes without

        said = drawings_only(options.model, options.pretrained, options.checkpoint)
        return (said or "").removeprefix("WARNING: ")

    @property
    def is_ready(self) -> bool:
        """Whether `model` answers at once."""
        return self._loading is not None and self._loading.done()

    @cached_property
    def budget(self) -> TokenBudget:
        """The tokens that the model reads."""
        model = self.options.model if self.options.checkpoint is None else None
        onnx = self.options.runtime == "onnx"
        return budget_for(None, None if onnx else model, self.options.pretrained)

    @cached_property
    def benchmark(self) -> Benchmark:
        """The pictures that are offered. Raises UsageError, DataError."""
        from lsmseg_model.data.benchmark import load_benchmark

        options, vocabulary = self.options, self.vocabulary
        where = (options.data_root, options.split)
        return load_benchmark(
            options.data, *where, class_count=len(vocabulary), vocabulary=vocabulary.name
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The classes that the pictures are labelled with."""
        if self.options.vocab is not None:
            return load_vocabulary(self.options.vocab)
        return benchmark_vocabulary(self.options.data)

    @property
    def store(self) -> Path:
        return Path(working_store_path(self.options.store))

    @property
    def runs(self) -> Path:
        return Path(self.options.runs)


def load_model(options: StudioOptions) -> Any:
    """The model that the options name. Raises CheckpointError, DataError, UsageError."""
    if options.runtime == "onnx":
        from lsmseg_model.deploy.runtime import OnnxModel
        from lsmseg_prompts.tokens import token_ids

        return OnnxModel(options.model, token_ids)
    from lsmseg_model.segmenter import Segmenter
    from lsmseg_model.segmenter import load_model as load

    segmenter = Segmenter.of(load(options))
    if segmenter.described:
        raise UsageError(
            f"{segmenter.name} reads a description of each picture, for which the studio has no "
            "place: use predict --captions FILE."
        )
    return segmenter
