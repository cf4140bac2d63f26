"""Tokens to embeddings: open_clip's text towers, wherever a model keeps them.

CLIP has the tower's parts as its own, CustomTextCLIP and CoCa have a `text`: open_clip's
transformer, or a model of the transformers library. Checked against open_clip's `encode_text`
(tests/model/test_text_towers.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import UsageError


def text_tower(model: Any) -> Any:
    """What of an open_clip model reads texts."""
    return getattr(model, "text", model)


def text_projections(model: Any, name: str) -> list[tuple[nn.Parameter, str]]:
    """The joint weights that make queries, keys and values in the text tower.

    Raises UsageError where they are not of open_clip's own transformer.
    """
    tower = text_tower(model).transformer
    if not hasattr(tower, "resblocks"):
        raise UsageError(
            f"Queries and values cannot be trained in {name}'s text tower; choose --clip freeze or "
            "full, or a model with CLIP's text tower, such as ViT-B-16."
        )
    return [(block.attn.in_proj_weight, "qkv") for block in tower.resblocks]


def reading_lengths(model: Any, tokens: Tensor) -> Tensor:
    """tokens: [T, L] -> int64 [T], how many tokens of each row the text tower must see.

    A tower that sees only what came before and pools at the end token needs none behind it.
    Others read all of the row, its padding too.
    """
    tower = text_tower(model)
    if getattr(tower, "attn_mask", None) is not None and getattr(tower, "cls_emb", None) is None:
        pool, end = _pooling(tower)
        if pool == "argmax":
            return tokens.argmax(dim=-1) + 1
        if pool == "eos":
            return tokens.eq(end).int().argmax(dim=-1) + 1
    return torch.full((len(tokens),), tokens.shape[1], device=tokens.device)


def encode_tokens(model: Any, tokens: Tensor, embeddings: Tensor | None = None) -> Tensor:
    """tokens: [T, L] -> [T, D] text features of length 1.

    L may be cut to the largest of `reading_lengths`, which is exact. ``embeddings`` [T, L, width]
    replace the token table (for dropout).
    """
    tower = text_tower(model)
    if hasattr(tower, "pooler"):
        return F.normalize(_transformers(tower, tokens, embeddings), dim=-1)
    x = tower.token_embedding(tokens) if embeddings is None else embeddings
    mask, class_token = tower.attn_mask, getattr(tower, "cls_emb", None)
    if class_token is not None:
        x = torch.cat([x, class_token.expand(len(x), 1, -1)], dim=1)
    length = x.shape[1]
    if mask is not None:
        mask = mask[:length, :length]
    if class_token is not None or getattr(tower, "use_pad_mask", False):
        hidden = _padding_mask(tower, tokens, x)
        mask = hidden if mask is None else mask + hidden
    x = tower.transformer(x + tower.positional_embedding[:length], attn_mask=mask)
    x = tower.ln_final(_pooled(tower, x, tokens))
    if (projection := tower.text_projection) is not None:
        x = projection(x) if isinstance(projection, nn.Module) else x @ projection
    return F.normalize(x, dim=-1)


def _pooling(tower: Any) -> tuple[str, int]:
    """Which position is the sentence's, and the end token that "eos" looks for."""
    names = ("pool_type", "eos_id") if hasattr(tower, "pool_type") else (
        "text_pool_type", "text_eos_id")  # fmt: skip
    return str(getattr(tower, names[0])), int(getattr(tower, names[1], 0) or 0)


def _pooled(tower: Any, x: Tensor, tokens: Tensor) -> Tensor:
    """x: [T, L, width] -> [T, width]. A class token stands last, whatever the pooling says."""
    from open_clip.transformer import text_global_pool

    if getattr(tower, "cls_emb", None) is not None:
        return x[:, -1]
    pool, end = _pooling(tower)
    return text_global_pool(x, tokens, pool, eos_token_id=end)


def _padding_mask(tower: Any, tokens: Tensor, x: Tensor) -> Tensor:
    """[T * heads, L, L], -inf at padding.

    Published CoCas were trained with the class token's place at the front of the mask, though it
    stands at the end.
    """
    seen = tokens != tower.pad_id
    if tower.cls_emb is not None:
        always = seen.new_ones(len(seen), 1)
        seen = torch.cat([seen, always] if tower.correct_cls_mask else [always, seen], dim=1)
    mask = torch.zeros(len(seen), 1, seen.shape[1], dtype=x.dtype, device=x.device)
    mask = mask.masked_fill(~seen[:, None], -torch.inf).expand(-1, seen.shape[1], -1)
    return mask.repeat_interleave(tower.heads, dim=0)


def _transformers(tower: Any, tokens: Tensor, embeddings: Tensor | None) -> Tensor:
    """A text tower of the transformers library."""
    mask = (tokens != tower.config.pad_token_id).long()
    given = {"input_ids": tokens} if embeddings is None else {"inputs_embeds": embeddings}
    return tower.proj(tower.pooler(tower.transformer(attention_mask=mask, **given), mask))
