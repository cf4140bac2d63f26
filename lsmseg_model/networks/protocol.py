"""How a whole network is shown a picture: views of it, by their places."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.fields import Whole


@dataclass(frozen=True)
class Protocol:
    """How a picture is cut into views, in pixels.

    Squashed to `side` x `side`, then crops of `crop` x `crop` every `stride`, and the whole. Crops
    as large as the side: the whole alone.

    Raises ConfigError where the crops would not cover the picture exactly.
    """

    side: Whole = 640
    crop: Whole = 384
    stride: Whole = 256

    def __post_init__(self) -> None:
        side, crop, stride = self.side, self.crop, self.stride
        if min(side, crop, stride) < 1 or crop > side:
            raise ConfigError(
                f"Crops of {crop} every {stride} do not fit a picture of {side}; "
                "choose 1 <= crop <= side and stride >= 1."
            )
        if side > crop and (stride > crop or (side - crop) % stride):
            raise ConfigError(
                f"Crops of {crop} every {stride} do not cover a picture of {side}; "
                "choose a stride that divides side - crop and is at most crop."
            )

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Top and left of the crops in the squashed picture."""
        if self.crop == self.side:
            return ()
        steps = range(0, self.side - self.crop + 1, self.stride)
        return tuple((top, left) for top in steps for left in steps)

    def scaled(self, scale: float) -> Protocol:
        """The same crops of a picture squashed to the nearest side that they cover exactly."""
        steps = max(0, round((self.side * scale - self.crop) / self.stride))
        return self if scale == 1 else replace(self, side=self.crop + steps * self.stride)


PUBLISHED_PROTOCOL = Protocol()
"""CAT-Seg's, which the paper follows."""
