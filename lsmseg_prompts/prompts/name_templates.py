"""Templates around the plain name, which prompts with descriptions are compared with.

- name: CLIP's own, the paper's baseline;
- cat-seg: the one template of CAT-Seg, with which its checkpoints were trained;
- imagenet: the seven that CLIP's authors found best together on ImageNet (open_clip carries them as
  SIMPLE_IMAGENET_TEMPLATES, which the tests compare); a class's embedding is the mean of all.
"""

import re

from lsmseg_prompts.english import article
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.vocabularies import ClassEntry

NAME_TEMPLATES: dict[str, tuple[str, ...]] = {
    kind: tuple(templates)
    for kind, templates in packaged_json("lsmseg_prompts.prompts", "name_templates.json").items()
}


def name_texts(entry: ClassEntry, kind: str = "name") -> tuple[str, ...]:
    """The readable name in the templates called `kind`; in the plain one it may bring its article.

    "zebra" -> "a photo of a zebra"; "a zebra with stripes" -> "a photo of a zebra with stripes".
    """
    templates = NAME_TEMPLATES[kind]
    if kind == "name" and entry.readable.partition(" ")[0].lower() in ("a", "an", "the", "some"):
        templates = tuple(template.replace("a {}", "{}") for template in templates)
    return tuple(template.format(entry.readable) for template in templates)


_INSIDE = re.compile(
    "|".join(
        re.escape(template).replace(re.escape("{}"), f"(?P<t{number}>[^,.]+)")
        for number, template in enumerate(t for group in NAME_TEMPLATES.values() for t in group)
    )
)


def plain_name(text: str, entry: ClassEntry) -> str | None:
    """What a text names without saying anything of it: "a photo of a bike" -> "bike"; else None."""
    if any(text in name_texts(entry, kind) for kind in NAME_TEMPLATES):
        return entry.readable
    inside = _INSIDE.fullmatch(text)
    if inside is not None:
        return next(name for name in inside.groupdict().values() if name)
    return text if text in entry.names else None


def without_template(name: str, entry: ClassEntry, form: str) -> str:
    """A name of the class as a reader with a template of its own wants it, in the given form."""
    if form != "descriptor":
        return name
    return f"{entry.readable}, which is {'an' if article(name) == 'an' else 'a'} {name}"
