"""Where a file may be had: a repository of the Hugging Face hub, or a plain address.

Both are looked for in the caches of the libraries that fetch them too (open_clip, timm, torch.hub,
huggingface_hub), under the names that these give them, so that nothing is fetched twice.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from lsmseg_model.errors import CheckpointError, DataError
from lsmseg_model.pull.download import Sums, download
from lsmseg_model.pull.notes import progress_bar, readable, say

SHA256 = re.compile("[0-9a-f]{64}")
TIMEOUT = 20.0  # seconds for an answer about a file


@dataclass(frozen=True)
class Offered:
    """What a server has: the file's name, its address, its bytes; ``mark`` is the hub's."""

    name: str
    address: str
    size: int | None
    mark: str = ""
    version: str = ""


class Place(Protocol):
    """One place of a file."""

    @property
    def folder(self) -> Path:
        """Where a file that was fetched by hand is put."""

    @property
    def expected(self) -> Offered:
        """What it should have, as far as is known without asking."""

    def local(self) -> Path | None:
        """The file on this machine, if it is there."""

    def look(self) -> Offered:
        """Ask what is there. Raises CheckpointError where it cannot be had."""

    def take(self, offered: Offered) -> Path:
        """Fetch it. Raises DataError where it does not come whole."""


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the hub; of several names the first that is there.

    huggingface_hub knows the addresses, the token, and its cache. The bytes come by `download`:
    huggingface_hub 2 begins again after a break, and compares the size alone.
    """

    repo: str
    names: tuple[str, ...]
    revision: str = "main"
    size: int | None = None

    @property
    def folder(self) -> Path:
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE, "models--" + self.repo.replace("/", "--"))

    @property
    def expected(self) -> Offered:
        return Offered(self.names[0], self._address(self.names[0]), self.size)

    def _address(self, name: str) -> str:
        from huggingface_hub import constants, hf_hub_url

        return hf_hub_url(self.repo, name, revision=self.revision, endpoint=constants.ENDPOINT)

    def local(self) -> Path | None:
        from huggingface_hub import constants, try_to_load_from_cache

        for name in self.names:
            found = try_to_load_from_cache(
                self.repo, name, revision=self.revision, cache_dir=constants.HF_HUB_CACHE
            )
            if isinstance(found, str):
                return Path(found)
            if (by_hand := self.folder / name).is_file():
                return by_hand
        return None

    def look(self) -> Offered:
        from huggingface_hub import constants, get_hf_file_metadata
        from huggingface_hub.errors import EntryNotFoundError

        for name in self.names:
            address = self._address(name)
            try:
                found = get_hf_file_metadata(address, timeout=TIMEOUT)
            except EntryNotFoundError:
                continue
            except Exception as error:  # its own, and those of whichever library it stands on
                raise CheckpointError(unavailable(self, error)) from error
            if not found.etag or not found.commit_hash:
                raise CheckpointError(
                    f"{constants.ENDPOINT} does not answer as the Hugging Face hub does: check "
                    "HF_ENDPOINT and the proxy."
                )
            return Offered(name, address, found.size, found.etag, found.commit_hash)
        raise CheckpointError(
            f"hf-hub:{self.repo} has no {' and no '.join(self.names)}{self._others()}."
        )

    def _others(self) -> str:
        """The weights that the repository has under other names, for the message."""
        from huggingface_hub import list_repo_files

        try:
            files = list_repo_files(self.repo, revision=self.revision)
        except Exception:  # it was only for a hint
            return ""
        weights = [name for name in files if name.endswith((".safetensors", ".bin", ".pt", ".pth"))]
        if not weights:
            return ", and no other weights"
        return f"; name one of its files, such as hf-hub:{self.repo}/{weights[0]}"

    def take(self, offered: Offered) -> Path:
        from huggingface_hub import constants, get_token, hf_hub_download, hf_hub_url

        where = {"repo_id": self.repo, "filename": offered.name}
        announce(offered)
        if SHA256.fullmatch(offered.mark):  # a large file, kept by its checksum
            token = get_token()
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = hf_hub_url(**where, revision=offered.version, endpoint=constants.ENDPOINT)
            blob = self.folder / "blobs" / offered.mark
            with progress_bar(offered.name) as shown:
                download(
                    url, blob, offered.size, offered.mark, on_progress=shown, headers=headers
                )
        try:
            found: Any = hf_hub_download(
                **where,
                revision=self.revision,
                cache_dir=constants.HF_HUB_CACHE,
                endpoint=constants.ENDPOINT,
            )
        except OSError as error:
            reason = error.strerror or f"{error}".splitlines()[0]
            raise DataError(
                f"{offered.address} could not be fetched into {self.folder}: {reason}. Make room, "
                "or choose another place with HF_HOME, and run the same command again."
            ) from error
        return Path(found)


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
        """OpenAI has the sha256 as a folder; torch.hub's way is to end the name in its beginning."""
        above = SHA256.findall(self.url.rpartition("/")[0])
        ending = re.search(r"-([0-9a-f]{8,64})\.\w+$", self.name)
        sha256 = above[-1] if above else ending[1] if ending else None
        return Sums(self.size, sha256, self.md5)

    def local(self) -> Path | None:
        path = self.folder / self.name
        if not path.is_file():
            return None
        if wrong := self.sums.wrong(path):
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
            download(self.url, path, sums.size, sums.sha256, sums.md5, on_progress=shown)
        return path


def unavailable(file: HubFile, error: Exception) -> str:
    """Why the hub gives nothing, as a sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{file.repo}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError):
        return (
            f"hf-hub:{file.repo} is gated: accept its terms at {page}, then give your token in "
            "HF_TOKEN or with `hf auth login`."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"hf-hub:{file.repo} has no revision {file.revision!r}: leave it out, or see {page}."
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"There is no repository {page}, or it is private: check the name, or give your token "
            "in HF_TOKEN."
        )
    if isinstance(error, HFValidationError):
        return f"hf-hub:{file.repo} is not the name of a repository: write hf-hub:org/model."
    return (
        f"{page} cannot be reached ({status or type(error).__name__}): check the network, "
        "HTTPS_PROXY and HF_ENDPOINT, or name a file on this machine."
    )


def announce(offered: Offered) -> None:
    """Say what is about to be fetched."""
    say(f"Fetching {offered.name}, {readable(offered.size)}, from {offered.address}")
