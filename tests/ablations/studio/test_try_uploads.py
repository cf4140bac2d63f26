"""Pictures that are sent to the page Try: any that can be read, and none that costs too much."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablations.studio.trying.pictures import UPLOADS

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def send(open_studio: Any) -> Any:
    client = open_studio()

    def one(data: bytes) -> Any:
        reply = client.post("/api/try/send", content=data)
        assert reply.status_code in (200, 409, 413), reply.text
        return reply.json()

    one.client = client  # type: ignore[attr-defined]
    return one


def shown(send: Any, data: bytes) -> np.ndarray:
    """What comes back of a picture that was sent."""
    reply = send.client.get("/api/try/picture", params={"name": send(data)["name"]})
    assert reply.headers["content-type"] == "image/png"
    return np.asarray(Image.open(BytesIO(reply.content)))


def saved(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def halves(mode: str = "RGB", one: Any = RED, two: Any = BLUE) -> Image.Image:
    """40 x 20, the left half of one colour, the right of another."""
    image = Image.new(mode, (40, 20), one)
    image.paste(two, (20, 0, 40, 20))
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """One of 8 bits RGB that holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + b"".join(more) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pictures_of_all_kinds(send: Any) -> None:
    expected = np.asarray(halves())
    turned = halves().transpose(Image.Transpose.ROTATE_90)  # the camera lay on its side
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = halves("RGBA", (*RED, 255), (*BLUE, 0))
    white = np.asarray(halves("RGB", RED, (255, 255, 255)))
    deep = Image.fromarray(np.full((20, 40), 0x8000, np.uint16))
    for data, right in (
        (saved(halves()), expected),
        (saved(halves().quantize(4)), expected),
        (saved(halves(), "BMP"), expected),
        (saved(halves(), "WEBP", lossless=True), expected),
        (saved(halves(), "GIF"), expected),
        (saved(halves(), "TIFF"), expected),
        (saved(turned, exif=exif), expected),
        (saved(clear), white),
        (saved(deep), np.full((20, 40, 3), 128)),
        (saved(halves("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), "TIFF"), expected),
    ):
        assert np.array_equal(shown(send, data), right)
    gray = shown(send, saved(halves("L", 10, 200), "JPEG"))
    assert gray.shape == (20, 40, 3) and abs(int(gray[9, 9, 1]) - 10) < 3


def test_large_ones_are_reduced(send: Any) -> None:
    told = send(saved(Image.new("RGB", (3000, 1500), RED), "JPEG"))
    assert (told["size"], told["of"]) == ([400, 800], [1500, 3000])
    told = send(saved(Image.new("L", (2048, 16)), "PNG"))
    assert (told["size"], told["of"]) == ([6, 800], [16, 2048])
    assert send(saved(halves()))["of"] is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (png(10_000, 10_000), "has 100 megapixels, and at most 40 are taken"),
        (png(60_000, 60_000), "is too large for a picture"),
        (png(2**31 - 1, 1), "is too large for a picture"),
        (png(9, 7), "has 9 x 7 pixels: give one with at least 8"),
        (png(20, 20), "cannot be read as a picture; it may be corrupt"),
        (saved(halves())[:60], "cannot be read as a picture; it may be corrupt"),
        (saved(Image.effect_noise((64, 64), 50), "JPEG")[:900], "it may be corrupt"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "(SVG)"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "is a web page, not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "(PostScript)"),
        (b"%PDF-1.4", "(PDF)"),
        (b"", "is an empty file"),
        (b"x" * 100, "cannot be read as a picture"),
        (b"P6 20 20 255\n" + bytes(1200), "cannot be read as a picture"),
    ],
)
def test_what_is_refused(send: Any, data: bytes, says: str) -> None:
    said = send(data)["error"]
    assert says in said and said.startswith("The picture ") and "/tmp" not in said


def test_an_animation_is_refused(send: Any) -> None:
    frames = [Image.new("L", (20, 20), shade) for shade in (0, 99, 200)]
    said = send(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))["error"]
    assert said.startswith("The picture has several frames or pages and is not read")


def test_frames_are_not_counted(send: Any, monkeypatch: Any) -> None:
    """A TIFF of 30 MB can have 250,000 pages, a GIF 2,000,000 frames: it would take hours."""
    pages = [Image.new("L", (20, 20), shade) for shade in range(20)]
    for kind in ("TIFF", "GIF"):
        data = saved(pages[0], kind, save_all=True, append_images=pages[1:])
        with monkeypatch.context() as patched:
            patched.setattr(type(Image.open(BytesIO(data))), "n_frames", property(pytest.fail))
            assert "has several frames or pages" in send(data)["error"]
    small = Image.new("RGB", (10, 10))
    small.encoderinfo = {"tiffinfo": {254: 1}}  # a smaller copy, which is not a page
    data = saved(halves(), "TIFF", save_all=True, append_images=[small])
    assert np.array_equal(shown(send, data), np.asarray(halves()))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_grows_is_not_unpacked(send: Any, kind: bytes) -> None:
    bomb = zlib.compress(bytes(5_000_000), 1)
    head = b"x\0\1\0\0\0" if kind == b"iTXt" else b"x\0\0"
    said = send(png(20, 20, chunk(kind, head + bomb)))["error"]
    assert "cannot be read as a picture" in said


def test_more_than_is_taken(send: Any) -> None:
    assert "more than 32 MB" in send(b"x" * (32 * 2**20 + 1))["error"]


def test_few_are_kept_and_the_others_asked_for_again(send: Any) -> None:
    names = [send(saved(Image.new("L", (16, 16), at)))["name"] for at in range(UPLOADS + 1)]
    replies = [send.client.get("/api/try/picture", params={"name": name}) for name in names]
    assert [reply.status_code for reply in replies] == [400] + [200] * UPLOADS
    assert replies[0].json() == {
        "error": "The studio does not keep this picture any more: give it again.",
        "exit_code": 2,
        "not_here": True,
    }
    assert names[1] == send(saved(Image.new("L", (16, 16), 1)))["name"]


def test_a_name_is_no_path(send: Any) -> None:
    for name in ("../conftest.py", "/etc/passwd", "sent-../../x", "sent-" + "0" * 63, ""):
        reply = send.client.get("/api/try/picture", params={"name": name})
        assert reply.status_code == 400 and "has no picture" in reply.json()["error"]


def test_one_that_was_sent_is_segmented(open_studio: Any, tiny: Any) -> None:
    client = open_studio(model=tiny)
    name = client.post("/api/try/send", content=saved(halves())).json()["name"]
    fields = {"picture": name, "lines": ["sky", "red rose"]}
    answer = client.post("/api/try/segment", json=fields).json()
    assert answer["size"] == [20, 40] and "labelled" not in answer
    assert client.get("/api/try/labels", params={"name": name}).json() == {"map": None}
    strip = client.post("/api/try/send", content=saved(Image.new("RGB", (9000, 8)))).json()
    fields = {"picture": strip["name"], "lines": ["sky", "red rose"]}
    assert client.post("/api/try/segment", json=fields).json()["size"] == [1, 800]
