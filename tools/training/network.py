# SPDX-License-Identifier: MIT
"""The network: a depthwise-separable CNN on one log-Mel patch, after MobileNet.

Source: A. Howard et al., "MobileNets", 2017, without its width and resolution
multipliers. The mean of the patch is taken off first, so that the level of
a microphone that nobody has calibrated says nothing; the contrast stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

# Channels and stride of each block.
STEM: Final = 24
BLOCKS: Final = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (192, 2), (192, 1))
EMBEDDING: Final = 2 * BLOCKS[-1][0]
TEACHER_EMBEDDING: Final = 1024


@dataclass(frozen=True, slots=True)
class Network:
    """The parts, in the order in which a patch meets them.

    `body` and `head` are shipped. `imitation` foretells the teacher's
    embedding while training and is left behind.
    """

    body: nn.Sequential
    head: nn.Linear
    imitation: nn.Linear

    @property
    def parts(self) -> nn.ModuleList:
        """All parts as one, for the optimiser and the averaging of weights."""
        return nn.ModuleList([self.body, self.head, self.imitation])

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Return (n, EMBEDDING): mean and highest of each channel of (n, frames, bands) patches."""
        centred = patches - patches.mean(dim=(1, 2), keepdim=True)
        maps = self.body(centred[:, None].to(memory_format=torch.channels_last))
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def new_network(n_labels: int) -> Network:
    """Return an untrained network."""
    layers: list[nn.Module] = _conv(1, STEM, stride=2)
    channels = STEM
    for wider, stride in BLOCKS:
        layers += _conv(channels, channels, stride=stride, groups=channels)
        layers += _conv(channels, wider, kernel=1)
        channels = wider
    # Channels last: half the time of a step on a CPU.
    body = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return Network(
        body=body,
        head=nn.Linear(EMBEDDING, n_labels),
        imitation=nn.Linear(EMBEDDING, TEACHER_EMBEDDING),
    )


def _conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
