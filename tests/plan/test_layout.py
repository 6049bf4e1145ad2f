"""Packages import those that stand before them, nothing imports in a circle, steps load what they need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_copy import ROOT

from explanations.dependencies import find_sources

SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "explanations"
ORDER = [  # of packages and of modules beside them: each imports only what stands before it
    *("errors", "text", "progress", "run_messages", "provenance", "dependencies", "imports"),
    *("files", "flags", "command", "downloads"),
    *("configuration", "data"),
    *("decomposition", "methods", "plan", "statistics", "networks", "removal", "localisation"),
    *("explaining", "sanity", "figures", "cost"),
]
WITHOUT_TORCH = sorted(path.stem for path in SCRIPTS.glob("plot_*.py"))
WITHOUT_TORCH += [
    "compare_methods",
    "summarise_removal",
    "summarise_curves",
    "read_flips",
    "report_findings",
    "make_manifest",
]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SCRIPTS).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """The library's modules that a file imports by itself, not those of packages that it passes through."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("explanations"):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            files = [name for name in named if (SCRIPTS / name.replace(".", "/")).with_suffix(".py").exists()]
            modules.update(files or [node.module])
    return modules


def part(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", sorted({*LIBRARY.rglob("*.py")} - {LIBRARY / "__init__.py"}), ids=module_name)
def test_a_module_imports_what_stands_before_its_package(path):
    before = ORDER[: ORDER.index(part(module_name(path))) + 1]
    assert {part(module) for module in imported(path)} <= set(before)


def test_nothing_imports_in_a_circle():
    graph = {module_name(path): imported(path) for path in LIBRARY.rglob("*.py")}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " → ".join([*above, module])
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("package", [path.parent for path in LIBRARY.rglob("__init__.py")], ids=lambda path: path.name)
def test_packages_hold_a_docstring_alone(package):
    """Whatever stands in one would be imported with every module of it."""
    (docstring,) = ast.parse((package / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)


def test_figures_statistics_and_the_plan_do_not_load_torch():
    """They run in environments without it, and a plan has no time for it."""
    code = f"""import sys
import {", ".join(WITHOUT_TORCH)}
import explanations.plan, explanations.figures.catalogue, explanations.configuration
assert "torch" not in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)


def test_the_plan_loads_no_library():
    code = """import sys
import explanations.plan, explanations.figures.catalogue
assert not {"numpy", "pandas", "matplotlib", "h5py"} & sys.modules.keys()"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)


def sources(script: str, *files: str) -> set[str]:
    found = find_sources(SCRIPTS / script, *(LIBRARY / file for file in files))
    return {path.relative_to(SCRIPTS).as_posix() for path in found}


def test_sources_follow_every_form_of_import(tmp_path):
    (tmp_path / "library/inner").mkdir(parents=True)
    for name in ("library", "library/inner"):
        (tmp_path / name / "__init__.py").write_text('"""A package."""\n')
    (tmp_path / "library/a.py").write_text("import numpy\nimport library.b\n")
    (tmp_path / "library/b.py").write_text("from library import c\n")
    (tmp_path / "library/c.py").write_text("from library.inner import d as e\n")
    (tmp_path / "library/inner/d.py").write_text("from library.a import x\n")  # a circle, which must end
    (tmp_path / "library/unused.py").write_text("")
    (tmp_path / "step.py").write_text("from library.a import x\n")
    found = [path.relative_to(tmp_path).as_posix() for path in find_sources(tmp_path / "step.py")]
    files = ["library/__init__.py", *(f"library/{name}.py" for name in "abc")]
    assert found == [*files, "library/inner/__init__.py", "library/inner/d.py", "step.py"]


def test_an_edit_of_one_method_measures_that_method_again():
    files = {kind: sources("measure_removal.py", f"methods/{kind}.py") for kind in ("gradient", "activity", "fullgrad")}
    own = {kind: {name for name in found if f"methods/{kind}.py" in name} for kind, found in files.items()}
    assert all(own.values())
    assert "explanations/methods/activity.py" not in files["gradient"] | files["fullgrad"]
    assert "explanations/methods/fullgrad.py" not in files["gradient"] | files["activity"]
    assert "explanations/methods/bias.py" in files["fullgrad"]  # whose maps it adds
