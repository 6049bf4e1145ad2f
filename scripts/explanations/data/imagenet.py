"""ImageNet's thousand classes: which one a folder's name means, as an index of a classifier's outputs and in words."""

from functools import cache

from timm.data import ImageNetInfo, infer_imagenet_subset
from torchvision.models import ResNet50_Weights

from explanations.errors import InputError
from explanations.files.classes import number_classes


@cache
def class_names() -> tuple[str, ...]:
    """The classes' readable names, all different, in the order of classifiers' outputs."""
    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


@cache
def synsets() -> tuple[str, ...]:
    """The classes' WordNet synsets, such as n01440764, in the same order."""
    return tuple(ImageNetInfo("imagenet-1k").label_names())


def find_class(folder: str) -> int:
    """The class that a folder is named after: a synset, a number from 0 to 999 (ImageNet-V2) or a readable name."""
    if folder in synsets():
        return synsets().index(folder)
    if folder.isdecimal() and int(folder) < len(synsets()):
        return int(folder)
    if folder in class_names():
        return class_names().index(folder)
    allowed = "a synset such as n01440764, a number from 0 to 999, or a class's name such as tench"
    raise InputError(f"images.folder: {folder} is no class of ImageNet; allowed is {allowed}")


def name_classes(count: int) -> tuple[str, ...]:
    """Readable names of ImageNet's classes, or of one of its larger sets that timm's networks know, or numbers."""
    if count == len(class_names()):
        return class_names()
    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return number_classes(count)
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))
