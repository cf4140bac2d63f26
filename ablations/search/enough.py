"""How many pictures and resamples an interval needs; measured in docs/statistics.md."""

from lsmseg_prompts.errors import UsageError

MIN_PICTURES = 20  # of fewer, 95 % intervals hold the truth too rarely
MIN_SAMPLES = 200  # of fewer, 95 % intervals are too narrow
MAX_SAMPLES = 100_000  # of more, the draws of all candidates would fill the memory
TOO_FEW = "too few pictures"


def enough(units: int) -> bool:
    """Whether so many independent units bear an interval, a claim and a step of the search.

    units: pictures, or groups of them where those of a group depend on one another.
    """
    return units >= MIN_PICTURES


def too_few(units: int, grouped: bool = False, least: int | None = None) -> str | None:
    """Why there is no interval, or None where there are enough units for one, see `enough`.

    grouped: whether the units are groups. least: how many are enough, by default
    `MIN_PICTURES`.
    """
    least = MIN_PICTURES if least is None else least
    if units >= least:
        return None
    if grouped:
        groups = "1 group" if units == 1 else f"{units} groups"
        return f"{TOO_FEW} that are independent ({groups}, at least {least} are needed)"
    return f"{TOO_FEW} ({units}, at least {least} are needed)"


def counted(pictures: int, groups: int | None) -> str:
    """Such as "233 pictures in 2 groups"; "200 pictures" where each stands for itself."""
    text = "1 picture" if pictures == 1 else f"{pictures} pictures"
    return text if groups is None else f"{text} in {groups} group{'s' if groups != 1 else ''}"


def check_samples(samples: int) -> None:
    """Raise UsageError for fewer resamples than a 95 % interval needs, and for far too many."""
    if samples > MAX_SAMPLES:
        raise UsageError(f"samples must be at most {MAX_SAMPLES}, not {samples}.")
    if samples < MIN_SAMPLES:
        raise UsageError(
            f"samples must be at least {MIN_SAMPLES}, not {samples}: the ends of a 95 % interval "
            "need so many bootstrap resamples."
        )
