"""Steps start without torch's compiler, which is there for whoever asks for it."""

import subprocess
import sys

from workflow_copy import ROOT

STARTED = """
import sys
import measure_removal, torch
from torchvision.ops import roi_align
assert "sympy" not in sys.modules and not [name for name in sys.modules if name.startswith("torch._dynamo")]
assert roi_align(torch.ones(1, 1, 8, 8), torch.tensor([[0, 0, 0, 4.0, 4.0]]), 2).tolist() == [[[[1, 1], [1, 1]]]]
ask = sys.modules["torchvision.ops.roi_align"].is_compile_supported
import torch._dynamo.utils as utils
assert utils.counters is not None and ask is not utils.is_compile_supported
assert ask("cpu") == utils.is_compile_supported("cpu")
assert torch.compile(torch.nn.ReLU(), backend="eager")(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
"""
LOADED = """
import torch._dynamo.utils as utils
import measure_removal, sys
assert sys.modules["torchvision.ops.roi_align"].is_compile_supported is utils.is_compile_supported
"""


def run(program):
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", text=True, capture_output=True)


def test_the_compiler_waits_until_it_is_asked_for():
    assert run(STARTED).stderr == ""


def test_a_compiler_that_is_there_is_asked():
    assert run(LOADED).stderr == ""
