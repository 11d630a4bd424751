# SPDX-License-Identifier: MIT
"""The network: a small CNN on one log-Mel patch, dense where it is narrow, separable where wide.

Source: A. Howard et al., "MobileNets", 2017, for the separable blocks. A processor computes a
narrow dense convolution faster than a wide separable one on as many places.
The mean of the patch is taken off first, so that the level of
a microphone that nobody has calibrated says nothing; the contrast stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from tools.training import teacher

STEM: Final = 16
# Kind, channels and stride of each block.
BLOCKS: Final = (
    ("dense", 32, 2),
    ("separable", 64, 1),
    ("dense", 128, 2),
    ("separable", 128, 1),
    ("separable", 256, 2),
    ("separable", 320, 1),
)
EMBEDDING: Final = 256


@dataclass(frozen=True, slots=True)
class Network:
    """The parts, in the order in which a patch meets them.

    `body`, `neck` and `head` are shipped. `imitation` foretells the teachers'
    features while training and is left behind.
    """

    body: nn.Sequential
    neck: nn.Linear
    head: nn.Linear
    imitation: nn.Linear

    @property
    def parts(self) -> nn.ModuleList:
        """All parts as one, for the optimiser and the averaging of weights."""
        return nn.ModuleList([self.body, self.neck, self.head, self.imitation])

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Return (n, EMBEDDING) of (n, frames, bands) patches.

        From mean and highest of each channel of the last maps.
        """
        centred = patches - patches.mean(dim=(1, 2), keepdim=True)
        maps = self.body(centred[:, None].to(memory_format=torch.channels_last))
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return torch.relu(self.neck(pooled))


def new_network(n_labels: int) -> Network:
    """Return an untrained network."""
    layers: list[nn.Module] = _conv(1, STEM, stride=2)
    channels = STEM
    for kind, wider, stride in BLOCKS:
        if kind == "dense":
            layers += _conv(channels, wider, stride=stride)
        else:
            layers += _conv(channels, channels, stride=stride, groups=channels)
            layers += _conv(channels, wider, kernel=1)
        channels = wider
    # Channels last: half the time of a step on a CPU.
    body = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return Network(
        body=body,
        neck=nn.Linear(2 * channels, EMBEDDING),
        head=nn.Linear(EMBEDDING, n_labels),
        imitation=nn.Linear(EMBEDDING, teacher.FEATURES),
    )


def _conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
