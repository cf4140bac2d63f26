"""Cost map, filter, refinement and decoder in one: the head that turns features into logits.

Its parameters have the names below `sem_seg_head.predictor.transformer.` in CAT-Seg's files.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.kernels.onednn import first_convolution, is_supported
from lsmseg_model.networks import category_filter
from lsmseg_model.networks.config import REFINEMENTS, NetworkConfig
from lsmseg_model.networks.decoder import Decoder
from lsmseg_model.networks.refinement import RefinementLayer


class Aggregator(nn.Module):
    """From dense features and text embeddings to logits; its sizes are those of `config`."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        """channels: of the texts, and of the features for cost map and refinement."""
        super().__init__()
        self.k, dim = config.k, config.hidden
        spatial, classes = REFINEMENTS[config.refinement]
        layers = config.layers if spatial or classes else 0
        self.conv1 = nn.Conv2d(1, dim, 7, padding=3)
        self.guidance_projection = (
            nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1), nn.ReLU())
            if layers and spatial
            else None
        )
        self.text_guidance_projection = (
            nn.Sequential(nn.Linear(channels, dim), nn.ReLU()) if layers and classes else None
        )
        self.layers = nn.ModuleList(RefinementLayer(config) for _ in range(layers))
        decoder = Decoder(dim, config.decoder, config.guidance, config.projected)
        # CAT-Seg has the decoder's parts in the head itself.
        self.decoder_guidance_projection = decoder.decoder_guidance_projection
        self.decoder1, self.decoder2, self.head = decoder.decoder1, decoder.decoder2, decoder.head
        self._decoder = [decoder]  # in a list, so that its parameters are not named twice

    def forward(
        self,
        features: Tensor,
        texts: Tensor,
        appearance: Tensor,
        guidance: Sequence[Tensor],
        wanted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of the classes that the filter keeps.

        Args:
            features: [B, C, H, W] dense features for the cost map.
            texts: [B, N, C] embeddings.
            appearance: [B, C, H, W] for the refinement.
            guidance: [B, G, 2H, 2W] and [B, G', 4H, 4W] for the decoder.
            wanted: bool [B, N], classes that must be kept (those of the labels, in training).

        Returns ([B, k, 4H, 4W], the kept classes [B, k] or None where all were kept).
        """
        # One after the other where that is faster: less memory, in the cache.
        if is_supported(features) and len(features) > 1:
            inputs = (features, texts, appearance, *guidance)
            pictures = zip(*(x.split(1) for x in inputs), strict=True)
            needed = [None] * len(features) if wanted is None else wanted.split(1)
            each = [self(f, t, a, g, w) for (f, t, a, *g), w in zip(pictures, needed, strict=True)]
            kept = None if each[0][1] is None else torch.cat([k for _, k in each if k is not None])
            return torch.cat([logits for logits, _ in each]), kept
        texts, features = F.normalize(texts.float(), dim=-1), F.normalize(features.float(), dim=1)
        kept = None
        # In full precision: in bf16 cosines are steps of 0.001 or 0.002, classes often lie nearer.
        device = "cpu" if features.is_meta else features.device.type  # autocast knows no "meta"
        with torch.autocast(device, enabled=False):
            if torch.compiler.is_exporting() or texts.shape[1] > self.k:
                response = category_filter.respond(features, texts)
                kept = category_filter.keep(response, self.k, wanted)
                texts = category_filter.gather(texts, kept)  # Eq. 4
            cost = (texts @ features.flatten(2)).unflatten(2, features.shape[2:])  # Eq. 1 and 5
        x = first_convolution(self.conv1, cost.flatten(0, 1)[:, None])
        x = x.unflatten(0, cost.shape[:2])  # [B, N, H, W, D]
        visual = textual = None
        if self.guidance_projection is not None:
            visual = self.guidance_projection(appearance).permute(0, 2, 3, 1)
        if self.text_guidance_projection is not None:
            textual = self.text_guidance_projection(texts)
        for layer in self.layers:
            x = layer(x, visual, textual)
        return self._decoder[0](x, guidance), kept
