"""Pictures of every mode, depth and orientation become uint8 RGB."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsmseg_model.data.images import as_picture
from lsmseg_model.data.label_maps import read_label_map
from lsmseg_model.errors import DataError, UsageError

RAMP = np.array([[0, 64, 128, 255], [10, 20, 30, 40]], np.uint8)


@pytest.mark.parametrize("kind", ["path", "PIL", "array"])
def test_sixteen_bits_keep_their_greys(kind: str) -> None:
    """Pillow's own conversion makes everything above 255 white."""
    wide = RAMP.astype(np.uint16) * 257
    Image.fromarray(wide).save("wide.png")
    given = {"path": "wide.png", "PIL": Image.open("wide.png"), "array": wide}[kind]
    assert (as_picture(given) == RAMP[..., None]).all()


def test_thirty_two_bits_and_floats() -> None:
    Image.fromarray(RAMP.astype(np.int32) * 257).save("i.tif")
    Image.fromarray(RAMP.astype(np.float32) / 255).save("f.tif")
    assert (as_picture("i.tif") == RAMP[..., None]).all()
    assert (as_picture("f.tif") == RAMP[..., None]).all()
    assert (as_picture(Image.fromarray(RAMP.astype(np.int32))) == RAMP[..., None]).all()
    assert (as_picture(RAMP / 255) == RAMP[..., None]).all()


@pytest.mark.parametrize("value", [-0.5, 2.5, float("nan"), 1e6, -3])
def test_numbers_that_are_no_greys_are_refused(value: float) -> None:
    """A map of heights would be a black picture."""
    kind = np.int32 if value == -3 else np.float32
    Image.fromarray(np.array([[0, value]], kind)).save("f.tif")
    with pytest.raises(DataError, match=r"f\.tif holds numbers from .* nothing tells black and"):
        as_picture("f.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes(mode: str) -> None:
    red = Image.new("RGB", (3, 2), (255, 0, 0)).convert(mode)
    found = as_picture(red)
    assert found.shape == (2, 3, 3) and found.dtype == np.uint8
    if mode in ("P", "RGB", "RGBA", "CMYK"):
        assert found[0, 0].tolist() == [255, 0, 0]
    if mode in ("L", "LA"):
        assert found[0, 0].tolist() == [76, 76, 76]


@pytest.mark.parametrize("kind", ["PIL", "array", "palette"])
def test_what_is_transparent_is_white(kind: str) -> None:
    pixels = np.array([[[9, 9, 9, 0], [0, 0, 200, 255], [0, 0, 0, 128]]], np.uint8)
    if kind == "palette":
        image = Image.new("P", (3, 1))
        image.putpalette([9, 9, 9, 0, 0, 200, 0, 0, 0])
        image.putdata([0, 1, 2])
        image.save("p.png", transparency=bytes([0, 255, 128]))
        found = as_picture("p.png")
    else:
        found = as_picture(pixels if kind == "array" else Image.fromarray(pixels))
    assert found[0].tolist() == [[255, 255, 255], [0, 0, 200], [127, 127, 127]]


def test_arrays_without_a_third_axis() -> None:
    for array in (RAMP, RAMP[..., None]):
        assert (as_picture(array) == RAMP[..., None]).all()
        assert as_picture(array).shape == (2, 4, 3)


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    image = Image.fromarray(np.dstack([RAMP] * 3))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image.save("turned.png", exif=exif)
    assert (as_picture("turned.png")[..., 0] == np.rot90(RAMP, -1)).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 3), np.int64),
        np.full((2, 2, 3), 200.0),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UsageError, match="is not a picture"):
        as_picture(array)


def test_files_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        as_picture("none.png")
    Path("bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png cannot be read"):
        as_picture("bad.png")
    Image.new("RGB", (40, 30)).save("cut.png")
    Path("cut.png").write_bytes(Path("cut.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"cut\.png cannot be read"):
        as_picture("cut.png")
    Image.new("L", (40, 30)).save("bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"bomb\.png is too large for a picture: .* 200 pixels"):
        as_picture("bomb.png")
    Path("folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png cannot be read: Is a directory\."):
        as_picture("folder.png")


def frames(path: str, kind: type = np.uint8, **more: object) -> None:
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 9, (4, 6), dtype=kind)) for _ in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_several_frames_or_pages_are_refused(name: str) -> None:
    frames(name)
    for read, kind in ((as_picture, "a picture"), (read_label_map, "a label map")):
        with pytest.raises(DataError, match=f"has 3 frames or pages and is not read as {kind}"):
            read(Path(name))


def test_of_a_phones_several_frames_the_first_is_the_picture() -> None:
    frames("a.mpo")
    Path("a.jpg").write_bytes(Path("a.mpo").read_bytes())  # as phones and cameras call it
    Image.open("a.mpo").save("first.png")
    assert Image.open("a.jpg").format == "MPO"
    assert (as_picture("a.jpg") == as_picture("first.png")).all()


def test_smaller_copies_in_a_tiff_are_no_pages() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    large, small = Image.fromarray(RAMP), Image.fromarray(RAMP[:1])
    about = ImageFileDirectory_v2()
    about[254] = 1  # NewSubfileType: of reduced resolution
    small.encoderinfo = {"tiffinfo": about}  # type: ignore[attr-defined]
    large.save("a.tif", save_all=True, append_images=[small])
    assert Image.open("a.tif").n_frames == 2  # type: ignore[attr-defined]
    assert (as_picture("a.tif") == RAMP[..., None]).all()


BOX = b"\0\0\0\x18ftyp"


@pytest.mark.parametrize(
    ("name", "start", "says"),
    [
        ("a.heic", BOX + b"heic", r"is not read \(HEIC\); convert it to PNG or JPEG"),
        ("a.jpg", BOX + b"mif1", r"is not read \(HEIF\)"),
        ("a.mov", BOX + b"qt  ", r"is not read \(film\)"),
        ("a.avif", BOX + b"avif", r"is not read \(AVIF\)"),
        ("a.jxl", b"\xff\x0a", r"is not read \(JPEG XL\)"),
        ("a.pdf", b"%PDF-1.7", r"is not read \(PDF\)"),
        ("a.svg", b'<?xml version="1.0"?>\n<!-- x -->\n<svg ', r"is not read \(SVG\)"),
        ("a.jpg", b"\n<!DOCTYPE html><html>", "is a web page, not a picture; copy or fetch"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("a.png", b"\x93NUMPY\1\0", "is a numpy array"),
        ("a.png", b"", "is an empty file"),
        ("a.xml", b'<?xml version="1.0"?><other/>', "cannot be read as a picture; it may be corr"),
    ],
)
def test_formats_that_are_not_read_are_named(name: str, start: bytes, says: str) -> None:
    Path(name).write_bytes(start)
    with pytest.raises(DataError, match=rf"{name} {says}"):
        as_picture(name)


def test_a_raw_file_is_not_read_for_its_thumbnail() -> None:
    Image.fromarray(RAMP).save("a.tif")
    Path("a.NEF").write_bytes(Path("a.tif").read_bytes())
    with pytest.raises(DataError, match=r"a\.NEF is not read \(raw\)"):
        as_picture("a.NEF")


def test_large_pictures_are_read_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (15, 10)).save("large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings(record=True) as caught:
        assert as_picture("large.png").shape == (10, 15, 3)
    assert not caught


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_label_maps_of_few_bits_keep_their_values(bits: int) -> None:
    """Pillow makes 17 of a 1 in 4 bits."""
    values = np.arange(24).reshape(2, 12) % 2**bits
    rows = "".join("0" * 8 + "".join(f"{v:0{bits}b}" for v in row).ljust(48, "0") for row in values)
    data = int(rows[:56] + rows[56:], 2).to_bytes(14, "big")
    if bits < 4:  # rows end at whole bytes
        short = -(-12 * bits // 8)
        data = data[: 1 + short] + data[7 : 8 + short]
    header = struct.pack(">IIBBBBB", 12, 2, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    Path("l.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
            for t, d in parts
        )
    )
    assert (read_label_map(Path("l.png")) == values).all()


def test_label_maps_that_would_be_misread() -> None:
    Image.fromarray(RAMP).save("l.jpg")
    Path("l.png").write_bytes(Path("l.jpg").read_bytes())
    for name in ("l.jpg", "l.png"):
        with pytest.raises(DataError, match="is a JPEG, which changes the class indices"):
            read_label_map(Path(name))
    Image.fromarray(RAMP.astype(np.float32)).save("f.tif")
    with pytest.raises(DataError, match="holds its numbers as fractions"):
        read_label_map(Path("f.tif"))
    Image.fromarray(RAMP).save("i.tif", tiffinfo={262: 0})  # 0 is white
    swapped = bytearray(Path("i.tif").read_bytes())
    at = swapped.index(struct.pack("<HHI", 262, 3, 1)) + 8
    swapped[at] = 0
    Path("i.tif").write_bytes(swapped)
    with pytest.raises(DataError, match="with black and white swapped"):
        read_label_map(Path("i.tif"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_label_maps_of_more_bits(kind: type) -> None:
    values = np.array([[0, 7, 200]], kind)
    Image.fromarray(values).save("l.tif")
    assert (read_label_map(Path("l.tif")) == values).all()
