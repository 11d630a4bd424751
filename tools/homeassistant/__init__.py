# SPDX-License-Identifier: MIT
"""The box in a real Home Assistant."""
