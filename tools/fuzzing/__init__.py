# SPDX-License-Identifier: MIT
"""Odd input for everything that takes input from outside: no traceback, no hang, no loss."""
