# SPDX-License-Identifier: Apache-2.0
"""A Metal device in software: it compiles AIR for the processor, and runs it there."""
