# SPDX-License-Identifier: MIT
"""The instrument: calibration, levels over minutes, hours and days, alarms."""
