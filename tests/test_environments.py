"""Every rule says what it needs; the conda environments hold what their steps import, at the lock's versions."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copy import ROOT

PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow", "matplotlib": "matplotlib-base", "torch": "pytorch"}
LOCK = {"pytorch": "torch", "huggingface_hub": "huggingface-hub", "matplotlib-base": "matplotlib"}
RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def imported_packages(script: Path, seen: set[Path] | None = None) -> set[str]:
    """The packages outside the standard library that a script needs, through the library's modules too."""
    seen = set() if seen is None else seen
    seen.add(script)
    packages = set()
    for node in ast.walk(ast.parse(script.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            module = ROOT / "scripts" / (name.replace(".", "/") + ".py")
            if module.exists() and module not in seen:
                packages |= imported_packages(module, seen)
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "explanations":
                packages.add(PACKAGES.get(top, top))
    return packages


def steps() -> list[tuple[str, str, str]]:
    """Rule, script and environment file of every rule that runs a script."""
    found = []
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for name, body in RULE.findall(path.read_text()):
            script = re.search(r"python scripts/(\w+\.py)", body)
            if script:
                environment = re.search(r"envs/(\w+\.yaml)", body)
                found.append((name, script[1], environment[1] if environment else ""))
    return found


def test_every_rule_has_log_benchmark_threads_and_memory():
    bodies = [rule for path in (ROOT / "workflow/rules").glob("*.smk") for rule in RULE.findall(path.read_text())]
    bodies = [(name, body) for name, body in bodies if "shell:" in body]
    assert len(bodies) > 15
    for name, body in bodies:
        for directive in ("log:", "benchmark:", "threads:", "mem_mb=", "runtime=", "conda:"):
            own = name == "report" and directive == "conda:"  # it runs Snakemake, in whose environment it is
            assert own or directive in body, f"{name} lacks {directive}"


def environment_packages(name: str) -> dict[str, str]:
    content = yaml.safe_load((ROOT / "envs" / name).read_text())
    return dict(line.split("=") for line in content["dependencies"])


@pytest.mark.parametrize(("rule", "script", "environment"), steps(), ids=lambda value: value)
def test_environment_has_what_the_step_imports(rule, script, environment):
    assert imported_packages(ROOT / "scripts" / script) <= environment_packages(environment).keys()


@pytest.mark.parametrize("environment", sorted(path.name for path in (ROOT / "envs").glob("*.yaml")))
def test_environment_pins_the_locks_versions(environment):
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9-]+)==(\d+\.\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    ):
        locked.setdefault(name, set()).add(version)
    for package, pin in environment_packages(environment).items():
        if package != "python":
            name = LOCK.get(package, package)
            assert pin in locked[name] | {version.split(".")[0] for version in locked[name]}, package


def test_figures_and_statistics_need_no_torch():
    for rule, script, environment in steps():
        if environment in ("figures.yaml", "statistics.yaml"):
            assert "pytorch" not in imported_packages(ROOT / "scripts" / script), rule
