"""What an LLMFormer is made of: sizes, the alternatives of its three attentions, loss weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.fields import From0, OneOf, Whole

SEMANTIC = ("cross", "none", "objects", "concat", "add")
SCALES = ("attributes", "none", "round_robin", "one")
RELATIONS = ("both", "plain", "prior")


@dataclass(frozen=True)
class LlmFormerOptions:
    """The field `network` of an LLMFormer's settings (Shi et al., IJCV 2024; no public code).

    width: channels of queries and maps. queries: masks of a picture. semantic: how the priors enter
    the queries: by "cross"-attention (the paper), of "objects" alone, by self-attention over their
    "concat"-enation with the queries, by "add"-ing their mean, or not ("none"). scales: which of
    the four maps a query sees: selected by its "attributes" (the paper), by the query alone
    ("none"), "round_robin" over the layers, coarse first, or the backbone's own grid ("one").
    selection: at test "soft", or "hard", the best map alone. relations: self-attention by
    "both" its own map and the relations' (the paper), the "plain" one, or the "prior" one alone.
    mapping: the relations' graph reaches the masks by A_sem itself ("soft"), or by the object that
    each attends to most ("hard"). The loss weights are Mask2Former's. There is no switch for the
    priors: off is the same network with empty descriptions.

    Raises ConfigError for values that do not go together.
    """

    width: Whole = 128
    queries: Whole = 20
    layers: Whole = 3
    heads: Whole = 4
    semantic: Annotated[str, OneOf(*SEMANTIC)] = "cross"
    scales: Annotated[str, OneOf(*SCALES)] = "attributes"
    selection: Annotated[str, OneOf("soft", "hard")] = "soft"
    relations: Annotated[str, OneOf(*RELATIONS)] = "both"
    mapping: Annotated[str, OneOf("soft", "hard")] = "soft"
    class_weight: From0 = 2.0
    mask_weight: From0 = 5.0
    dice_weight: From0 = 5.0
    void_weight: From0 = 0.1

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 4:
            raise ConfigError(
                f"The width ({self.width}) must be a multiple of 4 and of the heads ({self.heads})."
            )
