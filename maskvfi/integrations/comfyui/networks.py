"""The networks that one node loads and the others use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from maskvfi.integrations.comfyui import server
from maskvfi.ops.tiles import BYTES_PER_PIXEL, pixels_at_once
from maskvfi.options import FrameOptions
from maskvfi.runtimes import on_device
from maskvfi.runtimes.device import choose_mask_dtype, choose_precision
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.weights.load import load_static, load_vfi


class Networks:
    """The value of a socket of type MASKVFI.

    Attributes:
        options: How they are used.
        has_mask: Whether there is a mask network; without one it is plain interpolation.
    """

    def __init__(self, options: FrameOptions) -> None:
        """Load the networks into memory; they come to the device when a node needs them.

        Args:
            options: Names the weights; names of files in the server's folder are known as well.

        Raises:
            WeightsError: The weights are missing or bad.
            OptionError: The network cannot do what is asked of it.
        """
        device = server.compute_device()
        if options.precision == "auto" and server.refuses_half(device):
            options = replace(options, precision="fp32")
        files = server.weights_files()
        self.options = replace(options, vfi=files.get(str(options.vfi), options.vfi))
        network = load_vfi(self.options.vfi)
        network.check(options.scale, options.ensemble)
        _, dtype = choose_precision(options.precision, device, network, options.runtime)
        self._vfi = on_device(network, torch.device("cpu"), dtype)
        self.has_mask = options.mask is not None
        self._mask = None
        if options.mask is not None:
            self._mask = on_device(
                load_static(options.mask), torch.device("cpu"), choose_mask_dtype(options.precision, device)
            )
        self._device = device
        self._patchers = [
            server.managed(network) for network in (self._vfi, self._mask) if network is not None
        ]
        self._interpolator: Interpolator | None = None

    @contextmanager
    def ready(self, width: int, height: int) -> Iterator[tuple[Interpolator, server.NodeProgress]]:
        """Have the networks on the device inside the block, where the server can cancel.

        Args:
            width, height: The size of the pictures.

        Yields:
            The interpolator, without painted masks, and what progress is told to.

        Raises:
            OptionError: This machine does not have the runtime.
        """
        limit = pixels_at_once(torch.device("cpu"), self.options.tile)
        server.load(self._patchers, BYTES_PER_PIXEL * min(width * height, limit))
        if self._interpolator is None:
            self._interpolator = Interpolator.from_options(
                self.options, vfi=self._vfi, mask=self._mask, device=self._device
            )
        interpolator = self._interpolator
        interpolator.at_once = pixels_at_once(self._device, self.options.tile)
        try:
            with server.watching(interpolator.runtime != "compile") as watch, torch.inference_mode():
                yield interpolator, watch
        finally:
            interpolator.paint(None, None)
