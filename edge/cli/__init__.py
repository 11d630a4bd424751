# SPDX-License-Identifier: MIT
"""Commands and their output."""
