"""Options that several commands have, and the step from parsed options to a request.

Each option is called like its parameter; only what is called otherwise has its name here.
"""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from typer import BadParameter, Context, Option

from ablations.commands import completion
from ablations.commands.output import offline, say
from lsmseg_model.seeds import LAST
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.tokens import CLIP, TokenBudget


def batch_size(text: str) -> int | None:
    """The value of --batch-size: a number, or None for "auto"."""
    if text == "auto":
        return None
    if not text.isdecimal() or not int(text):
        raise BadParameter(f"{text!r} is neither auto nor a number from 1.")
    return int(text)


Vocab = Annotated[
    str,
    Option(
        autocompletion=completion.vocabularies,
        help="A name of vocab list, or a .txt or .json file of your own classes.",
    ),
]
VocabOfPrompts = Annotated[
    str | None,
    Option(
        autocompletion=completion.vocabularies,
        help="A vocabulary by name or file (default: that of --prompts, else coco-stuff).",
    ),
]
MaybeVocab = Annotated[
    str | None,
    Option(
        autocompletion=completion.vocabularies,
        help="The vocabulary; by default the one the data has.",
    ),
]
Llm = Annotated[
    str,
    Option(autocompletion=completion.llms, help="Who writes the descriptions; bundled is offline."),
]
Llms = Annotated[
    list[str] | None,
    Option(autocompletion=completion.llms, help="Who writes; may be repeated (default: bundled)."),
]
BaseUrl = Annotated[
    str | None, Option(help="A server that speaks OpenAI's protocol: vLLM, Ollama, llama.cpp ...")
]
KeyFile = Annotated[Path | None, Option(help="A file with the key (default: the environment).")]
RequestOption = Annotated[
    list[str] | None,
    Option(
        "-o", "--option", metavar="KEY=VALUE",
        help="A parameter of each request, such as top_p=0.9; may be repeated.",
    ),
]  # fmt: skip
System = Annotated[Path | None, Option(help="A file with the system message.")]
Reasoning = Annotated[
    Literal["off", "low", "medium", "high"] | None,
    Option(help="How much it thinks, in the provider's terms (default: the model's own)."),
]
Wording = Annotated[Literal["paper", "thesis"], Option(help="Whose wording of the question.")]
StorePath = Annotated[
    Path | None, Option(help="The attribute store (default: $LSMSEG_PROMPTS_STORE, else ./runs/).")
]
Attributes = Annotated[
    str | None,
    Option(
        "--attributes",
        "--attribute",
        autocompletion=completion.attributes,
        help="Attributes between commas, such as size,shape.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print the result as JSON.")]
Composition = Annotated[
    Literal["concat", "ensemble", "sentence", "mean-score", "max", "adaptive"],
    Option(
        metavar="HOW",
        help="concat: one text; ensemble: mean embedding; mean-score: mean cosine; max: best "
        "text; adaptive: what fits the picture; sentence: written by the LLM.",
    ),
]
Missing = Annotated[
    Literal["fail", "name", "skip"],
    Option(
        metavar="HOW",
        help="Classes without descriptions: fail, the plain name, or skip: they do not count.",
    ),
]
AllSamples = Annotated[
    bool,
    Option("--all-samples", help="Average all samples of a description, not the first alone."),
]
Budget = Annotated[
    str | None,
    Option(
        autocompletion=completion.budgets,
        metavar="NAME|N",
        help="Tokens that a text may take: siglip2, pe-core, an open_clip model, 32 ... (default: "
        "those of the model in use, 77 of CLIP).",
    ),
]
Prompts = Annotated[Path | None, Option(help="A prompt set exported as native JSON.")]

Model = Annotated[
    str,
    Option(
        autocompletion=completion.models,
        help="lsmseg-tiny, a model of open_clip, hf-hub:org/model or local-dir:FOLDER.",
    ),
]
Pretrained = Annotated[
    str | None,
    Option(
        autocompletion=completion.weights,
        help="Its weights: a FILE, or a tag (openai ...) or hf-hub:org/model, which are fetched.",
    ),
]
Encoder = Annotated[
    str | None,
    Option(
        autocompletion=completion.encoders,
        help="The second encoder's weights: a FILE, or its name, by which they are fetched.",
    ),
]
Dense = Annotated[
    str | None,
    Option(
        autocompletion=completion.dense,
        help="Another end of the picture tower, such as sclip or sam-proxy.",
    ),
]
Sam = Annotated[
    str | None,
    Option(
        autocompletion=completion.encoders,
        help="For --dense sam-proxy: a name such as sam-b or dinov2-b (fetched), or a FILE.",
    ),
]
Checkpoint = Annotated[
    Path | None, Option(help="A whole network in place of a CLIP: what train left, or CAT-Seg.")
]
Format = Annotated[
    Literal["lsmseg", "cat-seg", "sed", "fc-clip"],
    Option(help="Whose layout the checkpoint has.", rich_help_panel="Model"),
]
Captions = Annotated[
    str | None,
    Option(help="What describes the pictures to an llmformer network: rules (drawings) or a FILE."),
]
Runtime = Annotated[
    Literal["torch", "onnx"],
    Option(help="What computes; onnx: --model is a folder that model export wrote."),
]
Flip = Annotated[
    bool, Option("--flip", help="Average the scores with those of the mirrored picture.")
]
Scales = Annotated[
    str, Option(help="Average the scores at several sizes of the picture, such as 0.5,1,1.5.")
]
Offline = Annotated[
    bool,
    Option(
        "--offline",
        callback=offline,
        expose_value=False,
        help="Fetch no weights: those of a name must be here already.",
    ),
]
Device = Annotated[str, Option(help="Where to compute: cpu, cuda, cuda:1, ...")]
Executor = Annotated[Literal["local", "ray"], Option(help="This machine, or a Ray cluster.")]
MaybeFormat = Annotated[
    Literal["lsmseg", "cat-seg"] | None,
    Option(help="Whose layout the checkpoint has (default: lsmseg).", rich_help_panel="Model"),
]
Limit = Annotated[int | None, Option(min=1, help="Use only the first pictures of a split.")]
OneData = Annotated[
    str,
    Option(autocompletion=completion.benchmarks, help="ministuff, coco-stuff, camvid or a folder."),
]
OneSplit = Annotated[str | None, Option(help="The part of the data, or SELECTION,REPORT.")]
NoCache = Annotated[bool, Option("--no-cache", help="Keep no features on disk.")]

DataRoot = Annotated[str | None, Option(help="The folder that holds the data's pictures.")]
DataRoots = Annotated[
    list[str] | None, Option(help="The folder of each --data, in the same order.")
]
ResultFolder = Annotated[
    Path | None, Option(help="The folder for the results (default: runs/<time>).")
]

Force = Annotated[
    bool, Option("--force", help="Replace files that are there, but never what is read.")
]
FolderForce = Annotated[bool, Option("--force", help="Also into a folder that holds other files.")]

RunFolder = Annotated[Path, Option(help="The folder for weights and checkpoints.")]
Resume = Annotated[bool, Option("--resume", help="Go on from the checkpoint in --out.")]
Iterations = Annotated[int | None, Option(min=1, help="Steps (default: the config's).")]
LearningRate = Annotated[float | None, Option(min=0, help="Learning rate (default: the config's).")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"], Option(help="auto takes bf16 where the processor has it.")
]
BatchSize = Annotated[
    int | None,
    Option(
        parser=batch_size,
        metavar="N|auto",
        help="Views at a time on a GPU, pictures side by side on a CPU (default: auto).",
    ),
]
Threads = Annotated[
    int | None,
    Option("--workers", min=1, max=256, help="Threads for pictures (default: one a core)."),
]
Bits = Annotated[
    Literal["fp32", "bf16", "fp16"],
    Option("--precision", help="In how many bits pictures go through the model."),
]
Compile = Annotated[
    bool, Option("--compile", help="Compile the model first: worth it for many pictures.")
]
Minutes = Annotated[float | None, Option(min=0, help="Stop after so long; --resume goes on.")]
Workers = Annotated[int, Option(min=0, max=256, help="Processes that read pictures.")]
Seed = Annotated[int, Option(min=0, max=LAST, help="Seed of everything random.")]

Request = TypeVar("Request")


def given(kind: type[Any], ctx: Context) -> dict[str, Any]:
    """What was given of the options that the dataclass `kind` has fields for.

    A path is text where the field takes no Path; a repeatable option that was not given is None.
    """
    # The context holds what was parsed and nothing else; the command's local variables would also
    # pass on whatever it computes on the way, under any name that happens to be a field's.
    options = {}
    for field in fields(kind):
        if field.name in ctx.params:
            value = ctx.params[field.name]
            if isinstance(value, Path) and "Path" not in str(field.type):
                value = str(value)
            options[field.name] = None if value in ((), []) else value
    return options


def request_from(kind: type[Request], ctx: Context, **changed: Any) -> Request:
    """The request that the command was given; `changed` are fields with other values or names."""
    return kind(**{**given(kind, ctx), **changed})


def inputs(ctx: Context, *outputs: str) -> list[Path]:
    """Every file that a command may read: those that its options name, and the stores.

    outputs: the options that name what is written.
    """
    from lsmseg_prompts.store.sqlite import shipped_store_path, working_store_path

    given = [value for name, value in ctx.params.items() if name not in outputs]
    several = [one for value in given for one in (value if isinstance(value, list) else [value])]
    stores = [working_store_path(ctx.params.get("store")), shipped_store_path()]
    return [*(Path(one) for one in several if isinstance(one, str | Path)), *stores]


def spare_inputs(ctx: Context, output: str, *files: str | Path | None) -> None:
    """Raise ConfigurationError where one of some files that may be replaced is also read.

    output: the option that names them.
    """
    from lsmseg_prompts.files import check_free

    for file in files:
        if file is not None and Path(file).is_file():
            check_free(file, True, inputs(ctx, output))


def names(option: str | None) -> list[str] | None:
    """The names between the commas of an option."""
    return None if option is None else [name.strip() for name in option.split(",") if name.strip()]


def numbers(option: str, text: str) -> tuple[float, ...]:
    """The numbers between the commas of an option; UsageError for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: give numbers between commas, such as 1,2.") from None


def class_names(option: str, text: str | None) -> list[str] | None:
    """The class names between the commas of an option; UsageError where they may be others."""
    from lsmseg_prompts.vocabularies.lines import check_typed

    found = names(text)
    if found == []:
        raise UsageError(f'No class is named: give some, such as {option} "sky, grass, zebra".')
    if found is not None:
        check_typed(option, found)
    return found


def unused(ctx: Context, where: bool, how: str, *options: str) -> None:
    """Raise UsageError where an option was given on the command line and would be ignored.

    Args:
        ctx: What was parsed.
        where: Whether the options have no effect here.
        how: When they have none, such as "beside --prompts".
        options: Their parameters.
    """
    for option in options if where else ():
        source = ctx.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            (flags,) = (p.opts for p in ctx.command.params if p.name == option)
            flag = next(flag for flag in flags if flag.startswith("--"))
            raise UsageError(f"{flag} has no effect {how}: leave it out.")


def unused_model(ctx: Context) -> None:
    """`unused` of the options that name a model."""
    checkpoint = ctx.params["checkpoint"]
    unused(ctx, checkpoint is None, "without --checkpoint", "format")
    own = ctx.params["model"] != "lsmseg-tiny"  # it says which network the checkpoint must be
    unused(ctx, checkpoint is not None and not own, "beside --checkpoint", "model")


def sentences(
    prompts: Path | None,
    data: str,
    vocab: str | None,
    llm: str,
    store: Path | None,
    seed: int,
    budget: TokenBudget = CLIP,
) -> tuple[str, list[list[str]], bool]:
    """The texts to train with, of every class, from a prompt set or from the descriptions.

    Returns the name of their vocabulary, the texts, and whether they are a prompt set's.

    Args:
        prompts: A prompt set.
        data: The data trained on, whose vocabulary counts.
        vocab: Or the vocabulary.
        llm: Who wrote the descriptions.
        store: Where they are.
        seed: Of the combinations.
        budget: The tokens that a text may take.
    """
    from lsmseg_prompts.descriptions.loading import load
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.training_texts import training_texts
    from lsmseg_prompts.store.sqlite import existing_store_path
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    if prompts is not None:
        loaded = load_native(prompts, say, budget)
        return loaded.vocabulary, [list(group) for group in loaded.for_training()], True
    vocabulary = benchmark_vocabulary(data, vocab)
    existing_store_path(store)
    descriptions = load(vocabulary, llm, store=store, require=False)
    if llm != "bundled" and not descriptions:
        load(vocabulary, llm, store=store)  # says what makes them
    return vocabulary.name, training_texts(descriptions, vocabulary, seed, budget=budget), False
