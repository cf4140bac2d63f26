"""CAT-Seg's own outputs at small size, reproduced by our modules with its weights.

The reference files lie outside the repository (see `GOLDEN`); without them these tests skip.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.cost_maps import DROPPED, scatter
from torch import Tensor

from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.head import Aggregator

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
FILE = GOLDEN / "catseg_aggregator_small.safetensors"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the reference outputs are not there: {FILE}"
)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(FILE)


def head(golden: dict[str, Tensor], pooling: int = 1) -> Aggregator:
    config = NetworkConfig(
        guidance=(24, 12), hidden=32, projected=(16, 16), decoder=(32, 16), layers=2, heads=4,
        window=6, resolution=12, k=8, pad_len=8,
    )  # fmt: skip
    made = Aggregator(config, 32)
    for layer in made.layers:
        layer.attention.pooling = pooling  # type: ignore[union-attr]
    weights = {k.removeprefix("weights."): v for k, v in golden.items() if "weights." in k}
    made.load_state_dict(weights)  # every key is used, none is missing
    return made.eval()


@pytest.mark.parametrize(
    ("classes", "pooling", "output"),
    [(6, 1, "logits_6"), (6, 2, "logits_6_pool2"), (8, 1, "logits_8"), (20, 1, "logits_20")],
)
@torch.inference_mode()
def test_the_whole_head(golden: dict[str, Tensor], classes: int, pooling: int, output: str) -> None:
    """Fewer classes than the padding, as many, and more, which are filtered."""
    features = golden["input.image_features"]
    logits, kept = head(golden, pooling)(
        features,
        golden[f"input.text_features_{classes}"][:, :, 0],
        features,
        [golden["input.guidance_24"], golden["input.guidance_48"]],
    )
    expected = golden[f"output.{output}"]
    if kept is not None:
        logits = scatter(logits, kept, classes)
        assert torch.equal(logits == DROPPED, expected == DROPPED)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_one_spatial_and_one_class_refinement(golden: dict[str, Tensor]) -> None:
    layer = head(golden).layers[0]
    x = golden["spatial.input"].permute(0, 2, 3, 4, 1)
    found = layer.swin_block(x, golden["spatial.guidance"].permute(0, 2, 3, 1))
    expected = golden["spatial.output"].permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    x = golden["class.input"].permute(0, 2, 3, 4, 1)
    found = layer.attention(x, golden["class.guidance"])
    expected = golden["class.output"].permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_mask_is_the_one_that_is_saved(golden: dict[str, Tensor]) -> None:
    from lsmseg_model.networks.refinement import shift_mask

    saved = golden["weights.layers.0.swin_block.block_2.attn_mask"]
    assert torch.equal(shift_mask(12, 12, 6, 3), saved)
