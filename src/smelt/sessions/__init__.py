# SPDX-License-Identifier: Apache-2.0
"""What was compiled once is there in the next process."""
