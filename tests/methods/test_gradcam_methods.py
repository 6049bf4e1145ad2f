"""Methods of pytorch-grad-cam: each against the library on one image, at the paper's layer; layers, tokens, passes."""

import copy

import pytest
import torch
import yaml
from conftest import HERE, refused
from small import ARGUMENTS, CLASSES, SIZE, Tokens, build, randomise
from torch import nn
from torch.nn import functional as F
from workflow_copy import ROOT

import make_maps as step
from explanations.decomposition.decomposition import Decomposition
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.methods.sources.registry import BACKWARD, GRADCAM, complete_settings, count_passes, load_source
from explanations.methods.transform import rescale, upsample
from explanations.networks.files import build_network
from gather_applies import TABLE, list_networks, read_rows

library = pytest.importorskip("pytorch_grad_cam", reason="make extras")

from pytorch_grad_cam.ablation_layer import AblationLayerVit  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST, ClassifierOutputTarget  # noqa: E402
from pytorch_grad_cam.utils.reshape_transforms import vit_reshape_transform  # noqa: E402

from explanations.methods.sources import gradcam  # noqa: E402

TARGETS = torch.tensor([1, 7, 1])
STAGES = ["features.3", "features.8", "features.15", "features.22", "features.29"]  # of VGG-16
MINIMAL = yaml.safe_load((ROOT / "tests/minimal.yaml").read_text())["networks"]
NETWORKS = {name: {**given, **MINIMAL[name]["arguments"]} for name, given in list_networks().items()}


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def prepare(network, name, **settings):
    complete = complete_settings({"source": "gradcam", "name": name, **settings})
    return gradcam.prepare(complete, network, (SIZE, SIZE), [])


def make(network, name, images, batch=2, targets=TARGETS, **settings):
    count = len(images)
    return make_maps(prepare(network, name, **settings), images, targets[:count], list(range(count)), 0, batch)


def likely(network, images):
    """The first or second class by logits: for others random networks' maps are often 0."""
    return network(images).topk(2).indices[[0, 1, 2], [0, 1, 0]]


class Marked(nn.Module):
    """An encoder block of a vision transformer, as torchvision writes it, with a module after its first addition."""

    def __init__(self, block):
        super().__init__()
        self.block, self.mark = block, nn.Identity()

    def forward(self, x):
        y = self.block.ln_1(x)
        y, _ = self.block.self_attention(y, y, y, need_weights=False)
        x = self.mark(self.block.dropout(y) + x)
        return x + self.block.mlp(self.block.ln_2(x))


def ask_library(name, kind, image, target, network):
    """What the library itself gives of one image (1, C, H, W), asked as its README has it, layers named by hand."""
    network, further, reshape = copy.deepcopy(network).requires_grad_(True), {}, None
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    if kind == "vit":
        block = Marked(network.encoder.layers.encoder_layer_1)
        network.encoder.layers.encoder_layer_1 = block
        modules, reshape = [block.mark], lambda tokens: vit_reshape_transform(tokens, 4, 4)
        further = {"ablation_layer": AblationLayerVit()} if name == "AblationCAM" else {}
    else:
        modules = [network.get_submodule("layer4.2" if kind == "resnet50" else "features.29")]
        if name == "RefineCAM":
            modules = [network.get_submodule(path) for path in STAGES]
    asked = getattr(library, name)(network, modules, reshape, **further)
    if name == "FinerCAM":
        return torch.from_numpy(asked(image, target_idx=target, alpha=1.0))[0]
    score = (ClassifierOutputReST if name == "ShapleyCAM" else ClassifierOutputTarget)(target)
    return torch.from_numpy(asked(image, [score]))[0]


# RefineCAM's layers are named by hand in VGG-16; ShapleyCAM takes no tokens. This ResNet-50's last maps are of 2 × 2:
# KPCA_CAM's sign hangs on rounding, FinerCAM's map is 0; its many channels are slow
LEFT_OUT = {
    "vit": ("RefineCAM", "ShapleyCAM"),
    "resnet50": ("RefineCAM", "KPCA_CAM", "FinerCAM", "ScoreCAM", "AblationCAM"),
    "vgg16": (),
}


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for kind, left in LEFT_OUT.items() for name in GRADCAM if name not in left]
)
def test_methods_are_the_librarys(name, kind, images):
    """Of every image of a batch, whatever the batch, at the layer of the paper's Grad-CAM; the network stays as it was.

    ResNet-50's batch normalisations are folded into its convolutions; ViT's layer is no module's output.
    """
    network = build(kind, seed=3).requires_grad_(False)
    before = Untouched(network)
    targets = likely(network, images)
    made = make(network, name, images, targets=targets)
    before.check()
    assert made.shape == (3, SIZE, SIZE) and made.dtype == torch.float32
    assert made.min() >= 0 and made.max() <= 1 and float(made[0].max()) > 0.9
    for image, target, found in zip(images, targets, made, strict=True):
        wanted = ask_library(name, kind, image[None], int(target), network)
        assert torch.allclose(found, wanted, atol=2e-3), (found - wanted).abs().max()


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_gradcam_is_the_papers(kind, images):
    """As the decomposition stores it: the same but for its scale, which the library makes [0, 1]."""
    network = build(kind, seed=3).requires_grad_(False)
    targets = likely(network, images)
    own = Decomposition(network, images[:1])(images, targets).gradcam
    wanted = rescale(upsample(rescale(own), (SIZE, SIZE), "bilinear"))
    assert torch.allclose(make(network, "GradCAM", images, targets=targets), wanted, atol=1e-3)
    assert float(wanted[0].max()) > 0.9


def test_maps_of_several_layers_are_averaged(images):
    """`layers: stages`: the last layer of each size of maps, as the library averages them."""
    network = build("vgg16", seed=3).requires_grad_(False)
    shown = gradcam.show_layers(network, images[:1], stages=True)
    assert [layer.name for layer in shown.layers] == STAGES
    plain = copy.deepcopy(network).requires_grad_(True)
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    asked = library.LayerCAM(plain, [plain.get_submodule(path) for path in STAGES])
    wanted = torch.from_numpy(asked(images, [ClassifierOutputTarget(int(target)) for target in TARGETS]))
    found = make(network, "LayerCAM", images, layers="stages")
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(found, make(network, "LayerCAM", images), atol=0.05)


@pytest.mark.parametrize("setting", ["eigen_smooth", "aug_smooth"])
def test_smoothing_is_the_librarys(setting, images):
    network = build("vgg16", seed=3).requires_grad_(False)
    plain = copy.deepcopy(network).requires_grad_(True)
    asked = library.GradCAMPlusPlus(plain, [plain.features[29]])
    wanted = asked(images, [ClassifierOutputTarget(int(target)) for target in TARGETS], **{setting: True})
    found = make(network, "GradCAMPlusPlus", images, **{setting: True})
    assert torch.allclose(found, torch.from_numpy(wanted), atol=1e-4)
    assert not torch.allclose(found, make(network, "GradCAMPlusPlus", images), atol=0.01)


def test_tokens_go_to_their_places(images):
    """Literally: the class token first, then patch by patch, row by row."""
    torch.manual_seed(0)
    network = randomise(Tokens(by_class_token=False)).requires_grad_(False)
    (layer,) = gradcam.show_layers(network, images[:1, :, :6, :8], stages=False).layers
    values = torch.randn(2, 13, 4)
    placed = gradcam.place_values(layer.layout, values)
    assert placed.shape == (2, 4, 3, 4)
    for row in range(3):
        for column in range(4):
            assert torch.equal(placed[:, :, row, column], values[:, 1 + 4 * row + column])


def test_classes_that_finercam_sets_apart():
    logits = torch.tensor([0.0, 3.0, 2.5, 9.0, 3.2])
    assert gradcam.nearest(logits, 1) == [4, 2, 0]
    assert gradcam.nearest(logits[:2], 1) == [0]


def test_alpha_sets_classes_apart_by_more(images):
    """Literally: Σ_k p_k (s − α s_k) / Σ_k p_k of the three classes nearest to it, as Grad-CAM has it."""
    network = build("vgg16", seed=3).requires_grad_(False)
    found = make(network, "FinerCAM", images[:1], alpha=0.6)[0]
    activity = network.features[:30](images[:1]).requires_grad_()
    logits = network.classifier(network.avgpool(network.features[30](activity)).flatten(1))[0]
    nearest = (logits - logits[1]).abs().argsort()[1:4]
    weights = logits.softmax(0)[nearest]
    score = (weights * (logits[1] - 0.6 * logits[nearest])).sum() / (weights.sum() + 1e-9)
    gradient = torch.autograd.grad(score, activity)[0]
    own = (gradient.mean((2, 3), keepdim=True) * activity).sum(1).relu().detach()
    assert torch.allclose(found, rescale(upsample(rescale(own), (SIZE, SIZE), "bilinear"))[0], atol=1e-4)
    assert float(own.max()) > 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_method_gives_maps_of_every_network_or_says_why_not(kind, images, monkeypatch):
    """As docs/applies.csv has it."""
    arguments = {**NETWORKS[kind], "num_classes": CLASSES}
    torch.manual_seed(0)
    network = build_network("narrow", arguments.pop("constructor"), arguments)
    network = randomise(network).requires_grad_(False)
    untouched, reasons = Untouched(network), []
    shown = gradcam.show_layers(network, images[:1], stages=True)
    last = gradcam.Shown(shown.network, shown.modules[-1:], shown.layers[-1:])
    monkeypatch.setattr(gradcam, "show_layers", lambda network, image, *, stages: shown if stages else last)
    for name in GRADCAM:
        try:
            made = make(network, name, images[:1], batch=1)
        except NotApplicableError as error:
            reasons.append((name, str(error)))
        else:
            assert made.shape == (1, SIZE, SIZE) and made.isfinite().all(), name
    untouched.check()
    table = [row for row in read_rows(TABLE) if (row["source"], row["network"]) == ("gradcam", kind) and row["reason"]]
    assert reasons == [(row["method"], row["reason"]) for row in table]
    assert [name for name, _ in reasons] == (["ShapleyCAM"] if kind == "vit" else [])
    assert not any(module._forward_hooks for module in shown.modules)


class Summarised(nn.Module):
    """A convolution, whose positions attention with a query of its own sums up."""

    def __init__(self):
        super().__init__()
        self.first, self.keys = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 16)
        self.query, self.top = nn.Parameter(torch.randn(1, 2, 1, 4)), nn.Linear(8, CLASSES)

    def forward(self, x):
        x = F.relu(self.first(x)).flatten(2).transpose(1, 2)
        keys, values = self.keys(x).unflatten(2, (2, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(self.query.expand(x.shape[0], -1, -1, -1), keys, values)
        return self.top(y.flatten(1))


def test_shapleycam_has_second_derivatives_of_attention(images):
    """Literally: a · mean(g − ½ H a), of the score plus the logarithm of its probability."""
    torch.manual_seed(0)
    network = Summarised().eval().requires_grad_(False)
    found = make(network, "ShapleyCAM", images[:1])[0]
    activity = F.relu(network.first(images[:1])).requires_grad_()

    def score(activity):
        x = activity.flatten(2).transpose(1, 2)
        keys, values = network.keys(x).unflatten(2, (2, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        shares = (network.query @ keys.transpose(2, 3) / 2).softmax(3)
        logits = network.top((shares @ values).flatten(1))[0]
        return logits[1] + logits.log_softmax(0)[1]

    (gradient,) = torch.autograd.grad(score(activity), activity, create_graph=True)
    (product,) = torch.autograd.grad(gradient, activity, activity.detach())
    weights = (gradient - product / 2).mean((2, 3), keepdim=True)
    own = (weights * activity).sum(1).relu().detach()
    assert torch.allclose(found, rescale(upsample(rescale(own), (SIZE, SIZE), "bilinear"))[0], atol=1e-3)
    assert float(own.max()) > 0 and float(product.abs().max()) > 0


@pytest.mark.parametrize("name", GRADCAM)
def test_passes_are_counted(name, images):
    """As many images pass the network as the registry says, for each channel or size of maps: what a method costs."""
    network, seen, back = build("vgg16", seed=3), [], []
    network.requires_grad_(False).features[0].register_forward_hook(lambda module, inputs, output: count(output))

    def count(output):
        seen.append(len(output))
        if output.requires_grad:
            output.register_hook(lambda gradient: back.append(len(gradient)))

    each = {"channel": network.features[28].out_channels, "stage": 5}
    tracing = 4  # passes of the example, with which the graph is made
    for settings in ({}, {"aug_smooth": True}):
        if settings.keys() - GRADCAM[name].settings.keys():
            assert "aug_smooth is not a known key of" in refused(prepare, network, name, **settings)
            continue
        wanted = count_passes({"source": "gradcam", "name": name, **settings}, SIZE, each)
        seen.clear(), back.clear()
        make(network, name, images[:1], batch=1, **settings)
        forwards = wanted // BACKWARD if GRADCAM[name].backward else wanted
        assert 0 <= sum(seen) - forwards <= tracing + 2 * (6 if settings else 1), (sum(seen), forwards)
        assert bool(back) == GRADCAM[name].backward
        assert sum(back) == (forwards if back else 0)


def test_passes_for_each_part_of_a_network():
    asked = {"source": "gradcam", "name": "ScoreCAM"}
    assert count_passes(asked, 224) == 1 and count_passes(asked, 224, {"channel": 512, "stage": 5}) == 512
    assert count_passes({**asked, "aug_smooth": True}, 224, {"channel": 512, "stage": 5}) == 6 * 512
    assert count_passes({"source": "gradcam", "name": "RefineCAM"}, 224, {"channel": 512, "stage": 5}) == 15


def test_methods_that_do_not_apply_say_why(images):
    class Turned(nn.Module):
        """Counts images along the second dimension of its tokens."""

        def __init__(self):
            super().__init__()
            self.first, self.mix, self.top = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 4), nn.Linear(4, CLASSES)

        def forward(self, x):
            x = self.first(x).flatten(2).permute(2, 0, 1)
            return self.top(F.relu(self.mix(x)).mean(0))

    with pytest.raises(NotApplicableError, match=r"^layer relu doesn't count images along its first dimension$"):
        make(Turned().eval().requires_grad_(False), "GradCAM", images)


def test_what_the_library_raises_is_an_error_and_leaves_no_hook(images, monkeypatch):
    network = build("vgg16", seed=3).requires_grad_(False)
    shown = gradcam.show_layers(network, images[:1], stages=False)
    monkeypatch.setattr(gradcam, "show_layers", lambda network, image, *, stages: shown)
    said = refused(make_maps, prepare(network, "GradCAM"), images, torch.full((3,), 99), [0, 1, 2], 0, 3)
    assert said.startswith("pytorch-grad-cam's GradCAM raised IndexError: index 99 is out of bounds")
    assert not shown.modules[0]._forward_hooks


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "GradCam"}, "name is GradCam; allowed are GradCAM, GradCAMPlusPlus, "),
        ({"name": "GradCAM", "layers": "all"}, "layers is all; allowed are last, stages"),
        ({"name": "GradCAM", "aug_smooth": 1}, "aug_smooth is 1; allowed are true and false"),
        ({"name": "EigenCAM", "layers": "last"}, "layers is not a known key of EigenCAM; allowed are source, title, "),
        ({"name": "AblationCAM", "batch": True}, "batch is True; allowed is a whole number of at least 1"),
        ({"name": "FinerCAM", "alpha": 0}, "alpha is 0; allowed is a number above 0"),
    ],
)
def test_settings_of_gradcam_methods(settings, message):
    assert refused(complete_settings, {"source": "gradcam", **settings}).startswith(message)


def test_maps_are_made_by_the_step(world, tmp_path):
    output, settings = tmp_path / "maps.h5", {"source": "gradcam", "name": "XGradCAM", "aug_smooth": True}
    flags = {"network": world.networks["resnet50"], "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards["resnet50"]], "method": "mine", "settings": settings}
    step.main(**flags, shard=0, shard_size=100, batch=4, seed=0, **HERE, output=output)
    maps = MadeMaps([output], file_hash(world.networks["resnet50"]))
    assert maps.not_applicable == "" and len(maps.maps) == 10


def test_no_bar_is_shown(images, capsys):
    make(build("vgg16", seed=3).requires_grad_(False), "AblationCAM", images[:1])
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_the_source_is_loaded():
    assert load_source("gradcam") is gradcam
