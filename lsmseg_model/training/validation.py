"""How good the network is so far: mIoU on the validation pictures, dealt out to the processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.inference.counting import count_pictures, summarise
from lsmseg_model.inference.pictures import encode_texts
from lsmseg_model.networks.base import Network
from lsmseg_model.processes import Processes


def validate(
    network: Network,
    benchmark: Benchmark,
    texts: Sequence[Sequence[str]],
    team: Processes,
    half: bool = False,
) -> dict[str, float]:
    """What `evaluate` says of the network: both mIoUs, accuracies, seen and unseen classes.

    Args:
        network: The network, in training mode before and after.
        benchmark: The pictures.
        texts: Sentences for every prompt of the vocabulary, embedded with the weights of now.
        team: The processes that share the pictures.
        half: Compute in bf16.
    """
    network.eval()
    text = encode_texts(network.clip, [texts[i] for i in competing(benchmark)[0]])
    mine = range(team.rank, len(benchmark), team.count)
    network.precision = "bf16" if half else "fp32"
    counts = count_pictures(network, benchmark, text, mine)
    network.train()
    total = team.sum(torch.from_numpy(counts.sum(axis=0)).to(team.device)).cpu().numpy()
    summary = summarise(total[None], benchmark)
    return {name: float(value) for name, value in summary.items() if name != "pictures"}
