"""Fixtures that several tests of ablations share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.ablation_fakes import board, by_table
from support.ablation_runs import CLASSES
from support.report_pages import AFTER, BEFORE, EVIL, leave

from ablations.report.classwise import most_changed, pair_rows, per_class
from ablations.report.lengths import length_rows
from ablations.search.scoreboard import Candidate
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.networks.backbones.load import build_backbone, read_config


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of any number of pictures, for those that are computed by hand."""
    monkeypatch.setattr("ablations.search.enough.MIN_PICTURES", 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights, a vocabulary file and a folder of forty pictures."""
    top = tmp_path_factory.mktemp("world")
    config = read_config("lsmseg-tiny")
    config["name"] = "atom"
    config["clip"] |= {
        "embed_dim": 8,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 16,
            "head_width": 8,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 8,
            "heads": 2,
            "layers": 1,
        },
    }
    config["view"] = {"short_side": 32, "window": 32, "stride": 16}
    (top / "atom.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    save_weights(top / "atom.safetensors", build_backbone(config).model.state_dict(), {})
    (top / "four.txt").write_text("\n".join(CLASSES))
    for kind in ("images", "annotations"):
        (top / "pictures" / kind / "val").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(40):
        labels = np.full((32, 40), i % 4, dtype=np.uint8)
        labels[:, 20:] = (i + 1) % 4
        labels[:2] = 255
        picture = (labels[..., None] % 4 * 60 + rng.integers(0, 40, (32, 40, 3))).astype(np.uint8)
        Image.fromarray(picture).save(top / "pictures" / "images" / "val" / f"p{i}.png")
        Image.fromarray(labels).save(top / "pictures" / "annotations" / "val" / f"p{i}.png")
    return top


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """What a run leaves now; a class's name is HTML too."""
    one = board(by_table({"name": 0.2, "color": 0.4}))
    bench = one.benches[0]
    classes = per_class(one, bench, Candidate(("color",)))
    classes[0] |= {"name": EVIL, "after": [EVIL, "second"]}
    pairs = pair_rows(bench, np.array(BEFORE), np.array(AFTER), classes)
    lengths = length_rows([one.prompt_set(bench, Candidate((a,))) for a in ("name", "color")])
    return leave(
        tmp_path,
        per_class=classes,
        confusions=most_changed(pairs),
        lengths=[{**row, "chosen": row["prompts"] == "color"} for row in lengths],
        commands=[{"what": "It", "command": f"lsmseg-prompts ablate --llm '{EVIL}'"}],
    )
