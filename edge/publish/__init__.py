# SPDX-License-Identifier: MIT
"""What leaves the box: topics, JSON, the outbox and the broker."""
