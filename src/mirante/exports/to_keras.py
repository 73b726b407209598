"""model.keras: a network of the notation as a Keras 3 model, from uint8 pixels (N, height, width, channels) to probabilities."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from mirante.errors import RequestError, RunError
from mirante.exports.form import Answers, Job, Written
from mirante.files import write_file
from mirante.images import Pixels
from mirante.model.notation import Layer, Shape, has_layers, parse_layers
from mirante.model_info import ModelInfo
from mirante.places import cache_folder

Weights = dict[str, NDArray[np.float32]]


def import_keras() -> Any:
    """Return Keras, on torch unless a person chose another backend. Raises RequestError when it is not installed."""
    if find_spec("keras") is None:
        raise RequestError("--to keras needs one more package; pip install 'mirante[keras]'.")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(cache_folder() / "keras"))  # it writes its settings when it is imported
    import keras

    return keras


def write(job: Job) -> Written:
    """Write model.keras. Raises as `write_keras` does."""
    return Written(job.difference(write_keras(job.info, job.weights, job.folder / "model.keras")))


def write_keras(info: ModelInfo, weights: Path, path: Path) -> Answers:
    """Write the model at `path`, and return what the written file answers.

    Calibration is folded into the last layer, so it answers with calibrated probabilities. Raises RequestError for a network
    that is not a line of layers.
    """
    keras = import_keras()
    if not has_layers(info.layers):
        raise RequestError(
            f"{info.layers}: only a line of layers can become a Keras model; --to torch and --to onnx take others."
        )
    try:
        tensors = load_file(weights)
    except Exception as error:
        raise RunError(f"{weights}: missing or damaged; train the model again.") from error
    layers = parse_layers(info.layers, info.shape, info.output)
    body = _body(keras, layers, info.shape, info, tensors)
    images = keras.Input(info.shape, dtype="uint8", name="images")
    pixels = keras.layers.Rescaling(1 / 255, name="pixels")(images)
    logits = body(pixels)
    if info.flip_tta:
        mirrored = body(keras.ops.flip(pixels, axis=2))
        logits = keras.layers.Average(name="mirror")([logits, mirrored])
    answer = keras.layers.Activation(info.asks.activation, name="probabilities")(logits)
    model = keras.Model(images, answer, name="mirante")

    def write(part: Path) -> None:
        named = part.with_suffix(".keras")  # Keras goes by the ending
        model.save(named)
        named.replace(part)

    write_file(path, write)
    loaded = keras.models.load_model(path, compile=False)

    def answers(pixels: Pixels) -> NDArray[np.floating]:
        found: NDArray[np.floating] = loaded.predict(pixels, batch_size=64, verbose=0)
        return found

    return answers


def _body(keras: Any, layers: tuple[Layer, ...], shape: Shape, info: ModelInfo, tensors: Weights) -> Any:
    """Return the model from pixels 0 to 1 to calibrated logits, with the weights put in."""
    inside = keras.Input(shape, name="scaled")
    value, before = inside, shape
    flattened: Shape | None = None
    last_dense = max(number for number, layer in enumerate(layers) if layer.kind == "dense")
    for number, layer in enumerate(layers):
        own = {
            name.removeprefix(f"body.{number}."): one
            for name, one in tensors.items()
            if name.startswith(f"body.{number}.")
        }
        if layer.kind == "attention":
            value = _attention(keras, value, layer, before, own)
        elif layer.kind == "dense":
            kernel, bias = own["weight"].T, own["bias"]
            if flattened is not None:  # torch flattens channels first, Keras last
                height, width, channels = flattened
                kernel = kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(len(kernel), -1)
                flattened = None
            if number == last_dense:
                scales, shifts = (np.tile(one, len(bias) // len(one)) for one in info.calibration)
                kernel, bias = kernel * scales, bias * scales + shifts
            dense = keras.layers.Dense(len(bias), name=f"dense_{number}")
            value = dense(value)
            dense.set_weights([kernel, bias])
        else:
            made = _plain(keras, layer, number)
            if layer.kind == "flatten":
                flattened = before
            if layer.padding:
                value = keras.layers.ZeroPadding2D(layer.padding, name=f"padding_{number}")(value)
            value = made(value)
            if layer.kind in ("conv", "whiten"):
                made.set_weights([own["weight"].transpose(2, 3, 1, 0), own["bias"]])
                made.trainable = layer.kind == "conv"
            elif layer.kind == "batchnorm":
                made.set_weights([own[name] for name in ("weight", "bias", "running_mean", "running_var")])
        before = layer.output
    return keras.Model(inside, value, name="network")


def _plain(keras: Any, layer: Layer, number: int) -> Any:
    """Return the Keras layer for one that Keras has too."""
    make = keras.layers
    name = f"{layer.kind}_{number}"
    match layer.kind:
        case "conv" | "whiten":
            return make.Conv2D(layer.units, layer.kernel, layer.stride, name=name)
        case "maxpool":
            return make.MaxPooling2D(layer.kernel, layer.stride, name=name)
        case "avgpool":
            return make.AveragePooling2D(layer.kernel, layer.stride, name=name)
        case "gap":
            return make.GlobalAveragePooling2D(name=name)
        case "gmp":
            return make.GlobalMaxPooling2D(name=name)
        case "flatten":
            return make.Flatten(name=name)
        case "reshape":
            return make.Reshape(layer.output, name=name)
        case "batchnorm":
            return make.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)
        case "dropout":
            return make.Dropout(layer.rate, name=name)
        case "relu":
            return make.ReLU(name=name)
        case _:
            return make.Activation("gelu", name=name)


def _attention(keras: Any, value: Any, layer: Layer, before: Shape, own: Weights) -> Any:
    """Return weighted averages: a score and a bias for each place, a softmax over the places, and the mean that these weigh."""
    height, width, channels = before
    score = keras.layers.EinsumDense(
        "bhwc,ck->bhwk", output_shape=(height, width, layer.units), bias_axes="hwk", name="attention_score"
    )
    weights = keras.layers.Reshape((height * width, layer.units))(score(value))
    score.set_weights([own["score.weight"][:, :, 0, 0].T, own["place"].transpose(1, 2, 0)])
    weights = keras.layers.Softmax(axis=1, name="attention")(weights)
    means = keras.layers.Dot(axes=1)([weights, keras.layers.Reshape((height * width, channels))(value)])
    return means if len(layer.output) == 2 else keras.layers.Flatten()(means)
