"""Vision: pictures and texts in, masks out. Knows no LLM and no attribute store."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsmseg_model.segmenter import Prediction, Segmenter

__all__ = ["Prediction", "Segmenter"]


def __getattr__(name: str) -> Any:
    """Load torch only when a model is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lsmseg_model import segmenter

    return getattr(segmenter, name)
