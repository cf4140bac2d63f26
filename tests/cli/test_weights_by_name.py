"""--pretrained, --model, --encoder and --sam with names: fetched from a local server, then used."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.command_line import Outcome, listing, process, refused
from support.hub_server import HubServer, at_hub, serving_hub
from support.small_clip import SMALL

from ablations.commands import completion

Call = Callable[..., Outcome]
PREDICT = ("-q", "predict", "p.png", "--classes", "sky, sea", "-o", "o.png", "--force", "--json")


@pytest.fixture
def repository() -> dict[str, bytes]:
    """A small CLIP as open_clip saves one for the hub, trained on pictures of another mean."""
    import torch
    from safetensors.torch import save

    from lsmseg_model.networks.backbones.load import build_backbone

    torch.manual_seed(0)
    vision = {**SMALL["clip"]["vision_cfg"], "image_size": 32, "patch_size": 16}
    sizes = {**SMALL["clip"], "vision_cfg": vision, "quick_gelu": True}
    state = build_backbone({**SMALL, "clip": sizes}).model.state_dict()
    del state["logit_bias"]
    shown = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "size": 32}
    config = {"model_cfg": sizes, "preprocess_cfg": shown}
    return {
        "open_clip_config.json": json.dumps(config).encode(),
        "open_clip_model.safetensors": save(state),
    }


@pytest.fixture
def hub(
    repository: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    with serving_hub() as server, at_hub(server, tmp_path, monkeypatch):
        server.repositories["org/small"] = repository
        yield server


@pytest.fixture
def picture() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(drawn).save("p.png")
    return drawn


def test_a_repository_is_fetched_and_computes_as_in_open_clip(
    hub: HubServer, picture: np.ndarray, call: Call
) -> None:
    import open_clip
    import torch

    from lsmseg_model import Segmenter

    first = call(*PREDICT, "--model", "hf-hub:org/small")
    assert (first.code, first.err) == (0, "")
    assert call(*PREDICT, "--pretrained", "hf-hub:org/small") == first
    assert sorted(hub.fetched) == ["open_clip_config.json", "open_clip_model.safetensors"]
    assert call(*PREDICT, "--offline", "--model", "hf-hub:org/small") == first
    clip = Segmenter("hf-hub:org/small").clip
    theirs = open_clip.create_model("hf-hub:org/small").eval()
    tokens = open_clip.get_tokenizer("hf-hub:org/small")(["a photo of a sky"])
    with torch.inference_mode():
        expected = theirs.encode_text(tokens, normalize=True)
        assert torch.allclose(clip.encode_texts([["a photo of a sky"]]), expected, atol=1e-6)
        shown = torch.rand(1, 3, 32, 32)
        expected = theirs.encode_image((shown - 0.5) / 0.5, normalize=True)
        assert torch.allclose(clip.pooled(shown), expected, atol=1e-5)


def test_a_folder_computes_the_same(
    repository: dict[str, bytes], picture: np.ndarray, hub: HubServer, call: Call
) -> None:
    Path("m").mkdir()
    for name, body in repository.items():
        Path("m", name).write_bytes(body)
    here = call(*PREDICT, "--pretrained", "local-dir:m")
    assert here.code == 0
    assert call(*PREDICT, "--pretrained", "hf-hub:org/small") == here
    Path("m", "open_clip_model.safetensors").write_bytes(b"\x00" * 3000)
    refused(call(*PREDICT, "--pretrained", "local-dir:m"), 4, "m/open_clip_model.safetensors")


def test_a_folder_is_another_one_with_other_weights(
    repository: dict[str, bytes], weights: Path
) -> None:
    """A run is not read again, nor a training taken, that began with other weights."""
    from ablations.runs.request import AblationRequest
    from ablations.runs.reuse import _model_files
    from ablations.scoring.executors import everywhere
    from ablations.scoring.training import _file

    Path("m").mkdir()
    for name, body in repository.items():
        Path("m", name).write_bytes(body)
    file = Path("m/open_clip_model.safetensors").resolve()
    for given in ({"model": "local-dir:m"}, {"pretrained": "local-dir:m"}):
        assert file in _model_files(AblationRequest(**given))
    assert [*_model_files(AblationRequest(pretrained=str(weights)))][:1] == [weights.resolve()]
    before = _file("local-dir:m")
    file.write_bytes(b"other")
    assert _file("local-dir:m") != before
    assert _file("openai") == "openai"
    assert everywhere("local-dir:m") == f"local-dir:{Path('m').resolve()}"
    assert everywhere("hf-hub:org/small") == "hf-hub:org/small"


def test_training_begins_with_what_a_name_stands_for(
    repository: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And refuses what it would read otherwise than those who trained it."""
    import torch

    from lsmseg_model.errors import UsageError
    from lsmseg_model.networks import build
    from lsmseg_model.pretrain import _start
    from lsmseg_model.pull.find import Found

    Path("m").mkdir()
    for name, body in repository.items():
        Path("m", name).write_bytes(body)
    sizes = json.loads(repository["open_clip_config.json"])["model_cfg"]
    Path("own.json").write_text(json.dumps({**SMALL, "clip": sizes}))
    request = SimpleNamespace(init="local-dir:m", config="own.json", device="cpu")
    clip = _start(SMALL, SimpleNamespace(), request)
    assert clip.weights_hash != "random"
    named = SimpleNamespace(name="ViT-B-16", mean=torch.full((3, 1, 1), 0.5))
    for found, says in (
        (Found(Path("w"), "", {"mean": (0.4, 0.5, 0.5)}), "pictures of another mean than ViT-B-16"),
        (Found(Path("w"), "", quick_gelu=True), "must name ViT-B-16-quickgelu as its clip"),
    ):
        with pytest.raises(UsageError, match=says):
            build._check_reading(SimpleNamespace(clip=named), found)


def test_nothing_is_fetched_that_no_name_asks_for(
    picture: np.ndarray, weights: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(socket, "getaddrinfo", connected)
    assert call(*PREDICT).code == 0
    assert call(*PREDICT, "--pretrained", str(weights)).code == 0
    assert call("model", "list", "--pretrained", "siglip").code == 0
    model = ("--model", "ViT-B-16")
    says = "give --pretrained openai, laion400m_e31, laion400m_e32 ... (fetched by that name)"
    refused(call(*PREDICT, *model), 4, f"There are no weights of ViT-B-16: {says}")
    refused(call(*PREDICT, *model, "--pretrained", "no.pt"), 4, "of ViT-B-16 at no.pt", says)
    refused(call("-q", "train", "--out", "o", "--config", "lsmseg-b"), 4, "ViT-B-16-quickgelu")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--model ViT-B-16 --pretrained opnai", 2, "called 'opnai': did you mean openai"),
        ("--pretrained openai", 2, "'openai' is a tag of RN50"),
        ("--model ViT-B-16 --pretrained openai", 4, "ViT-B-16 openai is not on this machine"),
        ("--pretrained hf-hub:org/small", 4, "put open_clip_config.json"),
        ("--pretrained local-dir:none", 4, "There is no folder none"),
        ("--dense sam-proxy --sam sam-b", 4, "put sam_vit_b_01ec64.pth (about 375 MB"),
        ("--dense sam-proxy --sam sam-bee", 4, "at sam-bee: give --encoder sam-b (fetched by"),
    ],
)
def test_names_offline(
    hub: HubServer, picture: np.ndarray, call: Call, arguments: str, code: int, says: str
) -> None:
    before = listing()
    refused(call(*PREDICT, "--offline", *arguments.split()), code, says)
    assert (listing(), hub.heads, hub.asked) == (before, [], [])
    assert not Path("~/.cache").expanduser().exists()


def test_a_file_of_another_model_in_the_repository(
    hub: HubServer, picture: np.ndarray, call: Call
) -> None:
    refused(call(*PREDICT, "--model", "ViT-B-16", "--pretrained", "hf-hub:org/small"), 4,
            "open_clip_model.safetensors does not hold the weights of ViT-B-16")  # fmt: skip


def test_second_encoders_by_name(
    hub: HubServer, picture: np.ndarray, weights: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in of DINOv2, as if it were published."""
    from safetensors.torch import save

    from lsmseg_model.encoders import sources
    from lsmseg_model.encoders.registry import second_encoder
    from lsmseg_model.pull.hub import HubFile

    encoder = second_encoder("dinov2-tiny").encoder.state_dict()
    hub.repositories["timm/tiny"] = {"model.safetensors": save(encoder)}
    places = sources.encoder_places

    def published(name: str) -> list:
        tiny = [HubFile("timm/tiny", sources.TIMM_FILES)]
        return tiny if name == "dinov2-tiny" else places(name)

    monkeypatch.setattr(sources, "encoder_places", published)
    given = (*PREDICT, "--pretrained", str(weights), "--dense", "sam-proxy", "--sam")
    assert call(*given, "dinov2-tiny").code == 0
    assert hub.fetched == ["model.safetensors"]
    pulled = json.loads(call("-q", "model", "pull", "dinov2-tiny", "--json").out)
    assert call(*given, pulled[0]["file"]).code == 0
    train = ("-q", "train", "--out", "o", "--pretrained", "random", "--set", "encoder=sam-tiny")
    refused(call(*train, "--encoder", "dinov2-tiny"), 2, "is sam-tiny, not dinov2-tiny: give")
    assert places("sam-tiny") == places("nothing") == []
    assert places("vit_base_patch16_dinov3.lvd1689m") == places("dinov3-b")


def test_timm_knows_the_places_of_its_weights() -> None:
    from timm.models import get_pretrained_cfg

    from lsmseg_model.encoders import sources

    for name, sizes in sources._read("timm.json").items():
        about = get_pretrained_cfg(sizes["timm"])
        assert (about.hf_hub_id, about.hf_hub_filename) == (f"timm/{sizes['timm']}", None), name
    (hub, web) = sources.encoder_places("samvit_base_patch16.sa1b")
    assert (hub.repo, web.url) == ("timm/samvit_base_patch16.sa1b", sources._read(
        "published.json")["sam-b"]["url"])  # fmt: skip


# -- model pull, model list, completion ------------------------------------------------------


def test_model_pull_says_where_and_goes_on_where_it_broke(hub: HubServer, call: Call) -> None:
    size = len(hub.repositories["org/small"]["open_clip_model.safetensors"])
    hub.cuts = [None, size // 2]
    done = call("model", "pull", "hf-hub:org/small", "--json")
    assert done.code == 0
    (pulled,) = json.loads(done.out)
    assert (pulled["name"], pulled["bytes"]) == ("hf-hub:org/small", size)
    assert pulled["tokenizer"] is None
    assert Path(pulled["file"]).stat().st_size == size
    assert done.err.count("Fetching ") == 2
    assert hub.asked_ranges()[1:] == [None, f"bytes={size // 2}-"]
    assert call("model", "pull", "hf-hub:org/small").err == ""


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("ViT-B-16", 2, "ViT-B-16 has several weights: name one, as in ViT-B-16:openai; there are"),
        ("ViT-B-16:opnai", 2, "did you mean openai"),
        ("sam-tiny", 2, "There are no published weights of 'sam-tiny'; did you mean sam"),
        ("hf-hub:org/none", 4, "There is no repository"),
    ],
)
def test_what_cannot_be_pulled(hub: HubServer, call: Call, name: str, code: int, says: str) -> None:
    refused(call("-q", "model", "pull", name), code, says)


def test_model_list_shows_what_is_published_and_what_is_here(hub: HubServer, call: Call) -> None:
    rows = json.loads(call("model", "list", "--pretrained", "siglip2", "--json").out)
    assert {row["context"] for row in rows} == {64}
    assert rows[0]["tokenizer"].startswith("timm/ViT-")
    assert not any(row["here"] for row in rows)
    hub.repositories["timm/ViT-B-16-SigLIP2"] = {"open_clip_model.safetensors": b"w" * 2000}
    call("-q", "model", "pull", "ViT-B-16-SigLIP2")  # its tokenizer is not there
    rows = json.loads(call("model", "list", "--pretrained", "b-16-siglip2:", "--json").out)
    assert [(row["tag"], row["here"], row["licence"]) for row in rows] == [
        ("webli", True, "Apache-2.0")
    ]
    every = json.loads(call("model", "list", "--pretrained", "--json").out)
    assert len(every) > 200 and {row["model"] for row in every} >= {"ViT-B-16", "sam-b", "sam2-t"}
    names = [row["name"] for row in json.loads(call("model", "list", "cat-seg", "--json").out)]
    assert {"cat-seg-b", "cat-seg-l"} <= set(names)
    assert all(name.startswith("cat-seg") for name in names)


def test_completion_offers_tags_of_the_model() -> None:
    named = (SimpleNamespace(params={"model": m}) for m in ("ViT-B-16-SigLIP", "lsmseg-tiny"))
    siglip, tiny = named
    assert completion.weights(siglip, "") == ["webli", "hf-hub:", "local-dir:"]
    assert "laion2b_s34b_b88k" in completion.weights(tiny, "laion2b_s34")
    assert completion.encoders("sam-") == ["sam-b", "sam-l", "sam-h"]
    assert completion.pulled("ViT-B-16-SigLIP:") == ["ViT-B-16-SigLIP:webli"]


@pytest.mark.process
def test_the_environment_variables(hub: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_TOKEN and HF_HOME count, and a message needs no torch."""
    hub.gated = {"org/small"}
    home = {"HF_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    variables = {"HF_ENDPOINT": hub.address, **home}
    done = process("model", "pull", "hf-hub:org/small", more=variables)
    assert done.code == 4 and "is gated" in done.err
    done = process("model", "pull", "hf-hub:org/small", more={**variables, "HF_TOKEN": "secret"})
    assert done.code == 0, done.err
    assert (tmp_path / "home" / "hub" / "models--org--small").is_dir()
