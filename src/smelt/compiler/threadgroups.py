# SPDX-License-Identifier: Apache-2.0
"""How many threads work together, and in how much memory."""

from __future__ import annotations

SIMD_WIDTH = 32
"""The threads of a simdgroup: what Apple's and NVIDIA's GPUs have."""

MOST_THREADS = 1024
"""Of a threadgroup: what both sorts of GPU can do."""

MOST_THREADGROUP_BYTES = 1 << 20
"""Of memory that the threads of a group share: far more than any GPU has, so it only keeps mistakes from taking all."""

MOST_THREAD_BYTES = 1 << 16
"""Of one array of a thread: it lies on the stack where the thread is alone."""
