"""Files at plain addresses: OpenAI's, Meta's, those of releases."""

from __future__ import annotations

import os
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lsmseg_model.errors import CheckpointError
from lsmseg_model.pull.download import Sums, download
from lsmseg_model.pull.notes import progress_bar
from lsmseg_model.pull.places import TIMEOUT, Offered, announce

OPEN_CLIP = Path("~/.cache/clip")  # open_clip's folder, and that of OpenAI's own package


def torch_hub() -> Path:
    """torch.hub's folder of weights, which timm uses too; torch itself is not imported for it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home, "hub", "checkpoints").expanduser()


@dataclass(frozen=True)
class WebFile:
    """A file at a plain address, kept in a folder under its own name.

    size, md5: as published. A sha256, or its beginning, stands in many addresses themselves.
    """

    url: str
    folder: Path
    size: int | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        return os.path.basename(urlsplit(self.url).path)

    @property
    def expected(self) -> Offered:
        return Offered(self.name, self.url, self.size)

    @property
    def sums(self) -> Sums:
        """OpenAI's folders are called by the sha256; torch.hub's names end in its beginning."""
        found = re.search(r"/([0-9a-f]{64})/|-([0-9a-f]{8,64})\.\w+$", self.url)
        sha256 = found and (found[1] or found[2])
        return Sums(self.size, sha256, self.md5)

    def here(self) -> bool:
        return (self.folder / self.name).is_file()

    def local(self) -> Path | None:
        path = self.folder / self.name
        if not path.is_file():
            return None
        sums = Sums(self.size) if self.size else self.sums  # gigabytes are not read each time
        if wrong := sums.wrong(path):
            raise CheckpointError(
                f"{path} is not the published file: {wrong}. Remove it and run the command again, "
                f"or fetch it anew from {self.url}."
            )
        return path

    def look(self) -> Offered:
        request = urllib.request.Request(
            self.url, method="HEAD", headers={"User-Agent": "lsmseg-prompts"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                length = answer.headers.get("Content-Length", "")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise CheckpointError(
                f"{self.url} cannot be reached ({reason}): check the network and HTTPS_PROXY, or "
                "name a file on this machine."
            ) from error
        return Offered(self.name, self.url, int(length) if length.isdecimal() else self.size)

    def take(self, offered: Offered) -> Path:
        path, sums = self.folder / self.name, self.sums
        announce(offered)
        with progress_bar(self.name) as shown:
            download(self.url, path, sums.size, sums.sha256, sums.md5, on_progress=shown, wait=True)
        return path
