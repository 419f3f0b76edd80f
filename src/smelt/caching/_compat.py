# SPDX-License-Identifier: Apache-2.0
"""Everything here that differs between versions of Python, in one place."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    import annotationlib

    def annotation_texts(cls: type) -> dict[str, str]:
        """The annotations in the body of `cls` as they were written, without evaluating them."""
        return annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)

else:

    def annotation_texts(cls: type) -> dict[str, str]:
        """The annotations in the body of `cls` as they were written, or as their values are shown."""
        return {
            name: value if isinstance(value, str) else getattr(value, "__qualname__", None) or repr(value)
            for name, value in vars(cls).get("__annotations__", {}).items()
        }
