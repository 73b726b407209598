"""The Open Inference Protocol, version 2, that KServe, Triton and others speak: requests as images, answers as tensors.

A model takes one of two inputs: `images`, pixels as model.onnx takes them (UINT8), or `files`, whole image files (BYTES, in base64
where they stand in JSON). It answers with `probabilities`, with `ood_score` where it has one, and with `answer`, which is what
/v1 says of each image, as JSON. Tensors stand in the JSON or, in Triton's binary form, after it.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.responses import Response

import mirante
from mirante.files import to_json
from mirante.images import Pixels
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import OnnxModel, Output
from mirante.serving.body import Sent
from mirante.serving.settings import Settings
from mirante.task import Answer

LENGTH = "inference-header-content-length"
_IMAGES, _FILES, _ANSWER = "images", "files", "answer"
SERVER: dict[str, object] = {"name": "mirante", "version": mirante.__version__, "extensions": ["binary_tensor_data"]}


@dataclass(frozen=True)
class Asked:
    """A request: its images as pixels or as files, and the outputs that are wanted, name → whether in binary form."""

    id: str | None
    pixels: Pixels | None
    files: list[Sent] | None
    outputs: dict[str, bool]
    coverage: Any

    def __len__(self) -> int:
        return len(self.files) if self.files is not None else 0 if self.pixels is None else len(self.pixels)


def metadata(name: str, version: str, model: OnnxModel) -> dict[str, object]:
    """Return what the protocol says of a model: its inputs, of which one is sent, and its outputs."""
    info, sides = model.info, {"probabilities": model.info.output, "ood_score": (), _ANSWER: ()}
    inputs = [_tensor(_IMAGES, "UINT8", [-1, *info.shape]), _tensor(_FILES, "BYTES", [-1])]
    outputs = [_tensor(one, "BYTES" if one == _ANSWER else "FP32", [-1, *sides[one]]) for one in _known(model)]
    return {"name": name, "versions": [version], "platform": "mirante_onnx", "inputs": inputs, "outputs": outputs}


def _known(model: OnnxModel) -> list[str]:
    return [*(one for one in ("probabilities", "ood_score") if one in model.outputs), _ANSWER]


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape}


def read(body: bytes, length: str | None, model: OnnxModel, settings: Settings) -> Asked:
    """Return what a body asks for. Raises HTTPException: 400 for what is not understood, 413 for too many images.

    length   of the JSON at its beginning, where tensors follow in binary form
    """
    try:
        end = len(body) if length is None else int(length)
        asked = json.loads(body[:end]) if 0 <= end <= len(body) else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise _refused("The body is not a request of the inference protocol: it must begin with a JSON object.")
    info, inputs, parameters = model.info, asked.get("inputs"), _parameters(asked)
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _refused(f"One input is needed: {_IMAGES} (pixels) or {_FILES} (image files).")
    (sent,) = inputs
    binary, rest = _parameters(sent).get("binary_data_size"), body[end:]
    if binary is not None and (type(binary) is not int or binary != len(rest)):
        raise _refused("binary_data_size must be the number of bytes after the JSON.")
    count = _count(sent, info)
    if count > settings.max_images:
        raise HTTPException(413, f"{count} images; up to {settings.max_images} are accepted in one request.")
    name = asked.get("id")
    if not isinstance(name, str | None) or not (name or "").isprintable():
        raise _refused("id must be a text.")
    data = rest if binary is not None else sent.get("data")
    pixels = _pixels(data, (count, *info.shape)) if sent["name"] == _IMAGES else None
    files = _files(data, count) if sent["name"] == _FILES else None
    outputs = _outputs(asked.get("outputs"), _known(model), bool(parameters.get("binary_data_output", False)))
    return Asked(name, pixels, files, outputs, parameters.get("coverage"))


def reply(asked: Asked, name: str, version: str, found: Output, told: Sequence[Answer]) -> Response:
    """Return the answer to a request: what the network found, and what is told of it."""
    answers = [to_json({key: value for key, value in one.to_dict().items() if key != "path"}, None) for one in told]
    outputs, after = [], b""
    for output, binary in asked.outputs.items():
        if output == _ANSWER:
            described = _tensor(output, "BYTES", [len(answers)])
            content = b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in answers)
            plain: list[Any] = answers
        else:
            values = np.ascontiguousarray(found.values[output], "<f4")
            described, content = _tensor(output, "FP32", list(values.shape)), values.tobytes()
            plain = values.ravel().tolist()
        if binary:
            described["parameters"] = {"binary_data_size": len(content)}
            after += content
        else:
            described["data"] = plain
        outputs.append(described)
    value: dict[str, object] = {"model_name": name, "model_version": version, "outputs": outputs}
    if asked.id is not None:
        value["id"] = asked.id
    head = to_json(value, None).encode()
    if not any(asked.outputs.values()):
        return Response(head, media_type="application/json")
    return Response(head + after, headers={LENGTH: str(len(head))}, media_type="application/octet-stream")


def _count(sent: Mapping[str, Any], info: ModelInfo) -> int:
    """Return how many images an input says that it has; raises HTTPException where its form is not that of the model."""
    name, shape = sent.get("name"), sent.get("shape")
    kinds = {_IMAGES: ("UINT8", list(info.shape)), _FILES: ("BYTES", [])}
    if name not in (_IMAGES, _FILES):
        raise _refused(f"There is no input {str(name)[:100]!r}; it is {_IMAGES} (pixels) or {_FILES} (image files).")
    datatype, sides = kinds[name]
    if sent.get("datatype") != datatype:
        raise _refused(f"The input {name} has the datatype {datatype}.")
    sound = isinstance(shape, list) and all(type(one) is int for one in shape)
    if not sound or not isinstance(shape, list) or shape[1:] != sides or not shape or shape[0] < 1:
        raise _refused(f"The shape of {name} is [{', '.join(['N', *map(str, sides)])}], for N images.")
    return int(shape[0])


def _pixels(data: object, shape: tuple[int, ...]) -> Pixels:
    size = math.prod(shape)
    if isinstance(data, bytes):
        values = np.frombuffer(data, np.uint8)
    else:
        try:
            found = np.array(data)
        except (ValueError, OverflowError) as error:  # rows of different lengths
            raise _refused(f"The data of {_IMAGES} are whole numbers from 0 to 255, row by row.") from error
        if found.ndim != 1 and found.shape != shape:
            raise _refused(f"The data of {_IMAGES} are nested otherwise than their shape says.")
        if found.dtype.kind not in "iu" or (found.size and not 0 <= found.min() <= found.max() <= 255):
            raise _refused(f"The data of {_IMAGES} are whole numbers from 0 to 255, row by row.")
        values = found.ravel().astype(np.uint8)
    if values.size != size:
        raise _refused(f"The data of {_IMAGES} hold {values.size:,} numbers; their shape says {size:,}.")
    return values.reshape(shape)


def _files(data: object, count: int) -> list[Sent]:
    found = []
    if isinstance(data, bytes):
        at = 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            if at + 4 + size > len(data):
                raise _refused(f"The data of {_FILES} end within a file; each begins with its length in 4 bytes.")
            found.append(Sent(data[at + 4 : at + 4 + size]))
            at += 4 + size
    else:
        if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
            raise _refused(f"The data of {_FILES} are image files in base64.")
        try:
            found = [Sent(base64.b64decode(one, validate=True)) for one in data]
        except (binascii.Error, ValueError) as error:
            raise _refused(f"The data of {_FILES} are image files in base64.") from error
    if len(found) != count:
        raise _refused(f"The data of {_FILES} hold {len(found)} files; their shape says {count}.")
    return found


def _outputs(wanted: object, known: list[str], binary: bool) -> dict[str, bool]:
    """Return the outputs that are wanted, all of them where none is named, and whether each in binary form."""
    if wanted is None or wanted == []:
        return dict.fromkeys(known, binary)
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise _refused("outputs must be a list of objects with a name.")
    for one in wanted:
        if {"classification", "shared_memory_region"} & _parameters(one).keys():
            raise _refused("Classification and shared memory are not offered; ask for the output answer.")
        if one.get("name") not in known:
            raise _refused(f"There is no output {str(one.get('name'))[:100]!r}; there are {', '.join(known)}.")
    return {one["name"]: bool(_parameters(one).get("binary_data", binary)) for one in wanted}


def _parameters(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    found = holder.get("parameters") or {}
    if not isinstance(found, dict):
        raise _refused("parameters must be an object.")
    return found


def _refused(sentence: str) -> HTTPException:
    return HTTPException(400, sentence)
