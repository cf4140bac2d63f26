"""Small tokenizers of the three kinds that models of the hub have, in folders as they lie there."""

from __future__ import annotations

import json
from pathlib import Path

TEXTS = (
    "A horse is large and heavy, with a back as high as a person's chin.",
    "A zebra's coat has black and white stripes; its mane stands upright.",
    "The sky is blue, grey or white_ish & wide.",
    "Grass is green and grows in short blades.",
)
ALPHABET = [chr(code) for code in range(33, 127)]


def bert(folder: Path) -> Path:
    """BERT's word pieces: lower case, [CLS] and [SEP] around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        TEXTS,
        trainers.WordPieceTrainer(
            vocab_size=150, special_tokens=special, initial_alphabet=ALPHABET, show_progress=False
        ),
    )
    ids = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ids
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]",
             "sep_token": "[SEP]", "mask_token": "[MASK]"}  # fmt: skip
    return _saved(made, folder, {"tokenizer_class": "BertTokenizer", **names})


def unigram(folder: Path) -> Path:
    """Pieces by their probability and an end token, as of SigLIP and T5."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    made.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=150, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
            initial_alphabet=ALPHABET, show_progress=False,
        ),
    )  # fmt: skip
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    made.enable_truncation(8)  # as files on the hub have it now and then
    made.enable_padding(length=8)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _saved(made, folder, {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, **names})


def gemma(folder: Path) -> Path:
    """Byte pairs with spaces as signs; the settings put an end token behind, no start before."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=200, special_tokens=special, initial_alphabet=[*ALPHABET, "▁"],
            show_progress=False,
        ),
    )  # fmt: skip
    made.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)]
    )
    names = {f"{token.strip('<>')}_token": token for token in special}
    own = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True}
    return _saved(made, folder, {**own, **names})


def _saved(made: object, folder: Path, settings: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def in_cache(folder: Path, cache: Path, repository: str) -> None:
    """Put the files of a folder where huggingface_hub would keep them."""
    kept = cache / f"models--{repository.replace('/', '--')}"
    snapshot = kept / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0")
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
