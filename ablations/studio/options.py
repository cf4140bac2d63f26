"""What the studio is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lsmseg_model.inference.options import ModelOptions
from lsmseg_prompts.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PORT = 7877


@dataclass(frozen=True, kw_only=True)
class StudioOptions(ModelOptions):
    """A model of `ModelOptions`, the data beside it, and where the page is served.

    Args:
        runtime: "torch", or "onnx": ``model`` is then a folder that `model_export` wrote.
        data: A benchmark, or a folder of pictures with label maps: what pictures are offered.
        data_root: The benchmark's folder.
        split: Its part; the validation part if None.
        vocab: The vocabulary; by default the one that the benchmark is labelled with.
        llm: Whose descriptions are shown first.
        store: The attribute store; by default the working store.
        runs: The folder of run folders.
        host: The address that is listened at.
        port: 0 takes a free one.
        password: What others must know; needed for every host but this machine.
        public: For strangers: no token, and nothing that writes or starts anything.

    Raises:
        UsageError: For a host that others reach without a password.
    """

    runtime: str = "torch"
    data: str = "ministuff"
    data_root: str | None = None
    split: str | None = None
    vocab: str | None = None
    llm: str = "bundled"
    store: str | None = None
    runs: str | Path = "runs"
    host: str = LOOPBACK[0]
    port: int = PORT
    password: str | None = None
    public: bool = False

    def __post_init__(self) -> None:
        from lsmseg_model.predict import RUNTIMES

        super().__post_init__()
        if self.runtime not in RUNTIMES:
            raise UsageError(f"There is no runtime {self.runtime!r}; choose torch or onnx.")
        if self.host not in LOOPBACK and not self.password and not self.public:
            raise UsageError(
                f"With --host {self.host} others reach the studio: set a password in the "
                "environment variable LSMSEG_STUDIO_PASSWORD."
            )
