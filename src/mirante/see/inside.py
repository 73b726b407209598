"""What happens inside a trained model: the value after each layer, and its kernels, read from model.onnx.

The numbers are those of the deliverable itself, in ONNX Runtime; torch is not needed. Feature maps are (C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.errors import RequestError, RunError
from mirante.images import Pixels
from mirante.model.notation import Shape, has_layers, parse_layers
from mirante.model_info import ModelInfo
from mirante.onnx_session import open_session, parts_of

if TYPE_CHECKING:
    from mirante.prediction.onnx_model import Picture

Values = NDArray[np.float32]

# the nodes of the graph that each kind of layer becomes (mirante.model.export)
_NODES = {
    "conv": ("Conv",), "whiten": ("Conv",), "dense": ("Gemm",), "maxpool": ("MaxPool",), "avgpool": ("AveragePool",),
    "gap": ("GlobalAveragePool", "Flatten"), "gmp": ("GlobalMaxPool", "Flatten"), "flatten": ("Flatten",),
    "attention": ("Softmax", "MatMul", "Reshape"), "reshape": (),
    "batchnorm": ("BatchNormalization",), "relu": ("Relu",), "gelu": ("Gelu",), "dropout": (),
}  # fmt: skip
_TRACED_ACTIVATIONS = ("Relu", "Clip", "Gelu", "Sigmoid", "HardSwish", "Mul")


@dataclass(frozen=True)
class Stage:
    """One place to look at in the network: the name of its value in the graph, and the words for it.

    word   of the notation with its activation, or the operator's name and number
    shape  (height, width, channels) or (neurons,), where it is known without running
    """

    value: str
    word: str
    shape: Shape = ()


@dataclass(frozen=True)
class Kernels:
    """The weights of one convolution, (kernels, channels, K, L)."""

    word: str
    weights: Values


def require_one_answer(info: ModelInfo) -> None:
    """Raise RunError for a model with several answers per image, such as the letters of a text."""
    if len(info.output) > 1:
        raise RunError(
            f"A model of the task {info.task} has several answers per image; paths and heat maps show one. See its report."
        )


class Inside:
    """A Mirante model opened up: `stages` names the places, `look` gives the values at them for one image."""

    def __init__(self, run: str | Path) -> None:
        """Open a run or a model.onnx; raises RunError when there is no model, or it is damaged."""
        import onnx

        path = Path(run).expanduser()
        if path.is_dir() or not path.exists():
            path = runfolder.require_file(path, runfolder.ONNX)
        try:
            self._model = onnx.load_model(str(path))
            properties = {item.key: item.value for item in self._model.metadata_props}
            self.info = ModelInfo.from_json(properties["mirante"], str(path))
        except RunError:
            raise
        except Exception as error:  # protobuf and the file system raise a different exception for each defect
            raise RunError(f"{path}: not a Mirante model that can be opened; train it again.") from error
        self.stages = tuple(self._find_stages())
        self._session: Any = None

    def look(self, pixels: Pixels) -> list[Values]:
        """Return the value at each stage, (C, H, W) or (neurons,), for one image uint8 (height, width, channels).

        Where the model also looks at the mirror image, the values are those of the image itself.
        """
        found = self._run(pixels, [stage.value for stage in self.stages])
        return [value[0] for value in found]

    def features(self, images: Pixels) -> Values:
        """Return what the last stage gives, (N, features), for images uint8 (N, height, width, channels); maps are averaged."""
        session = self._open_once()
        found = []
        for part in parts_of(len(images), self.info.size):
            batch = np.ascontiguousarray(images[part])
            value: Values = session.run([self.stages[-1].value], {"images": batch})[0][: len(batch)]
            found.append(value if value.ndim == 2 else value.mean((2, 3)))
        return np.concatenate(found)

    def probabilities(self, pixels: Pixels) -> Values:
        """Return the answer (classes,) for one image uint8 (height, width, channels). Raises RunError as `require_one_answer`."""
        require_one_answer(self.info)
        answer: Values = self._run(pixels, ["probabilities"])[0][0]
        return answer

    def pixels(self, picture: Picture) -> Pixels:
        """Return an image as the network takes it. Raises ImageError."""
        from mirante.images import read_image

        return read_image(picture, self.info.size, self.info.channels, self.info.fit, self.info.rendering)

    def kernels(self) -> list[Kernels]:
        """Return the kernels of every convolution, first to last."""
        from onnx import numpy_helper

        weights = {one.name: one for one in self._model.graph.initializer}
        found: list[Kernels] = []
        words = iter(stage.word for stage in self.stages if _is_convolution(stage.word))
        for node in self._model.graph.node:
            if node.op_type == "Conv" and node.input[1] in weights:
                word = next(words, "") if has_layers(self.info.layers) else ""
                found.append(Kernels(word or f"Conv {len(found) + 1}", numpy_helper.to_array(weights[node.input[1]])))
        return found

    def choose(self, layer: str | None) -> int:
        """Return the number of the stage meant by '3' (counted from 1) or by its word; None is the first.

        Raises RequestError.
        """
        if layer is None:
            return 0
        if layer.isdigit() and 1 <= int(layer) <= len(self.stages):
            return int(layer) - 1
        for number, stage in enumerate(self.stages):
            if layer in (stage.word, stage.word.partition(" ")[0]):
                return number
        names = ", ".join(f"{number} {stage.word}" for number, stage in enumerate(self.stages, 1))
        raise RequestError(f"--layer {layer}: choose one of {names}.")

    def _run(self, pixels: Pixels, values: list[str]) -> list[Values]:
        found: list[Values] = self._open_once().run(values, {"images": np.ascontiguousarray(pixels[None])})
        return found

    def _open_once(self) -> Any:
        if self._session is not None:
            return self._session
        from onnx import TensorProto, helper

        named = {output.name for output in self._model.graph.output}
        for stage in self.stages:
            if stage.value not in named:
                # no shape given: ONNX Runtime infers it
                self._model.graph.output.append(helper.make_tensor_value_info(stage.value, TensorProto.FLOAT, None))
        self._session = open_session(self._model.SerializeToString())
        return self._session

    def _find_stages(self) -> list[Stage]:
        nodes = list(self._model.graph.node)
        if not has_layers(self.info.layers):
            return self._traced_stages()
        layers = parse_layers(self.info.layers, self.info.shape, self.info.output)
        stages: list[Stage] = []
        at = next(number for number, node in enumerate(nodes) if node.op_type == "Transpose") + 1
        for number, layer in enumerate(layers):
            for operator in _NODES[layer.kind]:
                while nodes[at].op_type != operator:  # nodes for the mirror image lie in between
                    at += 1
                value = nodes[at].output[0]
                at += 1
            if layer.kind == "dropout" or (layer.kind in ("flatten", "attention") and number < len(layers) - 1):
                continue  # nothing new to see
            if layer.kind in ("relu", "gelu", "batchnorm") and stages:
                words = {"relu": "ReLU", "gelu": "GELU", "batchnorm": "BN"}
                said = (
                    stages[-1].word
                    if layer.kind == "relu" and not layer.word
                    else f"{stages[-1].word} {words[layer.kind]}"
                )
                stages[-1] = Stage(value, said, layer.output)
            elif number < len(layers) - 1:
                stages.append(Stage(value, layer.word, layer.output))
        return stages

    def _traced_stages(self) -> list[Stage]:
        """Return the convolutions of a traced graph, each after its activation if one follows."""
        follows = {node.input[0]: node for node in self._model.graph.node if node.input}
        stages: list[Stage] = []
        for node in self._model.graph.node:
            if node.op_type == "Conv":
                value = node.output[0]
                if value in follows and follows[value].op_type in _TRACED_ACTIVATIONS:
                    value = follows[value].output[0]
                stages.append(Stage(value, f"Conv {len(stages) + 1}"))
        if not stages:
            raise RunError(f"{self.info.layers}: this model has no convolution to look at.")
        return stages


def _is_convolution(word: str) -> bool:
    first = word.partition(" ")[0]
    return first.startswith("W") or ("C" in first and first[0].isdigit())
