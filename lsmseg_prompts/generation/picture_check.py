"""The thesis's check of stage 1: which of the nine attributes a vision model names by itself.

Each picture is sent with "Describe this image in five separate sentences." (section 5.2.3), and
every sentence of the replies is searched for the words of the nine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.attributes.words import named_attributes
from lsmseg_prompts.errors import ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.asking import ask
from lsmseg_prompts.generation.replies import read_json
from lsmseg_prompts.generation.verdicts import as_a_whole
from lsmseg_prompts.llm.base import LLM, Image, Reply, Request
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import query

if TYPE_CHECKING:
    from PIL import Image as Pictures

TEMPLATE = "check-images-thesis"
LONGEST_SIDE = 1024  # pixels
JPEG_QUALITY = 90
SENTENCES = 5  # that are asked for
MOST_SENTENCES = 30
LONGEST_SENTENCE = 600  # characters


@dataclass(frozen=True)
class Sentence:
    """One sentence about a picture, and the words in it that name attributes."""

    text: str
    words: dict[str, list[str]]


@dataclass(frozen=True)
class PictureCheck:
    """What an LLM says of a picture; `error` is why it says nothing, `reply` the raw reply."""

    picture: str
    sentences: tuple[Sentence, ...]
    reply: str | None
    error: str | None = None

    def count(self, attribute: str) -> int:
        """How many sentences name `attribute`."""
        return sum(attribute in sentence.words for sentence in self.sentences)


@dataclass(frozen=True)
class ImageCheck:
    """The check of several pictures."""

    llm: str
    pictures: tuple[PictureCheck, ...]

    @property
    def total(self) -> dict[str, int]:
        """How many sentences name each of the nine, over all pictures."""
        return {name: sum(p.count(name) for p in self.pictures) for name in ATTRIBUTES}

    @property
    def unnamed(self) -> list[str]:
        """Those of the nine that no sentence names."""
        return [name for name, count in self.total.items() if not count]

    @property
    def failed(self) -> list[PictureCheck]:
        return [picture for picture in self.pictures if picture.error is not None]

    def table(self) -> list[dict[str, Any]]:
        """The coverage table.

        A row for each picture with counts of sentences, below it one for each sentence with an x
        where it names the attribute, at the end the total.
        """
        rows: list[dict[str, Any]] = []
        for picture in self.pictures:
            about = picture.error or f"{len(picture.sentences)} sentences"
            counts = {name: picture.count(name) or "" for name in ATTRIBUTES}
            rows.append({"picture": picture.picture, "sentence": about, **counts})
            for number, sentence in enumerate(picture.sentences, 1):
                marks = {name: "x" if name in sentence.words else "" for name in ATTRIBUTES}
                rows.append({"picture": "", "sentence": f"{number}. {sentence.text}", **marks})
        sentences = sum(len(picture.sentences) for picture in self.pictures)
        rows.append({"picture": "total", "sentence": f"{sentences} sentences", **self.total})
        return rows


def check_images(
    llm: LLM,
    pictures: Sequence[str | Path],
    store: Store | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageCheck:
    """Ask `llm` for five sentences about each picture and count the attributes they name.

    All pictures are read before the first is sent.

    Args:
        llm: a vision model.
        pictures: their files.
        store: takes the attempts, with the raw replies, if one is given.
        on_progress: called with the replies that are there and how many there will be.

    Raises:
        ConfigurationError: A file is not there, or is not a picture.
        UsageError: The LLM cannot see.
        ProviderError: No picture was described; and what else `generation.asking.ask` raises.
    """
    if llm.name == LLM_NAME:
        raise UsageError(
            "bundled cannot look at pictures: name a vision model, such as --llm gpt-4o."
        )
    if not pictures:
        raise UsageError("There is no picture to check: name one or more picture files.")
    question = query(TEMPLATE)
    requests = [
        Request(question.render(), images=(read_picture(path),), template_hash=question.hash)
        for path in pictures
    ]
    if store is not None:
        store.add_template(question)
    replies = ask(llm, requests, purpose="check-images", store=store, on_progress=on_progress)
    checked = [_checked(str(path), reply) for path, reply in zip(pictures, replies, strict=True)]
    result = ImageCheck(llm.name, tuple(checked))
    if len(result.failed) == len(checked):
        reason = (result.failed[0].error or "").rstrip(". ")
        raise ProviderError(
            f"{llm.name} described none of the {len(checked)} pictures: {reason}; "
            "is it a vision model?"
        )
    return result


def _checked(picture: str, reply: Reply) -> PictureCheck:
    """What a reply says of a picture; one that is cut off or refuses says nothing."""
    if reply.text is None:
        return PictureCheck(picture, (), reply.refusal, reply.failure)
    if whole := as_a_whole(reply):
        return PictureCheck(picture, (), reply.text, whole.fault)
    texts = split_sentences(reply.said)
    sentences = tuple(Sentence(text, named_attributes(text)) for text in texts)
    return PictureCheck(picture, sentences, reply.text, None if texts else "it says nothing")


def read_picture(path: str | Path) -> Image:
    """The picture as it is sent: upright, RGB, at most 1,024 pixels a side, JPEG, without EXIF.

    Raises ConfigurationError, with the reason, for a file that is not a picture.
    """
    from PIL import Image as Pictures
    from PIL import ImageOps

    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ConfigurationError(f"{path} is a pipe or a device: save the picture as a file.")
    try:
        with Pictures.open(path) as opened:
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and opened.format != "MPO":  # of a phone: the first is the photograph
                raise UsageError(f"{path} has {frames} frames or pages: give one picture.")
            return as_sent(ImageOps.exif_transpose(opened))
    except FileNotFoundError:
        raise ConfigurationError(f"There is no picture {path}: check the path.") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder: name the pictures in it.") from None
    except Pictures.DecompressionBombError:
        raise ConfigurationError(f"{path} has too many pixels: give a smaller picture.") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise ConfigurationError(f"Cannot read the picture {path}: {error.strerror}.") from None
        raise ConfigurationError(
            f"{path} is not a picture that can be read: give JPEG or PNG."
        ) from None


def as_sent(picture: Pictures.Image) -> Image:
    """A picture on white, at most 1,024 pixels a side, as JPEG that holds nothing else."""
    from PIL import Image as Pictures

    upright = picture.convert("RGBA")
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    clean = Pictures.new("RGB", upright.size, "white")  # carries nothing over but the pixels
    clean.paste(upright, mask=upright.getchannel("A"))
    stream = BytesIO()
    clean.save(stream, "JPEG", quality=JPEG_QUALITY)
    return Image("image/jpeg", stream.getvalue())


_BULLET = re.compile(r"^\s*[-*•+]\s+")
_NUMBER = re.compile(
    r"(?:^|(?<=[.!?\"'*)\s]))[ \t]*(?:\*\*)?(\d{1,2})[.)](?:\*\*)?\s+", re.MULTILINE
)
_END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*]*[A-Z0-9])")


def split_sentences(reply: str) -> list[str]:
    """The sentences of a reply: of a JSON list, a numbered list, bullets, or plain text.

    What stands around a list ("Sure! Here are five sentences:") is left out, and so are
    markdown and control characters; at most 30 sentences of 600 characters.
    """
    pieces = _from_json(reply) or _numbered(reply) or _bullets(reply) or _plain(reply)
    sentences = []
    for piece in pieces:
        text = " ".join(re.sub(r"\*\*|__|`", "", piece).split()).strip(" *\"'")
        text = "".join(c for c in text if c.isprintable())
        if any(c.isalpha() for c in text):
            sentences.append(text[:LONGEST_SENTENCE])
    return sentences[:MOST_SENTENCES]


def _from_json(reply: str) -> list[str]:
    value = read_json(reply)
    if isinstance(value, dict):
        value = list(value.values())
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _numbered(reply: str) -> list[str]:
    """What follows 1., 2., 3. ..., on lines of their own or in one; [] without a 1 and a 2."""
    wanted, marks = 1, []
    for match in _NUMBER.finditer(reply):
        if int(match[1]) == wanted:
            wanted += 1
            marks.append(match)
    if len(marks) < 2:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(reply)]
    # After an empty line the list is over ("I hope this helps!").
    return [
        re.split(r"\n\s*\n", reply[mark.end() : end], maxsplit=1)[0]
        for mark, end in zip(marks, ends, strict=True)
    ]


def _bullets(reply: str) -> list[str]:
    lines = [_BULLET.sub("", line) for line in reply.splitlines() if _BULLET.match(line)]
    return lines if len(lines) > 1 else []


def _plain(reply: str) -> list[str]:
    lines = [line for line in reply.splitlines() if not line.rstrip().endswith(":")]
    return [piece for line in lines for piece in _END.split(line)]
