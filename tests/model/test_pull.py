"""Weights by name: from a server that speaks the hub's protocol, and from plain addresses."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub_server import COMMIT, HubServer, at_hub, serving_hub

from lsmseg_model.errors import CheckpointError, DataError, UsageError
from lsmseg_model.pull import catalogue
from lsmseg_model.pull.find import find
from lsmseg_model.pull.hub import HubFile
from lsmseg_model.pull.notes import Notes
from lsmseg_model.pull.web import WebFile

BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()
WEIGHTS = "open_clip_model.safetensors"
CONFIG = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}}
LAION = "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
OPENAI = "timm/vit_base_patch16_clip_224.openai"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("lsmseg_model.pull.download.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("lsmseg_model.pull.download.CHUNK", 1000)
    with serving_hub() as server, at_hub(server, tmp_path, monkeypatch):
        server.repositories[LAION] = {WEIGHTS: BODY, "README.md": b"?"}
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def below(folder: Path) -> list[str]:
    """The files there, but for what huggingface_hub marks its cache with."""
    found = (path for path in folder.rglob("*") if path.is_file() and "cwd" not in path.parts)
    return sorted(
        path.name for path in found if path.name not in ("CACHEDIR.TAG", f"{SHA256}.lock")
    )


# -- the hub ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def notes_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Notes, "quiet", False)  # whatever command went before


def test_a_tag_is_fetched_once_and_huggingface_hub_finds_it(
    hub: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    found = find("ViT-B-16", "laion2b-s34b-b88k")
    assert found.weights.read_bytes() == BODY
    assert (found.architecture, found.quick_gelu, found.tokenizer) == ("ViT-B-16", False, None)
    assert found.preprocess["mean"] == (0.48145466, 0.4578275, 0.40821073)
    address = f"{hub.address}/{LAION}/resolve/main/{WEIGHTS}"
    assert capsys.readouterr().err == f"Fetching {WEIGHTS}, 10 kB, from {address}\n"
    asked = len(hub.asked)
    assert find("ViT-B-16", "laion2b_s34b_b88k") == found
    assert len(hub.asked) == asked
    assert capsys.readouterr().err == ""
    assert hf_hub_download(LAION, WEIGHTS, local_files_only=True) == str(found.weights)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert find("ViT-B-16", "laion2b_s34b_b88k") == found


def test_what_open_clip_fetched_is_found(hub: HubServer) -> None:
    from open_clip.pretrained import download_pretrained, get_pretrained_cfg

    theirs = download_pretrained(get_pretrained_cfg("ViT-B-16", "laion2b_s34b_b88k"))
    asked = len(hub.asked)
    assert str(find("ViT-B-16", "laion2b_s34b_b88k").weights) == theirs
    assert len(hub.asked) == asked


def test_a_broken_transfer_goes_on_in_this_run_and_the_next(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [3000, 0, 0, 0]
    with pytest.raises(DataError, match=r"to its end: the connection broke off. 3000 bytes of it"):
        find("ViT-B-16", "laion2b_s34b_b88k")
    assert below(tmp_path / "hub") == [f"{SHA256}.part", f"{SHA256}.part.json"]
    hub.cuts = [4000]
    assert find("ViT-B-16", "laion2b_s34b_b88k").weights.read_bytes() == BODY
    ranges = [headers.get("range") for path, headers in hub.asked if path.startswith("/cdn/")]
    assert ranges[:2] == [None, "bytes=3000-"]
    assert ranges[-2:] == ["bytes=3000-", "bytes=7000-"]
    assert below(tmp_path / "hub") == [SHA256, "main", WEIGHTS]


def test_other_bytes_than_the_hub_promises(hub: HubServer, tmp_path: Path) -> None:
    hub.wrong = {WEIGHTS}
    with pytest.raises(DataError, match="is not the file that was published: its sha256 is"):
        find("ViT-B-16", "laion2b_s34b_b88k")
    assert below(tmp_path / "hub") == []


def test_a_full_disk(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
        with pytest.raises(DataError, match=r"There is no room in .*: 10240 bytes are needed and"):
            find("ViT-B-16", "laion2b_s34b_b88k")
    assert below(tmp_path / "hub") == []

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(DataError, match=r"could not be fetched into .*: No space left on device"):
        find("ViT-B-16", "laion2b_s34b_b88k")


def test_a_gated_repository(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = {LAION}
    with pytest.raises(CheckpointError, match=r"is gated: accept its terms at http.*HF_TOKEN"):
        find("ViT-B-16", "laion2b_s34b_b88k")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert find("ViT-B-16", "laion2b_s34b_b88k").weights.read_bytes() == BODY


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf-hub:nobody/nothing", "There is no repository http.*/nobody/nothing, or it is private"),
        (f"hf-hub:{LAION}@v2", "has no revision 'v2'"),
        (f"hf-hub:{LAION}", "has no open_clip_config.json; name one of its files, such as "
                            f"hf-hub:{LAION}/{WEIGHTS}"),
        ("hf-hub:a--b/c", "hf-hub:a--b/c is not the name of a repository"),
    ],
)  # fmt: skip
def test_what_the_hub_does_not_have(hub: HubServer, name: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        find(name)
    assert hub.fetched == []


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:a b/c", "hf-hub:a/b/c"])
def test_what_is_not_the_name_of_a_repository(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a repository: write hf-hub:org/model"):
        find(name)


def test_a_server_that_is_not_the_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.files[f"/other/{LAION}/resolve/main/{WEIGHTS}"] = BODY
    path = "/{repo_id}/resolve/{revision}/{filename}"
    for address, says in (
        (f"{hub.address}/other", "does not answer as the Hugging Face hub does"),
        ("http://127.0.0.1:9", "cannot be reached .ConnectError.: check"),
    ):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + path)
        with pytest.raises(CheckpointError, match=says):
            find("ViT-B-16", "laion2b_s34b_b88k")


def test_a_repository_with_its_configuration_and_tokenizer(hub: HubServer) -> None:
    text = {"hf_tokenizer_name": "org/words"}
    config = {"model_cfg": {**CONFIG["model_cfg"], "text_cfg": text}}
    old = {
        "open_clip_config.json": json.dumps(config).encode(),
        "open_clip_pytorch_model.bin": BODY,
    }
    hub.repositories["org/model"] = old
    hub.repositories["org/words"] = {"spiece.model": b"words", "tokenizer_config.json": b"{}"}
    found = find("hf-hub:org/model")
    assert found.weights.name == "open_clip_pytorch_model.bin"
    assert found.architecture == f"local-dir:{found.weights.parent}"
    assert found.tokenizer and sorted(p.name for p in found.tokenizer.iterdir()) == [
        "spiece.model", "tokenizer_config.json",
    ]  # fmt: skip
    asked = len(hub.asked)
    assert find("lsmseg-tiny", "hf-hub:org/model").weights == found.weights
    assert find(f"hf-hub:org/model@{COMMIT}/open_clip_pytorch_model.bin").weights == found.weights
    assert len(hub.asked) == asked
    other = find("ViT-B-16", "hf-hub:org/model")
    assert (other.weights, other.architecture) == (found.weights, "ViT-B-16")


def test_offline_nothing_is_fetched_and_the_message_says_what_to_do(
    hub: HubServer, tmp_path: Path, offline: None
) -> None:
    folder = tmp_path / "hub" / f"models--{LAION.replace('/', '--')}"
    says = (
        f"ViT-B-16 laion2b_s34b_b88k is not on this machine, and nothing is fetched offline: put "
        f"{WEIGHTS} (about 598 MB, {hub.address}/{LAION}/resolve/main/{WEIGHTS}) into {folder}, or "
        "name the file with --pretrained FILE."
    )
    with pytest.raises(CheckpointError) as raised:
        find("ViT-B-16", "laion2b_s34b_b88k")
    assert str(raised.value) == says
    assert hub.asked == [] and not folder.exists()
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(BODY)
    assert find("ViT-B-16", "laion2b_s34b_b88k").weights == folder / WEIGHTS


# -- plain addresses -------------------------------------------------------------------------


@pytest.fixture
def openai(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of ViT-B-16's weights, on a server as OpenAI has it."""
    url = f"{hub.address}/clip/models/{SHA256}/ViT-B-16.pt"
    hub.files[f"/clip/models/{SHA256}/ViT-B-16.pt"] = BODY
    listed = {**catalogue.tags()["ViT-B-16"]["openai"], "url": url}
    monkeypatch.setattr(catalogue, "tags", lambda: {"ViT-B-16": {"openai": listed}})
    monkeypatch.setattr(catalogue, "published_size", lambda _: None)
    return url


def test_openai_s_own_address_where_the_hub_has_nothing(
    hub: HubServer, openai: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.cuts = [5000]
    found = find("ViT-B-16", "openai")
    assert found.weights == tmp_path / ".cache" / "clip" / "ViT-B-16.pt"
    assert found.weights.read_bytes() == BODY
    assert found.quick_gelu
    assert hub.asked_ranges() == [None, "bytes=5000-"]
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("There is no repository")
    assert said[1] == f"Fetching ViT-B-16.pt, 10 kB, from {openai}"
    asked = len(hub.asked)
    assert find("ViT-B-16", "openai") == found
    assert len(hub.asked) == asked


def test_a_file_in_open_clip_s_folder_is_checked(hub: HubServer, openai: str) -> None:
    path = Path("~/.cache/clip/ViT-B-16.pt").expanduser()
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY[:100])  # open_clip writes there as it comes
    with pytest.raises(CheckpointError, match=f"{path} is not the published file: its sha256 is"):
        find("ViT-B-16", "openai")
    path.write_bytes(BODY)
    assert find("ViT-B-16", "openai").weights == path
    assert hub.asked == []


def test_checksums_that_stand_in_addresses(tmp_path: Path) -> None:
    releases = "https://x/download/v0.2-weights/vit_b_16-laion400m_e31-00efa78f.pt"
    assert WebFile(releases, tmp_path).sums.checksum == ("sha256", "00efa78f")
    assert WebFile(f"https://x/{SHA256}/a.pt", tmp_path).sums.checksum == ("sha256", SHA256)
    assert WebFile("https://x/dinov2_vitb14_pretrain.pth", tmp_path).sums.checksum is None


def test_wrong_bytes_at_a_plain_address(hub: HubServer, openai: str, tmp_path: Path) -> None:
    hub.files[f"/clip/models/{SHA256}/ViT-B-16.pt"] = bytes(len(BODY))
    with pytest.raises(DataError, match=f"instead of {SHA256}. Nothing was kept of it"):
        find("ViT-B-16", "openai")
    assert below(tmp_path) == []


def test_an_address_that_nobody_answers(hub: HubServer, tmp_path: Path) -> None:
    for url in (f"{hub.address}/none.pt", "http://127.0.0.1:9/a.pt"):
        with pytest.raises(CheckpointError, match=f"{url} cannot be reached .*check the network"):
            WebFile(url, tmp_path).look()


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "tag", "says"),
    [
        ("ViT-B-16", "opnai", "ViT-B-16 has no weights called 'opnai': did you mean openai"),
        ("lsmseg-tiny", "openai", "'openai' is a tag of RN50, RN101, .*: name one of them with"),
        ("lsmseg-tiny", "x", "lsmseg-tiny has no weights called 'x': give a file, hf-hub:org/mod"),
    ],
)  # fmt: skip
def test_a_tag_that_a_model_does_not_have(model: str, tag: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        find(model, tag)


def test_folders(tmp_path: Path) -> None:
    for says in (
        "no folder",
        "no open_clip_config",
        "does not describe",
        "no weights",
    ):
        with pytest.raises(CheckpointError, match=says):
            find(f"local-dir:{tmp_path / 'm'}")
        if says == "no folder":
            (tmp_path / "m").mkdir()
        elif says == "no open_clip_config":
            (tmp_path / "m" / "open_clip_config.json").write_text("{}")
        else:
            (tmp_path / "m" / "open_clip_config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "m" / "model.pth").write_bytes(BODY)
    found = find("lsmseg-tiny", f"local-dir:{tmp_path / 'm'}")
    assert found.weights == tmp_path / "m" / "model.pth"
    assert find(f"local-dir:{tmp_path / 'm'}", "w.pt").weights == Path("w.pt")


def test_the_catalogue_is_open_clip_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip
    from open_clip import pretrained

    assert catalogue.tags() == pretrained._PRETRAINED
    with monkeypatch.context() as patch:  # an open_clip that is written otherwise
        patch.setattr(catalogue, "_table", lambda _: {}["_PRETRAINED"])
        assert catalogue.tags.__wrapped__() == pretrained._PRETRAINED
    assert sorted(catalogue.models()) == sorted(open_clip.list_models())
    assert catalogue.preprocessing("ViT-B-16-SigLIP")["mean"] == (0.5, 0.5, 0.5)
    assert "mean" not in catalogue.preprocessing("ViT-L-14")
    repositories = {
        str(c.get("hf_hub")) for tags in catalogue.tags().values() for c in tags.values()
    }
    for rule in catalogue._known("licences.json")["rules"]:
        assert any(one.startswith(rule.get("repository", "")) for one in repositories)
        assert "tag" not in rule or catalogue.models_with(rule["tag"])


@pytest.mark.parametrize("name", ["ViT-B-16", "ViT-B-32"])
def test_about_how_large_weights_are(name: str) -> None:
    import torch

    from lsmseg_model.networks.backbones.load import open_clip_model

    with torch.device("meta"):
        state = open_clip_model(name).state_dict()
    assert catalogue.size(name) == 4 * sum(value.numel() for value in state.values())


def test_files_of_the_hub_have_their_place(tmp_path: Path, hub: HubServer) -> None:
    file = HubFile("org/model", ("a.bin",))
    assert file.local() is None
    assert file.folder == tmp_path / "hub" / "models--org--model"
