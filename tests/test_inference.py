"""The Open Inference Protocol, spoken with a client that others wrote, and what it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as tritonclient
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving import Server, serving

from mirante.prediction.model import Model


@pytest.fixture(scope="module")
def server(shapes_run: tuple[Path, Path]) -> Iterator[Server]:
    with serving(shapes_run[0], "--max-images", "8") as running:
        yield running


@pytest.fixture(scope="module")
def model(shapes_run: tuple[Path, Path]) -> Model:
    return Model(shapes_run[0])


@pytest.fixture(scope="module")
def pictures(shapes_run: tuple[Path, Path]) -> list[Path]:
    return [shapes_run[1] / kind / "005.png" for kind in ("disc", "bar")]


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    made = tritonclient.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield made
    made.close()


def test_tritons_client_finds_the_server_and_its_model(client: Any, server: Server, model: Model) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("run")
    assert not client.is_model_ready("another") and not client.is_model_ready("run", "another")
    assert client.get_server_metadata()["name"] == "mirante"
    told = client.get_model_metadata("run")
    inputs = {one["name"]: (one["datatype"], one["shape"]) for one in told["inputs"]}
    assert inputs == {"images": ("UINT8", [-1, *model.info.shape]), "files": ("BYTES", [-1])}
    assert told["versions"] == [server.ask("GET", "/v1/models/run")[2]["version"]]
    assert client.is_model_ready("run", told["versions"][0])
    outputs = {one["name"]: (one["datatype"], one["shape"]) for one in told["outputs"]}
    assert outputs["probabilities"] == ("FP32", [-1, 3]) and outputs["answer"] == ("BYTES", [-1])


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("sent", ["images", "files"])
def test_tritons_client_gets_what_the_model_answers(
    client: Any, model: Model, pictures: list[Path], sent: str, binary: bool
) -> None:
    pixels = np.stack([model.pixels(picture) for picture in pictures])
    if sent == "images":
        asked = tritonclient.InferInput("images", list(pixels.shape), "UINT8")
        asked.set_data_from_numpy(pixels, binary_data=binary)
    else:
        asked = tritonclient.InferInput("files", [len(pictures)], "BYTES")
        contents = [picture.read_bytes() for picture in pictures]
        told = contents if binary else [base64.b64encode(one) for one in contents]
        asked.set_data_from_numpy(np.array(told, object), binary_data=binary)
    names = [one["name"] for one in client.get_model_metadata("run")["outputs"]]
    outputs = [tritonclient.InferRequestedOutput(name, binary_data=binary) for name in names]
    found = client.infer("run", [asked], outputs=outputs, request_id="one")
    wanted = model.run(pixels)
    assert found.as_numpy("probabilities") == pytest.approx(wanted.probabilities, abs=1e-5)
    assert ("ood_score" in names) == ("ood_score" in wanted.values)
    if "ood_score" in names:
        assert found.as_numpy("ood_score") == pytest.approx(wanted.ood_scores, abs=1e-5)
    answers = [json.loads(one) for one in found.as_numpy("answer").ravel()]
    assert [one["label"] for one in answers] == [model.predict(picture).label for picture in pictures]
    assert found.get_response()["id"] == "one" and found.get_response()["model_name"] == "run"


def test_what_is_not_named_among_the_outputs_is_not_sent(client: Any, model: Model, pictures: list[Path]) -> None:
    asked = tritonclient.InferInput("images", [1, *model.info.shape], "UINT8")
    asked.set_data_from_numpy(model.pixels(pictures[0])[None])
    found = client.infer("run", [asked], outputs=[tritonclient.InferRequestedOutput("probabilities")])
    assert [one["name"] for one in found.get_response()["outputs"]] == ["probabilities"]
    every = client.infer("run", [asked], parameters={"coverage": 0.5})
    assert len(json.loads(every.as_numpy("answer")[0])["prediction_set"]) >= 1


def infer(server: Server, body: Any) -> tuple[int, Any]:
    status, _, told = server.ask("POST", "/v2/models/run/infer", json.dumps(body).encode(), "application/json")
    return status, told


def files(*data: str) -> dict[str, Any]:
    return {"name": "files", "datatype": "BYTES", "shape": [len(data)], "data": list(data)}


def test_a_wrong_request_is_refused_in_one_sentence(server: Server, model: Model, pictures: list[Path]) -> None:
    good = base64.b64encode(pictures[0].read_bytes()).decode()
    pixels = {"name": "images", "datatype": "UINT8", "shape": [1, *model.info.shape]}
    size = int(np.prod(model.info.shape))
    assert infer(server, {"inputs": [files(good)]})[0] == 200
    for body, said in (
        ([], "must begin with a JSON object"),
        ({}, "One input is needed"),
        ({"inputs": [files(good), files(good)]}, "One input is needed"),
        ({"inputs": [{**files(good), "name": "input_1"}]}, "no input 'input_1'"),
        ({"inputs": [{**files(good), "datatype": "FP32"}]}, "has the datatype BYTES"),
        ({"inputs": [{**files(good), "shape": [2]}]}, "hold 1 files; their shape says 2"),
        ({"inputs": [{**files(good), "shape": [True]}]}, "shape of files is [N]"),
        ({"inputs": [files("%")]}, "image files in base64"),
        ({"inputs": [files(good, "AAAA")]}, "File 2 of this request"),
        ({"inputs": [{**pixels, "data": [0] * (size - 1)}]}, "numbers; their shape says"),
        ({"inputs": [{**pixels, "data": [0.5] * size}]}, "whole numbers from 0 to 255"),
        ({"inputs": [{**pixels, "data": [256] * size}]}, "whole numbers from 0 to 255"),
        ({"inputs": [{**pixels, "data": [[0], [0, 1]]}]}, "whole numbers from 0 to 255"),
        ({"inputs": [{**pixels, "data": [[0] * size]}]}, "nested otherwise"),
        ({"inputs": [files(good)], "id": "\ud800"}, "id must be a text"),
        (
            {"inputs": [files(good)], "outputs": [{"name": "answer", "parameters": {"classification": 2}}]},
            "not offered",
        ),
        ({"inputs": [{**pixels, "shape": [1, 8, 8, 3], "data": []}]}, "The shape of images is [N, "),
        ({"inputs": [files(good)], "outputs": [{"name": "logits"}]}, "no output 'logits'"),
        ({"inputs": [files(good)], "outputs": ["answer"]}, "outputs must be"),
        ({"inputs": [files(good)], "parameters": {"coverage": 2}}, "coverage must be"),
        ({"inputs": [files(good)], "parameters": [1]}, "parameters must be"),
        ({"inputs": [files(good)], "id": 7}, "id must be a text"),
        ({"inputs": [{**files(good), "parameters": {"binary_data_size": 9}}]}, "binary_data_size must be"),
    ):
        status, told = infer(server, body)
        assert status == 400 and said in told["error"], (body, status, told)
    assert infer(server, {"inputs": [files(*[good] * 9)]})[0] == 413
    assert server.ask("POST", "/v2/models/run/versions/0/infer", b"{}", "application/json")[0] == 404


@settings(max_examples=60, deadline=None)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["inputs", "name", "shape", "data", "parameters", "outputs", "id"]), inner
            )
        ),
    )
)
def test_no_body_breaks_it(server: Server, body: Any) -> None:
    assert infer(server, body)[0] == 400
