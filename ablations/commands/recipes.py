"""The commands `recipes ...`: tables of the paper and the thesis, and recipes of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from ablations.commands.options import (
    Checkpoint,
    Dense,
    Device,
    Executor,
    Json,
    MaybeVocab,
    Pretrained,
    SamFile,
    Shown,
    StorePath,
    show,
)

app = typer.Typer(help="Tables of the paper and the thesis, run again beside what was published.")
Name = Annotated[str, typer.Argument(help="A recipe's name, or a JSON file of your own.")]
Many = list[str] | None


@app.command("list")
def recipes_list(json: Json = False) -> None:
    """The recipes that ship."""
    from ablations.recipes.files import available, read_recipe

    recipes = [read_recipe(name) for name in available()]
    show(
        [
            {
                "name": r.name,
                "source": r.source,
                "title": r.title,
                "varies": r.varies,
                "variants": len(r.variants),
                "trains": "networks" if r.kind == "networks" else "nothing",
            }
            for r in recipes
        ],
        json,
    )


@app.command("show")
def recipes_show(
    name: Name,
    output: Annotated[
        Path | None, Option("-o", "--output", help="A file for it (default: print it).")
    ] = None,
) -> None:
    """A recipe as JSON: the start of one of your own."""
    from ablations.recipes.files import read_recipe, recipe_path
    from lsmseg_prompts.files import write_whole

    read_recipe(name)
    text = recipe_path(name).read_text("utf-8")
    if output is None:
        print(text, end="")
    else:
        print(write_whole(output, text))


@app.command("cost")
def recipes_cost(
    names: Annotated[
        list[str] | None, typer.Argument(help="Recipes (default: all that ship).")
    ] = None,
    seconds: Annotated[
        float | None,
        Option("--seconds-a-step", min=0, help="Measured on your GPUs (default: the paper's)."),
    ] = None,
    gpus: Annotated[int, Option("--gpus", min=1, help="That share each step.")] = 1,
    json: Json = False,
) -> None:
    """What recipes cost at full scale: networks, GPU hours, gigabytes; nothing runs."""
    from ablations.recipes.cost import costs

    rows = costs(names or (), seconds, gpus)
    digits = {"gpu_hours": 1, "gigabytes": 1}
    if not json:
        rows = [{k: f"{v:.{digits[k]}f}" if k in digits else v for k, v in r.items()} for r in rows]
    show(rows, json)


@app.command("run")
def recipes_run(
    name: Name,
    variant: Annotated[
        Many, Option("--variant", help="Only this variant; may be repeated.")
    ] = None,
    data: Annotated[
        Many, Option("--data", help="A benchmark to score on; may be repeated (none: small scale).")
    ] = None,
    data_root: Annotated[
        Many, Option("--data-root", help="The folder of each --data, in the same order.")
    ] = None,
    vocab: MaybeVocab = None,
    llm: Annotated[
        str | None, Option("--llm", help="Who wrote the descriptions (default: the recipe's).")
    ] = None,
    scorer: Annotated[
        Literal["frozen", "trained", "retrain"] | None,
        Option("--scorer", help="Of recipes of prompts: who scores them (default: frozen)."),
    ] = None,
    model: Annotated[
        str | None, Option("--model", help="The CLIP that scores prompts (default: the recipe's).")
    ] = None,
    pretrained: Pretrained = None,
    dense: Dense = None,
    sam: SamFile = None,
    checkpoint: Checkpoint = None,
    config: Annotated[
        str | None, Option("--config", help="The network to train (default: the recipe's).")
    ] = None,
    train_data: Annotated[
        Many, Option("--train-data", help="What networks are trained on; may be repeated.")
    ] = None,
    train_root: Annotated[
        Many, Option("--train-root", help="The folder of each --train-data, in the same order.")
    ] = None,
    encoder: Annotated[
        Many,
        Option("--encoder", help="The second encoder's weights: FILE, or sam-b=FILE, repeated."),
    ] = None,
    iterations: Annotated[
        int | None, Option("--iterations", min=1, help="Steps of each training.")
    ] = None,
    batch_size: Annotated[
        int | None, Option("--batch-size", min=1, help="Pictures of each step.")
    ] = None,
    cache: Annotated[
        Path | None,
        Option("--cache", help="Keeps features of a frozen CLIP (default: runs/cache)."),
    ] = None,
    no_cache: Annotated[bool, Option("--no-cache", help="Keep no features on disk.")] = False,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Option("--precision", help="auto takes bf16 where the processor has it."),
    ] = "auto",
    workers: Annotated[int, Option("--workers", min=0, help="Processes that read pictures.")] = 1,
    limit: Annotated[
        int | None, Option("--limit", min=1, help="Score only the first pictures.")
    ] = None,
    samples: Annotated[
        int | None, Option("--samples", min=1, help="Bootstrap resamples (default: 1000).")
    ] = None,
    seed: Annotated[int, Option("--seed", help="Seed of everything random.")] = 0,
    store: StorePath = None,
    out: Annotated[
        Path | None, Option("--out", help="The folder for the results (default: runs/<recipe>).")
    ] = None,
    device: Device = "cpu",
    executor: Executor = "local",
    format: Annotated[
        Literal["table", "csv", "json", "markdown", "latex"],
        Option("--format", help="How the result is printed; the folder has all of them."),
    ] = "table",
    json: Json = False,
) -> None:
    """Run a recipe; what is finished is kept, and the same command goes on from there.

    Without --data and --train-data it runs small, on what ships inside.
    """
    from ablations.recipes.run import RecipeRequest, run_recipe

    def text(path: Path | None) -> str | None:
        return None if path is None else str(path)

    request = RecipeRequest(
        recipe=name,
        variants=variant,
        data=data,
        data_root=data_root,
        vocab=vocab,
        llm=llm,
        scorer=scorer,
        model=model,
        pretrained=text(pretrained),
        dense=dense,
        sam=text(sam),
        checkpoint=text(checkpoint),
        config=config,
        train_data=train_data,
        train_root=train_root,
        encoder=encoder,
        iterations=iterations,
        batch_size=batch_size,
        cache=False if no_cache else cache,
        precision=precision,
        workers=workers,
        limit=limit,
        samples=samples,
        seed=seed,
        store=text(store),
        out=out,
        device=device,
        executor=executor,
    )
    result = run_recipe(request, progress=not Shown.quiet)
    from ablations.recipes.tables import formatted, print_rows

    recipe = result.recipe
    title = f"{recipe.source}: {recipe.title}"
    if json or format == "json":
        record = {"directory": result.directory, "notes": result.notes, "rows": result.rows}
        show(record, True)
    elif format == "table":
        print_rows(result.rows, recipe.reference, title)
        print()
        for line in result.notes:
            print(line)
        print(f"{result.directory}: {', '.join(result.files)}")
    else:
        print(formatted(result.rows, recipe.reference, format, title), end="")
