# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of a compilation: target, config, job, and the errors that compiling ends in."""
