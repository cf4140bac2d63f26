"""Stages 3 and 4: prompt sets x pictures -> scores -> the best prompt set.

    from ablations import AblationRequest, ablate
    ablate(AblationRequest(data=["ministuff"], attributes=["color", "shape"]))

What `__all__` names is loaded when it is asked for: importing the package loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablations import recipes
    from ablations.recipes.request import RecipeRequest
    from ablations.recipes.run import RecipeResult, run_recipe
    from ablations.report.html import report
    from ablations.runs.ablate import ablate, run
    from ablations.runs.compare import compare
    from ablations.runs.leaderboard import leaderboard
    from ablations.runs.predict import predict
    from ablations.runs.request import AblationRequest
    from ablations.runs.result import Comparison, RunResult
    from ablations.scoring.frozen import Scorer
    from ablations.scoring.own_model import CallableScorer, score_callable

_HOMES = {
    "AblationRequest": "runs.request",
    "CallableScorer": "scoring.own_model",
    "Comparison": "runs.result",
    "RecipeRequest": "recipes.request",
    "RecipeResult": "recipes.run",
    "RunResult": "runs.result",
    "Scorer": "scoring.frozen",
    "ablate": "runs.ablate",
    "compare": "runs.compare",
    "leaderboard": "runs.leaderboard",
    "predict": "runs.predict",
    "run": "runs.ablate",
    "run_recipe": "recipes.run",
    "score_callable": "scoring.own_model",
}

__all__ = [
    "AblationRequest",
    "CallableScorer",
    "Comparison",
    "RecipeRequest",
    "RecipeResult",
    "RunResult",
    "Scorer",
    "ablate",
    "compare",
    "leaderboard",
    "predict",
    "recipes",
    "report",
    "run",
    "run_recipe",
    "score_callable",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
