"""An option that would be ignored is refused: exit code 2, a sentence that names it, no files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import listing, refused

from ablations import AblationRequest, RecipeRequest
from ablations.recipes.files import read_recipe
from ablations.recipes.plan import make_plan
from ablations.runs.open import benchmark_roots
from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.errors import UsageError as ModelUsageError
from lsmseg_prompts.errors import UsageError

PREDICT = "predict pic.png --classes sky"
TRAININGS = ("train --out o", "pretrain --out o")
UNUSED = [
    # words, the option that is named
    *((f"{command} --prompts p.json {option}", option.split()[0])
      for command in ("evaluate", *TRAININGS)
      for option in ("--vocab camvid", "--llm bundled", "--store s.sqlite")),
    *((f"{command} --prompts p.json {option}", option.split()[0])
      for command in ("evaluate", PREDICT) for option in ("--attributes color", "--llm gpt-4")),
    ("evaluate --prompts p.json --composition concat", "--composition"),
    *((f"{command} {option}", named) for command in ("evaluate", PREDICT) for option, named in (
        ("--format lsmseg", "--format"),
        ("--checkpoint c --model lsmseg-tiny", "--model"),
        ("--checkpoint c --pretrained w", "--pretrained"),
        ("--checkpoint c --dense sclip", "--dense"),
        ("--checkpoint c --sam w", "--sam"),
        ("--checkpoint c --format cat-seg --llm bundled", "--llm"),
    )),
    ("evaluate --cache f", "--cache"),
    *((f"{command} --data {data} --vocab camvid --data-root f", "--data-root")
      for command in ("evaluate", *TRAININGS) for data in ("ministuff", "folder")),
    *((f"{command} --data ministuff --data-root f", "--data-root")
      for command in ("ablate", "recipes run table2")),
    ("data check --data folder --vocab camvid --data-root f", "--data-root"),
    ("train --out o --encoder w --config cat-seg-b --pretrained random", "--encoder"),
    ("ablate --strategy greedy --beam-width 3", "--beam-width"),
    ("ablate --strategy chain --beam-width 2", "--beam-width"),
    ("ablate --cache f --no-cache", "--cache"),
    ("ablate --orders --composition ensemble", "--orders"),
    ("ablate --scorer trained --checkpoint c --pretrained w", "--pretrained"),
    ("ablate --scorer retrain --model ViT-B-16", "--model"),
    *((f"{command} --sam w", "--sam") for command in ("ablate", "evaluate", PREDICT)),
    *((f"export --attributes color -o p.json {option}", option.split()[0])
      for option in ("--model lsmseg-tiny", "--pretrained w", "--device cpu")),
    ("export --attributes color -o p.json --format dclip --form phrase", "--form"),
    *((f"generate {option}", option.split()[0]) for option in
      ("--price-in 1 --price-out 1", "--key-file k", "--temperature 1", "--timeout 9",
       "--wording thesis", "--template t.j2", "--base-url http://127.0.0.1:1/v1", "--batch")),
    ("generate --llm gpt-4 --template t.j2 --wording paper", "--wording"),
    ("generate --llm gpt-4 --llm qwen-max --base-url http://127.0.0.1:1/v1", "--base-url"),
    ("attributes --key-file k", "--key-file"),
    ("attributes --raw --json", "--raw"),
    ("attributes --check-images a.png --wording paper", "--wording"),
    *((f"vocab check camvid {option}", option.split()[0]) for option in
      ("--base-url http://127.0.0.1:1/v1", "--key-file k", "--store s.sqlite")),
    ("recipes run table2 --precision bf16", "--precision"),
    ("recipes run table2 --workers 3", "--workers"),
    ("recipes run table2 --json --format csv", "--format"),
    ("recipes run table2 --cache f --no-cache", "--cache"),
    ("recipes cost table4 --gpus 2", "--gpus"),
    ("store path --shipped --store s.sqlite", "--store"),
    ("store show zebra --edits --llm bundled", "--llm"),
    ("store show zebra --edits --attributes color", "--attributes"),
    ("store show zebra --edits --attempts", "--edits"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "option"), UNUSED)
def test_an_option_that_would_be_ignored(words: str, option: str, call) -> None:
    Path("folder").mkdir()
    arguments = words.split()
    before = listing()
    refused(call("-q", *arguments), 2, option)
    assert listing() == before


def test_the_library_says_it_too() -> None:
    with pytest.raises(UsageError, match="without --strategy beam"):
        AblationRequest(strategy="greedy", beam_width=2)
    with pytest.raises(UsageError, match="--model is a CLIP"):
        AblationRequest(scorer="retrain", model="ViT-B-16")
    with pytest.raises(UsageError, match="--workers does not go with it"):
        make_plan(read_recipe("table2"), RecipeRequest("table2", workers=2))
    with pytest.raises(UsageError, match="1 folders are given with --data-root, but 0"):
        benchmark_roots(["ministuff"], ["f"])
    with pytest.raises(ModelUsageError, match="leave out --data-root"):
        load_benchmark("ministuff", "f")
