"""The commands `recipes ...`: tables of the paper and the thesis, and recipes of one's own."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

import ablations
from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, show
from ablations.search.enough import MAX_SAMPLES, MIN_SAMPLES
from lsmseg_prompts.terminal import print_line, print_wrapped

app = group("Tables of the paper and the thesis, run again beside what was published.")
Name = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.recipes, help="A recipe's name, or a JSON file of your own."
    ),
]
Many = list[str] | None


@app.command("list", **example("recipes list"))
def recipes_list(json: options.Json = False) -> None:
    """The recipes that ship."""
    from ablations.recipes.files import available, read_recipe

    recipes = [read_recipe(name) for name in available()]
    rows = [
        {
            **{field: getattr(r, field) for field in ("name", "source", "title", "varies")},
            "variants": len(r.variants),
            "trains": {"networks": "networks", "prompts": "nothing"}.get(r.kind, "small backbones"),
        }
        for r in recipes
    ]
    show(rows, json, ["name", "source", "title", "variants", "trains"])


@app.command("show", **example("recipes show table4 -o my.json"))
def recipes_show(
    name: Name,
    output: Annotated[
        Path | None, Option("-o", "--output", help="A file for it (default: print it).")
    ] = None,
    force: options.Force = False,
) -> None:
    """A recipe as JSON: the start of one of your own."""
    from ablations.recipes.files import read_recipe, recipe_path
    from lsmseg_prompts.files import check_free, write_whole

    read_recipe(name)
    text = recipe_path(name).read_text("utf-8")
    if output is None:
        print(text, end="")
    else:
        check_free(output, force, [recipe_path(name)])
        print(write_whole(output, text))


@app.command("cost", **example("recipes cost table2 table3"))
def recipes_cost(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=completion.recipes, help="Recipes (default: all that ship)."),
    ] = None,
    seconds: Annotated[
        float | None,
        Option("--seconds-a-step", min=0.001, help="Measured on your GPUs (default: the paper's)."),
    ] = None,
    gpus: Annotated[int, Option(min=1, help="That share each step.")] = 1,
    json: options.Json = False,
) -> None:
    """What recipes cost at full scale: networks, GPU hours, gigabytes; nothing runs."""
    from ablations.recipes.cost import costs

    options.unused(ctx, seconds is None, "without --seconds-a-step", "gpus")
    rows = costs(names or (), seconds, gpus)
    digits = {"gpu_hours": 1, "gigabytes": 1}
    if not json:
        rows = [
            {k: v if k not in digits or v is None else f"{v:.{digits[k]}f}" for k, v in r.items()}
            for r in rows
        ]
    show(rows, json)


@app.command("run", **example("recipes run table3"))
def recipes_run(
    ctx: typer.Context,
    name: Name,
    variant: Annotated[Many, Option(help="Only this variant; may be repeated.")] = None,
    data: Annotated[
        Many,
        Option(
            autocompletion=completion.benchmarks,
            help="A benchmark to score on; may be repeated (none: small scale).",
        ),
    ] = None,
    data_root: options.DataRoots = None,
    split: Annotated[
        Many, Option(help="The part of the data; one for all, or one for each --data.")
    ] = None,
    vocab: options.MaybeVocab = None,
    llm: Annotated[
        str | None,
        Option(
            autocompletion=completion.llms,
            help="Who wrote the descriptions (default: the recipe's).",
        ),
    ] = None,
    scorer: Annotated[
        Literal["frozen", "trained", "retrain"] | None,
        Option(help="Of recipes of prompts: who scores them (default: frozen)."),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            autocompletion=completion.models,
            help="The CLIP that scores prompts (default: the recipe's).",
        ),
    ] = None,
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    dense: options.Dense = None,
    sam: options.Sam = None,
    checkpoint: options.Checkpoint = None,
    backbones: Annotated[
        Many,
        Option(
            "--backbone",
            autocompletion=completion.models,
            help="Of the recipe backbones: MODEL, MODEL:TAG or MODEL:FILE; give two or more.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        Option(
            autocompletion=completion.networks, help="The network to train (default: the recipe's)."
        ),
    ] = None,
    train_data: Annotated[
        Many,
        Option(
            autocompletion=completion.benchmarks,
            help="What networks are trained on; may be repeated.",
        ),
    ] = None,
    train_root: Annotated[
        Many, Option(help="The folder of each --train-data, in the same order.")
    ] = None,
    encoder: Annotated[
        Many,
        Option(
            autocompletion=completion.encoders,
            help="The second encoder's weights: a name (fetched), FILE, or sam-b=FILE; repeated.",
        ),
    ] = None,
    iterations: Annotated[int | None, Option(min=1, help="Steps of each training.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Pictures of each step.")] = None,
    cache: Annotated[
        Path | None, Option(help="Keeps features of a frozen CLIP (default: runs/cache).")
    ] = None,
    no_cache: options.NoCache = False,
    precision: options.Precision = "auto",
    workers: options.Workers = 1,
    limit: Annotated[int | None, Option(min=1, help="Score only the first pictures.")] = None,
    samples: Annotated[
        int | None,
        Option(min=MIN_SAMPLES, max=MAX_SAMPLES, help="Bootstrap resamples (default: 1000)."),
    ] = None,
    seed: options.Seed = 0,
    store: options.StorePath = None,
    out: Annotated[
        Path | None, Option(help="The folder for the results (default: runs/<recipe>).")
    ] = None,
    force: options.FolderForce = False,
    device: options.Device = "cpu",
    executor: options.Executor = "local",
    format: Annotated[
        Literal["table", "csv", "json", "markdown", "latex"],
        Option(help="How the result is printed; the folder has all of them."),
    ] = "table",
    json: options.Json = False,
) -> None:
    """Run a recipe; what is finished is kept, and the same command goes on from there.

    Without --data and --train-data it runs small, on what ships inside.
    """
    options.unused(ctx, json, "beside --json", "format")
    options.unused(ctx, no_cache, "beside --no-cache", "cache")
    request = options.request_from(
        ablations.RecipeRequest,
        ctx,
        recipe=name,
        variants=variant,
        cache=False if no_cache else cache,
    )
    result = ablations.run_recipe(request, progress=not Shown.quiet)
    from ablations.recipes.tables import formatted, print_rows

    recipe = result.recipe
    title = f"{recipe.source}: {recipe.title}"
    if json or format == "json":
        record = {"directory": result.directory, "notes": result.notes, "rows": result.rows}
        show(record, True)
    elif format == "table":
        print_rows(result.rows, recipe.reference, title, Shown.verbose)
        print_line()
        for ranking in result.rankings:
            from ablations.recipes.ranks import pair_sheet, rank_sheet
            from ablations.report.tables import print_sheet

            print_sheet(rank_sheet(ranking), Shown.verbose)
            print_sheet(pair_sheet(ranking), Shown.verbose)
        for line in result.notes:
            print_wrapped(line)
        if Shown.verbose:
            for file, what in result.files.items():
                print_line(f"  {file:24} {what}")
        print_line(f"Results: {result.directory}")
    else:
        print(formatted(result.rows, recipe.reference, format, title), end="")
