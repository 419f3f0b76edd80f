# SPDX-License-Identifier: Apache-2.0
"""What is known of the values of a kernel, and what most threads of a row can assume therefore."""
