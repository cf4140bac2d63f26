"""Descriptions of pictures as tensors, embedded by the backbone's own text tower.

Section (a) of the equations: for every object o a vector T("a photo of a {o}"), and the mean of
T("{attribute} {o}") over its attributes; for every relation T("{relation}").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lsmseg_model.data.descriptions import Description
from lsmseg_model.networks.backbones.base import Backbone


@dataclass(frozen=True)
class Priors:
    """What is known of B pictures, padded to K objects (at least one). What is missing is zero.

    objects, attributes: [B, K, D]. relations: of the first object to the second, [B, K, K, D];
    within the decoder R, [B, n, K, K].
    """

    objects: Tensor
    attributes: Tensor
    relations: Tensor


class Phrases:
    """Embeddings of phrases by a frozen text tower, each computed once."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, clip: Backbone, phrases: Sequence[str]) -> dict[str, Tensor]:
        """Phrase -> [D] of length 1, on the device of `clip`."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._kept]
        if new:  # a copy: what inference mode made has no place in a training step
            embedded = clip.encode_texts([[phrase] for phrase in new]).clone().cpu()
            self._kept.update(zip(new, embedded, strict=True))
        return {phrase: self._kept[phrase].to(clip.device) for phrase in phrases}


def object_text(name: str) -> str:
    return f"a photo of a {name}"


def read_priors(descriptions: Sequence[Description], clip: Backbone, phrases: Phrases) -> Priors:
    """The tensors of descriptions. Decided: several relations of the same two objects are averaged.

    Args:
        descriptions: One a picture.
        clip: Whose text tower reads them.
        phrases: What it has read before.
    """
    things = [o for one in descriptions for o in one.objects]
    texts = [object_text(o.name) for o in things]
    texts += [f"{word} {o.name}" for o in things for word in o.attributes]
    texts += [relation for one in descriptions for _, relation, _ in one.relations]
    known = phrases(clip, texts)
    most = max([1, *(len(one.objects) for one in descriptions)])
    shape, dim = (len(descriptions), most), clip.embed_dim
    objects, attributes = (torch.zeros(*shape, dim, device=clip.device) for _ in range(2))
    relations = torch.zeros(*shape, most, dim + 1, device=clip.device)  # the last counts them
    one_of_it = torch.ones(1, device=clip.device)
    for picture, one in enumerate(descriptions):
        for place, o in enumerate(one.objects):
            objects[picture, place] = known[object_text(o.name)]
            if o.attributes:
                said = torch.stack([known[f"{word} {o.name}"] for word in o.attributes])
                attributes[picture, place] = said.mean(dim=0)
        for first, relation, second in one.relations:
            relations[picture, first, second] += torch.cat([known[relation], one_of_it])
    mean = relations[..., :-1] / relations[..., -1:].clamp(min=1)
    return Priors(objects, attributes, mean)
