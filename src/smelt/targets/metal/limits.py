# SPDX-License-Identifier: Apache-2.0
"""What kernels and launches may have at most on Metal, besides what holds for all GPUs, see `compiler.threadgroups`.

Source: Apple, "Metal feature set tables": what every GPU has that runs metallibs of macOS.
"""

from __future__ import annotations

MOST_BUFFERS = 31
"""How many buffers a kernel can be bound to."""

MOST_THREADGROUP_BYTES = 1 << 15
"""Of memory that the threads of a group share."""

MOST_BYTES_COPIED = 1 << 12
"""What `setBytes` takes for one buffer."""
