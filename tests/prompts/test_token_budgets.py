"""Token budgets by name, counted as open_clip's own tokenizers count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.tokens import CLIP, budget_names, count_tokens, find_budget, hub
from tests.support.small_tokenizers import TEXTS, bert, gemma, in_cache, unigram

KINDS = {"bert": (bert, "whitespace"), "unigram": (unigram, "canonicalize"),
         "gemma": (gemma, "canonicalize")}  # fmt: skip
HARD = (*TEXTS, "", "   two  words ", "café &amp; <b>bold</b> 😀", "UPPER Case, A_B-c!", "x" * 300)


def model_folder(folder: Path, kind: str, context: int = 16) -> Path:
    make, clean = KINDS[kind]
    text = {"context_length": context, "hf_tokenizer_name": "some/where",
            "tokenizer_kwargs": {"clean": clean}}  # fmt: skip
    config = {"model_cfg": {"embed_dim": 8, "text_cfg": text}, "preprocess_cfg": {}}
    (make(folder) / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    hub._counter.cache_clear()
    hub.count.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_open_clips_tokenizers(kind: str, tmp_path: Path) -> None:
    from open_clip import get_tokenizer

    name = f"local-dir:{model_folder(tmp_path, kind)}"
    budget, theirs = find_budget(name), get_tokenizer(name)
    pad = theirs.tokenizer.pad_token_id
    for text in HARD:
        (row,) = theirs(text, context_length=400)
        assert budget.count(text) == int((row != pad).sum()), text
    assert budget.limit == theirs.context_length == 16
    (full,) = theirs(" ".join(TEXTS))
    assert bool((full != pad).all()) and not budget.fits(" ".join(TEXTS))


def test_the_names(cache: Path, tmp_path: Path) -> None:
    in_cache(unigram(tmp_path / "siglip"), cache, "timm/ViT-B-16-SigLIP")
    in_cache(gemma(tmp_path / "gemma"), cache, "timm/ViT-B-16-SigLIP2")
    in_cache(bert(tmp_path / "bert"), cache, "bert-base-uncased")
    in_cache(unigram(tmp_path / "xlm"), cache, "facebook/xlm-v-base")
    limits = {name: find_budget(name).limit for name in budget_names()}
    assert limits == {
        "clip": 77, "long-clip": 248, "siglip": 64, "siglip2": 64, "pe-core": 32, "pe-core-g": 72,
        "coca": 76, "clipa": 32, "metaclip2": 77,
    }  # fmt: skip
    for name in ("clip", "77", "ViT-B-16", "ViT-B/16", "EVA02-B-16", None):
        assert find_budget(name) is CLIP
    for name in ("long-clip", "pe-core", "PE-Core-B-16", "coca", "40"):
        assert find_budget(name).count(TEXTS[0]) == count_tokens(TEXTS[0])
        assert find_budget(name).other_counts(TEXTS[0]) == {}
    siglip = find_budget("siglip")
    assert siglip.clean == "canonicalize" and siglip.tokenizer == "timm/ViT-B-16-SigLIP"
    assert siglip.other_counts("a cat") == {"timm/ViT-B-16-SigLIP": siglip.count("a cat")}
    assert siglip.count("A cat!") == siglip.count("a cat")
    assert [find_budget(n).words for n in ("clip", "siglip", "32", "pe-core-g")] == [45, 37, 18, 42]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("siglip3", UsageError, "no token budget 'siglip3' (did you mean siglip or siglip2?)"),
        ("2", UsageError, "no room for a word: give 3 or more"),
        ("-4", UsageError, "no token budget '-4'"),
        ("siglip2", ConfigurationError, "tokenizer.json of timm/ViT-B-16-SigLIP2, which is not"),
        ("siglip2", ConfigurationError, "`lsmseg-prompts model pull ViT-B-16-SigLIP2` fetches it"),
        ("hf-hub:org/name", ConfigurationError, "open_clip_config.json of org/name, which is not"),
        ("hf-hub:a b", ConfigurationError, "open_clip_config.json of a b, which is not"),
        ("local-dir:none", ConfigurationError, "none"),
    ],
)  # fmt: skip
def test_what_is_not_there(cache: Path, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        find_budget(name)
    assert said in str(caught.value)


def test_a_folder_that_is_not_whole(tmp_path: Path) -> None:
    name = f"local-dir:{model_folder(tmp_path, 'bert')}"
    hub._counter.cache_clear()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json cannot be read"):
        find_budget(name).count("a cat")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no tokenizer\.json: put the files"):
        find_budget(name)
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({"text_cfg": {"hf_tokenizer_name": "x", "tokenizer_mode": "y"}}))
    with pytest.raises(ConfigurationError, match=r"a mode of its own \(y\)"):
        find_budget(name)
    for content in ("[1]", "{", '{"model_cfg": 3}'):
        config.write_text(content)
        with pytest.raises(ConfigurationError, match="is not a configuration of open_clip's"):
            find_budget(name)


def test_a_vocabulary_without_tokenizer_json_is_left_to_transformers(tmp_path: Path) -> None:
    from open_clip import get_tokenizer

    name = f"local-dir:{model_folder(tmp_path, 'bert')}"
    whole = find_budget(name)
    pieces = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    counts = [whole.count(text) for text in TEXTS]
    (tmp_path / "vocab.txt").write_text("".join(f"{p}\n" for p in sorted(pieces, key=pieces.get)))
    (tmp_path / "tokenizer.json").unlink()
    hub._counter.cache_clear()
    hub.count.cache_clear()
    assert [find_budget(name).count(text) for text in TEXTS] == counts
    assert [int((get_tokenizer(name)(t, context_length=99) != 0).sum()) for t in TEXTS] == counts


def test_files_that_lie_elsewhere(cache: Path, tmp_path: Path) -> None:
    folder = unigram(tmp_path / "beside")
    budget = find_budget("siglip", folder)
    assert budget.tokenizer == "timm/ViT-B-16-SigLIP" and budget.file.parent == folder
    assert budget.count("a cat") == find_budget("ViT-B-16-SigLIP-384", folder).count("a cat")


def test_a_hub_model_and_what_a_text_over_its_budget_is_told(cache: Path, tmp_path: Path) -> None:
    in_cache(model_folder(tmp_path / "made", "bert"), cache, "org/model")
    in_cache(bert(tmp_path / "words"), cache, "some/where")
    budget = find_budget("hf-hub:org/model")
    assert (budget.tokenizer, budget.limit) == ("some/where", 16)
    with pytest.raises(RefusedError, match=r"takes \d+ of hf-hub:org/model's 16 tokens and would"):
        budget.check(TEXTS[0], "horse")
    with pytest.raises(RefusedError, match="takes 20 of the 10 tokens and would be cut"):
        find_budget("10").check(TEXTS[0], "horse")
    budget.check("a", "horse")
