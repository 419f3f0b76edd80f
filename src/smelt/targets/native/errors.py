# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between an object file and a kernel that can be called."""

from __future__ import annotations

from smelt.compiler.errors import ArtifactError


class FlatError(ArtifactError, ValueError):
    """An object file that can't be made flat: malformed, or with something in it that flat code doesn't have."""


class LinkError(ArtifactError, OSError):
    """An artifact that this process can't load: it refers to what there is not, or is for another processor."""
