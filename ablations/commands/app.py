"""What all commands share of their shape: the global options, panels of options, an example.

The global options are those of the whole command (`cli.py`); every group and command takes them
too, so that they may stand before or after it. The panel of an option follows from its name.
"""

import re
from math import isfinite
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lsmseg_prompts.errors import UsageError

EVERYWHERE = ("quiet", "verbose", "debug")
"""The global options that may also stand after a command."""

GENERAL = "General"
PANELS = {
    "Data": """
        data data_root source benchmark split vocab classes classes_file limit train_data train_root
        variant missing_ok mirror
    """,
    "Texts": """
        llm attributes attribute pairs prompts composition missing all_samples store shipped wording
        text file expected before background threshold replace attempts edits vary words calibrate
        form budget captions detailed
    """,
    "Model": """
        model pretrained checkpoint checkpoint_format runtime backbones config changes change init
        encoder dense sam size clip scorer short_side flip scales
    """,
    "Requests": """
        base_url key_file reasoning option system template per_call temperature concurrency rpm
        tpm timeout max_retries max_cost max_calls price_in price_out look batch dry_run probe redo
        retry_errors check_images
    """,
    "Training": """
        iterations batch_size accumulate lr ignored precision evaluate_every test_limit
        checkpoint_every minutes resume token_table
    """,
    "Search": """
        rule strategy beam_width orders refine rounds proposers samples again top sort by
    """,
    "Run": """
        seed device compile workers executor cache no_cache offline seconds gpus host port browser
        runs
    """,
    "Output": """
        out output static read check card force picture csv format save_predictions cost_maps npz
        raw boundary without_classes strict yes json
    """,
    GENERAL: "quiet verbose debug version help install_completion show_completion",
}
"""The options of each panel, by the names of their parameters."""

PANEL_OF = {name: panel for panel, names in PANELS.items() for name in names.split()}


def _arranged(command: Any, ctx: Any, params: list[Any]) -> list[Any]:
    """The parameters of a command and the global options: arguments first, then panel by panel."""
    if (root := ctx.find_root().command) is not command:
        params = [*params[:-1], *(p for p in root.params if p.name in EVERYWHERE), params[-1]]
    options = [p for p in params if p.param_type_name == "option"]
    for option in options:
        option.rich_help_panel = option.rich_help_panel or PANEL_OF.get(option.name)
    order = [*PANELS]
    options.sort(key=lambda o: order.index(o.rich_help_panel) if o.rich_help_panel else 0)
    return [*(p for p in params if p.param_type_name != "option"), *options]


def _check_not_empty(args: list[str]) -> None:
    """Raise UsageError for an empty value, such as that of a shell's variable that is not set."""
    for before, word in zip(["", *args], args, strict=False):
        flag = before if word == "" else word[:-1]
        if (word == "" or re.fullmatch("--[a-z-]+=", word)) and flag not in (
            "--text",
            "--expected",
        ):
            named = flag if flag.startswith("-") else "An argument"
            raise UsageError(f"{named} is empty: give a value, or leave it out.")


class Command(TyperCommand):
    """A command that also takes the global options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and refuse what can only be a slip: an empty value, and a number without end."""
        if not ctx.resilient_parsing:
            _check_not_empty(args)
        rest = super().parse_args(ctx, args)
        for param in self.get_params(ctx):
            value = ctx.params.get(param.name)
            if isinstance(value, float) and not isfinite(value):
                raise UsageError(f"{param.opts[0]} is {value}: give a finite number.")
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, and the global options."""
        return _arranged(self, ctx, super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands that also takes the global options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, and the global options."""
        return _arranged(self, ctx, super().get_params(ctx))


def group(help: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(cls=Group, help=help, no_args_is_help=True)


def example(words: str, panel: str | None = None) -> dict[str, Any]:
    """How to register a command: its example without the program's name, its panel in the help."""
    epilog = f"Example:\n\nlsmseg-prompts {words}"
    return {"cls": Command, "epilog": epilog, "rich_help_panel": panel}
