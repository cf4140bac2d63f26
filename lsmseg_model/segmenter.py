"""One loaded model, any pictures, any classes: what prediction and evaluation stand on.

    from lsmseg_model import Segmenter
    Segmenter("lsmseg-tiny").predict("picture.png", ["sky", "a zebra with stripes"]).show()

A model is a CLIP with its training-free cost map, or a whole network (`checkpoint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from lsmseg_model.data.images import as_picture
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.encoders.checkpoints import read_metadata
from lsmseg_model.encoders.registry import load_second_encoder
from lsmseg_model.errors import UsageError
from lsmseg_model.inference.pictures import (
    CostMaps,
    EncodedPicture,
    Probabilities,
    encode_picture,
    encode_texts,
    enough_memory,
)
from lsmseg_model.inference.prediction import BACKGROUND, Prediction
from lsmseg_model.inference.reading import MEAN, ClassEmbeddings, Reading, embed, some_texts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.dense import NEEDS_PROXY, SAM_PROXY
from lsmseg_model.networks.backbones.load import WEIGHTS, load_backbone
from lsmseg_model.networks.backbones.text import check_groups
from lsmseg_model.networks.build import load_network
from lsmseg_model.networks.catseg import Loaded, published_texts
from lsmseg_model.networks.lsmseg import LsmSeg

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT = "lsmseg-tiny"


@runtime_checkable
class Prompts(Protocol):
    """A prompt set as `lsmseg_prompts` makes it, or anything else with names and texts."""

    @property
    def class_names(self) -> Sequence[str]:
        """The classes."""

    @property
    def texts(self) -> Sequence[Sequence[str]]:
        """One or more sentences for each."""


Texts = Sequence[Sequence[str]] | Prompts


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is loaded, and where to.

    model, pretrained: a CLIP, see `load_backbone`. checkpoint: a whole network instead; format
    "lsmseg" (as `train` leaves it) or "cat-seg" (as published), see `load_network`; a ``model``
    other than the default then says which network it must be.
    dense, sam: of a CLIP, the last block's variant, and the weights of the encoder that the
    variant "sam-proxy" uses. cache: of a network, a folder that keeps the features of its second
    encoder (`LsmSeg.keep_features`).
    Raises UsageError for options that exclude each other.
    """

    model: str = DEFAULT
    pretrained: str | Path | None = None
    checkpoint: str | Path | None = None
    format: str = "lsmseg"
    device: str = "cpu"
    dense: str | None = None
    sam: str | Path | None = None
    cache: str | Path | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is None:
            if (self.sam is not None) != (self.dense == SAM_PROXY):
                raise UsageError(NEEDS_PROXY)
            if self.format != "lsmseg":
                raise UsageError(f"--format {self.format} is about a --checkpoint FILE: name one.")
            if self.cache is not None:
                raise UsageError(
                    "--cache keeps the features of a network's second encoder: give --checkpoint "
                    "FILE too."
                )
        elif self.pretrained is not None:
            raise UsageError(
                "Give --checkpoint, a whole network, or --pretrained, a CLIP's weights; not both."
            )
        elif self.dense is not None or self.sam is not None:
            raise UsageError(
                "--dense and --sam change a CLIP (--model, --pretrained); a whole network "
                "(--checkpoint) has its own."
            )


def load_model(options: ModelOptions) -> Backbone | LsmSeg:
    """The model that options, or a request that has them, name. Raises CheckpointError."""
    if options.checkpoint is None:
        device, sam = options.device, options.sam
        proxy = None if sam is None else load_second_encoder(None, sam, device=device)
        return load_backbone(options.model, options.pretrained, device, options.dense, proxy)
    network = load_network(
        options.checkpoint,
        name=None if options.model == DEFAULT else options.model,
        format=options.format,
        device=options.device,
    )
    if options.cache is not None:
        network.keep_features(options.cache)
    return network


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
    return (
        f"WARNING: {given or model} knows drawings only and finds next to nothing in photographs; "
        "for those give a real CLIP: --model ViT-B-16 --pretrained FILE (docs/data.md: which file)."
    )


class Segmenter:
    """A loaded model; ``name`` and ``weights_hash`` identify it. Arguments: see `ModelOptions`.

    Raises UsageError, CheckpointError.
    """

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
    def of(cls, model: Backbone | LsmSeg) -> Segmenter:
        """Of a model that is there already; it should be in evaluation mode."""
        made = cls.__new__(cls)
        made.model = model
        return made

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def weights_hash(self) -> str:
        return self.model.weights_hash

    @property
    def loaded(self) -> Loaded | None:
        """What became of the keys of a CAT-Seg checkpoint; None of anything else."""
        return getattr(self.model, "loaded", None)

    @property
    def clip(self) -> Backbone:
        return self.model.clip if isinstance(self.model, LsmSeg) else self.model

    @property
    def score(self) -> str:
        """What the scores are: "cosine", or "probability" of a whole network."""
        return "probability" if isinstance(self.model, LsmSeg) else "cosine"

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]:
        """What stands for classes without texts of their own: see `sentence`.

        A CAT-Seg checkpoint has its own template.
        """
        if self.loaded is not None:
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
        if reading == MEAN:
            return ClassEmbeddings(self.encode_texts(texts))
        if isinstance(self.model, LsmSeg):
            reading = reading.for_network()
        return embed(self.clip, [(texts, reading)])[0]

    def encode(self, image: np.ndarray, name: str = "a picture") -> EncodedPicture:
        """The features of a picture, uint8 [H, W, 3], to be decoded with any number of texts.

        Raises DataError where the GPU's memory does not suffice, and for features that are NaN or
        infinite, which names the picture.
        """
        return encode_picture(self.model, image, name)

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


class ClassPrompts:
    """The prompts of classes, encoded once, then used for any number of pictures.

    Arguments as of `Segmenter.predict`. ``classes``: the names that predictions have; ``names``:
    those of the prompts that compete.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        classes: Sequence[str] | None,
        texts: Texts | None = None,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> None:
        if classes is not None or not isinstance(texts, Prompts):
            _check_names(classes)
        reading = MEAN
        if isinstance(texts, Prompts):
            classes, texts, reading = _of_prompt_set(texts, classes)
        assert classes
        if threshold is not None:
            _check_threshold(threshold, segmenter)
        if texts:
            check_groups(texts)
        texts = segmenter.default_texts(classes) if texts is None else texts
        if len(texts) != len(classes):
            raise UsageError(f"There are {len(classes)} classes but texts for {len(texts)}.")
        apart = [background] if isinstance(background, str) else list(background or ())
        if apart == [BACKGROUND] and threshold is not None and BACKGROUND not in classes:
            apart = []  # only the name that it has anyway
        added = [name for name in apart if name not in classes]
        self.segmenter, self.threshold = segmenter, threshold
        self.names = (*classes, *added)
        kept = [name for name in classes if name not in apart]
        if not kept:
            raise UsageError("Every class is background: name at least one that is not.")
        with_background = bool(apart) or threshold is not None
        if with_background and BACKGROUND not in kept:
            kept.append(BACKGROUND)
        self.classes = tuple(kept)
        self._background = kept.index(BACKGROUND) if with_background else None
        place = {name: i for i, name in enumerate(kept)}
        self.owners = [place.get(name, place.get(BACKGROUND, 0)) for name in self.names]
        with enough_memory():
            others = segmenter.default_texts(added)
            self.texts = [*texts, *others]
            self.text = segmenter.embed(self.texts, reading.followed_by(others))

    def decode(self, image: np.ndarray, name: str = "a picture") -> CostMaps | Probabilities:
        """The scores of all prompts in a picture, uint8 [H, W, 3]."""
        return self.segmenter.encode(image, name).decode(self.text)

    def predict(
        self, image: np.ndarray, decoded: CostMaps | Probabilities | None = None
    ) -> Prediction:
        """The prediction for a picture, uint8 [H, W, 3]. decoded: what `decode` gave of it."""
        masks, scores = (decoded or self.decode(image)).label(self.owners)
        if self.threshold is not None and self._background is not None:
            masks[scores < self.threshold] = self._background
        counts = np.bincount(masks.ravel(), minlength=len(self.classes)) / masks.size
        shares = {self.classes[i]: float(counts[i]) for i in np.argsort(-counts, kind="stable")}
        texts = tuple(map(tuple, self.texts))
        owners = tuple(self.owners)
        return Prediction(self.classes, masks, scores, shares, image, self.names, texts, owners)


def _check_names(classes: Sequence[str] | None) -> None:
    """Raise UsageError for names that would give other classes than was meant."""
    if not classes:
        raise UsageError("Name at least one class.")
    if isinstance(classes, str):
        raise UsageError(f"Classes are a list of names, not one string: give [{classes!r}].")
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"{name!r} is not the name of a class: give a word or words.")
        if classes.count(name) > 1:
            raise UsageError(f"The class {name!r} is named twice.")


def _check_threshold(threshold: float, segmenter: Segmenter) -> None:
    """Raise UsageError for one that all scores, or none, would reach."""
    low, scores = (-1, "cosines") if segmenter.score == "cosine" else (0, "probabilities")
    if not low <= threshold <= 1:
        raise UsageError(
            f"The threshold {threshold:g} is out of range: the scores of {segmenter.name} are "
            f"{scores}, between {low} and 1."
        )


def _of_prompt_set(
    prompts: Prompts, classes: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[Sequence[str]], Reading]:
    """The classes, by default all, with their texts in a prompt set, and how these are read."""
    place = {name: index for index, name in enumerate(prompts.class_names)}
    classes = prompts.class_names if classes is None else classes
    if missing := [name for name in classes if name not in place]:
        raise UsageError(
            f"The prompt set has no texts for {missing[0]!r}; it has {', '.join(list(place)[:5])}"
            f"{' ...' if len(place) > 5 else ''}."
        )
    return classes, *some_texts(prompts, [place[name] for name in classes])


def sentence(name: str) -> str:
    """A class as a text: what has an article, or is a sentence, is left as it is.

    "zebra" -> "a photo of a zebra"; "a zebra with stripes" -> "a photo of a zebra with stripes".
    """
    name = " ".join(name.split())
    if name.endswith("."):
        return name
    first = name.partition(" ")[0].lower()
    return f"a photo of {'' if first in ('a', 'an', 'the', 'some') else 'a '}{name}"
