# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the table of DESIGN.md, held against every module as it stands, in-function imports included."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import smelt

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parent
MOST_LINES = 400

ANYTHING = None
"""May import whatever it likes, and where it likes: the wiring, which imports lazily."""

# A package imports itself, the standard library, `smelt.records` and these packages of smelt. Of a target, `portable` is all but the modules named
# in SESSION_HALVES, and `session` is those.
_STAGES = {"frontend", "inference", "lowering"}
_VOCABULARY = {"caching", "types", "ir", "compiler"}
TABLE: dict[str, set[str] | None] = {
    "caching": set(),
    "knobs": set(),
    "records": set(),
    "types": set(),
    "ir": {"types"},
    "compiler": {"caching", "types", "ir"},
    "kernel_language": set(),
    "runtime": {"kernel_language"},
    "frontend": {"caching", "types", "ir", "compiler"},
    "inference": {"caching", "types", "ir", "compiler", "kernel_language", "runtime"},
    "lowering": {"types", "ir", "compiler"},
    "driver": {*_VOCABULARY, *_STAGES, "knobs"},
    "targets.native": {"lowering", "compiler", "ir", "types"},
    "targets.metal": {"lowering", "compiler", "ir", "types"},
    "targets.ptx": {"lowering", "compiler", "ir", "types"},
    "targets.native:session": {"targets.native", "compiler", "caching", "lowering", "ir", "types"},
    # Metal in software runs on the processor.
    "targets.metal:session": {
        *("targets.metal", "compiler", "caching", "lowering", "ir", "types"),
        *("targets.native", "targets.native:session"),
    },
    "targets.ptx:session": {"targets.ptx", "compiler", "caching", "lowering", "ir", "types"},
    "launch": {
        "caching",
        "types",
        "compiler",
        "targets.native:session",
        "targets.metal:session",
        "targets.ptx:session",
    },
    "sessions": {"caching", "types", "compiler", "knobs"},
    "cli": ANYTHING,
    "__main__": ANYTHING,
    "_kernels": ANYTHING,
    "_wiring": ANYTHING,
    "_devices": ANYTHING,
    "_targets": ANYTHING,
    "_once": set(),
    "metal": ANYTHING,
    "testing": ANYTHING,
    "": ANYTHING,
}

SESSION_HALVES = {
    "targets.native": {
        "results",
        "backend",
        "linking",
        "target",
        "loader",
        "processors.cpuid",
        "processors.host",
        "kernels.loading",
        "kernels.printing",
        "thread_grid.grid",
        "launching.builtin_methods",
        "launching.dispatch",
        "launching.stub_compilation",
        "launching.stubs",
        "debugging.debuggers",
        "debugging.profilers",
    },
    "targets.metal": {"results", "backend", "devices", "pipelines", "dispatching"},
    "targets.ptx": {"driver", "modules"},
}

# What stands outside the standard library, for those packages of which the table says that they import nothing else.
STANDARD_LIBRARY_ONLY = {"caching", "knobs", "records"}
# annotationlib came with Python 3.14.
STANDARD_LIBRARY = sys.stdlib_module_names | {"annotationlib"}


def package_of(module: str) -> str | None:
    """The row of the table that a module (named without `smelt.`) belongs to, or None."""
    parts = module.split(".")
    if parts[0] != "targets":
        return parts[0] if parts[0] in TABLE else None
    if len(parts) == 1:
        return None
    target = f"targets.{parts[1]}"
    if target not in TABLE:
        return None
    within = [".".join(parts[2:end]) for end in range(3, len(parts) + 1)]
    is_session = not SESSION_HALVES[target].isdisjoint(within)
    return f"{target}:session" if is_session else target


def module_name(path: Path, source: Path) -> str:
    parts = list(path.relative_to(source).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


class Import(NamedTuple):
    """A module that is named in an import, absolute; whether that stands inside a function or class."""

    module: str
    line: int
    is_inside: bool


def imports(path: Path, source: Path) -> list[Import]:
    here = ["smelt", *filter(None, module_name(path, source).split("."))]
    package = here if path.name == "__init__.py" else here[:-1]
    found: list[Import] = []
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8")), False)]
    while todo:
        node, is_inside = todo.pop()
        found.extend(Import(name, node.lineno, is_inside) for name in _imported(node, package))
        is_inside |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
        todo.extend((child, is_inside) for child in ast.iter_child_nodes(node))
    return found


def _imported(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) + 1 - node.level] if node.level else []
        origin = [*base, *([node.module] if node.module else [])]
        # `from smelt import caching` names a module, `from smelt.caching import CacheView` does not; more is harmless.
        return [".".join([*origin, alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        # A name that is computed can't be held against the table, so it is refused as one that is not in it.
        given = node.args[0] if node.args else None
        return [given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else "smelt.?"]
    return []


@functools.cache
def faults(source: Path) -> list[str]:
    """Everything under `source` that the rules forbid, as texts."""
    found = []
    for path in sorted(source.rglob("*.py")):
        shown = path.relative_to(source).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found.append(f"{shown} has {lines} lines; a module has one subject and at most {MOST_LINES}")
        row = package_of(module_name(path, source))
        if row is not None:
            found.extend(f"{shown} {fault}" for fault in _faults_of(imports(path, source), row))
        elif shown != "targets/__init__.py":
            found.append(f"{shown} is in no package of the table; add it to TABLE and to DESIGN.md")
    return found


def _faults_of(imported: list[Import], row: str) -> list[str]:
    allowed = TABLE[row]
    if allowed is ANYTHING:
        return []
    found = []
    for name, line, is_inside in imported:
        root, _, rest = name.partition(".")
        if root != "smelt":
            if row in STANDARD_LIBRARY_ONLY and root not in STANDARD_LIBRARY:
                found.append(f"imports {name} in line {line}, which is not of the standard library")
        elif package_of(rest) not in {row, "records", *allowed} or not rest:
            found.append(f"imports {name} in line {line}; {row} may import {sorted(allowed) or 'nothing of smelt'}")
        elif is_inside:
            found.append(f"imports {name} in line {line}, inside a function or class")
    return found


# The rules, held against smelt


PACKAGES = sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_keeps_to_the_table(package):
    assert "caching" in PACKAGES
    assert [fault for fault in faults(SOURCE) if re.match(rf"{re.escape(package)}[/ ]", fault)] == []


def test_what_is_put_together_imports_what_was_put_together_before():
    order = ["_once", "_targets", "_wiring", "_devices", "_kernels"]
    for number, name in enumerate(order):
        imported = {one.module for one in imports(SOURCE / f"{name}.py", SOURCE)}
        later = {other for other in order[number:] if any(one.startswith(f"smelt.{other}") for one in imported)}
        assert later == set(), f"{name} imports {later}"


def test_the_caching_core_is_read_whole():
    names = {module_name(path, SOURCE) for path in (SOURCE / "caching").glob("*.py")}
    assert {"caching", "caching.views", "caching.publishing"} <= names
    assert {package_of(name) for name in names} == {"caching"}


def test_importing_the_caching_core_loads_neither_numpy_nor_llvmlite(tmp_path):
    # They are there to be found, whether or not this Python has them.
    for name in ("numpy", "llvmlite"):
        (tmp_path / f"{name}.py").touch()
    program = (
        "import sys, smelt.caching\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'}))\n"
        "print(sorted(name for name in sys.modules if name.startswith('smelt.') and not name.startswith('smelt.caching')))\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(SOURCE.parent)])}
    # -S: what the site packages load at start-up is not of interest.
    given = [sys.executable, "-S", "-c", program]
    done = subprocess.run(given, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines() == ["['smelt']", "['smelt.records']"]


# The rules themselves


def tree(folder: Path, file: str, text: str) -> Path:
    """A package of one module, beside an empty `smelt/__init__.py`."""
    (folder / "__init__.py").touch()
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("caching/a.py", "import numpy", "caching/a.py imports numpy in line 1, which is not of the standard library"),
        ("caching/a.py", "def f():\n    import llvmlite.binding", "imports llvmlite.binding in line 2, which is not"),
        ("caching/a.py", "if True:\n    from numpy import ndarray", "imports numpy.ndarray in line 2"),
        (
            "caching/a.py",
            "from smelt.types import scalars",
            "imports smelt.types.scalars in line 1; caching may import nothing",
        ),
        ("caching/a.py", "from smelt import types", "imports smelt.types in line 1"),
        ("caching/a.py", "from .. import types", "imports smelt.types in line 1"),
        ("caching/a.py", "from ..types.scalars import float32", "imports smelt.types.scalars.float32 in line 1"),
        ("caching/sub/a.py", "from ...knobs import HOME", "imports smelt.knobs.HOME in line 1"),
        ("caching/a.py", "import importlib\nimportlib.import_module('smelt.driver')", "imports smelt.driver in line 2"),
        (
            "caching/a.py",
            "def f():\n    from smelt.caching import b",
            "imports smelt.caching.b in line 2, inside a function",
        ),
        (
            "caching/a.py",
            "class C:\n    import smelt.caching.b",
            "imports smelt.caching.b in line 2, inside a function or class",
        ),
        (
            "caching/a.py",
            "f = lambda: __import__('smelt.caching')",
            "imports smelt.caching in line 1, inside a function",
        ),
        ("caching/a.py", "import smelt", "imports smelt in line 1"),
        ("types/a.py", "import smelt.ir", "types may import nothing of smelt"),
        ("ir/a.py", "import smelt.caching", "ir may import ['types']"),
        ("lowering/a.py", "import smelt.caching.views", "lowering may import ['compiler', 'ir', 'types']"),
        ("frontend/a.py", "import smelt.lowering.layout", "frontend may import ['caching', 'compiler', 'ir', 'types']"),
        ("launch/a.py", "import smelt.lowering", "imports smelt.lowering in line 1; launch may import"),
        ("launch/a.py", "import smelt.targets.metal.metallib", "imports smelt.targets.metal.metallib in line 1"),
        ("targets/metal/metallib/writer.py", "import smelt.targets.metal.devices", "targets.metal may import"),
        ("targets/metal/devices/software.py", "import smelt.inference", "targets.metal:session may import"),
        ("targets/ptx/a.py", "import smelt.targets.metal", "targets.ptx may import"),
        (
            "knobs.py",
            "import smelt.caching",
            "knobs.py imports smelt.caching in line 1; knobs may import nothing of smelt",
        ),
        ("unheard/a.py", "", "unheard/a.py is in no package of the table"),
        ("loose.py", "", "loose.py is in no package of the table"),
        ("targets/vulkan/a.py", "", "targets/vulkan/a.py is in no package of the table"),
        ("caching/a.py", "x = 1\n" * 401, "caching/a.py has 401 lines"),
    ],
)
def test_what_the_rules_forbid_is_found(tmp_path, file, text, fault):
    (found,) = faults(tree(tmp_path, file, text))
    assert fault in found


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("caching/a.py", "import ast, os.path\nfrom collections.abc import Callable\nfrom smelt.caching.b import c\n"),
        ("caching/a.py", "from . import b\nfrom .b import c\nfrom smelt.caching import b"),
        ("caching/__init__.py", "from .a import b"),
        ("caching/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from smelt.caching.b import c"),
        ("caching/a.py", "def f():\n    import json"),
        ("caching/a.py", "x = 1\n" * 400),
        ("driver/a.py", "from smelt import caching, knobs\nimport smelt.lowering.a, smelt.frontend, smelt.inference.b"),
        ("lowering/a.py", "import llvmlite.binding\nfrom smelt.ir import nodes"),
        (
            "targets/metal/devices/software.py",
            "from smelt.targets.metal import metallib\nfrom smelt.caching import LinearCache",
        ),
        ("targets/__init__.py", ""),
        ("launch/a.py", "from smelt.targets.metal.devices import Device\nimport numpy"),
        ("sessions/a.py", "from smelt.knobs import HOME"),
        ("cli/a.py", "def f():\n    import smelt.driver"),
    ],
)
def test_what_the_rules_allow_passes(tmp_path, file, text):
    assert faults(tree(tmp_path, file, text)) == []


def test_what_smelt_exports_is_what_type_checkers_are_told():
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    (told,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {alias.name: node.module for node in told.body for alias in node.names}  # type: ignore[attr-defined]
    assert imported == {**smelt._MODULE_OF, **dict.fromkeys(smelt._SUBMODULES, "smelt")}
    assert sorted(smelt.__all__) == sorted(imported)
    assert all(getattr(smelt, name) is not None for name in imported)
