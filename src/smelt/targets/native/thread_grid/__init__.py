# SPDX-License-Identifier: Apache-2.0
"""The pool of threads that the groups of a grid are spread over."""
