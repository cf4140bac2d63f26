"""A refinement as run.json has it, made by hand; an LLM's texts are HTML."""

from typing import Any

from support.report_pages import EVIL

START = "color+shape"


def trial(name: str, recipe: str, gain: float, decided: float, **more: Any) -> dict[str, Any]:
    """A candidate of a class as it was proposed."""
    texts = [f"A {name} by {recipe}.", EVIL]
    row = {"class": name, "proposer": "contrast", "recipe": recipe, "texts": texts}
    return {**row, "gain": gain, "decided": decided, "cost_usd": 0.0, **more}


def gains(all_of_them: float, unseen: float) -> dict[str, Any]:
    """Over the start, each with an interval of a point to either side."""
    values = {"miou": all_of_them, "unseen": unseen}
    return {
        column: {"value": value, "value_low": value - 0.01, "value_high": value + 0.01}
        for column, value in values.items()
    }


def a_round(number: int, kept: list[Any], turned_down: list[Any], **more: Any) -> dict[str, Any]:
    """A round of a loop."""
    gain = {"gain": 0.03, "gain_low": 0.01, "gain_high": 0.05} if kept else {}
    return {
        "round": number,
        "half": (number - 1) % 2,
        "tried": 50 * number,
        "proposed": len(kept) + len(turned_down),
        "kept": kept,
        "turned_down": turned_down,
        "before": 0.4,
        "after": 0.43 if kept else 0.4,
        **gain,
        "confusions": [{"label": "zebra", "predicted": EVIL, "pixels": 900, "gain": 0.0123}],
        "cost_usd": 0.0,
        "seconds": 1.5,
        **more,
    }


def refinement(control: float = 0.02) -> dict[str, Any]:
    """Zebra changed twice, sky once; the control gains ``control``."""
    first, second = (
        trial("zebra", "contrast:sky", 0.02, 0.015),
        trial("zebra", f"{START} & contrast:sky", 0.004, -0.001),
    )
    sky = trial("sky", "color", 0.01, 0.02)
    rounds = [
        a_round(1, [first, sky], [trial("orange", "shape", 0.001, -0.002)]),
        a_round(2, [second], [], cost_usd=0.25),
        a_round(3, [], []),
    ]
    loop = {"prompts": "refined", "candidates": 300, "ended": "3 rounds were asked for"}
    return {
        "start": START,
        "rule": "set",
        "loops": {
            "all": {
                **loop,
                "changed": ["zebra", "sky"],
                "rounds": rounds,
                "gain": gains(0.05, 0.12),
            },
            "seen": {**loop, "changed": [], "rounds": rounds[2:], "gain": gains(0.0, -0.02)},
            "control": {**loop, "changed": [], "rounds": rounds[2:], "gain": gains(control, 0.0)},
        },
        "classes": [
            {**second, "index": 0, "seen": False, "before": ["A zebra.", EVIL]},
            {**sky, "index": 1, "seen": True, "before": ["The sky."]},
        ],
        "seen_classes": [],
        "curve": [
            {
                **{"round": place, "tried": 50 * place, "cost_usd": 0.1 * place},
                **{"selection_miou": 0.4 + 0.01 * place, "selection_unseen": 0.2},
                **{"report_miou": 0.39 + 0.01 * place, "report_unseen": 0.1},
            }
            for place in range(3)
        ],
        "asked": {"llm": "gpt-4", "requests": 5, "cost_usd": 0.25, "spent": None},
    }
