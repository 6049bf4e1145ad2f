"""torchvision's classifiers at smaller widths, and Inception-v1 as published: networks that train in minutes."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torchvision.models import (
    alexnet,
    densenet121,
    mnasnet1_0,
    mobilenet_v2,
    resnet18,
    shufflenet_v2_x0_5,
    squeezenet1_1,
)
from torchvision.models.alexnet import AlexNet
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.googlenet import GoogLeNet, Inception
from torchvision.models.inception import Inception3
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import VGG, cfgs, make_layers
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer

from explanations.errors import InputError, check_choice, check_range
from explanations.networks.sources.base import Source

DROPOUT = 0.1  # the published 0.2 to 0.5 are for networks many times as wide


# --- VGG and ResNet-50, whose layers the figures number ----------------------------------------------------------


POOLINGS, STRIDES = "poolings", "strides"  # what halves maps


def narrow_vgg(
    configuration: str,
    width: float,
    hidden: int,
    size: int,
    num_classes: int,
    batch_norm: bool = False,
    downsampling: str = POOLINGS,
) -> VGG:
    """torchvision's VGG with `width` times the channels, `hidden` units in its two fully connected layers.

    With `downsampling` by strides, the convolution before each pooling has a stride of 2 in its place.
    """
    check_range("size", size, low=32)  # five poolings leave nothing of less
    check_choice("downsampling", downsampling, (POOLINGS, STRIDES))
    channels = [step if step == "M" else max(1, round(step * width)) for step in cfgs[configuration]]
    features = make_layers(channels, batch_norm)
    for module in features:
        if isinstance(module, nn.MaxPool2d):  # an odd map, 3×3 say, would lose its last row and column
            module.ceil_mode = True
    if downsampling == STRIDES:
        features = stride_for_poolings(features)
    with torch.device("meta"):  # the classifier of 4096 units is replaced below
        network = VGG(features, num_classes=num_classes, init_weights=False)
    side = math.ceil(size / 32)  # after five poolings
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    network.classifier = nn.Sequential(
        nn.Linear(channels[-2] * side * side, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPOUT),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPOUT),
        nn.Linear(hidden, num_classes),
    )
    initialise(network)
    return network


def stride_for_poolings(features: nn.Sequential) -> nn.Sequential:
    """Layers without their poolings, before each of which the last convolution has a stride of 2."""
    kept: list[nn.Module] = []
    for module in features:
        if isinstance(module, nn.MaxPool2d):
            next(layer for layer in reversed(kept) if isinstance(layer, nn.Conv2d)).stride = (2, 2)
        else:
            kept.append(module)
    return nn.Sequential(*kept)


def pool_for_strides(network: nn.Module) -> None:
    """Give each convolution with a stride of 2 a stride of 1 and, behind it, a max-pooling of 2×2; in place."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
            network.set_submodule(name, nn.Sequential(module, nn.MaxPool2d(2, ceil_mode=True)))


class NarrowResNet(ResNet):
    """torchvision's ResNet with `width` times the channels and a stem of any kernel and stride."""

    def __init__(self, blocks: list[int], width: float, stem_kernel: int, stem_stride: int, num_classes: int):
        self.width = width
        super().__init__(Bottleneck, blocks, num_classes=num_classes)
        stem = round(64 * width)
        self.conv1 = nn.Conv2d(3, stem, stem_kernel, stem_stride, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.fc = nn.Linear(round(512 * width) * Bottleneck.expansion, num_classes)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:  # the first stage reads the stem
            self.inplanes = round(64 * self.width)
        return super()._make_layer(block, round(planes * self.width), blocks, stride, dilate)


def narrow_resnet50(
    width: float, stem_kernel: int, stem_stride: int, num_classes: int, downsampling: str = STRIDES
) -> NarrowResNet:
    """ResNet-50 (16 blocks) at a fraction of its width.

    With `downsampling` by poolings, each convolution with a stride has a max-pooling behind it in its place.
    """
    check_choice("downsampling", downsampling, (POOLINGS, STRIDES))
    network = NarrowResNet([3, 4, 6, 3], width, stem_kernel, stem_stride, num_classes)
    if downsampling == POOLINGS:
        pool_for_strides(network)
    return network


# --- any other of torchvision's classifiers ----------------------------------------------------------------------


def narrow_classifier(
    build: Callable[..., nn.Module], width: float, num_classes: int, stem_stride: int | None = None
) -> nn.Module:
    """A classifier with `width` times the channels in every convolution, normalisation and linear map.

    `build` takes num_classes. `stem_stride` is the first convolution's, by default its own. Raises InputError where a
    number of channels would not be whole: branches that are joined again must still fit each other.
    """
    check_range("width", width, low=0, high=1, open_low=True)
    with torch.device("meta"):  # wide as published: only its numbers are of use
        network = build(num_classes=num_classes)

    def scale(count: int) -> int:
        return whole_share(count, width)

    maps = [name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    stem, output = maps[0], maps[-1]
    for name, module in list(network.named_modules()):
        ends = [getattr(module, key, None) for key in ("in_channels", "out_channels", "in_features", "out_features")]
        sources, targets = [count for count in ends[::2] if count], [count for count in ends[1::2] if count]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            (source,), (target,) = sources, targets
            source = source if name == stem else scale(source)
            target = target if name == output else scale(target)
        if isinstance(module, nn.Conv2d):
            groups = scale(module.groups) if module.groups > 1 else 1
            stride = stem_stride if name == stem and stem_stride else module.stride
            geometry = (module.kernel_size, stride, module.padding, module.dilation, groups)
            narrowed = nn.Conv2d(source, target, *geometry, bias=module.bias is not None)
        elif isinstance(module, nn.Linear):
            narrowed = nn.Linear(source, target, bias=module.bias is not None)
        elif isinstance(module, nn.BatchNorm2d):  # MNASNet's own momentum, 0.0003, is for days of training
            narrowed = nn.BatchNorm2d(scale(module.num_features), module.eps)
        elif isinstance(module, nn.Dropout):
            narrowed = nn.Dropout(DROPOUT)
        else:
            continue
        network.set_submodule(name, narrowed)
    initialise(network)
    return network


def whole_share(count: int, width: float) -> int:
    """`width` times a number of channels; InputError where that is not whole."""
    if count * width % 1:
        raise InputError(f"width is {width:g}; a layer of {count} channels would have {count * width:g}")
    return int(count * width)


def narrow_alexnet(width: float, size: int, num_classes: int, stem_stride: int | None = None) -> AlexNet:
    """AlexNet at a fraction of its width, its first linear map as large as what is left of `size` pixels."""
    network = narrow_classifier(alexnet, width, num_classes, stem_stride)
    try:
        _, channels, side, _ = network.features(torch.zeros(1, 3, size, size)).shape
    except RuntimeError:
        raise InputError(f"size is {size}; the poolings of alexnet leave nothing of it") from None
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    network.classifier[1] = nn.Linear(channels * side * side, network.classifier[1].out_features)
    initialise(network)
    return network


class PublishedInception(Inception):
    """torchvision's Inception block with the 5×5 convolution of the publication, where torchvision has 3×3."""

    def __init__(self, in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj):
        sizes = (in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj)
        super().__init__(*sizes, conv_block=rectified_convolution)
        self.branch3[1] = rectified_convolution(ch5x5red, ch5x5, kernel_size=5, padding=2)


def rectified_convolution(in_channels: int, out_channels: int, **options) -> nn.Sequential:
    """A convolution with biases and a ReLU, without batch normalisation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, **options), nn.ReLU(inplace=True))


def inception_v1(num_classes: int) -> GoogLeNet:
    """Inception-v1 as published: local response normalisation (Suppl. Eq. 8), no batch normalisation.

    torchvision's GoogLeNet is the batch-normalised one; its frame is used, without the auxiliary heads. Constants of
    the normalisation are Google's own (Suppl. B.1): a = 1e-4, β = 0.5, b = 2, d = 5, a window of 2d + 1 channels.
    """
    blocks = [rectified_convolution, PublishedInception, nn.Identity]
    network = GoogLeNet(num_classes, aux_logits=False, init_weights=False, blocks=blocks)
    window = 11
    for name in ("maxpool1", "conv3"):  # torch divides a by the window's length
        response = nn.LocalResponseNorm(window, alpha=1e-4 * window, beta=0.5, k=2.0)
        network.set_submodule(name, nn.Sequential(network.get_submodule(name), response))
    return network


# --- families after the paper's: fewer stages, so that the top of a small image is more than a point -------------


def narrow_efficientnet(width: float, num_classes: int) -> EfficientNet:
    """EfficientNet of three stages and six blocks, an eighth of the image's side at the top: gates and SiLU.

    `width` is the share of the channels, which torchvision rounds to multiples of 8.
    """
    check_range("width", width, low=0, high=1, open_low=True)
    stages = [  # expansion, kernel, stride, channels in and out, blocks
        MBConvConfig(1, 3, 1, 32, 32, 1, width),
        MBConvConfig(4, 3, 2, 32, 48, 2, width),
        MBConvConfig(4, 5, 2, 48, 80, 3, width),
    ]
    network = EfficientNet(stages, DROPOUT, stochastic_depth_prob=0.0, num_classes=num_classes)
    initialise(network)
    return network


def narrow_convnext(width: float, num_classes: int) -> ConvNeXt:
    """ConvNeXt's first two stages, an eighth of the image's side at the top: layer normalisation and GELU.

    `width` is the share of ConvNeXt-B's channels. Its patches overlap as in later networks: of 4×4 pixels that don't,
    a small image has few.
    """
    check_range("width", width, low=0, high=1, open_low=True)
    first, second = whole_share(128, width), whole_share(256, width)
    stages = [CNBlockConfig(first, second, 2), CNBlockConfig(second, None, 3)]
    # a block's share starts at 1e-6 in deep networks; in a short training it would hardly grow
    network = ConvNeXt(stages, layer_scale=1.0, num_classes=num_classes)
    network.features[0][0] = nn.Conv2d(3, first, kernel_size=7, stride=4, padding=3)
    initialise(network)
    return network


HEADS, PATCH = 4, 8


def narrow_vit(hidden: int, size: int, num_classes: int) -> VisionTransformer:
    """A vision transformer of three blocks, `hidden` units in each token, one token for every 8×8 pixels and a class.

    Patches are read by convolutions (Xiao et al., 2021), without which transformers learn slowly.
    """
    for key, value, step in (("hidden", hidden, HEADS), ("size", size, PATCH)):
        if value < step or value % step:
            raise InputError(f"{key} is {value}; allowed is a multiple of {step}")
    stem = [
        ConvStemConfig(channels, kernel_size=3, stride=stride, norm_layer=None)
        for channels, stride in ((hidden // 4, 2), (hidden // 2, 1), (hidden // 2, 2), (hidden, 1), (hidden, 2))
    ]
    blocks = 3
    network = VisionTransformer(
        size, PATCH, blocks, HEADS, hidden, 2 * hidden, num_classes=num_classes, conv_stem_configs=stem
    )
    initialise(network)
    nn.init.normal_(network.encoder.pos_embedding, std=0.5)  # by 0.02 tokens of order 1 can't be told apart
    return network


def initialise(network: nn.Module) -> None:
    """Weights by He's rule, for fan-in since narrow layers may have few outputs; biases 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def linear_classifier(size: int, channels: int, num_classes: int) -> nn.Sequential:
    """A linear map of the pixels without biases (fig. 1)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, num_classes, bias=False))


NARROW: dict[str, Callable[..., nn.Module]] = {
    "alexnet": narrow_alexnet,
    "vgg11": partial(narrow_vgg, "A"),
    "vgg16": partial(narrow_vgg, "D"),
    "vgg19": partial(narrow_vgg, "E"),
    "vgg16_bn": partial(narrow_vgg, "D", batch_norm=True),
    "squeezenet1_1": partial(narrow_classifier, squeezenet1_1),
    "inception_v1": partial(narrow_classifier, inception_v1),
    "googlenet": partial(narrow_classifier, partial(GoogLeNet, aux_logits=False, init_weights=False)),
    "inception_v3": partial(narrow_classifier, partial(Inception3, aux_logits=False, init_weights=False)),
    "resnet18": partial(narrow_classifier, resnet18),
    "resnet50": narrow_resnet50,
    "densenet121": partial(narrow_classifier, densenet121),
    "mobilenet_v2": partial(narrow_classifier, mobilenet_v2),
    "shufflenet_v2_x0_5": partial(narrow_classifier, shufflenet_v2_x0_5),
    "mnasnet1_0": partial(narrow_classifier, mnasnet1_0),
    "efficientnet": narrow_efficientnet,
    "convnext": narrow_convnext,
    "vit": narrow_vit,
    "linear": linear_classifier,
}


class Narrow(Source):
    """The networks above, which have no published weights: they are trained here."""

    name = "narrow"
    channels_argument = "channels"

    def constructors(self) -> Sequence[str]:
        """The names of the networks above."""
        return list(NARROW)

    def build(self, constructor: str, arguments: dict) -> nn.Module:
        """A network with fresh weights."""
        return NARROW[constructor](**arguments)


SOURCE = Narrow()
