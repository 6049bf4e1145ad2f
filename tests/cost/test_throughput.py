"""How fast a GPU is estimated to be: operations counted by hand and by torch, the roofline written out."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explanations.cost.throughput import ARITHMETIC, BATCH, GPU, MEMORY, Operation, list_operations, passes_per_second
from explanations.networks.inference import optimise_for_inference

SHEET = GPU("made up", 10, 20, 40, 2)


def on_meta(make) -> nn.Module:
    with torch.device("meta"):
        return make().eval()


def test_operations_by_hand():
    """A convolution of 3 to 4 channels, 3×3 on 8×8 with padding, a ReLU in place, a linear map of 256 to 5."""
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(256, 5)
    convolution, relu, linear = list_operations(on_meta(lambda: nn.Sequential(*layers)).to("meta"), 8)
    assert convolution == Operation(2 * 4 * 64 * 27, 3 * 64 + 4 * 64 + (4 * 27 + 4) / BATCH)
    assert relu == Operation(0, 2 * 256)  # read and written
    assert linear == Operation(2 * 256 * 5, 256 + 5 + (256 * 5 + 5) / BATCH)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "densenet121", "mobilenet_v2", "vit_b_32", "swin_t"])
def test_flop_are_those_that_torch_counts(name):
    network = on_meta(lambda: torchvision.models.get_model(name))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 224, 224, device="meta"))
    operations = list_operations(network, 224)
    assert sum(operation.flop for operation in operations) == pytest.approx(counter.get_total_flops(), rel=1e-6)


def test_folding_saves_traffic_and_no_arithmetic():
    network = on_meta(torchvision.models.resnet50)
    plain = list_operations(network, 224)
    folded = list_operations(optimise_for_inference(network, torch.device("meta")), 224)
    assert sum(o.flop for o in folded) == sum(o.flop for o in plain)
    assert len(folded) == len(plain) - 53  # batch normalisations
    assert sum(o.values for o in folded) < 0.75 * sum(o.values for o in plain)


@pytest.mark.parametrize(("precision", "rate", "size"), [("float32", 10, 4), ("tf32", 20, 4), ("bfloat16", 40, 2)])
def test_the_roofline(precision, rate, size):
    """Two operations, of which one is bound by arithmetic and one by memory."""
    operations = (Operation(flop=1e9, values=1e3), Operation(flop=1e3, values=1e7))
    seconds = 1e9 / (ARITHMETIC * rate * 1e12) + 1e7 * size / (MEMORY * 2e12)
    assert passes_per_second(operations, SHEET, precision) == pytest.approx(1 / seconds)
    faster = GPU("made up", 20, 40, 80, 2)
    assert passes_per_second(operations[1:], faster, precision) == passes_per_second(operations[1:], SHEET, precision)
