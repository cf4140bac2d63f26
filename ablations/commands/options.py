"""Options that several commands have, and how results are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option


class Shown:
    """The global options, which the commands and main() read."""

    debug = False
    quiet = False


Vocab = Annotated[
    str,
    Option("--vocab", help="A name of vocab list, or a .txt or .json file of your own classes."),
]
MaybeVocab = Annotated[
    str | None, Option("--vocab", help="The vocabulary; by default the one the data has.")
]
Llm = Annotated[str, Option("--llm", help="Who writes the descriptions; bundled is offline.")]
Llms = Annotated[
    list[str] | None, Option("--llm", help="Who writes; may be repeated (default: bundled).")
]
BaseUrl = Annotated[
    str | None,
    Option(
        "--base-url", help="A server that speaks OpenAI's protocol: vLLM, Ollama, llama.cpp ..."
    ),
]
KeyFile = Annotated[
    Path | None, Option("--key-file", help="A file with the key (default: the environment).")
]
StorePath = Annotated[
    Path | None,
    Option("--store", help="The attribute store (default: $LSMSEG_PROMPTS_STORE, else ./runs/)."),
]
Attributes = Annotated[
    str | None,
    Option("--attributes", "--attribute", help="Attributes between commas, such as size,shape."),
]
Json = Annotated[bool, Option("--json", help="Print the result as JSON.")]
Composition = Annotated[
    Literal["concat", "ensemble", "sentence"],
    Option("--composition", help="Clause by clause, averaged, or written as one sentence."),
]
Model = Annotated[str, Option("--model", help="lsmseg-tiny, or an open_clip model name.")]
Pretrained = Annotated[
    Path | None, Option("--pretrained", help="A weights file for the model, on this machine.")
]
Dense = Annotated[
    str | None, Option("--dense", help="Another last block of CLIP, such as sclip or sam-proxy.")
]
SamFile = Annotated[
    Path | None, Option("--sam", help="Weights of SAM or DINOv2, for --dense sam-proxy.")
]
Checkpoint = Annotated[
    Path | None,
    Option("--checkpoint", help="A whole network in place of a CLIP: what train left, or CAT-Seg."),
]
Format = Annotated[
    Literal["lsmseg", "cat-seg"], Option("--format", help="Whose layout the checkpoint has.")
]
Device = Annotated[str, Option("--device", help="Where to compute: cpu, cuda, cuda:1, ...")]
Executor = Annotated[
    Literal["local", "ray"], Option("--executor", help="This machine, or a Ray cluster.")
]
DataRoot = Annotated[
    str | None, Option("--data-root", help="The folder that holds the data's pictures.")
]
Prompts = Annotated[Path | None, Option("--prompts", help="A prompt set exported as native JSON.")]

RunFolder = Annotated[Path, Option("--out", help="The folder for weights and checkpoints.")]
Resume = Annotated[bool, Option("--resume", help="Go on from the checkpoint in --out.")]
Iterations = Annotated[
    int | None, Option("--iterations", min=1, help="Steps (default: the config's).")
]
LearningRate = Annotated[
    float | None, Option("--lr", min=0, help="Learning rate (default: the config's).")
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    Option("--precision", help="auto takes bf16 where the processor has it."),
]
Minutes = Annotated[
    float | None, Option("--minutes", min=0, help="Stop after so long; --resume goes on.")
]
Seed = Annotated[int, Option("--seed", help="Seed of everything random.")]


def names(option: str | None) -> list[str] | None:
    """The names between the commas of an option."""
    return None if option is None else [name.strip() for name in option.split(",") if name.strip()]


def text(path: Path | None) -> str | None:
    """The path of an option as text."""
    return None if path is None else str(path)


def show(value: Any, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """A result on stdout: JSON, or a table of its rows, or a line for each of its values."""
    from lsmseg_prompts.terminal import print_json, print_table

    if as_json:
        print_json(value)
    elif isinstance(value, list):
        print_table(value, columns)
    else:
        for key, item in value.items():
            print(
                f"{key.replace('_', ' ')}: {item:.4f}"
                if isinstance(item, float)
                else f"{key.replace('_', ' ')}: {item}"
            )


def not_both(prompts: Path | None, attributes: str | None) -> None:
    """Raise typer's usage error where --prompts and --attributes are both given."""
    if prompts is not None and attributes is not None:
        from typer import BadParameter

        raise BadParameter("give --prompts or --attributes, not both")


def sentences(
    prompts: Path | None, data: str, vocab: str | None, llm: str, store: Path | None, seed: int
) -> tuple[str, list[list[str]], bool]:
    """The texts to train with, of every class, from a prompt set or from the descriptions.

    Returns the name of their vocabulary, the texts, and whether they are a prompt set's.
    """
    from lsmseg_prompts.descriptions.loading import load
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.training_texts import training_texts
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    if prompts is not None:
        loaded = load_native(prompts)
        return loaded.vocabulary, [list(group) for group in loaded.texts], True
    vocabulary = benchmark_vocabulary(data, vocab)
    descriptions = load(vocabulary, llm, store=store, require=False)
    return vocabulary.name, training_texts(descriptions, vocabulary, seed), False
