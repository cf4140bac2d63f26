"""The calls and types of `ablations`, each with the module that it comes from."""
# isort: skip_file

from ablations import recipes as recipes
from ablations.recipes.request import RecipeRequest as RecipeRequest
from ablations.recipes.run import RecipeResult as RecipeResult
from ablations.recipes.run import run_recipe as run_recipe
from ablations.refinement.asking import Asking as Asking
from ablations.refinement.options import RefineOptions as RefineOptions
from ablations.report.html import report as report
from ablations.runs.ablate import ablate as ablate
from ablations.runs.ablate import run as run
from ablations.runs.class_records import class_records as class_records
from ablations.runs.compare import compare as compare
from ablations.runs.compare_prompts import PairedComparison as PairedComparison
from ablations.runs.compare_prompts import compare_prompts as compare_prompts
from ablations.runs.leaderboard import leaderboard as leaderboard
from ablations.runs.predict import predict as predict
from ablations.runs.refine import refine as refine
from ablations.runs.request import AblationRequest as AblationRequest
from ablations.runs.result import Comparison as Comparison
from ablations.runs.result import RunResult as RunResult
from ablations.scoring.frozen import Scorer as Scorer
from ablations.scoring.own_model import CallableScorer as CallableScorer
from ablations.scoring.own_model import score_callable as score_callable
from ablations.studio.options import StudioOptions as StudioOptions
from ablations.studio.serve import studio as studio
from ablations.studio.static_site.site import studio_static as studio_static

__all__ = [
    "AblationRequest",
    "Asking",
    "CallableScorer",
    "Comparison",
    "PairedComparison",
    "RecipeRequest",
    "RecipeResult",
    "RefineOptions",
    "RunResult",
    "Scorer",
    "StudioOptions",
    "ablate",
    "class_records",
    "compare",
    "compare_prompts",
    "leaderboard",
    "predict",
    "recipes",
    "refine",
    "report",
    "run",
    "run_recipe",
    "score_callable",
    "studio",
    "studio_static",
]  # fmt: skip
