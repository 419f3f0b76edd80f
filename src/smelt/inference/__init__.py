# SPDX-License-Identifier: Apache-2.0
"""From untyped to typed programs: abstract interpretation that records an edge for everything that it looks at."""

from smelt.inference.inferrer import Inferrer

__all__ = ["Inferrer"]
