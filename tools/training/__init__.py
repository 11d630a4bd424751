# SPDX-License-Identifier: MIT
"""How the shipped classifier comes about: recordings to patches to weights to one ONNX file."""
