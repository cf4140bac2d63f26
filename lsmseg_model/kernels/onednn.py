"""Matrix products on the CPU through oneDNN, for inference.

PyTorch computes float32 products with MKL, which on processors other than Intel's leaves half of
the vector width unused; oneDNN, which PyTorch uses for convolutions, does not, and adds the bias
and the activation while it is there. On two AMD cores CLIP takes half the time. The results are
the same but for rounding (tests/test_onednn.py). With gradients, on another device or in another
precision everything is as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Barrier
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["none", "relu", "gelu"]
_off = False
SMALL = 1 << 20  # products of fewer multiplications are not worth the call
ROWS = 320  # rows of an MLP at once: what lies between its layers stays in the cache


def is_supported(x: Tensor) -> bool:
    """Whether tensors like x are computed here: CPU, float32, no gradients."""
    return (
        not _off
        and not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


@contextmanager
def disabled() -> Iterator[None]:
    """Inside, everything is as in PyTorch: to compare with."""
    global _off
    before, _off = _off, True
    try:
        yield
    finally:
        _off = before


def map_threads(
    function: Callable[..., Tensor], parts: Sequence[Tensor], *beside: Sequence[Tensor]
) -> list[Tensor]:
    """The function of every part, in order: on as many threads as PyTorch has, each a part.

    Threads that meet once after all parts, not after every operation, lose little where parts
    are small or other programs want the processor too. beside: more for each part, as of `map`.
    """
    if not is_supported(parts[0]) or len(parts) == 1 or (threads := torch.get_num_threads()) == 1:
        return list(map(function, parts, *beside))
    inference = torch.is_inference_mode_enabled()

    def work(*part: Tensor) -> Tensor:
        with torch.inference_mode(inference), torch.no_grad():
            return function(*part)

    return list(_pool(threads).map(work, parts, *beside))


def map_parts(function: Callable[[Tensor], Tensor], x: Tensor, rows: int, dim: int) -> Tensor:
    """`function` of x in parts, so that what lies between its steps stays in the cache.

    Of all of x where tensors are not computed here, see `is_supported`.

    Args:
        function: Its result has the shape of what it is given.
        x: [..., D], contiguous or not.
        rows: Of D values, about so many in a part.
        dim: Along which x is taken apart.
    """
    if not is_supported(x):
        return function(x)
    size = max(1, rows * x.shape[dim] * x.shape[-1] // x.numel())
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    # Each part is put into its place while it still is in the cache.
    map_threads(
        lambda part, place: place.copy_(function(part)), x.split(size, dim), out.split(size, dim)
    )
    return out


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads whose operations run on one core each."""
    ready = Barrier(threads + 1)

    def start() -> None:
        torch.get_num_threads()  # at its first use a thread takes the number of all: have it done
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "onednn", start)
    for _ in range(threads):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(threads)  # what threads that come later have
    return pool


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    then: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """activation(x weight^T + bias), as F.linear, or x weight^T + bias + plus: [..., O].

    Args:
        x: [..., I].
        weight: [O, I].
        bias: [O].
        then: The activation; none with `plus`.
        plus: [..., O].
    """
    if is_supported(x) and weight.dtype == x.dtype and x.numel() * weight.shape[0] >= SMALL:
        weight = weight.contiguous()  # otherwise oneDNN takes its slowest path
        product = torch.ops.mkldnn._linear_pointwise
        if plus is not None:
            return product.binary(x, plus, weight, bias, "add")
        return product(x, weight, bias, then, [], "none")
    y = F.linear(x, weight, bias)
    if plus is not None:
        return y + plus
    return y if then == "none" else F.relu(y) if then == "relu" else F.gelu(y)


def first_convolution(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The convolution of one channel as a product, channels last: [B, 1, H, W] -> [B, H, W, O]."""
    if not is_supported(x):
        return conv(x).permute(0, 2, 3, 1)
    sizes: Any = {"kernel_size": conv.kernel_size, "padding": conv.padding}
    seen = F.unfold(x, **sizes).mT  # [B, H * W, kernel]
    return linear(seen.contiguous(), conv.weight.flatten(1), conv.bias).unflatten(1, x.shape[2:])


def last_convolution(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The convolution to one channel: a product at each position, then sums over neighbours.

    [B, I, H, W] -> [B, 1, H, W].
    """
    if not is_supported(x):
        return conv(x)
    weight = conv.weight[0].flip(1, 2).flatten(1).T  # [kernel, I]
    parts = linear(x.permute(0, 2, 3, 1), weight).flatten(1, 2).mT
    sizes: Any = {"kernel_size": conv.kernel_size, "padding": conv.padding}
    summed = F.fold(parts, x.shape[2:], **sizes)
    return summed if conv.bias is None else summed + conv.bias


def elu_plus_1(x: Tensor) -> Tensor:
    """elu(x) + 1, ten times faster on a CPU: PyTorch computes e^x - 1 number by number."""
    return x.clamp(min=0).add_(x.clamp(max=0).exp_())


class Linear(nn.Linear):
    """nn.Linear through `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Attention(nn.MultiheadAttention):
    """Self-attention of nn.MultiheadAttention (batch first) through `linear`."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Any:  # type: ignore[override]
        mask = options.get("attn_mask")
        simple = options.keys() <= {"attn_mask", "need_weights"} and not options.get("need_weights")
        if mask is not None and (mask.dtype != query.dtype or mask.ndim != 2):
            simple = False
        if not (is_supported(query) and simple and query is key and key is value):
            return super().forward(query, key, value, **options)
        qkv = linear(query, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in qkv.chunk(3, -1))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return linear(
            out.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias
        ), None


class Mlp(nn.Sequential):
    """open_clip's MLP, some rows at a time, the weights laid out for oneDNN once."""

    def forward(self, x: Tensor) -> Tensor:
        layers: Any = self
        first, activation, second = layers
        if (
            not is_supported(x)
            or first.weight.dtype != x.dtype
            or x.numel() * first.out_features < SMALL
        ):
            return super().forward(x)
        flat = x.flatten(0, -2)
        rows = -(-len(flat) // -(-len(flat) // ROWS))  # in equal parts of at most ROWS
        layout = torch.ops.mkldnn._reorder_linear_weight
        into, out = layout(first.weight, rows), layout(second.weight, rows)
        product = torch.ops.mkldnn._linear_pointwise
        fused = type(activation) is nn.GELU and activation.approximate == "none"

        def run(part: Tensor) -> Tensor:
            part = product(part, into, first.bias, "gelu" if fused else "none", [], "none")
            if type(activation).__name__ == "QuickGELU":
                part *= (1.702 * part).sigmoid_()
            elif not fused:
                part = activation(part)
            return product(part, out, second.bias, "none", [], "none")

        done = map_threads(run, flat.split(rows))
        return torch.cat(done).view(x.shape)


def use_onednn(module: nn.Module) -> None:
    """Let the linear layers and transformer blocks in `module` use oneDNN at inference.

    Only classes of modules change: parameters, their names and training stay.
    """
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear
        elif type(part) is nn.MultiheadAttention and part.batch_first and _is_standard(part):
            part.__class__ = Attention
        elif type(part) is nn.Sequential and [n for n, _ in part.named_children()] == [
            "c_fc", "gelu", "c_proj",
        ]:  # fmt: skip
            part.__class__ = Mlp


def _is_standard(attention: nn.MultiheadAttention) -> bool:
    return (
        attention._qkv_same_embed_dim
        and attention.bias_k is None
        and not attention.add_zero_attn
        and attention.dropout == 0
    )
