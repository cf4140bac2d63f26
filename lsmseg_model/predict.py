"""One picture in, masks out: segment with any class names, no data set needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .clip import Clip, load_clip
from .data.folders import read_picture
from .errors import UsageError
from .evaluate import picture_features, segment
from .files import write_whole
from .palette import palette


@dataclass
class Prediction:
    """The class of every pixel.

    ``masks``: int64 [H, W] positions in ``classes``; ``cosines``: float32 [H, W];
    ``shares``: part of the picture per class, largest first; ``out``: the overlay's path.
    """

    classes: tuple[str, ...]
    masks: np.ndarray
    cosines: np.ndarray
    shares: dict[str, float]
    out: Path | None


class Predictor:
    """A loaded model that segments many pictures: ``Predictor().predict(picture, classes)``."""

    def __init__(
        self,
        model: str = "lsmseg-tiny",
        pretrained: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.clip: Clip = load_clip(model, pretrained, device)

    def predict(
        self,
        picture: np.ndarray | str | Path,
        classes: Sequence[str],
        texts: Sequence[Sequence[str]] | None = None,
    ) -> Prediction:
        """Segment ``picture`` (a path or uint8 [H, W, 3]) into ``classes``.

        ``texts``: one or more sentences per class; "a photo of a {class}" when not given.
        """
        if not classes:
            raise UsageError("name at least one class.")
        if texts is None:
            texts = [[f"a photo of a {name}"] for name in classes]
        if len(texts) != len(classes):
            raise UsageError(f"{len(classes)} classes but texts for {len(texts)}.")
        image = read_picture(Path(picture)) if isinstance(picture, str | Path) else picture
        features = picture_features(self.clip, image)
        size = (image.shape[0], image.shape[1])
        masks, cosines = segment(features, self.clip.encode_texts(texts), size)
        counts = np.bincount(masks[0].ravel(), minlength=len(classes)) / masks[0].size
        shares = {classes[i]: float(counts[i]) for i in np.argsort(-counts, kind="stable")}
        return Prediction(tuple(classes), masks[0], cosines[0], shares, None)


def predict(
    *,
    picture: Path,
    classes: Sequence[str],
    texts: Sequence[Sequence[str]] | None = None,
    model: str = "lsmseg-tiny",
    pretrained: str | Path | None = None,
    out: Path | None = None,
    device: str = "cpu",
) -> Prediction:
    """Segment one picture file; with ``out`` write the coloured overlay with a legend there."""
    if out is not None:
        _check_format(out)
    image = read_picture(picture)
    prediction = Predictor(model, pretrained, device).predict(image, classes, texts)
    if out is not None:
        write_whole(out, lambda path: draw_overlay(path, image, prediction))
        prediction.out = out
    return prediction


def _check_format(out: Path) -> None:
    """Raise UsageError for an ending that is no picture format, before the model runs."""
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if out.suffix and out.suffix.lstrip(".").lower() not in known:
        raise UsageError(f"cannot write {out}: {out.suffix} is no picture format; try .png.")


def draw_overlay(path: Path, image: np.ndarray, prediction: Prediction, alpha: float = 0.6) -> None:
    """Write ``image`` (uint8 [H, W, 3]) with class colours over it and a legend beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    colors = palette(len(prediction.classes))
    blend = (1 - alpha) * image + alpha * colors[prediction.masks]
    height, width = image.shape[:2]
    tall = 5.0
    figure = Figure(figsize=(tall * width / height + 2.2, tall), layout="constrained")
    axes = figure.subplots()
    axes.imshow(blend.astype(np.uint8), interpolation="nearest")
    axes.set_axis_off()
    shown = [(name, share) for name, share in prediction.shares.items() if share >= 0.001]
    place = {name: i for i, name in enumerate(prediction.classes)}
    patches = [
        Patch(facecolor=colors[place[name]] / 255, edgecolor="0.3", label=f"{name}  {share:.1%}")
        for name, share in shown
    ]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, dpi=120, format=path.suffix.lstrip(".") or "png")
