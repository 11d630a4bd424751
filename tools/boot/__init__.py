# SPDX-License-Identifier: MIT
"""A real boot of the box in a virtual machine."""
