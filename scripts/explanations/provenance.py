"""What makes a run's results: the workflow's version, the configuration, the machine and the libraries, for its pages.

Needs the standard library alone: the workflow's plan uses it too.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "pandas", "scikit-learn", "h5py", "snakemake")
CONFIGURATION = "EXPLANATIONS_CONFIGURATION"  # the environment variable that names a step the run's configuration


def describe_making() -> dict[str, str]:
    """Each thing in words, by its name; what can't be found out is left out."""
    found = {
        "workflow": find_commit(),
        "configuration": os.environ.get(CONFIGURATION, ""),
        "machine": describe_machine(),
        "software": f"Python {platform.python_version()}, {describe_libraries()}".removesuffix(", "),
    }
    return {name: text for name, text in found.items() if text}


def find_commit() -> str:
    """The commit that is checked out, and whether files were changed since; empty without git, or its folder."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, with changes", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f"commit {said.stdout.strip()}" if said.returncode == 0 and (ROOT / ".git").exists() else ""


def describe_machine() -> str:
    """Processor, cores that this process may use, and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name_processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def name_processor() -> str:
    """The processor's name as Linux has it, or as the platform has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor without a name"


def describe_libraries() -> str:
    """The versions of the libraries that are installed beside this one."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
