"""One loaded model, any pictures, any classes: what prediction and evaluation stand on.

    from lsmseg_model import Segmenter
    Segmenter("lsmseg-tiny").predict("picture.png", ["sky", "a zebra with stripes"]).show()

A model is a CLIP with its training-free cost map, or a whole network (`checkpoint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from torch import Tensor

from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.data.captioners import open_captions
from lsmseg_model.data.images import as_picture
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.encoders.checkpoints import read_metadata
from lsmseg_model.encoders.registry import load_second_encoder
from lsmseg_model.errors import UsageError
from lsmseg_model.inference.augmented import EncodedViews, encode_views
from lsmseg_model.inference.class_prompts import ClassPrompts, Texts, published_texts, sentence
from lsmseg_model.inference.compiled import compile_model
from lsmseg_model.inference.embeddings import ClassEmbeddings, embed
from lsmseg_model.inference.options import DEFAULT, NONE, Augmentation, ModelOptions, drawings_note
from lsmseg_model.inference.pictures import EncodedPicture, encode_texts, enough_memory
from lsmseg_model.inference.prediction import Prediction
from lsmseg_model.inference.reading import MEAN, Reading
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.load import WEIGHTS, load_backbone
from lsmseg_model.networks.backbones.weights import TOWERS
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.build import load_network
from lsmseg_model.networks.catseg import Loaded
from lsmseg_model.networks.published_towers import load_towers

if TYPE_CHECKING:
    from PIL.Image import Image

Model = TypeVar("Model", Backbone, Network)


def load_model(options: ModelOptions) -> Backbone | Network:
    """The model that options, or a request that has them, name. Raises CheckpointError."""
    if options.checkpoint is None:
        device, sam = options.device, options.sam
        proxy = None if sam is None else load_second_encoder(None, sam, device=device)
        clip = load_backbone(options.model, options.pretrained, device, options.dense, proxy)
        return _set_up(clip, options)
    name = None if options.model == DEFAULT else options.model
    if options.format in TOWERS:
        towers = load_towers(options.checkpoint, options.format, name, options.device)
        return _set_up(towers, options)
    network = load_network(
        options.checkpoint,
        name=name,
        format=options.format,
        device=options.device,
    )
    if options.cache is not None:
        network.keep_features(options.cache)
    return _set_up(network, options)


def _set_up(model: Model, options: ModelOptions) -> Model:
    model.precision = options.precision
    if options.compile:
        compile_model(model)
    return model


def drawings_only(
    model: str = DEFAULT,
    pretrained: str | Path | None = None,
    checkpoint: str | Path | None = None,
) -> str | None:
    """A warning about weights that were trained on MiniStuff's drawings alone; None for others."""
    given = checkpoint or pretrained
    path = Path(given or WEIGHTS / f"{model}.safetensors")
    if not path.is_file() or read_metadata(path).get("data") != "ministuff":
        return None
    return drawings_note(str(given or model))


class Segmenter:
    """A loaded model; ``name`` and ``weights_hash`` identify it. Arguments: see `ModelOptions`.

    ``augmentation``: the views of each picture whose scores are averaged; the picture as it is.
    Raises UsageError, CheckpointError.
    """

    augmentation: Augmentation = NONE

    def __init__(
        self,
        model: str = DEFAULT,
        pretrained: str | Path | None = None,
        checkpoint: str | Path | None = None,
        format: str = "lsmseg",
        device: str = "cpu",
        dense: str | None = None,
        sam: str | Path | None = None,
        cache: str | Path | None = None,
    ) -> None:
        options = ModelOptions(
            model=model,
            pretrained=pretrained,
            checkpoint=checkpoint,
            format=format,
            device=device,
            dense=dense,
            sam=sam,
            cache=cache,
        )
        self.model = load_model(options)

    @classmethod
    def of(cls, model: Backbone | Network) -> Segmenter:
        """Of a model that is there already; it should be in evaluation mode."""
        made = cls.__new__(cls)
        made.model = model
        return made

    @property
    def described(self) -> bool:
        """Whether the model reads a description of each picture."""
        return isinstance(self.model, Network) and self.model.described

    def tell(
        self,
        captions: str | None,
        benchmark: Benchmark | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        """Give a network that is ``described`` what tells of pictures.

        Args:
            captions: See `open_captions`, as for the others.
            benchmark: The pictures.
            names: Those of its vocabulary.

        Raises UsageError for captions that the model does not read.
        """
        if self.described and isinstance(self.model, Network):
            self.model.captions = open_captions(captions, benchmark, names)
        elif captions is not None:
            raise UsageError(f"{self.name} reads no captions: leave out --captions.")

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def weights_hash(self) -> str:
        return self.model.weights_hash

    @property
    def loaded(self) -> Loaded | None:
        """What became of the keys of a published checkpoint; None of anything else."""
        return getattr(self.model, "loaded", None)

    @property
    def clip(self) -> Backbone:
        return self.model.clip if isinstance(self.model, Network) else self.model

    @property
    def score(self) -> str:
        """What the scores are: "cosine", or "probability" of a whole network."""
        return "probability" if isinstance(self.model, Network) else "cosine"

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]:
        """What stands for classes without texts of their own: see `sentence`.

        A CAT-Seg checkpoint has its own template.
        """
        if self.loaded is not None and isinstance(self.model, Network):
            return published_texts(classes)
        return [[sentence(name)] for name in classes]

    def encode_texts(
        self, texts: Sequence[Sequence[str]], on_progress: OnProgress | None = None
    ) -> Tensor:
        """texts: N classes of one or more sentences -> [N, D] embeddings of length 1.

        See `Backbone.encode_texts`. Raises UsageError for no text and for one over 77 tokens.
        """
        return encode_texts(self.clip, texts, on_progress)

    def embed(self, texts: Sequence[Sequence[str]], reading: Reading = MEAN) -> ClassEmbeddings:
        """The texts of N classes as `reading` has them, see `inference/reading.py`.

        Raises UsageError as `encode_texts`, and for a reading that a whole network cannot do.
        """
        if isinstance(self.model, Network):
            reading = reading.for_network()
        with enough_memory():
            if reading == MEAN:
                return ClassEmbeddings(self.encode_texts(texts))
            return embed(self.clip, [(texts, reading)])[0]

    def encode(self, image: np.ndarray, name: str = "a picture") -> EncodedPicture | EncodedViews:
        """The features of a picture, uint8 [H, W, 3], to be decoded with any number of texts.

        Raises DataError where the GPU's memory does not suffice, and for features that are NaN or
        infinite, which names the picture.
        """
        return encode_views(self.model, image, self.augmentation, name)

    def label(
        self,
        image: np.ndarray,
        text: Tensor | ClassEmbeddings,
        owners: Sequence[int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best text of every pixel and its score: int64 [H, W] and float32 [H, W].

        image: uint8 [H, W, 3]. text: [N, D]. owners: for each text the class that it stands for;
        the classes are returned then.
        """
        return self.encode(image).decode(text).label(owners)

    def scores(
        self, image: np.ndarray, text: Tensor | ClassEmbeddings, wanted: Sequence[int]
    ) -> np.ndarray:
        """float32 [W, H, W]: the cost maps, or probabilities, of some of the texts [N, D]."""
        return self.encode(image).decode(text).scores(wanted)

    def predict(
        self,
        image: str | Path | Image | np.ndarray,
        classes: Sequence[str] | None = None,
        texts: Texts | None = None,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Prediction:
        """Segment a picture into classes.

        Args:
            image: A path, a PIL image or an array, see `as_picture`.
            classes: Names or phrases; those of a prompt set if None.
            texts: One or more sentences for each class, or a prompt set that has them;
                "a photo of a {class}" if None.
            background: Classes, or further names, whose pixels all become "background".
            threshold: Pixels whose best score is below it become background too; cosines of a
                CLIP lie about 0.1 to 0.3, a network's probabilities between 0 and 1.

        Raises:
            UsageError: For classes and texts that do not fit together, and a threshold that no
                score can have.
            DataError: For a picture that cannot be read.
        """
        prompts = ClassPrompts(self, classes, texts, background, threshold)
        return prompts.predict(as_picture(image))
