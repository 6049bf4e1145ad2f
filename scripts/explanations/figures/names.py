"""What figures call networks, variants, measures and methods. The plan reads it: it needs no matplotlib, no pandas."""

from collections.abc import Collection, Iterable, Iterator
from itertools import count, product
from string import ascii_lowercase

from explanations.methods.names import MethodName, parse_method
from explanations.methods.registry import METHODS
from explanations.text import plain

NETWORKS = {
    **{"vgg16": "VGG-16", "resnet50": "ResNet-50", "alexnet": "AlexNet", "vgg11": "VGG-11", "vgg19": "VGG-19"},
    **{"squeezenet": "SqueezeNet", "inception_v1": "Inception-v1", "vgg16_bn": "VGG-16-BN", "googlenet": "GoogLeNet"},
    **{"vgg16_strides": "VGG-16 (strides)", "resnet50_poolings": "ResNet-50 (poolings)"},
    **{"resnet18": "ResNet-18", "densenet": "DenseNet", "mobilenet_v2": "MobileNet-V2"},
    **{"shufflenet_v2": "ShuffleNet-V2", "mnasnet": "MNASNet"},
    **{"efficientnet": "EfficientNet", "convnext": "ConvNeXt", "vit": "ViT"},
    **{f"lite{number}": f"EfficientNet-Lite{number}" for number in range(3)},
    **{"vgg13": "VGG-13", "squeezenet1_1": "SqueezeNet-1.1"},
    **{"inception_v1_bn": "Inception-v1-BN", "inception_v3": "Inception-v3", "inception_v4": "Inception-v4"},
    **{"inception_resnet_v2": "Inc.-ResNet-v2", "nasnet_large": "NASNet-Large", "pnasnet_large": "PNASNet-Large"},
    **{"resnet101": "ResNet-101", "resnet152": "ResNet-152", "resnetv2_50": "ResNet-v2-50"},
    **{"resnetv2_101": "ResNet-v2-101", "mobilenet_v1": "MobileNet-V1", "mobilenet_v2_140": "MobileNet-V2 1.4"},
    **{f"lite{size}": f"EfficientNet-Lite{size}" for size in range(5)},
}
VARIANTS = {"original": "original", "zeroed": "biases set to zero", "decayed": "biases decayed to zero"}
NORMALISATION = {  # in the order of figures
    "none": "without batch or layer normalisation",
    "batch": "with batch normalisation",
    "layer": "with layer normalisation",
}
MEASURES = {
    "e_minus": r"$e_-$",
    "e_plus": r"$e_+$",
    "e_delta": r"$e_\Delta$",
    "e_minus_noise": r"$e_-^{\,\xi}$",
    "e_plus_noise": r"$e_+^{\,\xi}$",
    "e_delta_noise": r"$e_\Delta^{\,\xi}$",
    "delta_e_minus": r"$\delta e_-$",
    "delta_e_plus": r"$\delta e_+$",
    "delta_e_delta": r"$\delta e_\Delta$",
}
ALL_LAYERS = MethodName("activity_from", 1)  # but the input


def network_title(name: str, variant: str | None = None) -> str:
    """A network's name as a figure's text, with that of its variant if it matters."""
    title = NETWORKS.get(name, plain(name))
    return title if variant is None else f"{title}, {variant_title(variant)}"


def variant_title(variant: str) -> str:
    """A variant's name as a figure's text."""
    return VARIANTS.get(variant, plain(variant))


def title_method(method: str) -> str:
    """A method's title, of one or two lines; InputError if there is no such method."""
    name = parse_method(method)
    if name == ALL_LAYERS:
        return "All layers"
    entry = METHODS[name.kind]
    return (entry.signed if name.signed else entry.title).format(name.layer)


def name_measure(measure: str, prefix: str = "", separator: str = " ") -> str:
    """A measure's symbol and unit, for an axis."""
    return f"{prefix}{MEASURES[measure]}{separator}(fraction of signal)"


def name_normalisations(kinds: Iterable[str]) -> dict[str, str]:
    """Those kinds of normalisation that some networks have, with their names."""
    present = set(kinds)
    return {kind: name for kind, name in NORMALISATION.items() if kind in present}


def count_images(n: Collection[int]) -> str:
    """The number of images behind a panel: `n = 100 images`, or a range where some images were left out."""
    low, high = (int(min(n)), int(max(n))) if len(n) else (0, 0)
    return f"n = {high} images" if low == high else f"n = {low}–{high} images"


def letter_panels() -> Iterator[str]:
    """The letters of a figure's panels, as many as are asked for: a, …, z, aa, ab, …"""
    return ("".join(letters) for length in count(1) for letters in product(ascii_lowercase, repeat=length))
