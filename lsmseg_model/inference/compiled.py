"""The picture towers and the head compiled by `torch.compile`: `--compile`."""

from __future__ import annotations

import torch

from lsmseg_model.errors import ConfigError
from lsmseg_model.inference.precision import lowered
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.lsmseg import LsmSeg


@torch.inference_mode()
def compile_model(model: Backbone | Network) -> None:
    """Let a model compile what it does to pictures.

    One view goes through it here, so that what a compiler lacks is told before pictures are read;
    other numbers of views are compiled once more, for any number. Raises ConfigError.
    """
    side = model.view.window if isinstance(model, Backbone) else model.clip.view.window
    view = torch.zeros(1, 3, side, side, device=model.device)
    model.compiled = True
    try:
        with lowered(model):
            if isinstance(model, Backbone):
                model.encode_dense = torch.compile(model.encode_dense)  # type: ignore[method-assign]
                if model.proxy is None:
                    model.encode_dense(view)
            else:
                model.encode = torch.compile(model.encode)  # type: ignore[method-assign]
                if isinstance(model, LsmSeg):
                    model.transformer.compile()
                model.encode(view)
    except (RuntimeError, OSError, ImportError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"torch.compile does not work here ({first}): it needs a C++ compiler, and Triton on a "
            "GPU; install them, or leave out --compile."
        ) from error
