# SPDX-License-Identifier: MIT
"""What `tools/run` does once everything is installed."""
