"""The commands `model ...`: the networks, and models as files for other runtimes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import say, show
from lsmseg_prompts.terminal import print_wrapped

app = group("The networks.")


@app.command("list", **example("model list --pretrained siglip2"))
def model_list(
    wanted: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="Only those with this in the name.")
    ] = "",
    pretrained: Annotated[
        bool, Option("--pretrained", help="The published weights: models with tags, encoders.")
    ] = False,
    json: options.Json = False,
) -> None:
    """The networks that have a name; with --pretrained the weights that --pretrained fetches."""
    if pretrained:
        from lsmseg_model.encoders.sources import encoder_rows
        from lsmseg_model.pull.listing import tag_rows

        rows = [*tag_rows(wanted), *encoder_rows(wanted)]
        show(rows, json, ["model", "tag", "context", "tokenizer", "licence", "size", "here"])
        return
    from lsmseg_model.networks.build import available, read_network

    names = [name for name in available() if wanted.lower() in name]
    show([{"name": name, "title": read_network(name)["title"]} for name in names], json)


@app.command("pull", **example("model pull ViT-B-16:openai"))
def model_pull(
    names: Annotated[
        list[str],
        typer.Argument(
            autocompletion=completion.pulled,
            help="MODEL:TAG as in ViT-B-16:openai, hf-hub:org/model, or an encoder such as sam-b.",
        ),
    ],
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Fetch published weights, with the configuration and tokenizer that they need."""
    from lsmseg_model.encoders.sources import pull

    rows = []
    for name in names:
        found = pull(name)
        size = found.weights.stat().st_size
        tokenizer = found.tokenizer and str(found.tokenizer)
        rows.append(
            {"name": name, "bytes": size, "file": str(found.weights), "tokenizer": tokenizer}
        )
    show(rows, json)


@app.command("describe", **example("model describe lsmseg-b --classes 150 --set k=64"))
def model_describe(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.networks, help="A network's name, or a JSON file of your own."
        ),
    ],
    classes: Annotated[int, Option(min=1, help="Classes to tell apart.")] = 171,
    clip: Annotated[
        Literal["freeze", "qk", "kv", "qv", "full"] | None,
        Option(help="Which projections of CLIP's attention learn (default: qv, of ConvNeXt none)."),
    ] = None,
    size: Annotated[
        int | None, Option(min=1, help="The side that pictures are squashed to (default: its own).")
    ] = None,
    change: Annotated[
        list[str] | None,
        Option("--set", help="A field of the network and its value, k=64; may be repeated."),
    ] = None,
    json: options.Json = False,
) -> None:
    """The parts of a network, its parameters, and the operations and memory of a picture."""
    from lsmseg_model.networks.config import parse_changes
    from lsmseg_model.networks.profile import profile, summary_lines

    profiled = profile(name, classes, clip, size, **parse_changes(change or ()))
    if json:
        show(asdict(profiled), json)
    else:
        show(profiled.parts, json)
        for line in summary_lines(profiled):
            print_wrapped(line)


@app.command("export", **example("model export lsmseg-tiny -o exported/ --format onnx"))
def model_export(
    ctx: typer.Context,
    output: Annotated[Path, Option("-o", "--output", help="A new folder for the files.")],
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.models, help="lsmseg-tiny, or an open_clip model name."
        ),
    ] = "lsmseg-tiny",
    format: Annotated[
        Literal["onnx", "torch"], Option(help="For onnxruntime and others, or torch.export's.")
    ] = "onnx",
    pretrained: options.Pretrained = None,
    checkpoint: options.Checkpoint = None,
    checkpoint_format: Annotated[
        Literal["lsmseg", "cat-seg"], Option(help="Whose layout the checkpoint has.")
    ] = "lsmseg",
    dense: options.Dense = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """A model as files for other runtimes: features, texts, a whole network."""
    import lsmseg_model

    options.unused(ctx, checkpoint is None, "without --checkpoint", "checkpoint_format")
    request = options.request_from(
        lsmseg_model.ModelExportRequest,
        ctx,
        model=name,
        out=output,
        runtime=format,
        format=checkpoint_format,
    )
    result = lsmseg_model.model_export(request, on_message=say)
    if json:
        show({"folder": str(result.folder), **asdict(result.model)}, json)
    else:
        print(result.folder)
