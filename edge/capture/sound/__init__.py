# SPDX-License-Identifier: MIT
"""Procedural sounds: a clone carries no recordings, and hears something all the same."""
