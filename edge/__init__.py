# SPDX-License-Identifier: MIT
"""A headless acoustic monitor: hears, measures, recognises and reports."""

__version__ = "0.1.0"
