"""The same results wherever work is done; on Ray, also when a machine is lost in the middle."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark
from support.mini_network import NETWORK, make_pictures
from support.small_clip import SMALL

from ablations.runs.ablate import ablate
from ablations.runs.request import AblationRequest
from ablations.scoring import shards
from ablations.scoring.count_store import MemoryCountStore
from ablations.scoring.executors import Local, Ray, everywhere, open_executor
from ablations.scoring.frozen import FrozenScorer, Scorer
from ablations.scoring.networks import RetrainScorer
from ablations.scoring.options import ScorerOptions
from ablations.scoring.splits import BenchmarkSource, Part
from ablations.scoring.training import TrainedNetwork, Training, TrainingJob, train_network
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

PATIENCE = 60.0  # seconds that a job waits for the test at most


def test_local_is_map() -> None:
    assert list(open_executor("local").map(os.path.basename, ["a/b", "c/d"])) == ["b", "d"]
    assert Local.places == 1


def test_shards_read_texts_as_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    clip, whole = build_backbone(SMALL).eval(), FakeBenchmark(pictures=8)
    several = build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color", "shape"], "ensemble")
    sets = [several, replace(several, weights=((1.0, -0.5),) * 4)]
    sets += [replace(several, composition=how) for how in ("max", "mean-score", "adaptive")]

    def opened(shard: shards.Shard) -> Scorer:
        return FrozenScorer(clip, Part(whole, range(shard.start, shard.stop), "report"))

    monkeypatch.setattr(shards, "_opened", opened)
    own, executor = FrozenScorer(clip, whole), SimpleNamespace(places=1, map=map)
    spread = shards.SpreadScorer(own, ScorerOptions(), BenchmarkSource("x"), executor)  # type: ignore[arg-type]
    assert len(spread.shards) == 2
    np.testing.assert_array_equal(spread.count(sets, None), own.count(sets, None))
    assert [spread.text_key(one) for one in sets] == [own.text_key(one) for one in sets]


def test_replacements_in_shards_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a shard has pictures of one part only, or of none."""
    torch.manual_seed(0)
    clip, whole = build_backbone(SMALL).eval(), FakeBenchmark(pictures=16)
    own, executor = FrozenScorer(clip, whole), SimpleNamespace(places=1, map=map)
    spread = shards.SpreadScorer(own, ScorerOptions(), BenchmarkSource("x"), executor)  # type: ignore[arg-type]
    assert len(spread.shards) == 4

    def opened(shard: shards.Shard) -> Scorer:
        return FrozenScorer(clip, Part(whole, range(shard.start, shard.stop), "report"))

    monkeypatch.setattr(shards, "_opened", opened)
    texts = own.texts(build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",)))
    new = [(i, (DESCRIPTIONS[i, "color"], DESCRIPTIONS[i, "shape"])) for i in range(4)]
    parts = np.array([-1] * 5 + [0] * 5 + [1] * 6)
    found = own.count_replacements(texts, new, parts)
    assert found.shape == (2, 4, 4, 2) and found.any()
    np.testing.assert_array_equal(spread.count_replacements(texts, new, parts), found)


def test_unknown_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no executor 'slurm': choose local or ray"):
        open_executor("slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lsmseg-prompts\[ray\]'"):
        open_executor("ray")


def test_paths_are_made_absolute_and_names_are_not(tmp_path: Path) -> None:
    Path("data").mkdir()
    assert everywhere("data") == str(Path.cwd() / "data")
    assert everywhere("camvid") == "camvid" and everywhere(None) is None


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines of one processor each, as far as Ray can tell; see `second`."""
    ray = pytest.importorskip("ray", reason="Ray is an optional extra")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    here = Path(__file__).parent  # workers import this file's functions
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def second(cluster: Any) -> Iterator[Any]:
    """The second machine; a test may kill it."""
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


def patient(path: Path) -> None:
    """Wait for a file that another process writes."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def begin(folder: Path, what: str) -> None:
    """Leave a note that a job began: what, on which machine, in which process."""
    import ray

    machine = ray.get_runtime_context().get_node_id()
    (folder / f"begun-{what}-{machine}-{os.getpid()}").touch()


def begun(folder: Path) -> list[list[str]]:
    """What, machine and process of all jobs that began."""
    return sorted(path.name.split("-")[1:] for path in folder.glob("begun-*"))


def job(about: tuple[Path, int]) -> int:
    """Says that it began, waits until a machine was killed, and gives its number."""
    folder, number = about
    begin(folder, str(number))
    patient(folder / "killed")
    return number


def refuse(number: int) -> int:
    raise UsageError(f"number {number} is refused")


def train_when_killed(about: tuple[Path, TrainingJob]) -> TrainedNetwork:
    """A training that is under way when a machine is killed."""
    folder, job = about
    begin(folder, job.texts[0][0].split()[4])  # "A zebra has the color of a zebra."
    patient(folder / "killed")
    with (folder / "trained").open("a") as file:
        file.write(f"{job.texts[0][0]}\n")
    return train_network(job)


def kill_once_both_work(cluster: Any, node: Any, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while len({machine for _, machine, _ in begun(folder)}) < 2:
        assert time.monotonic() < end, "two machines never worked"
        time.sleep(0.01)
    cluster.remove_node(node, allow_graceful=False)
    for _, machine, process in begun(folder):
        if machine == node.node_id:
            os.kill(int(process), signal.SIGKILL)
    (folder / "killed").touch()


@pytest.mark.slow
def test_a_killed_machine_loses_no_job(cluster: Any, second: Any, tmp_path: Path) -> None:
    executor = Ray()
    assert executor.places == 2
    found = executor.map(job, [(tmp_path, number) for number in range(5)])
    killer = threading.Thread(target=kill_once_both_work, args=(cluster, second, tmp_path))
    killer.start()
    results = list(found)
    killer.join()
    assert results == [0, 1, 2, 3, 4]
    runs = [number for number, _, _ in begun(tmp_path)]
    assert len(runs) == 6 and set(runs) == set("01234")  # the lost one ran twice, no other did


@pytest.mark.slow
def test_trials_with_a_machine_killed_are_those_of_one_process(
    cluster: Any, second: Any, tmp_path: Path
) -> None:
    """Trainings: the finished ones are kept, the lost one runs again, each is counted once."""
    (tmp_path / "net.json").write_text(json.dumps(NETWORK))

    data = str(make_pictures(tmp_path / "pictures"))

    def training(folder: str) -> Training:
        return Training(
            folder=tmp_path / folder,
            config=str(tmp_path / "net.json"),
            source=BenchmarkSource(data, None, "four", 4),
            iterations=1,
            pretrained="random",
            encoder="random",
        )

    sets = [build_prompt_set(DESCRIPTIONS, VOCABULARY, [a]) for a in ("color", "shape", "action")]
    benchmark = FakeBenchmark(pictures=2, size=(40, 48))
    here = RetrainScorer(training("here"), benchmark).score(sets)

    executor, count_store = Ray(), MemoryCountStore()
    killer = threading.Thread(target=kill_once_both_work, args=(cluster, second, tmp_path))
    killer.start()

    def spread(function: Any, jobs: Any) -> Any:
        return executor.map(train_when_killed, [(tmp_path, one) for one in jobs])

    there = RetrainScorer(training("there"), benchmark, count_store, spread)
    np.testing.assert_array_equal(there.score(sets), here)
    killer.join()
    assert len((tmp_path / "trained").read_text().splitlines()) == 3  # what was lost had not begun
    assert len(begun(tmp_path)) == 4
    assert len(list((tmp_path / "there").glob("*/small.safetensors"))) == 3
    later = RetrainScorer(
        training("there"), benchmark, count_store, lambda f, j: pytest.fail("again")
    )
    np.testing.assert_array_equal(later.score(sets), here)


@pytest.mark.slow
def test_an_error_of_a_job_is_the_job_s_own(cluster: Any) -> None:
    with pytest.raises(UsageError, match=r"^number 7 is refused$"):
        list(Ray().map(refuse, [7]))


@pytest.mark.slow
def test_no_gpu_is_said(cluster: Any) -> None:
    with pytest.raises(ConfigurationError, match="has no GPU, which --device cuda wants"):
        Ray("cuda")


@pytest.mark.slow
@pytest.mark.parametrize("scorer", ["frozen", "trained"])
def test_ablate_in_shards_is_ablate(
    cluster: Any, second: Any, tmp_path: Path, scorer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"limit": 10, "attributes": ["color", "shape"], "samples": 200}
    if scorer == "trained":
        given |= network_of(tmp_path)
    here = ablate(AblationRequest(**given, store="here.sqlite", cache=False), progress=False)
    there = ablate(
        AblationRequest(**given, store="there.sqlite", cache=False, executor="ray"), progress=False
    )
    assert there.single == here.single
    assert there.combinations == here.combinations
    # Counts made there are found here: the executor is no part of what they depend on.
    monkeypatch.setattr(Scorer, "count", lambda *_: pytest.fail("counted again"))
    again = ablate(
        AblationRequest(**given, store="there.sqlite", cache=False, again=True), progress=False
    )
    assert again.single == here.single


def network_of(folder: Path) -> dict[str, Any]:
    """Options of a small whole network's checkpoint, and of pictures for it."""
    (folder / "net.json").write_text(json.dumps(NETWORK))
    Path("four.txt").write_text("zebra\ngrass\nstop sign\nsky")
    data = make_pictures(folder / "pictures")
    training = Training(
        folder=folder / "network",
        config=str(folder / "net.json"),
        source=BenchmarkSource(str(data), None, "four", 4),
        iterations=1,
        pretrained="random",
        encoder="random",
    )
    sets = tuple((f"a {name}",) for name in Path("four.txt").read_text().split("\n"))
    weights = train_network(training.job(sets)).weights
    return {
        "scorer": "trained",
        "checkpoint": str(weights),
        "data": [str(data)],
        "vocab": "four.txt",
        "attributes": ["color"],
    }
