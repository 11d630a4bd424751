# SPDX-License-Identifier: MIT
"""Clips of what was heard: written whole or not at all, deleted oldest first."""
