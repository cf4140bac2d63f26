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

OTHER = "other"


@dataclass(frozen=True)
class Priors:
    """What is known of B pictures, padded to K objects (at least one).

    objects, attributes: [B, K, D], zero where there is none. named: bool [B, K], no padding.
    described: bool [B, K], has attributes. relations: [B, K, K, D], the relation of the first
    object to the second. related: bool [B, K, K].
    """

    objects: Tensor
    attributes: Tensor
    named: Tensor
    described: Tensor
    relations: Tensor
    related: Tensor


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


def attribute_texts(name: str, attributes: Sequence[str]) -> list[str]:
    return [f"{attribute} {name}" for attribute in attributes]


def read_priors(descriptions: Sequence[Description], clip: Backbone, phrases: Phrases) -> Priors:
    """The tensors of descriptions. Decided: several relations of the same two objects are averaged.

    Args:
        descriptions: One a picture.
        clip: Whose text tower reads them.
        phrases: What it has read before.
    """
    texts = [
        text
        for one in descriptions
        for thing in one.objects
        for text in (object_text(thing.name), *attribute_texts(thing.name, thing.attributes))
    ]
    texts += [relation for one in descriptions for _, relation, _ in one.relations]
    known = phrases(clip, texts)
    most = max([1, *(len(one.objects) for one in descriptions)])
    shape = (len(descriptions), most)
    device, dim = clip.device, clip.embed_dim
    objects, attributes = (torch.zeros(*shape, dim, device=device) for _ in range(2))
    relations = torch.zeros(*shape, most, dim, device=device)
    times = torch.zeros(*shape, most, device=device)
    named, described = (torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(2))
    for picture, one in enumerate(descriptions):
        for place, thing in enumerate(one.objects):
            named[picture, place] = True
            objects[picture, place] = known[object_text(thing.name)]
            if said := attribute_texts(thing.name, thing.attributes):
                described[picture, place] = True
                attributes[picture, place] = torch.stack([known[t] for t in said]).mean(dim=0)
        for first, relation, second in one.relations:
            relations[picture, first, second] += known[relation]
            times[picture, first, second] += 1
    relations /= times.clamp(min=1)[..., None]
    return Priors(objects, attributes, named, described, relations, times > 0)


def open_classes(description: Description) -> tuple[list[str], list[str]]:
    """The classes of a picture without a class list, and a text of each: its objects, and "other".

    Section (e). Decided: names that differ in case, hyphens or spaces alone are one class.
    """
    plain = (" ".join(o.name.lower().replace("-", " ").split()) for o in description.objects)
    names = [name for name in dict.fromkeys(plain) if name != OTHER] + [OTHER]
    return names, [object_text(name) for name in names]
