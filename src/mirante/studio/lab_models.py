"""The graphs that the site's laboratory fills with what was learned in the page: Mirante's own, so that `mirante predict` takes them.

Each is a whole model.onnx with numbers in the places of its weights and room in the places of its names. The page writes weights
where they belong, byte by byte, and the names of the classes into the metadata, which keeps its length: spaces fill it up.
"""

from __future__ import annotations

import base64
import json
from typing import Any

LAYERS = "8C3-MP2-16C3-MP2-32N"
_ROOM = 256  # bytes for the name of a class: 40 letters, however they are written


def lab_models() -> dict[str, Any]:
    """Return for ten digits (16×16, grey) and for two classes of one's own (32×32, colour) what lab.js fills."""
    return {"digits": _model((16, 16, 1), 10), "own": _model((32, 32, 3), 2)}


def _model(shape: tuple[int, int, int], classes: int) -> dict[str, Any]:
    import torch

    from mirante.model.export import build_onnx, with_calibration
    from mirante.model.network import build_network
    from mirante.model_info import ModelInfo

    height, width, channels = shape
    names = tuple(f"{number:0{_ROOM}}" for number in range(classes))
    info = ModelInfo("classify", names, height, width, 3 if channels == 3 else 1, "crop", LAYERS, (classes,))
    torch.manual_seed(0)
    network = build_network(LAYERS, shape, (classes,))
    for weight in network.parameters():
        torch.nn.init.normal_(weight)  # so that each is found by its bytes
    content = with_calibration(build_onnx(network, info), info).SerializeToString()
    weights = []
    for weight in network.parameters():
        values = weight.detach().numpy()
        places = [(one, content.find(array.tobytes())) for one, array in ((False, values), (True, values.T.copy()))]
        turned, place = next(found for found in places if found[1] >= 0)
        weights.append({"shape": list(values.shape), "at": place, "turned": turned and values.ndim == 2})
    text = info.to_json().encode()
    at = content.find(text)
    assert at >= 0 and all(content.count(one.encode()) == 1 for one in names[:1])
    return {
        "onnx": base64.b64encode(content).decode(),
        "weights": weights,  # kernels (out, in, K, L), biases, dense layers (out, in): in the order of the layers
        "info": {"at": at, "length": len(text), "value": json.loads(text)},
        "shape": list(shape),
    }
