"""The commands `model ...`: the networks."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer
from typer import Option

from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import show
from lsmseg_prompts.terminal import print_wrapped

app = group("The networks.")


@app.command("list", **example("model list"))
def model_list(json: options.Json = False) -> None:
    """The networks that have a name."""
    from lsmseg_model.networks.build import available, read_network

    show([{"name": name, "title": read_network(name)["title"]} for name in available()], json)


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
        Literal["freeze", "qk", "kv", "qv", "full"],
        Option(help="Which projections of CLIP's attention learn."),
    ] = "qv",
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
