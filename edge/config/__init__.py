# SPDX-License-Identifier: MIT
"""Typed, frozen settings."""
