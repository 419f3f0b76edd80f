# SPDX-License-Identifier: Apache-2.0
"""The commands of whoever works on smelt, each in an environment of its own: `nox -l` lists them, `nox -s NAME` runs one.

Arguments behind `--` go to the tool: `nox -s tests -- tests/caching -k views`.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "fast", "docs"]
nox.options.reuse_existing_virtualenvs = True

FAST = (
    "tests/types",
    "tests/compiler",
    "tests/language/test_table.py",
    "tests/caching/test_views.py",
    "tests/caching/test_invalidation.py",
)
"""Where a mistake shows first, in less than a minute."""

SHORT = (
    "barriers",
    "caching",
    "compile_time",
    "import_time",
    "launch",
    "math_functions",
    "thread_grid",
    "throughput",
)
"""The benchmarks that take `--quick`."""


@nox.session
def lint(session: nox.Session) -> None:
    """What is written, and how: ruff."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy, strict."""
    session.install("-e", ".[test]")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def fast(session: nox.Session) -> None:
    """The tests that show most in the least time."""
    session.install("-e", ".[test]")
    session.run("pytest", *FAST, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with warnings as errors, into docs/_build."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--quiet", "docs", "docs/_build", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """All benchmarks that have a short form, or one by its name, with its options: `nox -s benchmarks -- launch`."""
    session.install("-e", ".[test]")
    runs = [session.posargs] if session.posargs else [(name, "--quick") for name in SHORT]
    for name, *options in runs:
        session.run("python", f"benchmarks/{name}.py", *options)
