# SPDX-License-Identifier: MIT
"""Sound back out through ALSA."""
