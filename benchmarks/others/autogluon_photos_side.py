"""AutoGluon's image classifier on EfficientNet-Lite0 for a number of seconds. Prints a line of JSON.

python autogluon_photos_side.py FOLDER SECONDS SEED SIZE WEIGHTS     (FOLDER holds train/ and test/ with class folders)

WEIGHTS is a folder with pytorch_model.bin and config.json, as timm saves them for a hub. What AutoGluon does with the time, such as
the images that it holds out, is left to it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor

folder, seconds, seed, size, weights = (
    Path(sys.argv[1]),
    float(sys.argv[2]),
    int(sys.argv[3]),
    int(sys.argv[4]),
    sys.argv[5],
)


def table(split):
    files = sorted((folder / split).glob("*/*"))
    return pd.DataFrame({"image": [str(file) for file in files], "label": [file.parent.name for file in files]})


predictor = MultiModalPredictor(
    label="label", problem_type="multiclass", path=tempfile.mkdtemp(), validation_metric="accuracy", verbosity=0
)
hyperparameters = {
    "model.names": ["timm_image"],
    "model.timm_image.checkpoint_name": weights,
    "model.timm_image.image_size": size,
    "env.num_workers": 0,
    "env.num_workers_inference": 0,
    "env.num_gpus": 0,
    "env.precision": 32,
}
began = time.monotonic()
predictor.fit(table("train"), time_limit=seconds, hyperparameters=hyperparameters, seed=seed)
trained = time.monotonic() - began
print(json.dumps({"accuracy": predictor.evaluate(table("test"), metrics=["accuracy"])["accuracy"], "seconds": trained}))
