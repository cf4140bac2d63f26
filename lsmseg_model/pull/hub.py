"""Files of the Hugging Face hub.

huggingface_hub knows the addresses, the token and its cache: HF_ENDPOINT, HF_TOKEN, HF_HOME count
as they do there. The bytes come by `download`: after a break huggingface_hub 2 begins again in the
next run, and it compares the size alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lsmseg_model.errors import CheckpointError, DataError
from lsmseg_model.pull.download import download
from lsmseg_model.pull.notes import progress_bar
from lsmseg_model.pull.places import TIMEOUT, Offered, announce

SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the hub; of several names the first that is there.

    hint: whether the message about a file that is not there names the weights that are.
    """

    repo: str
    names: tuple[str, ...]
    revision: str = "main"
    size: int | None = None
    hint: bool = False

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

    def here(self) -> bool:
        return self.folder.is_dir() and self.local() is not None

    def local(self) -> Path | None:
        from huggingface_hub import constants, try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        for name in self.names:
            try:
                found = try_to_load_from_cache(
                    self.repo, name, revision=self.revision, cache_dir=constants.HF_HUB_CACHE
                )
            except HFValidationError as error:
                raise CheckpointError(unavailable(self, error)) from error
            if isinstance(found, str):
                return Path(found)
            if (by_hand := self.folder / name).is_file():
                return by_hand
        return None

    def look(self) -> Offered:
        from huggingface_hub import constants, get_hf_file_metadata
        from huggingface_hub.errors import EntryNotFoundError

        for name in self.names:
            try:
                address = self._address(name)
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
        lacks = " and no ".join(self.names)
        others = self._others() if self.hint else ""
        raise CheckpointError(f"hf-hub:{self.repo} has no {lacks}{others}.")

    def _others(self) -> str:
        """The weights that the repository has under other names, for the message."""
        from huggingface_hub import HfApi, constants

        try:
            hub = HfApi(endpoint=constants.ENDPOINT)
            files = hub.list_repo_files(self.repo, revision=self.revision)
        except Exception:  # it was only for a hint
            return ""
        weights = [name for name in files if name.endswith((".safetensors", ".bin", ".pt", ".pth"))]
        if not weights:
            return ", and no other weights"
        return f"; name one of its files, such as hf-hub:{self.repo}/{weights[0]}"

    def take(self, offered: Offered) -> Path:
        from huggingface_hub import constants, get_token, hf_hub_download, hf_hub_url

        announce(offered)
        if SHA256.fullmatch(offered.mark):  # a large file, kept by its checksum
            token = get_token()
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = hf_hub_url(
                self.repo, offered.name, revision=offered.version, endpoint=constants.ENDPOINT
            )
            blob = self.folder / "blobs" / offered.mark
            with progress_bar(offered.name) as shown:
                download(
                    url, blob, offered.size, offered.mark,
                    on_progress=shown, headers=headers, wait=True,
                )  # fmt: skip
        try:
            found = hf_hub_download(
                self.repo,
                offered.name,
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
