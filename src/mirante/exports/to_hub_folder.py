"""A folder as the Hugging Face Hub expects it: the card as README.md with its metadata, weights, graph, and what they take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mirante import runfolder
from mirante.evaluation.card_text import short_name
from mirante.exports.form import ANY_SIZE, Job, Written
from mirante.files import write_bytes, write_json, write_text
from mirante.locale import language
from mirante.model_info import ModelInfo
from mirante.run import Run

_ATTRIBUTES = "*.onnx filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"

_USE = """

```python
# pip install onnxruntime pillow numpy
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model-any-size.onnx")
image = np.asarray(ImageOps.exif_transpose(Image.open("image.jpg")).convert("{mode}"), dtype=np.uint8){axis}
names = [one.name for one in session.get_outputs()]
answers = dict(zip(names, session.run(names, {{"images": image[None]}})))
probabilities = answers["probabilities"][0]
CLASSES = {classes}
print({answer})
```

{takes}
"""


def _public_recipe(run: Run) -> str:
    """Return recipe.toml with the last part of every path: the folders above are private."""
    import tomli_w

    values = {table: dict(fields) for table, fields in run.settings.items()}
    for table, names in (("data", ("location", "labels", "root")), ("recipe", ("weights",))):
        for name in names:
            if values[table].get(name):
                values[table][name] = short_name(values[table][name])
    return tomli_w.dumps(values)


def write(job: Job) -> Written:
    """Write the folder. Raises as `write_hub` does."""
    write_hub(job.run, job.info, job.any_size.SerializeToString(), job.folder)
    return job.any_size_written()


def write_hub(run: Run, info: ModelInfo, any_size: bytes, folder: Path) -> None:
    """Write the folder; `any_size` is the graph that takes any size. Raises RunError when the run lacks a file."""
    card = run.card.rstrip()
    use = _USE.format(
        mode="L" if info.channels == 1 else "RGB",
        axis="[:, :, None]" if info.channels == 1 else "",
        classes=json.dumps(list(info.classes), ensure_ascii=False),
        answer=info.asks.in_python(info),
        takes=info.takes(language("en")),
    )
    write_text(folder / "README.md", card + use)
    write_text(folder / ".gitattributes", _ATTRIBUTES)
    write_bytes(folder / ANY_SIZE, any_size)
    for name in (runfolder.ONNX, runfolder.WEIGHTS, runfolder.MODEL, runfolder.METRICS):
        shutil.copyfile(run.file(name), folder / name)
    write_text(folder / runfolder.RECIPE, _public_recipe(run))
    names = {str(number): name for number, name in enumerate(info.classes)}
    config = {
        "model_type": "mirante",
        "layers": info.layers,
        "num_labels": len(names),
        "id2label": names,
        "label2id": {name: int(number) for number, name in names.items()},
    }
    write_json(folder / "config.json", config)
    size = {"height": info.height, "width": info.width}
    preprocessing = {"do_resize": True, "size": size, "resample": 2, "fit": info.fit, "do_rescale": True,
                     "rescale_factor": 1 / 255, "channels": info.channels, "window": info.window, "page": info.page}  # fmt: skip
    write_json(folder / "preprocessor_config.json", preprocessing)
