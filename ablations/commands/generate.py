"""`generate`: ask LLMs for the descriptions that the store lacks."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Context, Option

import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.meanings import note_meanings
from ablations.commands.output import Shown, say
from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.tokens import find_budget

if TYPE_CHECKING:
    from lsmseg_prompts.llm.base import LLM
    from lsmseg_prompts.llm.prices import Price

# Pairs have one question and one text each.
_OF_ATTRIBUTES = ("attribute", "classes", "samples", "wording", "template")
_OF_CLASSES = (*_OF_ATTRIBUTES, "vocab", "pairs", "budget", "per_call", "batch", "probe")
_OF_PICTURES = ("data", "data_root", "split", "detailed")


def generate(
    ctx: Context,
    llm: options.Llms = None,
    vocab: options.Vocab = "coco-stuff",
    attribute: Annotated[
        list[str] | None,
        Option(
            "--attribute",
            "--attributes",
            autocompletion=completion.attributes,
            help="Only these; repeated or between commas.",
        ),
    ] = None,
    classes: Annotated[str | None, Option(help="Only these classes, between commas.")] = None,
    pairs: Annotated[
        str | None,
        Option(
            help="What tells a class from another: zebra:horse, between commas, or a CSV file "
            "with the columns class and other."
        ),
    ] = None,
    captions: Annotated[
        bool, Option("--captions", help="What pictures show, in place of descriptions of classes.")
    ] = False,
    data: Annotated[
        str,
        Option(
            autocompletion=completion.benchmarks, help="The pictures: a benchmark, or a folder."
        ),
    ] = "ministuff",
    data_root: options.DataRoot = None,
    split: Annotated[str | None, Option(help="The part of the data.")] = None,
    detailed: Annotated[
        bool, Option("--detailed", help="Ask for all objects, attributes and relations.")
    ] = False,
    samples: Annotated[
        int,
        Option(
            min=1,
            max=20,
            rich_help_panel="Requests",
            help="Texts of each description: the same question so many times.",
        ),
    ] = 1,
    limit: Annotated[
        int | None, Option(min=1, help="At most so many descriptions in this run.")
    ] = None,
    budget: options.Budget = None,
    base_url: options.BaseUrl = None,
    key_file: options.KeyFile = None,
    reasoning: options.Reasoning = None,
    option: options.RequestOption = None,
    system: options.System = None,
    wording: options.Wording = "paper",
    template: Annotated[Path | None, Option(help="A question of your own: a Jinja2 file.")] = None,
    per_call: Annotated[
        Literal["cell", "class"],
        Option(help="Ask for one attribute at a time, or all of a class's."),
    ] = "cell",
    temperature: Annotated[
        float | None, Option(min=0, max=2, help="Default: the provider's.")
    ] = None,
    concurrency: Annotated[
        int, Option("-j", "--concurrency", min=1, max=512, help="Requests on their way at once.")
    ] = 8,
    rpm: Annotated[float | None, Option(help="Requests a minute, at most.")] = None,
    tpm: Annotated[float | None, Option(help="Tokens a minute, at most.")] = None,
    timeout: Annotated[float, Option(min=0.1, help="Seconds for one request.")] = 120.0,
    max_retries: Annotated[int, Option(min=0, help="For failures that pass, of one question.")] = 6,
    max_cost: Annotated[
        float | None, Option(min=0, help="US dollars for this run, at most.")
    ] = None,
    max_calls: Annotated[int | None, Option(min=0, help="Requests in this run, at most.")] = None,
    price_in: Annotated[
        float | None, Option(min=0, help="US dollars per million input tokens.")
    ] = None,
    price_out: Annotated[
        float | None, Option(min=0, help="US dollars per million output tokens.")
    ] = None,
    redo: Annotated[bool, Option("--redo", help="Ask anew for what is there already.")] = False,
    retry_errors: Annotated[
        bool, Option("--retry-errors", help="Ask again for what failed before.")
    ] = False,
    batch: Annotated[
        bool,
        Option(
            "--batch", help="The provider's batch API, at half price: submit now, collect later."
        ),
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be asked and what it would cost.")
    ] = False,
    probe: Annotated[
        int | None,
        Option(min=1, max=50, help="With --dry-run: ask so many cells for real, and extrapolate."),
    ] = None,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Stage 2: ask LLMs for the descriptions that the store lacks."""
    from ablations.runs.live import generation_progress
    from lsmseg_prompts.generation import forecasts, progress
    from lsmseg_prompts.generation import probe as probing
    from lsmseg_prompts.generation import run as generation
    from lsmseg_prompts.generation.limits import Limits
    from lsmseg_prompts.generation.pairs import pair_cells
    from lsmseg_prompts.generation.settings import asked_otherwise
    from lsmseg_prompts.llm.options import ask_options
    from lsmseg_prompts.llm.prices import Price
    from lsmseg_prompts.store.store import open_store_readonly

    asked = llm or ["bundled"]
    free = set(asked) == {"bundled"}
    paid = ("key_file", "reasoning", "option", "system", "template", "wording", "temperature",
            "timeout", "price_in", "price_out", "probe")  # fmt: skip
    options.unused(ctx, free, "with --llm bundled, whose texts are written already", *paid)
    options.unused(ctx, not dry_run, "without --dry-run", "probe")
    options.unused(ctx, template is not None, "beside --template", "wording")
    options.unused(ctx, captions, "beside --captions", *_OF_CLASSES)
    options.unused(ctx, not captions, "without --captions", *_OF_PICTURES)
    options.unused(ctx, pairs is not None, "beside --pairs", *_OF_ATTRIBUTES)
    served = any(name.startswith("openai/") for name in asked)
    how = "where no --llm is called openai/<model>"
    options.unused(ctx, len(asked) > 1 and not served, how, "base_url")
    alone = len(asked) == 1  # of several, --base-url is for those called openai/<model>
    servers = [base_url if alone or name.startswith("openai/") else None for name in asked]
    how_asked = ask_options(reasoning, option, system)
    llms = [
        lsmseg_prompts.make_llm(name, server, key_file, timeout, how_asked)
        for name, server in zip(asked, servers, strict=True)
    ]
    if key_file is not None and len({one.host for one in llms if not one.free}) > 1:
        raise UsageError(
            "--key-file holds one key, and these LLMs are asked at several hosts: put each key "
            "into the variable that `lsmseg-prompts llm list` names."
        )
    if temperature is not None and "temperature" in how_asked.parameters:
        raise UsageError("The temperature is given twice: by --temperature and by -o.")
    price = None
    if price_in is not None and price_out is not None:
        price = Price(price_in, price_out, "given on the command line", "")
    elif price_in != price_out:  # one of them alone
        raise UsageError("Give --price-in and --price-out together, in dollars per million tokens.")
    if captions:
        _captions(ctx, llms, price, {} if temperature is None else {"temperature": temperature})
        return
    path = lsmseg_prompts.store_path(store)
    several = [name for part in attribute or () for name in options.names(part) or []]
    vocabulary = lsmseg_prompts.load_vocabulary(vocab)
    request = options.request_from(
        lsmseg_prompts.GenerationRequest,
        ctx,
        vocabulary=vocabulary,
        llms=llms,
        attributes=several if attribute else None,
        classes=options.names(classes),
        cells=None if pairs is None else pair_cells(pairs, vocabulary),
        template=template or f"describe-{wording}",
        parameters={} if temperature is None else {"temperature": temperature},
        limits=options.request_from(Limits, ctx, price=price),
        store=path,
    )
    shown = not Shown.quiet
    if dry_run and probe is None:
        forecasts.show_estimates(generation.dry_run(request), per_call, json)
        return
    if shown:
        progress.show_notes(llms)
        if samples > 1 and {**how_asked.parameters, **request.parameters}.get("temperature") == 0:
            say("At temperature 0 the samples of a description are much alike: raise it, or leave "
                "it out.")  # fmt: skip
        if "bundled" in asked:
            note_meanings(vocabulary)
        if path.exists() and not redo:
            # What is wrong with the store, or not there yet, is the run's to say.
            with suppress(StoreError), open_store_readonly(path) as opened:
                for one in llms:
                    now = request.parameters, find_budget(budget)
                    if line := asked_otherwise(opened, vocabulary, one, *now):
                        say(line)
    if probe is not None:
        with progress.watching(shown) as update:
            probed = probing.probe(request, probe, on_update=update)
        forecasts.show_probed(probed, per_call, json)
        return
    with (
        progress.watching(shown and not batch) as shown_update,
        generation_progress(path, on_update=shown_update) as update,
    ):
        summaries = generation.generate_all(request, on_update=update, on_message=say)
    progress.show_summaries(summaries, path, json, shown)


def _captions(
    ctx: Context, llms: "list[LLM]", price: "Price | None", parameters: dict[str, float]
) -> None:
    """--captions: what pictures show, instead of descriptions of classes."""
    from ablations.runs.captions import caption_pictures, checked
    from lsmseg_prompts.generation import captions, forecasts, progress
    from lsmseg_prompts.generation.limits import Limits
    from lsmseg_prompts.terminal import progress_bar

    if len(llms) > 1:
        raise UsageError("Pictures are shown to one LLM at a time: give one --llm.")
    given, json = ctx.params, ctx.params["json"]
    request = options.request_from(
        captions.CaptionRequest,
        ctx,
        llm=llms[0],
        data=str(Path(given["data"])),
        pictures=(),
        check=checked,
        parameters=parameters,
        limits=options.request_from(Limits, ctx, price=price),
    )
    pictures = caption_pictures(given["data"], given["data_root"], given["split"])
    request = replace(request, pictures=pictures)
    estimate = captions.caption_estimate(request)
    if given["dry_run"]:
        forecasts.show_estimates([estimate], "picture", json)
        return
    if not Shown.quiet:
        progress.show_notes(llms)
    where = f" at {estimate.host}" if estimate.host else ""
    say(f"Uploading {estimate.missing} pictures of {request.data} to {estimate.llm}{where}.")
    with progress_bar(f"asking {estimate.llm}", not Shown.quiet) as on_progress:
        summary = captions.caption(request, on_progress=on_progress)
    path = lsmseg_prompts.store_path(given["store"])
    progress.show_summaries([summary], path, json, not Shown.quiet)
