"""The seeds that NumPy, torch and this program's own draws all take."""

from lsmseg_model.errors import UsageError

LAST = 2**32 - 1


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that one of them would refuse in the middle of the work."""
    if not isinstance(seed, int) or not 0 <= seed <= LAST:
        raise UsageError(f"The seed must be a whole number from 0 to {LAST}, not {seed}.")
