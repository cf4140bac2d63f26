"""Templates around the plain name, which prompts with descriptions are compared with.

- cat-seg: the one template of CAT-Seg, with which its checkpoints were trained;
- imagenet: the seven that CLIP's authors found best together on ImageNet (open_clip carries them as
  SIMPLE_IMAGENET_TEMPLATES, which the tests compare); a class's embedding is the mean of all.
"""

NAME_TEMPLATES: dict[str, tuple[str, ...]] = {
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
