"""Why a file cannot be read as a picture: kinds of files that a message can name."""

from __future__ import annotations

from pathlib import Path

# What cameras call their raw files. Many begin like a TIFF that holds only a thumbnail.
RAW = (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2",
       ".srw")  # fmt: skip
BRANDS = {  # of the box "ftyp", which containers of pictures and films begin with
    b"avif": "AVIF", b"avis": "AVIF", b"crx ": "raw", b"heic": "HEIC", b"heim": "HEIC",
    b"heis": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF",
    b"msf1": "HEIF",
}  # fmt: skip
FORMATS = {  # by their first bytes
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"\x1a\x45\xdf\xa3": "film",
    b"<svg": "SVG",
}
OTHERS = {  # that cannot be converted
    b"": "an empty file",
    b"version https://git-lfs": "a pointer of Git LFS",
    b"\x93NUMPY": "a numpy array",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}


def unreadable(path: Path | str, kind: str, start: bytes) -> str:
    """The sentence about a file that Pillow cannot read as ``kind``, such as "a picture".

    path: Or what else it is called. start: Its first bytes.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml"):
        text = text[max(0, text.find(b"<svg")) :]
    found = FORMATS | ({start: BRANDS.get(start[8:12], "film")} if start[4:8] == b"ftyp" else {})
    for known, name in found.items():
        if start.startswith(known) or text.startswith(known):
            return not_read(path, name, kind)
    for known, name in OTHERS.items():
        if text == known or (known and (start.startswith(known) or text.startswith(known))):
            return f"{path} is {name}, not {kind}; copy or fetch it again."
    return f"{path} cannot be read as {kind}; it may be corrupt."


def not_read(path: Path | str, name: str, kind: str) -> str:
    """The sentence about a format that is not read."""
    convert = "PNG" if kind == "a label map" else "PNG or JPEG"
    return f"{path} is not read ({name}); convert it to {convert}."
