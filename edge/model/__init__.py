# SPDX-License-Identifier: MIT
"""Classifiers that describe themselves, and the pure way from scores to events."""
