"""Every kind of text tower and tokenizer, small, against open_clip's `encode_text` and its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.backbones.hf_tokenizer import HfTokenizer, tokenizer_of
from lsmseg_model.networks.backbones.load import build_backbone, load_backbone, named_backbone
from lsmseg_model.networks.backbones.open_clip_models import create
from lsmseg_model.networks.backbones.text import Tokenizer
from lsmseg_model.networks.backbones.text_tower import encode_tokens, reading_lengths

VISION = {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4}
TEXT = {"context_length": 10, "vocab_size": 40, "width": 8, "heads": 2, "layers": 2}
SIGLIP = {"no_causal_mask": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}}
OWN: dict[str, Any] = {"custom_text": True}
COCA = {**OWN, "multimodal_cfg": {"context_length": 10, "width": 8, "heads": 2, "layers": 1}}
# Text configuration, what else is in the file, whether rows may be cut after their end token.
TOWERS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "CLIP": ({}, {}, True),
    "PE-Core": ({}, OWN, True),
    "MetaCLIP 2": ({"pool_type": "eos", "eos_id": 39}, {}, True),
    "CLIPA": ({"pool_type": "last", "no_causal_mask": True}, {}, False),
    "SigLIP": ({**SIGLIP, "proj_bias": True}, OWN, False),
    "SigLIP i18n": ({**SIGLIP, "proj_type": "none"}, OWN, False),
    "MobileCLIP2-S": ({"no_causal_mask": True}, OWN, False),
    "first": ({"pool_type": "first"}, OWN, False),
    "CoCa": ({"embed_cls": True, "output_tokens": True}, COCA, False),
}


def small_text_tower(text: dict[str, Any], beside: dict[str, Any], seed: int = 0) -> Any:
    """A model with that text tower, no weight of which is 0 or 1."""
    torch.manual_seed(seed)
    model = create({"embed_dim": 8, "vision_cfg": VISION, "text_cfg": {**TEXT, **text}, **beside})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def some_tokens() -> Tensor:
    """Rows of 3, 7 and 10 tokens, the last of each the highest, zeros behind."""
    tokens = torch.randint(1, 38, (3, 10), generator=torch.Generator().manual_seed(1))
    for row, length in zip(tokens, (3, 7, 10), strict=True):
        row[length - 1], row[length:] = 39, 0
    return tokens


@pytest.mark.parametrize("kind", TOWERS)
@torch.no_grad()
def test_texts_equal_open_clips(kind: str) -> None:
    text, beside, cut = TOWERS[kind]
    model, tokens = small_text_tower(text, beside), some_tokens()
    expected = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encode_tokens(model, tokens), expected, atol=1e-5, rtol=0)
    lengths = reading_lengths(model, tokens)
    assert lengths.tolist() == ([3, 7, 10] if cut else [10, 10, 10])
    shorter = tokens[:2, : int(lengths[:2].max())]
    torch.testing.assert_close(encode_tokens(model, shorter), expected[:2], atol=1e-5, rtol=0)
    table = getattr(model, "text", model).token_embedding(tokens)
    torch.testing.assert_close(encode_tokens(model, tokens, table), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_text_towers_of_the_transformers_library(tmp_path: Path) -> None:
    from transformers import RobertaConfig

    RobertaConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=14, pad_token_id=0,
    ).save_pretrained(tmp_path)  # fmt: skip
    text = {"hf_model_name": str(tmp_path), "hf_model_pretrained": False}
    torch.manual_seed(0)
    model: Any = create({"embed_dim": 8, "vision_cfg": VISION, "text_cfg": text}).eval()
    tokens = some_tokens()
    expected = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encode_tokens(model, tokens), expected)
    table = model.text.transformer.get_input_embeddings()(tokens)
    assert encode_tokens(model, tokens, table).shape == (3, 8)
    assert reading_lengths(model, tokens).tolist() == [10, 10, 10]
    assert tokenizer_of(model, "it", {}).context_length == 77


def saved_tokenizer(folder: Path, style: str = "t5", words: int = 30) -> Path:
    """A tokenizer of some words, saved as the hub's are."""
    from tokenizers import Tokenizer as Fast
    from tokenizers import models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>", "[CLS]", "[SEP]", "<s>"]
    known = [*special, "a", "zebra", "with", "stripes", "A"]
    vocabulary = known + [f"word{i}" for i in range(words - len(known))]
    fast = Fast(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    frame = "[CLS] $A [SEP]" if style == "bert" else "$A </s>"
    ids = [(token, vocabulary.index(token)) for token in ("[CLS]", "[SEP]", "</s>")]
    fast.post_processor = processors.TemplateProcessing(single=frame, special_tokens=ids)
    PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        cls_token="[CLS]", sep_token="[SEP]", bos_token="<s>",
    ).save_pretrained(folder)  # fmt: skip
    return folder


STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "SigLIP": ("t5", {"tokenizer_kwargs": {"clean": "canonicalize"}}),
    "XLM-V": ("t5", {}),
    "CLIPA": ("bert", {"tokenizer_kwargs": {"strip_sep_token": True}}),
    "clips": ("bert", {"tokenizer_mode": "clips"}),
}


def hub_tokenizer(folder: Path, vocab_size: int = 30, **text: Any) -> HfTokenizer:
    text = {"hf_tokenizer_name": "someone/it", **text}
    return HfTokenizer(text, "it", vocab_size, context_length=7, folder=folder)


@pytest.mark.parametrize("kind", STYLES)
def test_tokens_equal_open_clips(kind: str, tmp_path: Path) -> None:
    from open_clip.tokenizer import HFTokenizer

    style, text = STYLES[kind]
    ours = hub_tokenizer(saved_tokenizer(tmp_path, style), **text)
    theirs = HFTokenizer(
        str(tmp_path), context_length=7, tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )  # fmt: skip
    sentences = ["A zebra", "a  zebra with stripes", "A zebra."]
    assert ours(sentences).equal(theirs(sentences))
    assert len(ours.ids("a zebra")) == {"t5": 3, "bert": 5 if kind == "clips" else 4}[style]
    long = "a zebra with stripes a zebra with stripes"
    with pytest.raises(UsageError, match=rf"has {len(ours.ids(long))} someone/it tokens, .* too"):
        ours([long])
    assert ours.cut([long]).equal(theirs([long]))


def test_padding_stands_where_the_tokenizer_has_it(tmp_path: Path) -> None:
    ours = hub_tokenizer(saved_tokenizer(tmp_path))
    ours.hf.padding_side = "left"
    assert ours(["a zebra"]).tolist() == [[0, 0, 0, 0, 6, 7, 1]]


def test_a_tokenizer_of_another_size(tmp_path: Path) -> None:
    """Sentinels that only one of the two counts are no difference."""
    saved_tokenizer(tmp_path, words=1000)
    assert hub_tokenizer(tmp_path, 1004)(["a zebra"]).shape == (1, 7)
    with pytest.raises(CheckpointError, match="has 1000 tokens, but it was trained with 1030"):
        hub_tokenizer(tmp_path, 1030)(["a zebra"])
    few = hub_tokenizer(tmp_path, 998)
    assert few(["a word3"]).shape == (1, 7)
    with pytest.raises(CheckpointError, match="makes the token 999 of 'word988'"):
        few(["word988"])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"of it is not here: .*repository someone/it"):
        HfTokenizer({"hf_tokenizer_name": "someone/it"}, "it", 30)(["a"])
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"The tokenizer of it in .* cannot be read"):
        hub_tokenizer(tmp_path)(["a"])


def test_settings_that_are_not_open_clips(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has a field 'trust_remote_code'; there are clean"):
        hub_tokenizer(tmp_path, tokenizer_kwargs={"trust_remote_code": True})
    with pytest.raises(ConfigError, match="without an hf_tokenizer_name"):
        tokenizer_of(small_text_tower({}, {}), "it", {"tokenizer_kwargs": {"clean": "lower"}})


def test_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--it" / "snapshots" / "abc"
    (tmp_path / "models--someone--it" / "refs").mkdir(parents=True)
    (tmp_path / "models--someone--it" / "refs" / "main").write_text("abc")
    saved_tokenizer(snapshot)
    text = {"hf_tokenizer_name": "someone/it"}
    assert HfTokenizer(text, "it", 30)(["a zebra"])[0, :3].tolist() == [6, 7, 1]


@pytest.mark.parametrize(
    ("name", "repository"),
    [("ViT-L-14-worldwide", "google/mt5-base"), ("ViT-L-14-CLIPA", "bert-base-uncased")],
)
def test_a_model_is_never_fed_other_tokens(name: str, repository: str) -> None:
    """MetaCLIP 2's and CLIPA's texts need their own tokenizers, which say what is missing."""
    with torch.device("meta"):
        backbone = named_backbone(name, View(224, 224, 224))
    assert backbone.token_budget == {"ViT-L-14-worldwide": 77, "ViT-L-14-CLIPA": 32}[name]
    with pytest.raises(CheckpointError, match=rf"{repository}; `lsmseg-prompts model pull {name}`"):
        backbone.encode_texts([["a zebra"]])


def test_a_text_tower_that_needs_sizes_from_the_hub() -> None:
    with pytest.raises(CheckpointError, match=r"config\.json of the repository roberta-base"):
        named_backbone("roberta-ViT-B-32", View(224, 224, 224))


def test_byte_pairs_for_a_tower_of_another_vocabulary() -> None:
    backbone = build_backbone(
        {"name": "it", "clip": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT},
         "view": {"short_side": 8, "window": 8, "stride": 8}}
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="of it knows 40 tokens, but its tokenizer"):
        backbone.encode_texts([["a zebra"]])


@torch.no_grad()
def test_long_clip_reads_248_tokens(tmp_path: Path) -> None:
    """Its published layout: two tables, the first 20 positions of one and the rest of the other."""
    text = {**TEXT, "vocab_size": 49408}
    sizes: dict[str, Any] = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": text}
    described = json.dumps({"model_cfg": sizes, "preprocess_cfg": {}})
    (tmp_path / "open_clip_config.json").write_text(described)
    long = {**sizes, "text_cfg": {**text, "context_length": 248}, "quick_gelu": True}
    model: Any = create(long).eval()
    state = {k: v for k, v in model.state_dict().items() if k != "logit_bias"}
    table = state["positional_embedding"]
    state["positional_embedding"] = torch.cat([table[:20], torch.randn(228, 8)])
    state["positional_embedding_res"] = torch.cat([torch.randn(20, 8), table[20:]])
    save_weights(tmp_path / "longclip.safetensors", state, {})
    backbone = load_backbone(f"local-dir:{tmp_path}", tmp_path / "longclip.safetensors")
    assert backbone.token_budget == 248
    sentence = "zebra " * 200
    expected = model.encode_text(Tokenizer(248)([sentence]), normalize=True)
    torch.testing.assert_close(backbone.encode_texts([[sentence]]), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_folder_with_its_own_tokenizer(tmp_path: Path) -> None:
    text = {**TEXT, **SIGLIP, "vocab_size": 40, "hf_tokenizer_name": "someone/it"}
    sizes = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": text, "custom_text": True}
    described = json.dumps({"model_cfg": sizes, "preprocess_cfg": {}})
    (tmp_path / "open_clip_config.json").write_text(described)
    model: Any = create(sizes).eval()
    state = {k: v for k, v in model.state_dict().items() if k != "logit_bias"}
    save_weights(tmp_path / "open_clip_model.safetensors", state, {})
    saved_tokenizer(tmp_path, words=40)
    backbone = load_backbone(f"local-dir:{tmp_path}")
    tokens = torch.tensor([[6, 7, 1, 0, 0, 0, 0, 0, 0, 0]])
    assert backbone.tokenizer(["a zebra"]).equal(tokens)
    expected = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(backbone.encode_texts([["a zebra"]]), expected)
