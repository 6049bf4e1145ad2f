"""What nodes of a traced network are, by the kinds of operations that the decomposition knows."""

import operator

import pytest
import torch
from torch import Tensor, fx, nn

from explanations.decomposition.operations import (
    ADDITIONS,
    ELEMENTWISE_PRODUCTS,
    GROUP_NORMS,
    HOMOGENEOUS,
    MATRIX_PRODUCTS,
    MOVING,
    PASSING,
    PRODUCTS,
    QUOTIENTS,
    REDUCTIONS,
    Kind,
    has_parameters,
    is_activation,
)


class Calls(nn.Module):
    """One call of each way: of modules, functions and methods; and a parameter that has the name of a method."""

    def __init__(self):
        super().__init__()
        self.linear, self.relu, self.flatten = nn.Linear(4, 4), nn.ReLU(), nn.Flatten()
        self.norm, self.same = nn.GroupNorm(2, 4), nn.Identity()
        self.add = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.same(self.norm(self.relu(self.linear(self.flatten(x)))))
        x = torch.tanh(x + self.add)
        return (x @ x.transpose(0, 1)).mul(2).div(3).mean(1)


@pytest.fixture(scope="module")
def graph() -> fx.GraphModule:
    return fx.symbolic_trace(Calls())


def names(graph: fx.GraphModule, includes) -> list[str]:
    return [node.name for node in graph.graph.nodes if includes(graph, node)]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (MOVING, ["flatten", "transpose"]),
        (PASSING, ["flatten", "same", "transpose"]),
        (HOMOGENEOUS, ["flatten", "relu", "same", "transpose", "mean"]),
        (GROUP_NORMS, ["norm"]),
        (ADDITIONS, ["add_1"]),  # not the parameter `add`
        (MATRIX_PRODUCTS, ["matmul"]),
        (ELEMENTWISE_PRODUCTS, ["mul"]),
        (PRODUCTS, ["matmul", "mul"]),
        (QUOTIENTS, ["div"]),
        (REDUCTIONS, ["mean"]),
        (Kind((nn.Linear,)) | Kind(calls=(operator.add,)), ["linear", "add_1"]),
    ],
)
def test_kinds(graph, kind, wanted):
    assert names(graph, kind.includes) == wanted


def test_activations_are_found_by_module_function_and_method(graph):
    assert names(graph, is_activation) == ["relu", "tanh"]


def test_parameters_are_the_modules_or_arguments(graph):
    assert names(graph, has_parameters) == ["linear", "norm", "add_1"]
