# SPDX-License-Identifier: MIT
"""Where samples come from: a sound card, a recording, a synthesiser."""
