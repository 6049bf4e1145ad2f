"""Where attributions lie, whatever the layout: channels first or last, tokens, windows of tokens."""

import pytest
import torch
from complete import explain
from small import ChannelsLast, Tokens, randomise
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Decomposition, completeness_gap
from explanations.errors import InputError


def images(count: int = 2, height: int = 8, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


class ChannelsFirst(ChannelsLast):
    """The same computation, channels first throughout."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        x = (x - mean) / (variance + self.norm.eps).sqrt()
        x = x * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        x = F.conv2d(x, self.mix.weight[:, :, None, None], self.mix.bias)
        return self.top(F.gelu(x).mean((2, 3)))


def test_channels_last_blocks_have_the_maps_of_channels_first():
    last = randomise(ChannelsLast().double())
    first = ChannelsFirst().double()
    first.load_state_dict(last.state_dict())
    (a, found), (b, wanted) = (explain(network.eval(), images()) for network in (last, first))
    torch.testing.assert_close(found.logits, wanted.logits)
    maps = {op.name: values for op, values in zip(a.operations, found.bias, strict=True)}
    others = {op.name: values for op, values in zip(b.operations, wanted.bias, strict=True)}
    torch.testing.assert_close(found.activity[-2], wanted.activity[-2])
    torch.testing.assert_close(maps["first"], others["first"])
    torch.testing.assert_close(maps["mix"], others["conv2d"])
    torch.testing.assert_close(maps["gelu"], others["gelu"])


@pytest.mark.parametrize("by_class_token", [True, False])
def test_tokens_keep_their_place(by_class_token):
    """Without position embeddings, patches that change places take their share of the map with them."""
    network = randomise(Tokens(by_class_token).double()).eval()
    nn.init.zeros_(network.places)
    usual = images()
    moved = usual.clone()
    moved[..., 0:2, 2:4], moved[..., 6:8, 4:6] = usual[..., 6:8, 4:6], usual[..., 0:2, 2:4]
    (decomposition, before), (_, after) = explain(network, usual), explain(network, moved, network(usual).argmax(1))
    located = [(a, b) for a, b in zip(before.activity[1:], after.activity[1:], strict=True) if a.shape == (2, 4, 3)]
    assert bool(located) is not by_class_token  # whose only attention comes last
    for a, b in located:
        a = a.clone()
        a[:, 0, 1], a[:, 3, 2] = a[:, 3, 2].clone(), a[:, 0, 1].clone()
        torch.testing.assert_close(a, b)
    for operation, a, b in zip(decomposition.operations, before.bias, after.bias, strict=True):
        if a.shape == (2, 4, 3):
            torch.testing.assert_close((a[:, 0, 1], a[:, 3, 2]), (b[:, 3, 2], b[:, 0, 1]), msg=operation.name)


@pytest.mark.parametrize("by_class_token", [True, False])
def test_the_class_tokens_share_is_kept_beside_the_map(by_class_token):
    network = randomise(Tokens(by_class_token).double()).eval()
    decomposition, found = explain(network, images())
    x = network.patches(images()).flatten(2).transpose(1, 2)
    x = torch.cat([network.token.expand(2, -1, -1), x], 1) + network.places
    y = network.norm(x)
    y, _ = network.attention(y, y, y)
    h = F.gelu(network.mix(x + y)).detach().requires_grad_(True)
    logits = network.top(h[:, 0] if by_class_token else h.mean(1))
    (gradient,) = torch.autograd.grad(logits.gather(1, found.target[:, None]).sum(), h)
    share = (h * gradient).sum(2).detach()  # (n, 13): the class token, then 4×3 patches
    layer = next(layer.index for layer in decomposition.layers if layer.name == "gelu")
    if by_class_token:  # no patch has a share
        assert not share[:, 1:].any()
        torch.testing.assert_close(found.activity[layer][:, 0, 0], share[:, 0])
    else:
        torch.testing.assert_close(found.activity_non_spatial[:, layer], share[:, 0])
        torch.testing.assert_close(found.activity[layer], share[:, 1:].view(2, 4, 3))


def test_layers_in_which_no_patch_has_a_share_have_no_map():
    """Where the class token decides and no attention follows, all of the activity is its own."""
    network = randomise(Tokens(True).double()).eval()
    decomposition, found = explain(network, images())
    shapes = {layer.name: a.shape[1:] for layer, a in zip(decomposition.layers, found.activity[1:], strict=True)}
    assert shapes["gelu"] == (1, 1)
    assert found.gradcam.shape[1:] == (8, 6)  # of the last layer that has a map: here the input
    _, by_mean = explain(randomise(Tokens(False).double()).eval(), images())
    assert by_mean.activity[-2].shape[1:] == (4, 3)


class Normalised(nn.Module):
    """A convolution, read through a layer normalisation over channels: alone, or beside a residual branch."""

    def __init__(self, residual: bool):
        super().__init__()
        self.residual = residual
        self.first, self.norm, self.top = nn.Conv2d(3, 8, 3), nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)).permute(0, 2, 3, 1)
        y = F.gelu(self.norm(x))
        return self.top((x + y if self.residual else y).mean((1, 2)))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_read_through_a_normalisation_alone_have_no_map(residual, dtype):
    """Their maps would be rounding: a layer normalisation undoes any factor of its input."""
    decomposition, found = explain(randomise(Normalised(residual).to(dtype)), images().to(dtype))
    assert decomposition.layers[0].name == "relu"
    assert found.activity[1].shape[1:] == ((6, 4) if residual else (1, 1))
    assert found.activity[2].shape[1:] == (6, 4)


class Windows(nn.Module):
    """A block on 2×2 windows, as MaxViT partitions them; `whole` computes the same without windows."""

    def __init__(self, whole: bool):
        super().__init__()
        self.whole = whole
        self.first, self.mix, self.top = nn.Conv2d(3, 4, 1), nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        n, c, h, w = x.shape
        if self.whole:
            return self.top(F.gelu(self.mix(x.permute(0, 2, 3, 1))).mean((1, 2)))
        x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(n, (h // 2) * (w // 2), 4, c)  # (n, windows, tokens, channels)
        x = torch.swapaxes(x, -2, -3)
        x = F.gelu(self.mix(x))
        return self.top(x.mean((1, 2)))


def test_windows_are_put_back():
    windows, whole = Windows(False).double().eval(), Windows(True).double().eval()
    whole.load_state_dict(windows.state_dict())
    (_, found), (_, wanted) = (explain(network, images()) for network in (windows, whole))
    for a, b in zip((*found.activity, *found.bias), (*wanted.activity, *wanted.bias), strict=True):
        torch.testing.assert_close(a, b)
    assert found.activity[-2].shape == (2, 8, 6)


@torch.fx.wrap
def put_back(x: Tensor, height: int, width: int) -> Tensor:
    """Windows that count as images, (n · windows, 4, c), to (n, h, w, c), by a function that isn't traced."""
    x = x.view(-1, height // 2, width // 2, 2, 2, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


class WindowsAsImages(Windows):
    """The same, with windows in the dimension of the images; a function puts them back."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        n, c, h, w = x.shape
        if self.whole:
            x = F.gelu(self.mix(x.permute(0, 2, 3, 1)))
        else:
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c)
            x = put_back(F.gelu(self.mix(x)), h, w)
        return self.top(F.gelu(self.mix(x)).mean((1, 2)))


def test_windows_that_count_as_images_are_put_back():
    windows, whole = WindowsAsImages(False).double().eval(), WindowsAsImages(True).double().eval()
    whole.load_state_dict(windows.state_dict())
    (decomposition, found), (_, wanted) = (explain(network, images()) for network in (windows, whole))
    for a, b in zip(found.activity, wanted.activity, strict=True):
        torch.testing.assert_close(a, b)
    maps = [a for op, a in zip(decomposition.operations, found.bias, strict=True) if op.name != "put_back"]
    for a, b in zip(maps, wanted.bias, strict=True):
        torch.testing.assert_close(a, b)
    assert found.activity[2].shape == found.activity[3].shape == (2, 8, 6)


class Stacked(nn.Module):
    """Two parallel maps stacked before the images: along another dimension than the first, images are counted."""

    def __init__(self):
        super().__init__()
        self.first, self.top = nn.Conv2d(3, 4, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.top(F.gelu(torch.stack([x, x.flip(1), 2 * x])).mean((3, 4)).sum(0))


def test_images_are_found_along_any_dimension():
    network = Stacked().double().eval()
    (decomposition, found), (_, alone) = explain(network, images(2)), explain(network, images(2)[1:])
    for together, one in zip((*found.activity, *found.bias), (*alone.activity, *alone.bias), strict=True):
        torch.testing.assert_close(together[1:], one)
    gap, size = completeness_gap(found, [operation.layer for operation in decomposition.operations])
    assert (gap.abs() < 1e-12 * size).all()


class Mixing(nn.Module):
    """The images of a batch as rows and as columns: what is found of one depends on the others."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return F.gelu(torch.cat([x, x]) @ x.T)


def test_images_that_mix_are_refused():
    with pytest.raises(InputError, match=r"^the network's operation \w+ mixes the images of a batch; none may$"):
        Decomposition(Mixing().eval(), images()[:1])


class Merged(nn.Module):
    """Four neighbours merged into one token: by moving them, as Swin does, or by a convolution; or their maximum."""

    def __init__(self, way: str):
        super().__init__()
        self.way, self.first, self.merge = way, nn.Conv2d(3, 4, 1), nn.Linear(16, 4)
        self.mix, self.top = nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        n, c, h, w = x.shape
        if self.way == "convolution":
            kernel = self.merge.weight.view(4, 2, 2, c).permute(0, 3, 1, 2)
            x = F.conv2d(x, kernel, self.merge.bias, stride=2).permute(0, 2, 3, 1)
        elif self.way == "pooling":
            x = F.max_pool2d(x, 2).permute(0, 2, 3, 1)
        else:
            x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
            x = x.reshape(n, -1, 4, c)
            x = x.amax(2) if self.way == "maxima" else self.merge(x.flatten(2))
        x = F.gelu(self.mix(x))
        return self.top(x.flatten(1, -2).mean(1))


@pytest.mark.parametrize(("moved", "plain"), [("tokens", "convolution"), ("maxima", "pooling")])
def test_merged_neighbours_have_a_grid_of_their_own(moved, plain):
    merged, other = Merged(moved).double().eval(), Merged(plain).double().eval()
    other.load_state_dict(merged.state_dict())
    (_, found), (_, wanted) = (explain(network, images()) for network in (merged, other))
    for a, b in zip(found.activity, wanted.activity, strict=True):
        torch.testing.assert_close(a, b)
    assert found.activity[2].shape == (2, 4, 3)


class KeysFirst(nn.Module):
    """Attention over (channels, tokens): queries are columns, of the same number as the channels of a key."""

    def __init__(self):
        super().__init__()
        self.patches, self.top = nn.Conv2d(3, 12, 2, 2), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2)  # (n, 12, 12): channels, tokens
        weights = (x.transpose(1, 2) @ x).softmax(-1)
        return self.top(F.gelu(x @ weights.transpose(1, 2)).mean(2))


def test_a_products_positions_are_its_queries():
    network = KeysFirst().double().eval()
    (decomposition, found) = explain(network, images())
    x = network.patches(images()).flatten(2)
    h = F.gelu(x @ (x.transpose(1, 2) @ x).softmax(-1).transpose(1, 2)).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network.top(h.mean(2)).gather(1, found.target[:, None]).sum(), h)
    layer = next(layer.index for layer in decomposition.layers if layer.name == "gelu")
    torch.testing.assert_close(found.activity[layer], (h * gradient).sum(1).detach().view(2, 4, 3))


class Padded(nn.Module):
    """A convolution of padded images: by a module, by a function, or by itself."""

    def __init__(self, padding: str):
        super().__init__()
        self.padding, self.pad = padding, nn.ZeroPad2d(1)
        self.first, self.top = nn.Conv2d(3, 4, 3, padding=1 if padding == "own" else 0), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pad(x) if self.padding == "module" else F.pad(x, (1, 1, 1, 1)) if self.padding == "function" else x
        return self.top(F.relu(self.first(x)).mean((2, 3)))


@pytest.mark.parametrize("padding", ["module", "function"])
def test_padding_keeps_the_maps(padding):
    padded, own = Padded(padding).double().eval(), Padded("own").double().eval()
    own.load_state_dict(padded.state_dict())
    (decomposition, found), (_, wanted) = (explain(network, images()) for network in (padded, own))
    for a, b in zip(found.activity, wanted.activity, strict=True):
        torch.testing.assert_close(a, b)
    maps = {op.name: values for op, values in zip(decomposition.operations, found.bias, strict=True)}
    torch.testing.assert_close(maps["first"], wanted.bias[0])
