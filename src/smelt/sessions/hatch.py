# SPDX-License-Identifier: Apache-2.0
"""The build hook for hatchling, `[tool.hatch.build.hooks.smelt]`: precompiles a package while its wheel is built.

[build-system]
requires = ["hatchling", "smelt"]

[tool.hatch.build.targets.wheel.hooks.smelt]
modules = ["mypackage"]
targets = ["native:x86-64-v3", "native:aarch64"]
source = "src"
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.plugin import hookimpl


class SmeltBuildHook(BuildHookInterface[Any]):
    """Puts the images of `modules` into the wheel.

    `targets` are those of `smelt precompile`, by default the machine that the wheel is built on; `source` is the folder in which
    the modules are found, by default that of the project.
    """

    PLUGIN_NAME = "smelt"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - as hatchling calls it
        """Precompile, before the files of the wheel are gathered. Raises `CalledProcessError` if that fails."""
        modules = self.config.get("modules")
        if not modules:
            raise ValueError("[tool.hatch.build.hooks.smelt] needs modules = [...], what is to be precompiled")
        self._images = tempfile.TemporaryDirectory(prefix="smelt-images-")
        targets = [f"--target={target}" for target in self.config.get("targets", ())]
        command = [sys.executable, "-m", "smelt", "precompile", *modules, *targets, "--output", self._images.name]
        # In its folder, where Python looks for modules first.
        subprocess.run(command, check=True, cwd=Path(self.root, self.config.get("source", ".")))  # noqa: S603 - itself
        for path in Path(self._images.name).rglob("*.image"):
            build_data["force_include"][str(path)] = path.relative_to(self._images.name).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the images, once the wheel is there."""
        self._images.cleanup()


@hookimpl
def hatch_register_build_hook() -> type[SmeltBuildHook]:
    """What hatchling asks for."""
    return SmeltBuildHook
