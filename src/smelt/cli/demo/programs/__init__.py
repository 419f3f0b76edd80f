# SPDX-License-Identifier: Apache-2.0
"""The programs that `smelt demo` copies, runs and edits. Each is a file that can be read by itself."""
