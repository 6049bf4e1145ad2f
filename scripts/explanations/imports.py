"""What steps needn't import: torchvision loads all of torch's compiler for one question, which no step asks.

The question is of torchvision's `roi_align`, in networks that detect; loading takes a third of a step's start.
"""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

COMPILER, QUESTION = "torch._dynamo", "is_compile_supported"


def postpone_compiler() -> None:
    """torchvision, imported from now on, imports torch's compiler no sooner than it asks its question."""
    if not any(isinstance(finder, _Torchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Torchvision())


class _Torchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _without_compiler(spec.loader.exec_module)
        return spec


def _without_compiler(execute):
    """As `execute`, but that the compiler, meanwhile, is two modules that hold the question alone."""

    def execute_without(module: ModuleType) -> None:
        if "torch" not in sys.modules or COMPILER in sys.modules:  # a part is stood in for once all of it is there
            return execute(module)
        questions = ModuleType(f"{COMPILER}.utils")
        setattr(questions, QUESTION, _ask)
        standing_in = {COMPILER: ModuleType(COMPILER), questions.__name__: questions}
        sys.modules.update(standing_in)
        try:
            execute(module)
        finally:
            for name in standing_in:
                del sys.modules[name]

    return execute_without


def _ask(device: object) -> bool:
    return getattr(sys.modules["torch"]._dynamo.utils, QUESTION)(device)  # torch loads it as it is named
