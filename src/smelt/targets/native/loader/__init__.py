# SPDX-License-Identifier: Apache-2.0
"""Machine code in memory: mapped, connected with the functions that it calls, and freed again."""
