# SPDX-License-Identifier: Apache-2.0
"""What `smelt demo` runs. `grace_hopper.jpg`: Commodore Grace M. Hopper, official portrait by James S. Davis, U.S. Navy, 1984. In the
public domain as a work of the federal government of the United States.
"""
