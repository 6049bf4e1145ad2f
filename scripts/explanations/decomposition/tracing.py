"""Any network as a torch.fx graph, and its run on an example; what stops either is named, with the line of its code."""

import linecache
import os
import re
import sys
from functools import cache
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import TensorMetadata
from torchvision.models import feature_extraction
from torchvision.models.feature_extraction import NodePathTracer

from explanations.decomposition.operations import BATCH_NORMS
from explanations.errors import InputError

# where code is that is not a network's: torch's, the decomposition's, what torch made itself
NOT_NETWORKS = (
    *(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__)),
    *(feature_extraction.__file__, "<"),
)
LONGEST = 300  # characters of a reason or of a line of code: some hold whole programs
CodeLine = tuple[str, int]  # a file, and the number of a line


def trace(network: nn.Module) -> tuple[fx.GraphModule, dict[str, str]]:
    """The graph of a network's forward pass, and its nodes' qualified names, by the nodes' own names.

    The image is the only input; all other arguments have their defaults. Raises InputError if the network can't be
    traced, with the module, the line of its code, torch.fx's reason and the last operation; or if it does not return
    one tensor.
    """
    tracer, kind = _Tracer(network), type(network).__name__
    try:
        graph = tracer.trace(network)
    except Exception as error:  # the network's own code runs on proxies: it can raise anything
        where = _where(tracer.stopped_in, _innermost(error.__traceback__))
        raise InputError(f"{kind} can't be traced by torch.fx{where}: {_reason(error)}{tracer.last()}") from None
    returned = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(returned, fx.Node):
        raise InputError(f"{kind} returns {_shorten(returned)}; allowed are classifiers that return one tensor, logits")
    return fx.GraphModule(network, graph, class_name=kind), tracer.names


@torch.no_grad()
def run_example(module: fx.GraphModule, example: Tensor) -> None:
    """Run a traced network on an input, (1, 3, H, W), and note in each node's meta what it did.

    "tensor_meta" holds the shape and dtype of its value, or of each of its values; "overwrites" the nodes whose values
    it wrote on. Raises InputError if an operation can't take its input, with its module and line, or if the output is
    not of shape (1, classes).
    """
    logits = _Run(module).run(example)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or not logits.is_floating_point():
        what = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
        raise InputError(f"{type(module).__name__} returns a value of {what}; allowed are logits, (images, classes)")


class _Tracer(NodePathTracer):
    """A tracer that knows the module it is in, and notes for each node the line of the network's code."""

    def __init__(self, network: nn.Module):
        super().__init__(leaf_modules=_leaf_modules(), autowrap_functions=_leaf_functions())
        self.names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._within: str | None = None  # the module being traced: its qualified name and class
        self._error: Exception | None = None
        self.stopped_in: str | None = None

    def call_module(self, module: nn.Module, forward, args, kwargs):
        """Run or record a module; note the innermost one that an error came from."""
        path = self.submodule_paths.get(module, "a module that it doesn't hold")
        outer, self._within = self._within, f"{path} ({type(module).__name__})"
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception as error:
            if self._error is not error:
                self._error, self.stopped_in = error, self._within
            raise
        finally:
            self._within = outer

    def create_proxy(self, kind, target, args, kwargs, name=None, type_expr=None, *rest):
        """Record an operation; of the network's arguments only the first, the image, becomes an input."""
        if kind == "placeholder" and len(self.graph.nodes):
            if target.startswith("*"):  # an empty tuple or dictionary that torch.fx doesn't take apart
                return MappingProxyType({})
            if args:
                return args[0]
        proxy = super().create_proxy(kind, target, args, kwargs, name, type_expr, *rest)
        proxy.node.meta["line"] = _calling(sys._getframe(1))
        proxy.node.meta["within"], proxy.node.meta["qualified"] = self._within, self.names[proxy.node.name]
        return proxy

    def _get_node_qualname(self, module_qualname: str, node: fx.Node) -> str:
        """The base class's names, but in one look-up each: it compares each name with all before it."""
        name = module_qualname
        if node.op != "call_module":  # torch.fx numbers equal names over the whole graph, we within each module
            name = ".".join(filter(None, [module_qualname, re.sub(r"_\d+$", "", node.name)]))
        base, count = name, 0
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        self.names[node.name] = name
        return name

    def last(self) -> str:
        """What an error says of the last operation that was traced."""
        nodes = [node for node in getattr(self, "graph", fx.Graph()).nodes if node.op != "placeholder"]
        return f"; the last operation traced is {describe_operation(nodes[-1])}" if nodes else ""


class _Run(fx.Interpreter):
    """Runs a traced network and notes the shapes and dtypes of its values."""

    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.extra_traceback = False  # our message says more

    def run(self, example: Tensor) -> object:
        """The network's output for one input."""
        self.shape = tuple(example.shape)
        return super().run(example)

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value."""
        before = {source: self._version(source) for source in node.all_input_nodes}
        try:
            value = super().run_node(node)
        except Exception as error:  # as in `trace`: the network's own operations can raise anything
            where = _where(node.meta.get("within"), _innermost(error.__traceback__) or node.meta.get("line"))
            raise InputError(
                f"{type(self.module).__name__} can't take an input of shape {self.shape}{where}: "
                f"{describe_operation(node)}: {_reason(error)}"
            ) from None
        overwritten = [source for source, version in before.items() if self._version(source) != version]
        if overwritten:
            node.meta["overwrites"] = overwritten
        tensors = []

        def describe(value: object) -> object:
            if not isinstance(value, Tensor):
                return value
            tensors.append(value)
            return TensorMetadata(value.shape, value.dtype, value.requires_grad, value.stride(), None, False, {})

        meta = fx.node.map_aggregate(value, describe)
        if tensors:
            node.meta["tensor_meta"] = meta
        return value

    def _version(self, node: fx.Node) -> int:
        """How often a node's value has been written."""
        value = self.env[node]
        return value._version if isinstance(value, Tensor) and not value.is_inference() else 0


# --- what timm knows of its networks -----------------------------------------------------------------------------


def _leaf_modules() -> list[type[nn.Module]]:
    """timm's modules that can't be traced, which become one operation each.

    Its batch normalisations can be traced in evaluation mode. timm takes seconds to import; where it has not been
    imported, no network can be one of its.
    """
    layers = sys.modules.get("timm.layers")
    return [kind for kind in layers.get_notrace_modules() if not issubclass(kind, BATCH_NORMS)] if layers else []


def _leaf_functions() -> list:
    layers = sys.modules.get("timm.layers")
    return layers.get_notrace_functions() if layers else []


# --- what an error says ------------------------------------------------------------------------------------------


@cache
def _is_networks(file: str) -> bool:
    """Whether a file's code is a network's."""
    return not file.startswith(NOT_NETWORKS)


def _calling(frame: FrameType | None) -> CodeLine | None:
    """The line of a network's code from which an operation is called."""
    while frame is not None and frame.f_code is not trace.__code__:
        if _is_networks(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _innermost(traceback: TracebackType | None) -> CodeLine | None:
    """The line of a network's code that an error came from."""
    line = None
    while traceback is not None:
        if _is_networks(traceback.tb_frame.f_code.co_filename):
            line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _where(within: str | None, line: CodeLine | None) -> str:
    parts = [f" in {within}" if within else ""]
    if line:
        code = _shorten(linecache.getline(*line))
        parts.append(f" at line {line[1]} of {Path(line[0]).name}" + (f", `{code}`" if code else ""))
    return ",".join(filter(None, parts))


def describe_operation(node: fx.Node) -> str:
    """The name of a node's operation, and what it calls if the name doesn't say so."""
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    name = node.meta.get("qualified", node.name)
    return name if re.fullmatch(rf"(.*[._])?{re.escape(target)}(_\d+)?", name) else f"{name} ({target})"


def _reason(error: Exception) -> str:
    """An error's text on one line, without the folders of the files in it."""
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\"]+[/\\])+(?=[^\s/\\])", "", _shorten(error))
    if isinstance(error, fx.proxy.TraceError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shorten(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
