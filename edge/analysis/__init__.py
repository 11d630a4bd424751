# SPDX-License-Identifier: MIT
"""Clips taken apart in idle time; the only room that knows matplotlib."""
