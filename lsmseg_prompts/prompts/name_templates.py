"""Templates around the plain name, which prompts with descriptions are compared with.

- name: CLIP's own, the paper's baseline;
- cat-seg: the one template of CAT-Seg, with which its checkpoints were trained;
- imagenet: the seven that CLIP's authors found best together on ImageNet (open_clip carries them as
  SIMPLE_IMAGENET_TEMPLATES, which the tests compare); a class's embedding is the mean of all.
"""

from lsmseg_prompts.vocabularies import ClassEntry

NAME_TEMPLATES: dict[str, tuple[str, ...]] = {
    "name": ("a photo of a {}",),
    "cat-seg": ("A photo of a {} in the scene",),
    "imagenet": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
}


def name_texts(entry: ClassEntry, kind: str = "name") -> tuple[str, ...]:
    """The readable name in the templates called `kind`; in the plain one it may bring its article.

    "zebra" -> "a photo of a zebra"; "a zebra with stripes" -> "a photo of a zebra with stripes".
    """
    templates = NAME_TEMPLATES[kind]
    if kind == "name" and entry.readable.partition(" ")[0].lower() in ("a", "an", "the", "some"):
        templates = tuple(template.replace("a {}", "{}") for template in templates)
    return tuple(template.format(entry.readable) for template in templates)
