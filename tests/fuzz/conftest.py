# SPDX-License-Identifier: Apache-2.0
"""How long to search: `pytest tests/fuzz --hypothesis-profile=long` tries many programs, others each time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "long",
    max_examples=3000,
    derandomize=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
