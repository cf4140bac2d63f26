"""Pictures of every mode, depth and orientation become uint8 RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsmseg_model.data.images import as_picture
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
    with pytest.raises(DataError, match=r"bomb\.png is too large"):
        as_picture("bomb.png")
