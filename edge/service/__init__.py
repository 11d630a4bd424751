# SPDX-License-Identifier: MIT
"""Composition roots of the units: build every object, start in order, stop in reverse."""
