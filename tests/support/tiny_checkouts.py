"""Made-up checkouts with the file layout of the readers that `export --check` runs.

Each does in a few lines of our own what its reader does with a class string: where it splits, which
templates it puts around it, whether its tokenizer cuts or raises.
"""

from __future__ import annotations

from pathlib import Path

PREDICTOR = """
import json, torch
from torch import nn
from detectron2.config import configurable
from {package}.third_party import {clip} imagenet_templates
from .model import Aggregator
import open_clip

class Predictor(nn.Module):
    @configurable
    def __init__(self, *, train_class_json, test_class_json, clip_pretrained, prompt_ensemble_type,
                 depth):
        super().__init__()
        self.class_texts = json.load(open(train_class_json))
        self.test_class_texts = json.load(open(test_class_json))
        single = ["A photo of a {{}}"]
        self.prompt_templates = (single if prompt_ensemble_type == "single"
                                 else imagenet_templates.IMAGENET_TEMPLATES)
        {load}
        self.clip_model = model.float()
        self.features = [self.class_embeddings(texts, self.prompt_templates, model)
                         for texts in (self.class_texts, self.test_class_texts)]
        self.transformer = Aggregator(depth=depth)

    def class_embeddings(self, names, templates, model):
        return [model.encode_text({tokenize}([t.format(piece) for t in templates
                                             for piece in name.split(", ")]).cuda())
                for name in names]
{more}
"""
FIRST_PIECE = """
    def get_text_embeds(self, names, templates, model, prompt=None):
        rows = [clip.tokenize([t.format(name.split(", ")[0]) for t in templates]).cuda()
                for name in names]
        return model.encode_text(torch.stack(rows), prompt)
"""
TOKENIZER = """
import torch
from lsmseg_prompts.tokens import token_ids

def tokenize(texts, context_length=77):
    rows = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(rows, texts):
        ids = [49406, *token_ids(text), 49407]
        if len(ids) > context_length:
            {over}
        row[:len(ids)] = torch.tensor(ids)
    return rows
"""
RAISES = TOKENIZER.format(over='raise RuntimeError(f"Input {text} is too long")')
CUTS = TOKENIZER.format(over="ids = ids[:context_length - 1] + [49407]")
TEMPLATES = 'IMAGENET_TEMPLATES = ["a jpeg corrupted photo of the {}.", "a toy {}."]\n'

CAT_SEG = {
    "cat_seg/modeling/transformer/cat_seg_predictor.py": PREDICTOR.format(
        package="cat_seg",
        clip="clip,",
        load="model, _ = clip.load(clip_pretrained, jit=False)",
        tokenize="clip.tokenize",
        more=FIRST_PIECE,
    ),
    "cat_seg/third_party/clip.py": "from torchvision.transforms import Compose\n" + RAISES,
    "cat_seg/third_party/simple_tokenizer.py": "",
    "cat_seg/third_party/imagenet_templates.py": TEMPLATES,
    "datasets/voc20.json": '["zebra", "plant, flower"]',
}
SED = {
    "sed/modeling/transformer/sed_predictor.py": PREDICTOR.format(
        package="sed",
        clip="",
        load="model, _, _ = open_clip.create_model_and_transforms(clip_pretrained); "
        "self.tokenizer = open_clip.get_tokenizer(clip_pretrained)",
        tokenize="self.tokenizer",
        more="",
    ),
    "sed/third_party/imagenet_templates.py": TEMPLATES,
    "open_clip/src/open_clip/tokenizer.py": CUTS,
}

REGISTER = """
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_sem_seg
from . import openseg_classes
names = openseg_classes.read("{name}")
for split in ("train", "val"):
    DatasetCatalog.register("a_" + split, lambda: load_sem_seg("here"))
    MetadataCatalog.get("a_" + split).set(stuff_classes=names[:])
"""
OPENSEG = """
def read(name):
    lines = open("./fcclip/data/datasets/" + name + "_with_prompt_eng.txt").read().splitlines()
    names = [line.split(":")[1] for line in lines]
    assert len(names) == 3, len(names)
    return names[1:]

def get_coco_categories_with_prompt_eng():
    return [{"name": "zebra,zebras"}, {"name": "horse"}]
"""
FCCLIP = """
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from .modeling.criterion import SetCriterion

@META_ARCH_REGISTRY.register()
class FCCLIP(torch.nn.Module):
    def prepare_class_names_from_metadata(self, metadata, train_metadata):
        seen = {x for text in train_metadata.stuff_classes for x in text.split(",")}
        names = [text.replace(", ", ",").split(",") for text in metadata.stuff_classes]
        mask = torch.tensor([int(not seen.isdisjoint(group)) for group in names])
        texts = [t.format(x) for group in names for x in group for t in ("a {}.", "the medium {}.")]
        return mask, [len(group) for group in names], texts
"""
TEXT_SIDE = """
from detectron2.modeling import BACKBONE_REGISTRY, Backbone

@BACKBONE_REGISTRY.register()
class CLIP(Backbone):
    def get_text_classifier(self, texts, device):
        self.eval()
        return self.encode_text(self.text_tokenizer(texts).to(device), normalize=False)
"""
REGISTERED = {
    "register_coco_stuff_164k": "coco_stuff",
    "register_ade20k_panoptic": "ade20k_150",
    "register_ade20k_full": "ade20k_847",
    "register_pascal_ctx_59_sem_seg": "pascal_ctx_59",
    "register_pascal_ctx_459_sem_seg": "pascal_ctx_459",
    "register_pascal_voc_20_semantic": "pascal_voc_21",
    "register_pascal_voc_21_semantic": "pascal_voc_21",
    "register_cityscapes_panoptic": "cityscapes",
    "register_mapillary_vistas_panoptic": "mapillary_vistas",
}
FC_CLIP = {
    "fcclip/fcclip.py": FCCLIP,
    "fcclip/modeling/backbone/clip.py": TEXT_SIDE,
    "fcclip/data/datasets/openseg_classes.py": OPENSEG,
    "fcclip/data/datasets/pascal_voc_21_with_prompt_eng.txt": "0:background\n1:zebra\n2:plant\n",
    **{
        f"fcclip/data/datasets/{module}.py": REGISTER.format(name=name)
        for module, name in REGISTERED.items()
    },
}
MAFT = {
    path.replace("fcclip/fcclip.py", "maft/maft_plus.py").replace("fcclip/", "maft/"): text.replace(
        "./fcclip/", "./maft/"
    )
    for path, text in FC_CLIP.items()
} | {"maft/utils/text_templetes.py": ""}

SAN = {
    "san/model/clip_utils/classifier.py": """
import torch
from detectron2.utils.registry import Registry
from open_clip.model import CLIP
from open_clip import tokenizer
from .utils import get_labelset_from_dataset

class Classifier(torch.nn.Module):
    def forward(self, names):
        rows = [tokenizer.tokenize([t.format(n) for n in names]) for t in self.templates]
        return torch.stack([self.encode_text(each, normalize=True) for each in rows]).mean(0)

    def get_classifier_by_dataset_name(self, name):
        return self(get_labelset_from_dataset(name))
""",
    "san/model/clip_utils/utils.py": """
from detectron2.data import MetadataCatalog

def get_labelset_from_dataset(name):
    return [text.strip() for text in MetadataCatalog.get(name).stuff_classes]

def get_predefined_templates(name):
    return {"vild": ["a {}.", "the medium {}."]}[name]
""",
    **{
        f"san/data/datasets/{name}.py": """
from detectron2.data import DatasetCatalog, MetadataCatalog
DatasetCatalog.register("voc_sem_seg_val", lambda: [])
MetadataCatalog.get("voc_sem_seg_val").set(stuff_classes=("zebra", "bush"))
"""
        for name in (
            "register_coco_stuff_164k",
            "register_ade20k_full",
            "register_pcontext",
            "register_voc",
        )
    },
}
MMSEG = {
    "mmseg/models/text_encoder/clip_text_encoder.py": """
import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import get_classes, get_predefined_templates, tokenizer

@MODELS.register_module()
class CLIPTextEncoder(BaseModule):
    def template_encode(self, vocabulary):
        rows = [tokenizer.tokenize([t.format(n) for n in vocabulary]) for t in self.templates]
        return torch.stack([self.encode_text(each, normalize=True) for each in rows]).mean(0)

    def forward(self):
        return self.template_encode(self.vocabulary)
""",
    "mmseg/utils/tokenizer.py": CUTS,
    "mmseg/utils/get_templates.py": """
def get_predefined_templates(name):
    return {"vild": ["a {}.", "the medium {}."]}[name]
""",
    "mmseg/utils/class_names.py": "from mmengine.utils import is_str\n",
    "mmseg/datasets/basesegdataset.py": """
from mmengine.dataset import BaseDataset, Compose
from mmseg.registry import DATASETS

@DATASETS.register_module()
class BaseSegDataset(BaseDataset):
    METAINFO = {}

    @classmethod
    def get_label_map(cls, new_classes=None):
        if not set(new_classes) <= set(cls.METAINFO.get("classes", new_classes)):
            raise ValueError(f"new classes {new_classes} is not a subset")
""",
    "mmseg/datasets/pascal_context.py": """
from .basesegdataset import BaseSegDataset

class PascalContextDataset59(BaseSegDataset):
    METAINFO = {"classes": ("zebra", "bush")}
""",
    **{f"mmseg/datasets/{name}.py": "" for name in ("coco_stuff", "ade", "voc")},
}

OPEN_CLIP = {
    "src/open_clip/zero_shot_classifier.py": """
import torch

def build_zero_shot_classifier(model, tokenizer, classnames, templates):
    return model.encode_text(tokenizer([t.format(c) for c in classnames for t in templates]))
""",
    "src/open_clip/tokenizer.py": CUTS,
}
CUPL = {
    "classify_imagenet.py": """
import clip, json, torch
from tqdm import tqdm
from imagenetdataset import ImagenetDataset
PATH_TO_PROMPTS = "./prompts.json"
model, preprocess = clip.load("ViT-L/14")
images = ImagenetDataset("../val", transform=preprocess)

def zeroshot_classifier_gpt(classnames, textnames, templates, use_both):
    prompts = json.load(open(PATH_TO_PROMPTS))
    rows = [clip.tokenize(prompts[textnames[i]], truncate=True).cuda()
            for i, name in enumerate(tqdm(classnames))]
    return torch.cat([model.encode_text(each) for each in rows])
"""
}
DCLIP = {
    "load.py": """
from descriptor_strings import *
import clip
from datasets import CUBDataset
from loading_helpers import *
dataset = CUBDataset("/birds", train=False)
descriptions = load_gpt_descriptions("./descriptors/descriptors_cub.json")

def compute_description_encodings(model):
    return {name: model.encode_text(clip.tokenize(texts)) for name, texts in descriptions.items()}
""",
    "loading_helpers.py": """
import json
import matplotlib.pyplot as plt

def load_gpt_descriptions(path):
    return {name: [f"{name}, which has {text}" for text in texts]
            for name, texts in json.load(open(path)).items()}
""",
    "descriptor_strings.py": "",
    "descriptors/descriptors_cub.json": "{}",
}
CLIP_BENCHMARK = {
    "clip_benchmark/datasets/builder.py": """
import json
from torchvision.datasets import CIFAR10
from . import voc2007, winoground

def build_wds_dataset(name, data_dir="root"):
    raise RuntimeError("there are no pictures")

def build_dataset(dataset_name, custom_template_file=None, custom_classname_file=None):
    data = build_wds_dataset(dataset_name)
    name = dataset_name.removeprefix("wds/")
    data.templates = json.load(open(custom_template_file)).get(name)
    data.classes = json.load(open(custom_classname_file)).get(name)
    assert data.templates is not None, f"Templates not specified for {dataset_name}"
    return data
""",
    "clip_benchmark/datasets/voc2007.py": 'object_categories = ["zebra", "potted plant"]\n',
    "clip_benchmark/metrics/zeroshot_classification.py": """
from sklearn.metrics import classification_report
from tqdm import tqdm

def zero_shot_classifier(model, tokenizer, classnames, templates, device, amp=True):
    return [model.encode_text(tokenizer(templates[name]).to(device)) for name in tqdm(classnames)]
""",
}

CHECKOUTS = {
    "cat-seg": CAT_SEG, "sed": SED, "fc-clip": FC_CLIP, "maft": MAFT, "san": SAN, "mmseg": MMSEG,
    "open_clip": OPEN_CLIP, "cupl": CUPL, "dclip": DCLIP, "clip-benchmark": CLIP_BENCHMARK,
}  # fmt: skip


def make(format: str, folder: Path, without: str = "") -> Path:
    """A made-up checkout of a format's reader; `without` renames whatever is called so in it."""
    for path, text in CHECKOUTS[format].items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(without, "renamed") if without else text)
    return folder
