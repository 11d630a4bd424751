# SPDX-License-Identifier: MIT
"""What the arithmetic costs, next to others, in one process: `tools/bench`."""
