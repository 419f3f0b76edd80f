# SPDX-License-Identifier: Apache-2.0
"""Apple's GPUs: AIR, metallibs, and the devices that run them."""
