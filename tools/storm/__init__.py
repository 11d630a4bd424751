# SPDX-License-Identifier: MIT
"""A storm of faults over the real thing, and the books that must balance after it."""
