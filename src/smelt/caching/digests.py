# SPDX-License-Identifier: Apache-2.0
"""Digests: BLAKE2b-256.

Of `hashlib` only what is needed is imported: the whole loads OpenSSL, which takes longer than all that a warm process hashes.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:
    # Another Python may keep it elsewhere.
    from hashlib import blake2b

DIGEST_SIZE = 32


def digest(payload: bytes | memoryview) -> bytes:
    """The digest of `payload`: 32 bytes."""
    return blake2b(payload, digest_size=DIGEST_SIZE).digest()
