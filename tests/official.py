"""Pairs of frames; tests/data/official holds what vs-rife 2.0.0 makes of them with the official weights of RIFE 4.0.

The stored frames are every third pixel from (1, 1) on, as 16-bit codes. They were made by running that program's own
network, outside this repository, on `frames`.
"""

import cv2
import numpy as np
import torch

CASES = {  # which frames, the time, and whether time-reversed estimates are averaged
    "slow": ("slow", 0.5, False),
    "early": ("slow", 0.2, False),
    "ensemble": ("slow", 0.5, True),
    "fast": ("fast", 0.5, False),  # where the network doubles its scales
    "fast ensemble": ("fast", 0.7, True),
}
SHIFTS = {"slow": (5.5, -2.25), "fast": (100.0, 0.0)}  # px to the right and down
HEIGHT, WIDTH = 128, 256  # that program pads to multiples of 128 px, this one to 32


def frames(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A textured sheet that shifts behind a disc that stands still: two frames [1,3,H,W] in 0..1."""
    rng = np.random.default_rng(40)
    sheet = sum(
        cv2.resize(
            rng.random((256 // size, 512 // size, 3), np.float32), (512, 256), interpolation=cv2.INTER_CUBIC
        )
        * share
        for size, share in ((64, 0.45), (16, 0.35), (4, 0.2))
    )
    made = []
    for time in (0.0, 1.0):
        x, y = (shift * time for shift in SHIFTS[kind])
        shift = np.array([[1, 0, x - 128], [0, 1, y - 64]], np.float32)
        frame = cv2.warpAffine(sheet, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        cv2.circle(frame, (70, 60), 22, (0.9, 0.2, 0.1), -1)
        made.append(torch.from_numpy(np.clip(frame, 0, 1)).permute(2, 0, 1)[None].contiguous())
    return made[0], made[1]
