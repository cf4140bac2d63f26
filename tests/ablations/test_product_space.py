"""Stage 4 searches attributes and compositions as one space: paths, names, controls, records."""

from pathlib import Path

import pytest
from support.ablation_fakes import ATTRIBUTES, board, by_table

from ablations.report import plots
from ablations.report.summary import summary
from ablations.search.combine import path_rows, search
from ablations.search.options import SearchOptions
from ablations.search.path import Search
from ablations.search.scoreboard import NAME, Candidate
from ablations.search.single import controls
from lsmseg_prompts.errors import UsageError

# Joining gains a little with color; averaging gains only with all three.
TABLE = {
    "name": 0.2,
    "shape": 0.4,
    "color": 0.3,
    "action": 0.25,
    "shape+color": 0.5,
    "shape+action": 0.35,
    "color+action": 0.3,
    "shape+color+action": 0.45,
    "ensemble(shape+color)": 0.42,
    "ensemble(shape+action)": 0.45,
    "ensemble(color+action)": 0.3,
    "ensemble(shape+color+action)": 0.7,
}
AVERAGED = Candidate(("shape", "color", "action"), composition="ensemble")


def found_by(strategy: str, table: dict[str, float] = TABLE, **options: object) -> Search:
    return search(board(by_table(table)), ATTRIBUTES, SearchOptions(strategy=strategy, **options))  # type: ignore[arg-type]


def test_a_beam_over_both_compositions_is_the_default() -> None:
    found = search(board(by_table(TABLE)), ATTRIBUTES)
    assert (found.strategy, found.width, found.compositions) == ("beam", 3, ("concat", "ensemble"))
    assert found.best == AVERAGED
    assert [(s.candidate.name, s.added, s.status) for s in found.steps] == [
        ("shape", "shape", "start"),
        ("shape+color", "color", "accepted"),
        ("ensemble(shape+color+action)", "action", "accepted"),
    ]
    # 3 alone; 3 pairs and 3 of three, in both compositions
    assert found.tried == len(found.candidates) == 3 + 6 + 2
    rounds = [{c["prompts"] for c in found.candidates if c["step"] == n} for n in range(3)]
    assert rounds[1] == {n for n in TABLE if n.count("+") == 1}
    assert rounds[2] == {n for n in TABLE if n.count("+") == 2}
    kept = [c["prompts"] for c in found.candidates if c["step"] == 1 and c["chosen"]]
    assert kept == ["shape+color", "ensemble(shape+color)", "ensemble(shape+action)"]
    assert "in the compositions concat and ensemble" in found.note()
    assert found.record()["compositions"] == ["concat", "ensemble"]


def test_greedy_search_grows_a_single_in_each_composition_and_a_set_in_its_own() -> None:
    found = found_by("greedy")
    assert found.best.name == "shape+color" and found.tried == 3 + 4 + 1
    assert found.candidates[-1]["prompts"] == "shape+color+action"
    other = found_by("greedy", {**TABLE, "ensemble(shape+color)": 0.6})
    assert other.best == AVERAGED


@pytest.mark.parametrize("strategy", ["beam", "greedy", "chain", "exhaustive"])
def test_one_composition_alone_is_searched_when_named(strategy: str) -> None:
    joined = found_by(strategy, composition="concat")
    assert joined.best.name == "shape+color" and "in the composition concat:" in joined.note()
    assert not any("(" in c["prompts"] for c in joined.candidates)
    averaged = found_by(strategy, composition="ensemble")
    assert all("ensemble(" in c["prompts"] for c in averaged.candidates if "+" in c["prompts"])
    assert averaged.best.made_by == "ensemble"


def test_the_chain_takes_the_best_of_each_size() -> None:
    found = found_by("chain")
    assert [(s.candidate.name, s.status) for s in found.steps] == [
        ("shape", "start"),
        ("shape+color", "accepted"),
        ("ensemble(shape+color+action)", "accepted"),
    ]
    assert found.tried == 3 + 2 * 2


def test_all_combinations_of_both_and_their_certificate() -> None:
    found = found_by("exhaustive")
    certificate = found.certificate
    assert certificate is not None and found.tried == 3 + 2 * 4 == len(certificate.ranks)
    assert found.best == certificate.optimum == AVERAGED
    assert (certificate.greedy.name, certificate.rank) == ("shape+color", 2)
    assert "number 2 of all 11 combinations" in found.note()


def test_the_composition_named_first_is_taken_at_equal_scores() -> None:
    equal = {**TABLE, "ensemble(shape+color)": 0.5, "ensemble(shape+color+action)": 0.1}
    for strategy in ("beam", "greedy", "chain", "exhaustive"):
        assert found_by(strategy, equal).best.name == "shape+color", strategy
        assert found_by(strategy, equal, composition="ensemble,concat").best.made_by == "ensemble"


def test_orders_are_those_of_joined_clauses() -> None:
    averaged = found_by("beam", orders=True)
    assert averaged.best == AVERAGED and averaged.orders == (1, 1)
    assert averaged.note().endswith("The ensemble of its texts has no other order.")
    assert averaged.tried == found_by("beam").tried
    joined = found_by("greedy", {**TABLE, "color+shape": 0.6}, orders=True)
    assert joined.best.name == "color+shape" and joined.orders == (2, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"composition": "poem"}, "no composition 'poem' to search: choose concat, ensemble"),
        ({"composition": "concat,"}, "no composition '' to search"),
        ({"composition": "concat,sentence"}, "nothing to search among"),
        ({"composition": "ensemble", "orders": True}, "no clauses whose order could matter"),
    ],
)
def test_what_cannot_be_searched_is_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SearchOptions(**options)  # type: ignore[arg-type]


def test_several_compositions_stand_between_commas() -> None:
    assert SearchOptions(composition="ensemble, concat,ensemble").compositions == (
        "ensemble",
        "concat",
    )


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        ("name", NAME),
        ("random(color)", Candidate(("color",), "random")),
        ("color+shape", Candidate(("color", "shape"))),
        ("shuffled(color+shape)", Candidate(("color", "shape"), "shuffled")),
        ("ensemble(color+shape)", Candidate(("color", "shape"), composition="ensemble")),
        ("random(max(color+shape))", Candidate(("color", "shape"), "random", "max")),
    ],
)
def test_names_say_control_and_composition(name: str, candidate: Candidate) -> None:
    assert candidate.name == name and Candidate.named(name) == candidate


def test_a_single_attribute_is_the_same_in_each_composition() -> None:
    assert Candidate(("color",), composition="ensemble") == Candidate(("color",))
    assert Candidate(("color", "shape")).composition == "concat"
    one = board(by_table({}))
    (bench,) = one.benches
    assert one.prompt_set(bench, Candidate(("color",))).composition == "concat"


def test_a_candidate_and_its_controls_are_built_by_its_own_composition() -> None:
    one = board(by_table({}))
    (bench,) = one.benches
    for candidate in (AVERAGED, *controls(AVERAGED)[-2:]):
        made = one.prompt_set(bench, candidate)
        assert (made.composition, made.name) == ("ensemble", candidate.name)
        assert all(len(texts) == 3 for texts in made.texts)
    assert [c.name for c in controls(AVERAGED)[-2:]] == [
        "random(ensemble(shape+color+action))",
        "shuffled(ensemble(shape+color+action))",
    ]
    joined = Candidate(AVERAGED.attributes)
    assert all(len(texts) == 1 for texts in one.prompt_set(bench, joined).texts)


def test_the_path_is_reported_with_averaged_controls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = board(by_table(TABLE))
    found = search(one, ATTRIBUTES)
    rows = path_rows(one, found)
    assert [r["prompts"] for r in rows if r["status"] == "control"][-2:] == [
        "random(ensemble(shape+color+action))",
        "shuffled(ensemble(shape+color+action))",
    ]
    text = summary(rows, found, [])
    assert text.startswith("ensemble(shape+color+action) reaches an mIoU of")
    assert "chosen from 11 candidates" in text
    labels: list[str] = []
    monkeypatch.setattr(plots, "_dots", lambda rows, shown, *_: labels.extend(shown.values()))
    plots.combination_plot(rows, tmp_path / "p.png")
    assert labels[2:4] == ["+ color", "+ action, ensemble"]
    assert labels[-2:] == ["random(best)", "shuffled(best)"]
