"""The token budget of the model that scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ablations import AblationRequest
from ablations.recipes.backbones import Compared, Small
from ablations.refinement.proposers.attributes import joined
from ablations.refinement.texts import TextStore
from ablations.report.lengths import length_rows
from ablations.runs.open import load_descriptions
from ablations.runs.reproduce import ablate_command
from ablations.scoring.budgets import budget_for, budget_of_network
from ablations.search.scoreboard import Candidate
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.networks.backbones.load import read_config
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.training_texts import training_texts
from lsmseg_prompts.tokens import CLIP, count_tokens, find_budget, hub
from lsmseg_prompts.vocabularies import load_vocabulary
from tests.support.ablation_fakes import DESCRIPTIONS, VOCABULARY, board
from tests.support.small_tokenizers import unigram

SMALL = find_budget("16")


def test_it_is_that_of_the_model_unless_another_is_asked_for() -> None:
    for model in ("lsmseg-tiny", "ViT-B-16", "no-such-model", None):
        assert budget_for(None, model) is CLIP
    assert budget_for(None, "PE-Core-B-16").limit == 32
    assert budget_for("64", "PE-Core-B-16").limit == 64
    assert AblationRequest(model="PE-Core-bigG-14-448").token_budget.limit == 72
    assert AblationRequest(scorer="trained", checkpoint="x").token_budget is CLIP
    assert AblationRequest(scorer="retrain", config="lsmseg-b").token_budget is CLIP
    with pytest.raises(UsageError, match="no token budget 'siglip9'"):
        AblationRequest(budget="siglip9")
    words = ablate_command(AblationRequest(budget="32"), "bundled", Path("run"))
    assert words[words.index("--budget") + 1] == "32"


def test_it_is_that_of_a_configuration_of_ours(tmp_path: Path) -> None:
    config = read_config("lsmseg-tiny")
    config["clip"]["text_cfg"]["context_length"] = 32
    own = tmp_path / "own.json"
    own.write_text(json.dumps(config))
    assert budget_for(None, str(own)).limit == 32
    save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {"config": config})
    assert budget_for(None, "lsmseg-tiny", tmp_path / "w.safetensors").limit == 32
    assert budget_for(None, str(tmp_path / "none.json")) is CLIP
    assert budget_of_network({"clip": config}).limit == 32
    assert budget_of_network({"clip": "PE-Core-B-16"}).limit == 32
    small = Compared("x", small=Small(clip={"text_cfg": {"context_length": 32}}))
    assert small.budget.limit == 32
    assert Compared("y", "PE-Core-bigG-14-448").budget.limit == 72


def test_a_tokenizer_beside_the_weights_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.count.cache_clear()
    weights = unigram(tmp_path / "model") / "weights.pt"
    weights.write_bytes(b"")
    budget = budget_for(None, "ViT-B-16-SigLIP", weights)
    assert (budget.limit, budget.file.parent) == (64, weights.parent)
    assert budget.count("a cat") > 2


def test_prompt_sets_fit_and_the_report_says_how_they_were_counted() -> None:
    usual = board(lambda name, split: 1.0)
    small = board(lambda name, split: 1.0)
    small.budget = SMALL
    (bench,), both = small.benches, Candidate(("color", "shape"))
    texts = small.prompt_set(bench, both).texts
    assert max(count_tokens(text) for (text,) in texts) <= 16
    assert texts != usual.prompt_set(usual.benches[0], both).texts
    (row,) = length_rows([small.prompt_set(bench, both)], SMALL)
    assert (row["budget"], row["limit"]) == ("16", 16) and row["longest"] <= 16
    assert "budget" not in length_rows([usual.prompt_set(usual.benches[0], both)])[0]


def test_refinement_proposes_what_fits() -> None:
    texts = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, {(0, 1): "A " + "very " * 20 + "x."})
    within = texts.within(SMALL)
    assert within.budget is SMALL and not within.pairs
    assert all(SMALL.fits(text) for text in within.descriptions.values())
    said = {a: within.descriptions[0, a] for a in ("color", "shape")}
    whole = joined(("color", "shape"), said, VOCABULARY[0])
    assert whole is not None
    tight = replace(SMALL, limit=count_tokens(whole.texts[0]) - 1)
    one = joined(("color", "shape"), said, VOCABULARY[0], tight)
    assert one is None or count_tokens(one.texts[0]) <= tight.limit


def test_what_cannot_be_short_enough_ends_an_ablation_before_any_picture() -> None:
    request = AblationRequest(budget="32", attributes=["size"])
    vocabularies = [load_vocabulary("coco-stuff")]
    with pytest.raises(RefusedError, match=r"tokens where 32 fit .*or use --missing name"):
        load_descriptions(request, vocabularies, ["bundled"])
    (named,) = load_descriptions(
        replace(request, missing="name"), vocabularies, ["bundled"]
    ).values()
    assert len(named[0]) == 2 * len(vocabularies[0])
    color = replace(request, attributes=["shape"])
    (kept,) = load_descriptions(color, vocabularies, ["bundled"]).values()
    typical = [text for (_, attribute), text in kept[0].items() if attribute == "typical"]
    assert 0 < len(typical) < len(vocabularies[0])  # the others cannot be shortened


def test_training_texts_fit() -> None:
    texts = training_texts(DESCRIPTIONS, VOCABULARY, combos=3, budget=SMALL)
    assert all(SMALL.fits(text) for group in texts for text in group)
