# SPDX-License-Identifier: MIT
"""Arithmetic: arrays in, arrays out; a pure function and its streaming twin side by side."""
