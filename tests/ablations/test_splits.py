"""What prompts are selected on and what they are reported on: halves, groups, --split."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ablation_fakes import FakeBenchmark
from support.benchmark_trees import tree

from ablations import AblationRequest, RecipeRequest
from ablations.runs.open import benchmark_sources
from ablations.scoring.options import split_names, splits_of
from ablations.scoring.shards import Shard, _opened
from ablations.scoring.splits import BenchmarkSource, halves
from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.errors import UsageError as ModelUsageError
from lsmseg_prompts.errors import UsageError


def test_halves_are_seeded_disjoint_and_complete() -> None:
    whole = FakeBenchmark(pictures=9, split="val")
    parts = halves(whole, seed=4)
    keys = {s: [p.key(i) for i in range(len(p))] for s, p in parts.items()}
    assert sorted(keys["selection"] + keys["report"]) == sorted(whole.key(i) for i in range(9))
    assert {len(k) for k in keys.values()} == {4, 5}
    assert keys == {s: [p.key(i) for i in range(len(p))] for s, p in halves(whole, 4).items()}
    assert any(
        keys["report"] != [p.key(i) for i in range(len(p))]
        for p in (halves(whole, seed)["report"] for seed in range(3))
    )
    report = parts["report"]
    assert report.split == "val: report half (seed 4)" and report.seen == whole.seen
    at = next(i for i in range(9) if whole.key(i) == keys["report"][2])
    np.testing.assert_array_equal(report.labels(2), whole.labels(at))
    np.testing.assert_array_equal(report.picture(2), whole.picture(at))


def test_one_picture_cannot_be_halved() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        halves(FakeBenchmark(pictures=1))


def test_ministuff_has_splits_of_its_own() -> None:
    splits = BenchmarkSource("ministuff", limit=3).splits()
    assert {key: (b.split, len(b)) for key, b in splits.items()} == {
        "selection": ("selection", 3),
        "report": ("report", 3),
    }
    assert not np.array_equal(splits["selection"].picture(0), splits["report"].picture(0))


def grouped(*sizes: int) -> FakeBenchmark:
    """Groups of these sizes, one after the other."""
    names = [f"group {at}" for at, size in enumerate(sizes) for _ in range(size)]
    return FakeBenchmark(split="val", pictures=len(names), groups=tuple(names))


def groups_of(parts: dict[str, Benchmark]) -> list[list[str]]:
    return [sorted(set(part.groups or ())) for part in parts.values()]


@given(st.lists(st.integers(1, 12), min_size=2, max_size=8), st.integers(0, 5))
def test_no_group_is_cut_and_halves_are_as_equal_as_groups_allow(
    sizes: list[int], seed: int
) -> None:
    whole = grouped(*sizes)
    parts = halves(whole, seed)
    selection, report = groups_of(parts)
    assert selection and report and not set(selection) & set(report)
    pictures = [part.pictures for part in parts.values()]  # type: ignore[attr-defined]
    assert sorted(pictures[0] + pictures[1]) == list(range(len(whole)))
    nearest = max(
        total
        for many in range(len(sizes))
        for some in combinations(sizes, many)
        if (total := sum(some)) <= len(whole) // 2
    )
    assert len(pictures[0]) == nearest
    assert pictures == [p.pictures for p in halves(whole, seed).values()]  # type: ignore[attr-defined]
    assert [part.split for part in parts.values()] == [
        f"val: {split} half by group (seed {seed})" for split in ("selection", "report")
    ]


@given(st.integers(2, 60), st.integers(0, 9))
def test_groups_of_one_picture_are_dealt_out_as_pictures_are(count: int, seed: int) -> None:
    plain, single = FakeBenchmark(pictures=count), grouped(*[1] * count)
    order = np.random.default_rng([seed, count]).permutation(count)
    for part, own, half in zip(
        halves(plain, seed).values(),
        halves(single, seed).values(),
        (order[: count // 2], order[count // 2 :]),
        strict=True,
    ):
        assert part.pictures == own.pictures == tuple(sorted(half))  # type: ignore[attr-defined]


def test_seeds_deal_groups_out_differently() -> None:
    whole = grouped(*[3] * 6)
    assert len({str(groups_of(halves(whole, seed))) for seed in range(6)}) > 2


def test_one_group_cannot_be_halved() -> None:
    with pytest.raises(
        UsageError, match=r"All 5 pictures of fake \(val\) are of one group, group 0"
    ):
        halves(grouped(5))


def camvid(root: Path, **splits: str) -> Path:
    """Label maps of sky and building."""
    for split, names in splits.items():
        maps = {name: [[0, 1], [1, 1]] for name in names.split()}
        tree(root, f"images/{split}", f"annotations/{split}", maps)
    return root


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return camvid(
        tmp_path / "camvid",
        val="0016E5_00390 0016E5_00420 0016E5_00450",
        test="0001TP_008550 0001TP_008580 Seq05VD_f00000 Seq05VD_f00030 Seq05VD_f00060",
    )


def test_camvids_sequences_are_its_groups(video: Path) -> None:
    source = BenchmarkSource("camvid", str(video), "camvid", 11, named="test")
    parts = source.splits()
    assert groups_of(parts) == [["0001TP"], ["Seq05VD"]]
    assert [len(part) for part in parts.values()] == [2, 3]
    assert parts["report"].split == "test: report half by group (seed 0)"
    limited = BenchmarkSource("camvid", str(video), "camvid", 11, limit=3, named="test")
    assert limited.open().groups == ("0001TP", "0001TP", "Seq05VD")
    with pytest.raises(UsageError, match=r"one group, 0016E5.*--split SELECTION,REPORT"):
        BenchmarkSource("camvid", str(video), "camvid", 11).splits()


def test_one_split_to_select_on_and_another_to_report_on(video: Path) -> None:
    source = BenchmarkSource("camvid", str(video), "camvid", 11, limit=4, named="val,test")
    parts = source.splits()
    assert {role: (part.split, len(part)) for role, part in parts.items()} == {
        "selection": ("val: selection", 3),
        "report": ("test: report", 4),
    }
    assert groups_of(parts) == [["0016E5"], ["0001TP", "Seq05VD"]]
    assert parts["report"].key(0) == "0001TP_008550"


def test_ministuffs_splits_by_name() -> None:
    named = BenchmarkSource("ministuff", limit=4, named="train,report").splits()
    assert [part.split for part in named.values()] == ["train: selection", "report"]
    one = BenchmarkSource("ministuff", limit=4, named="train").splits()
    assert [(part.split, len(part)) for part in one.values()] == [
        ("train: selection half (seed 0)", 2),
        ("train: report half (seed 0)", 2),
    ]
    with pytest.raises(ModelUsageError, match="train, selection, report"):
        BenchmarkSource("ministuff", named="val").splits()


def test_shards_open_the_pictures_of_their_split(video: Path) -> None:
    """A worker gets a part of a half by groups, or of a named split, as the whole has it."""
    from ablations.scoring.options import ScorerOptions

    for named in ("test", "val,test"):
        source = BenchmarkSource("camvid", str(video), "camvid", 11, split="report", named=named)
        whole = source.open()
        opened = _opened(Shard(ScorerOptions(), source, 1, 3)).benchmark
        assert [opened.key(at) for at in range(2)] == [whole.key(at) for at in (1, 2)]
        assert opened.groups == (whole.groups or ())[1:3]


@pytest.mark.parametrize("option", ["a,b,c", "a,a", "a,", ",", ""])
def test_what_split_cannot_be(option: str) -> None:
    with pytest.raises(UsageError, match="SELECTION,REPORT"):
        AblationRequest(split=option)
    with pytest.raises(UsageError, match="SELECTION,REPORT"):
        split_names(option)


def test_a_split_for_all_benchmarks_or_for_each(video: Path) -> None:
    assert splits_of(["a", "b"], None) == [None, None]
    assert splits_of(["a", "b"], ["val"]) == ["val", "val"]
    assert splits_of(["a", "b"], ["val", "val,test"]) == ["val", "val,test"]
    with pytest.raises(UsageError, match="--split is given 2 times for 1 data sets"):
        AblationRequest(data="ministuff", split=["report", "train"])
    request = AblationRequest(
        data=["ministuff", "camvid"], data_root=[str(video)], split=["train", "val,test"]
    )
    assert [source.named for source in benchmark_sources(request)[0]] == ["train", "val,test"]
    assert RecipeRequest("table3", split="val").split == ("val",)
