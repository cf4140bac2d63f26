"""CLIP weights of others, in every file layout they come in, from a local path."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lsmseg_model.networks.backbones.load import load_backbone

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 1,
        "layers": 1,
    },
}


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT small enough for a test, known to open_clip like ViT-B-16 is."""
    import open_clip

    path = tmp_path_factory.mktemp("models") / "ViT-test-16.json"
    path.write_text(json.dumps(SMALL))
    open_clip.add_model_config(path)
    return "ViT-test-16"


def weights(name: str, quick_gelu: bool = False) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model(name, load_weights=False, force_quick_gelu=quick_gelu)
    return model.eval(), {k: v.clone() for k, v in model.state_dict().items()}


def archive(state: dict[str, torch.Tensor], path: Path) -> None:
    """A TorchScript archive whose state dict is ``state``, as OpenAI's files are."""
    root = nn.Module()
    for key, value in state.items():
        *parents, leaf = key.split(".")
        module = root
        for parent in parents:
            if parent not in module._modules:
                module.add_module(parent, nn.Module())
            module = module._modules[parent]  # type: ignore[assignment]
        if value.is_floating_point():
            module.register_parameter(leaf, nn.Parameter(value))
        else:
            module.register_buffer(leaf, value)
    torch.jit.script(root).save(str(path))


def save(state: dict[str, torch.Tensor], layout: str, path: Path) -> Path:
    if layout == "safetensors":
        from safetensors.torch import save_file

        path = path.with_suffix(".safetensors")
        save_file(state, path)
    elif layout == "open_clip":
        path = path.with_suffix(".bin")
        torch.save(state, path)
    elif layout == "open_clip training":
        path = path.with_suffix(".pt")
        wrapped = {f"module.{k}": v for k, v in state.items()}
        torch.save({"epoch": 1, "state_dict": wrapped}, path)
    else:  # OpenAI: half precision, three extra numbers
        path = path.with_suffix(".pt")
        half = {k: v.half() if v.ndim else v for k, v in state.items()}
        for key, value in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
            half[key] = torch.tensor(value)
        archive(half, path) if layout == "OpenAI archive" else torch.save(half, path)
    return path


@pytest.mark.parametrize(
    "layout",
    ["safetensors", "open_clip", "open_clip training", "OpenAI archive", "OpenAI state dict"],
)
def test_every_layout_computes_what_open_clip_computes(
    tmp_path: Path, name: str, layout: str
) -> None:
    openai = layout.startswith("OpenAI")
    model, state = weights(name, quick_gelu=openai)
    clip = load_backbone(name, save(state, layout, tmp_path / "weights"))
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = model.encode_image((image - clip.mean) / clip.std)  # type: ignore[operator]
        found = clip.model.encode_image((image - clip.mean) / clip.std)
    torch.testing.assert_close(found, expected, atol=2e-2 if openai else 1e-6, rtol=0)
    assert clip.encode_dense(torch.rand(1, 3, 48, 32)).shape == (1, 3, 2, 16)
    assert clip.dense == "naclip"


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["open_clip", "OpenAI archive"])
def test_vit_b_16_at_full_size(tmp_path: Path, layout: str) -> None:
    """Random weights in the published layouts of ViT-B/16 (about 600 MB, deleted afterwards)."""
    _, state = weights("ViT-B-16", quick_gelu=layout.startswith("OpenAI"))
    path = save(state, layout, tmp_path / "weights")
    clip = load_backbone("ViT-B-16", path)
    assert clip.encode_dense(torch.rand(1, 3, 224, 224)).shape == (1, 14, 14, 512)
    path.unlink()
