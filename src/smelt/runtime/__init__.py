# SPDX-License-Identifier: Apache-2.0
"""The runtime library: functions that compiled code calls, written in the kernel language.

They are plain Python, so they run on the host too, which is how tests compare them. A kernel that calls one compiles it like any
other function. `bits` has what the language itself can't say.
"""
