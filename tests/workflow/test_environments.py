"""Every rule says what it needs; the conda environments hold what their steps import, at the lock's versions."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from channel import CONDA_NAMES
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from workflow_copy import ROOT

from explanations.figures.catalogue import FIGURES

PACKAGES = {
    **{"sklearn": "scikit-learn", "skimage": "scikit-image", "PIL": "pillow"},
    **{"matplotlib": "matplotlib-base", "torch": "pytorch"},
}
ENVIRONMENT = re.compile(r"envs/(\w+\.yaml)")
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
            script = re.search(r'code=.*?sources(?:_of)?\(\s*"(\w+\.py)"', body, re.DOTALL)
            if script:
                found.append((name, script[1], ENVIRONMENT.search(body)[1]))
    return found + drawings()


def drawings() -> list[tuple[str, str, str]]:
    """The same of the rules that draw a figure, which are made in a loop over a table."""
    text = (ROOT / "workflow/rules/figures.smk").read_text()
    names, scripts = re.search(r"^(\w+(?:, \w+)*) = ((?:\"\w+\.py\"(?:, )?)+)$", text, re.MULTILINE).groups()
    constants = dict(zip(names.split(", "), re.findall(r"\w+\.py", scripts), strict=True))
    drawn = re.findall(r'"(fig\w+)": Drawn\(\s*"?([\w.]+)', text)
    return [(f"draw_{figure}", constants.get(script, script), ENVIRONMENT.search(text)[1]) for figure, script in drawn]


def test_every_rule_that_runs_a_script_is_looked_at():
    texts = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    scripts = {script for text in texts for script in re.findall(r'"(\w+\.py)"', text)}
    assert {script for _, script, _ in steps()} == {name for name in scripts if (ROOT / "scripts" / name).exists()}
    assert {rule for rule, _, _ in drawings()} == {f"draw_{figure}" for figure in FIGURES}


def test_every_rule_has_log_benchmark_threads_and_memory():
    bodies = [rule for path in (ROOT / "workflow/rules").glob("*.smk") for rule in RULE.findall(path.read_text())]
    bodies = [(name, body) for name, body in bodies if "shell:" in body]
    assert len(bodies) > 15
    for name, body in bodies:
        for directive in ("log:", "benchmark:", "threads:", "mem_mb=", "runtime=", "conda:"):
            assert directive in body, f"{name} lacks {directive}"


def environment_packages(name: str) -> dict[str, str]:
    """The packages that an environment's file names, each with its pin."""
    content = yaml.safe_load((ROOT / "envs" / name).read_text())
    return {re.match(r"[\w-]+", line)[0]: re.sub(r"^[\w-]+", "", line) for line in content["dependencies"]}


@pytest.mark.parametrize(("rule", "script", "environment"), steps(), ids=lambda value: value)
def test_environment_has_what_the_step_imports(rule, script, environment):
    assert imported_packages(ROOT / "scripts" / script) <= environment_packages(environment).keys()


def pins() -> dict[str, set[str]]:
    """Every package of the environments, and how the files pin it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "envs").glob("*.yaml"):
        for package, pin in environment_packages(path.name).items():
            found.setdefault(package, set()).add(pin)
    return found


def locked_versions() -> dict[str, Version]:
    """The lock's versions for the environments' Python, the oldest that it is solved for, under conda's names."""
    lines = re.findall(r"^([a-z].*) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    wanted = {"python_version": "3.11", "python_full_version": "3.11.0"}
    found = [r for r in map(Requirement, lines) if not r.marker or r.marker.evaluate(wanted)]
    versions = {CONDA_NAMES.get(r.name, r.name): Version(str(r.specifier).removeprefix("==")) for r in found}
    return versions | {"python": Version("3.11")}


def test_pins_admit_the_locks_versions_and_nothing_newer():
    for package, given in pins().items():
        (pin,) = given  # the same in every file
        versions = SpecifierSet(f"={pin}.*" if pin.startswith("=") else pin)
        version = locked_versions()[package]
        assert version in versions, package
        assert f"{version.major}.{version.minor + 1}" not in versions, package


def test_the_table_of_environments_names_every_pin():
    table = (ROOT / "docs/environments.md").read_text()
    rows = re.findall(r"^\| (\S+) \| `(\S+)` \| (\S+) \|", table, re.MULTILINE)
    locked = locked_versions()
    assert sorted(rows) == sorted((package, *pin, str(locked[package])) for package, pin in pins().items())


def test_figures_and_statistics_need_no_torch():
    for rule, script, environment in steps():
        if environment in ("figures.yaml", "statistics.yaml"):
            assert "pytorch" not in imported_packages(ROOT / "scripts" / script), rule
