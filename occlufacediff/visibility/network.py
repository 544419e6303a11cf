"""The segmentation network: a small U-Net of depthwise convolutions that finds unoccluded face on the crop."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from occlufacediff.errors import AssetError
from occlufacediff.visibility.inputs import CHANNELS, INPUT_PX

#: Channels at 1/2, 1/4, 1/8 and 1/16 of the input.
WIDTHS = (16, 40, 72, 128)


class _Block(nn.Module):
    """Depthwise 5 x 5 convolution and two pointwise ones, with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def _smooth(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


class FaceSegmentation(nn.Module):
    """Logits (B, 1, 56, 56) that a pixel shows unoccluded face, for inputs (B, 5, 112, 112)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.stem = _down(CHANNELS, first)
        self.down1 = nn.Sequential(_down(first, second), _Block(second), _Block(second))
        self.down2 = nn.Sequential(_down(second, third), _Block(third), _Block(third))
        self.down3 = nn.Sequential(_down(third, fourth), _Block(fourth), _Block(fourth), _Block(fourth))
        self.up3, self.mix3 = nn.Conv2d(fourth, third, 1), _Block(third)
        self.up2, self.mix2 = nn.Conv2d(third, second, 1), _Block(second)
        self.up1, self.mix1 = nn.Conv2d(second, first, 1), _smooth(first)
        self.head = nn.Conv2d(first, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.stem(x)
        b = self.down1(a)
        c = self.down2(b)
        d = self.down3(c)
        c = self.mix3(c + _twice(self.up3(d)))
        b = self.mix2(b + _twice(self.up2(c)))
        a = self.mix1(a + _twice(self.up1(b)))
        out: Tensor = self.head(a)
        return out


def _twice(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def load_segmentation(path: Path) -> FaceSegmentation:
    """Load the weights of a trained network.

    Raises:
        AssetError: the file is missing, damaged or holds other weights.
    """
    network = FaceSegmentation()
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise AssetError(
            f"{path}: no usable weights of the occlusion network ({reason}); make them with `snakemake "
            "occlusion_weights`, or set visibility.source to none"
        ) from error
    return network.eval()


def frozen(network: FaceSegmentation) -> torch.jit.ScriptModule:
    """The network for single pictures in the memory format ``channels_last``, with its normalisation in the weights.

    Its logits differ from those of the network by rounding, less than 1e-5.
    """
    example = torch.zeros(1, CHANNELS, INPUT_PX, INPUT_PX).to(memory_format=torch.channels_last)
    with torch.no_grad():
        graph: torch.jit.ScriptModule = torch.jit.freeze(torch.jit.trace(network.eval(), example))
    return graph
