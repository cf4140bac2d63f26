"""How good the network is so far: mIoU on the validation pictures, dealt out to the processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..data.benchmark import IGNORE, Benchmark
from ..lsmseg import LsmSeg
from ..metrics import confusion_counts, miou
from ..sliding import label, look
from .processes import Processes


@torch.inference_mode()
def validate(
    network: LsmSeg,
    benchmark: Benchmark,
    texts: Sequence[Sequence[str]],
    team: Processes,
    half: bool = False,
) -> dict[str, float]:
    """Both mIoUs and pixel accuracy, of seen and unseen classes too where there are such.

    texts: sentences for every prompt of the vocabulary, embedded with the weights of now.
    """
    network.eval()
    owners = getattr(benchmark, "owners", None)
    prompts = range(len(texts)) if owners else benchmark.class_indices
    text = network.clip.encode_texts([texts[i] for i in prompts])
    classes = benchmark.class_indices
    place = np.full(max(classes) + 2, IGNORE, dtype=np.int64)  # IGNORE = -1 reads the last
    place[list(classes)] = np.arange(len(classes))
    means = place[list(owners)] if owners else np.arange(len(classes))
    counts = torch.zeros(len(classes), 3, dtype=torch.int64, device=team.device)
    for index in range(team.rank, len(benchmark), team.count):
        picture = torch.from_numpy(np.array(benchmark.picture(index))).to(team.device)
        labels = place[benchmark.labels(index)]
        size = (labels.shape[0], labels.shape[1])
        image = picture.permute(2, 0, 1).float() / 255
        with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
            seen = look(network, image, text, network.protocol)
        found, _ = label(seen, len(text), size)
        predicted = means[found.cpu().numpy()]
        counts += torch.from_numpy(confusion_counts(predicted, labels, len(classes))).to(counts)
    network.train()
    total = team.sum(counts).cpu().numpy()
    labelled = max(1, int(total[:, 2].sum()))
    scores = {
        "miou": miou(total),
        "miou_union": miou(total, definition="union"),
        "pixel_accuracy": float(total[:, 0].sum() / labelled),
    }
    if benchmark.seen is not None:
        for name, wanted in (("miou_seen", True), ("miou_unseen", False)):
            at = [i for i, c in enumerate(classes) if (c in benchmark.seen) == wanted]
            scores[name] = miou(total, at)
    return scores
