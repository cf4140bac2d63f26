"""Cost map, filter, refinement and decoder in one: the head that turns features into logits.

Its parameters have the names below `sem_seg_head.predictor.transformer.` in CAT-Seg's files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.kernels.onednn import able
from lsmseg_model.networks import category_filter
from lsmseg_model.networks.decoder import Decoder
from lsmseg_model.networks.refinement import RefinementLayer


@dataclass(frozen=True)
class HeadSizes:
    """The sizes of the head, CAT-Seg's for ViT-B/16 by default.

    text: channels of the text and dense features. appearance: channels of the features that
    guide the refinement; guidance: of those that guide the decoder (twice and four times the
    resolution). k: classes kept by the category filter. pad_len: classes that the class
    refinement is filled up to (CAT-Seg: 256; 0: none). pooling: see `ClassRefinement`.
    """

    text: int = 512
    appearance: int = 512
    guidance: tuple[int, int] = (256, 128)
    hidden: int = 128
    projected: tuple[int, int] = (32, 16)
    decoder: tuple[int, int] = (64, 32)
    layers: int = 2
    heads: int = 4
    window: int = 12
    resolution: int = 24
    k: int = 32
    pad_len: int = 0
    pooling: int = 1
    spatial: bool = True
    classes: bool = True


class Aggregator(nn.Module):
    """From dense features and text embeddings to logits."""

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.sizes = sizes
        dim = sizes.hidden
        self.conv1 = nn.Conv2d(1, dim, 7, padding=3)
        self.guidance_projection = (
            nn.Sequential(nn.Conv2d(sizes.appearance, dim, 3, padding=1), nn.ReLU())
            if sizes.layers and sizes.spatial
            else None
        )
        self.text_guidance_projection = (
            nn.Sequential(nn.Linear(sizes.text, dim), nn.ReLU())
            if sizes.layers and sizes.classes
            else None
        )
        self.layers = nn.ModuleList(
            RefinementLayer(
                dim,
                dim,
                dim,
                heads=sizes.heads,
                window=sizes.window,
                resolution=sizes.resolution,
                pad_len=sizes.pad_len,
                pooling=sizes.pooling,
                spatial=sizes.spatial,
                classes=sizes.classes,
            )
            for _ in range(sizes.layers)
        )
        decoder = Decoder(dim, sizes.decoder, sizes.guidance, sizes.projected)
        # CAT-Seg has the decoder's parts in the head itself.
        self.decoder_guidance_projection = decoder.decoder_guidance_projection
        self.decoder1, self.decoder2, self.head = decoder.decoder1, decoder.decoder2, decoder.head
        self._decode = [decoder]  # in a list, so that its parameters are not named twice

    def forward(
        self,
        features: Tensor,
        texts: Tensor,
        appearance: Tensor,
        guidance: Sequence[Tensor],
        wanted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of the classes that the filter keeps.

        features: [B, C, H, W] dense features for the cost map. texts: [B, N, C] embeddings.
        appearance: [B, A, H, W] for the refinement. guidance: [B, G, 2H, 2W], [B, G', 4H, 4W].
        wanted: bool [B, N], classes that must be kept (those of the labels, in training).
        Returns ([B, k, 4H, 4W], the kept classes [B, k] or None where all were kept).
        """
        if able(features) and len(features) > 1:  # one after the other: less memory, in the cache
            each = [
                self(
                    features[i : i + 1],
                    texts[i : i + 1],
                    appearance[i : i + 1],
                    [g[i : i + 1] for g in guidance],
                    None if wanted is None else wanted[i : i + 1],
                )
                for i in range(len(features))
            ]
            kept = None if each[0][1] is None else torch.cat([k for _, k in each if k is not None])
            return torch.cat([logits for logits, _ in each]), kept
        texts, features = F.normalize(texts.float(), dim=-1), F.normalize(features.float(), dim=1)
        kept = None
        # In full precision: in bf16 cosines are steps of 0.001 or 0.002, classes often lie nearer.
        device = "cpu" if features.is_meta else features.device.type  # autocast knows no "meta"
        with torch.autocast(device, enabled=False):
            if texts.shape[1] > self.sizes.k:
                response = category_filter.respond(features, texts)
                kept = category_filter.keep(response, self.sizes.k, wanted)
                texts = category_filter.gather(texts, kept)  # Eq. 4
            cost = (texts @ features.flatten(2)).unflatten(2, features.shape[2:])  # Eq. 1 and 5
        x = self.conv1(cost.flatten(0, 1)[:, None])
        x = x.permute(0, 2, 3, 1).unflatten(0, cost.shape[:2])  # [B, N, H, W, D]
        seen = said = None
        if self.guidance_projection is not None:
            seen = self.guidance_projection(appearance).permute(0, 2, 3, 1)
        if self.text_guidance_projection is not None:
            said = self.text_guidance_projection(texts)
        for layer in self.layers:
            x = layer(x, seen, said)
        return self._decode[0](x, guidance), kept
