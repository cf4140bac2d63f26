"""What a closed-set network is made of, as values.

Every add-on is called as ``logits, losses = addon(features, coarse, labels)``: features
[B, D, h, w], coarse [B, N, h, w] of the host's own classifier, labels int64 [B, h, w] on that grid
with -1 for unlabelled (None outside training). logits: [B, N, h, w]. losses: by name, already
weighted, each a mean over the batch's labelled positions or [B] of every picture's own; empty
without labels. Of "ecac" they are all the losses but that of the coarse logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.fields import From0, OneOf, Switch, WholeOrZero

ADDONS = ("none", "plain", "caa", "ecac")
Share = Annotated[float, Field(strict=True, ge=0, le=1, description="be a number from 0 to 1")]


@dataclass(frozen=True)
class ClosedSetOptions:
    """The field `network` of the settings of a network of the kind "closed-set".

    addon: "none", the classifier alone; "plain", position-wise layers with as many parameters as
    CAA, the control; "caa" or "ecac". reweighted: the cross-entropy of the final logits weighs
    classes as ECAC's losses do, the control that is only that.

    Of CAA (`caa.py`): reduce: channels D' after the reduction (0: half of the features').
    centres, affinity, intra, inter: its parts, for the ablations. centre: the softmax of the
    centres is over "positions" or over "classes". normalise: the affinity's "rows" to a sum of 1,
    or "none". scale: relations by 1 / sqrt(D').
    affinity_loss, aux_loss: weights; aux_loss is that of the coarse logits with every add-on.

    Of ECAC (`ecac.py`): momentum: of the memory bank's update. rho: power of the classes' weights.
    memory, calibration: its parts. scores: "cosine" (times 15) or "dot". smoothing: share of the
    label in what the student learns from. memory_loss, kl, iv: weights; memory_from: the iteration
    from which the memory loss counts.

    Raises ConfigError for switches that leave nothing of CAA.
    """

    addon: Annotated[str, OneOf(*ADDONS)] = "none"
    reweighted: Switch = False
    reduce: WholeOrZero = 0
    centres: Switch = True
    affinity: Switch = True
    intra: Switch = True
    inter: Switch = True
    centre: Annotated[str, OneOf("positions", "classes")] = "positions"
    normalise: Annotated[str, OneOf("rows", "none")] = "rows"
    scale: Switch = True
    affinity_loss: From0 = 1.0
    aux_loss: From0 = 0.4
    momentum: Share = 0.1
    rho: From0 = 0.5
    memory: Switch = True
    memory_loss: From0 = 1.0
    memory_from: WholeOrZero = 1000
    kl: From0 = 1.0
    iv: From0 = 50.0
    smoothing: Share = 0.5
    calibration: Switch = True
    scores: Annotated[str, OneOf("cosine", "dot")] = "cosine"

    def __post_init__(self) -> None:
        if not (self.centres or self.affinity):
            raise ConfigError(
                "CAA without centres and without affinity has no part left: switch one on, or "
                "choose addon=none."
            )
        if self.affinity and not (self.intra or self.inter):
            raise ConfigError(
                "An affinity needs intra or inter: switch one on, or choose affinity=false."
            )
