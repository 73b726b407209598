"""The same model.onnx behind LitServe: decode and resize as its user would write it, batches of up to 64.

python litserve_side.py MODEL.onnx PORT
"""

# no `from __future__ import annotations`: LitServe looks at the types of decode_request
import io
import json
import sys

import litserve as ls
import numpy as np
import onnxruntime
from fastapi import Request, Response
from PIL import Image, ImageOps


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        self.info = json.loads(self.session.get_modelmeta().custom_metadata_map["mirante"])

    def decode_request(self, request: Request) -> np.ndarray:
        image = Image.open(io.BytesIO(request["file"].file.read())).convert("RGB")
        return np.asarray(ImageOps.fit(image, (self.info["width"], self.info["height"]), Image.Resampling.BILINEAR))

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"images": batch})[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(json.dumps(output.tolist()), media_type="application/json")


if __name__ == "__main__":
    try:
        api = Api(max_batch_size=64, batch_timeout=0.005)
        server = ls.LitServer(api, accelerator="cpu")
    except TypeError:
        server = ls.LitServer(Api(), accelerator="cpu", max_batch_size=64, batch_timeout=0.005)
    server.run(port=int(sys.argv[2]), generate_client_file=False, log_level="error")
