"""What the shell's completion offers: names of all kinds, quickly, and files beside them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ablations.commands import completion

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def offered(call) -> Callable[[str], list[str]]:
    """What bash is told at the end of a line; a line that ends in a space begins a new word."""

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        result = call(env={"_LSMSEG_PROMPTS_COMPLETE": "complete_bash", "COMP_WORDS": line,
                           "COMP_CWORD": str(len(words) - 1)})  # fmt: skip
        assert (result.code, result.err) == (0, "")
        return result.out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("generate --vocab ca", ["camvid"]),
        ("vocab show ade", ["ade20k-150", "ade20k-847", "ade20k-150-fcclip"]),
        ("evaluate --data min", ["ministuff"]),
        ("ablate --data pc", ["pc-59", "pc-459", "pc-60"]),
        ("data check --data voc-20", ["voc-20"]),
        ("recipes run table2 --train-data coco-s", ["coco-stuff", "coco-stuff10k"]),
        ("evaluate --model lsm", ["lsmseg-tiny"]),
        ("evaluate --model ViT-B-16-q", ["ViT-B-16-quickgelu"]),
        ("train --config cat-seg-c", ["cat-seg-convnext-b", "cat-seg-convnext-l"]),
        ("model describe cat-seg-b", ["cat-seg-b"]),
        ("pretrain --config lsmseg", ["lsmseg-tiny"]),
        ("evaluate --dense s", ["sclip", "sam-proxy"]),
        ("export --format open", ["open_clip"]),
        ("generate --llm gpt-4o", ["gpt-4o", "gpt-4o-mini"]),
        ("generate --llm openai", ["openai/"]),
        ("llm list anth", ["anthropic"]),
        ("llm check claude-opus-5", ["claude-opus-5", "claude-opus-5-5"]),
        ("recipes show table4", ["table4"]),
        ("recipes cost table2 table3", ["table3"]),
        ("ablate --attributes col", ["color"]),
        ("ablate --attributes color,sha", ["color,shape"]),
        ("export --attributes color,shape,m", ["color,shape,material"]),
        ("generate --attribute si", ["size"]),
        ("vocab", ["vocab"]),
        ("store st", ["status"]),
        ("store status --verb", ["--verbose"]),
    ],
)
def test_names_are_offered(line: str, names: list[str], offered) -> None:
    assert offered(f"lsmseg-prompts {line}") == names


def test_all_names_where_nothing_is_typed(offered) -> None:
    assert "camvid" in offered("lsmseg-prompts vocab show ")
    assert {"color", "pattern", "name"} <= set(offered("lsmseg-prompts ablate --attributes "))
    left = offered("lsmseg-prompts ablate --attributes color,")
    assert "color,shape" in left and "color,color" not in left


def test_files_stand_beside_names(offered) -> None:
    """Where no name begins as typed nothing is offered, and the shell completes files itself."""
    Path("camels.txt").write_text("camel\n")
    Path("own.txt").write_text("camel\n")
    assert offered("lsmseg-prompts generate --vocab cam") == ["camvid", "camels.txt"]
    assert offered("lsmseg-prompts generate --vocab ow") == []
    assert offered("lsmseg-prompts evaluate --prompts ow") == []


def test_the_names_are_those_that_the_commands_know() -> None:
    import open_clip

    from ablations.recipes import files
    from lsmseg_model.data.layouts import LAYOUTS
    from lsmseg_model.networks.backbones.dense import ALL_NAMES
    from lsmseg_model.networks.build import available

    assert completion.DENSE == ALL_NAMES
    assert completion.benchmarks("") == ["ministuff", *LAYOUTS]
    assert completion.networks("") == available()
    assert completion.recipes("") == files.available()
    assert set(completion.models("")) == {"lsmseg-tiny", *open_clip.list_models()}


@pytest.mark.process
def test_completion_is_light() -> None:
    """All of it without torch and numpy: a key pressed must not take a second."""
    code = (
        "import sys; from ablations.commands import completion as c\n"
        "for f in (c.vocabularies, c.benchmarks, c.models, c.networks, c.clips, c.dense, c.recipes,"
        " c.llms, c.attributes): assert f('')\n"
        "sys.exit(', '.join({'torch', 'numpy', 'open_clip', 'pydantic'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
