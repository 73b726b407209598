"""A folder with a page that classifies: opened from the disk, without a server or a network, in any browser.

The page is Mirante's; the runtime is onnxruntime-web, which npm brings once and the cache keeps. Model and runtime lie beside the
page as scripts of base64 text, because a page opened from disk may load scripts and nothing else.
"""

from __future__ import annotations

import base64
import json
import tarfile
from importlib import resources
from pathlib import Path

import mirante
from mirante.errors import RequestError
from mirante.exports.form import Job, Written
from mirante.exports.npm import fetch_packages
from mirante.files import write_text
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.places import cache_folder
from mirante.templates import environment

_PACKAGE = "onnxruntime-web@^1.20.0"
_MODULE, _WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"


def write(job: Job) -> Written:
    """Write the page. Raises as `write_web` does."""
    write_web(job.run.name, job.info, job.any_size.SerializeToString(), job.folder, job.runtime, job.say)
    return job.any_size_written()


def write_web(name: str, info: ModelInfo, model: bytes, folder: Path, runtime: str | None, say: Language) -> None:
    """Write the page and everything that it loads.

    model    the graph that takes any size (mirante.exports.any_size)
    runtime  a package of onnxruntime-web (.tgz) on disk; None takes the cached one, or has npm fetch it

    Raises RequestError when no runtime can be had.
    """
    module, wasm = _runtime(runtime)
    room = resources.files("mirante.exports") / "web"
    words = {
        "code": "pt-BR" if say.code == "pt" else "en",
        "unsure": say("unsure"),
        "none": say("none of these"),
        "strange": say("It looks unlike any training image: probably none of these classes."),
        "unreadable": say("This file cannot be shown as an image."),
        "large": say("More than 120 megapixels."),
        "camera": say("Use the camera"),
        "stop": say("Stop the camera"),
        "noCamera": say("There is no camera that this page can use."),
        "failed": say("The model could not be opened."),
    }
    template = environment("mirante.exports/web").get_template("index.html.j2")
    footer = say("Made by Mirante {version}. Runs on onnxruntime-web (MIT licence).", version=mirante.__version__)
    page = template.render(
        say=say, name=name, lead=info.asks.web_lead(info, say), footer=footer, words=_Script(_json(words))
    )
    write_text(folder / "index.html", page + "\n")
    for file in ("style.css", "app.js"):
        write_text(folder / file, (room / file).read_text(encoding="utf-8"))
    scripts = (resources.files(one) / "web.js" for one in info.asks.packages)
    write_text(folder / "task.js", "\n".join(one.read_text(encoding="utf-8") for one in scripts if one.is_file()))
    write_text(
        folder / "model.js",
        f"const MIRANTE_MODEL = {_json({'info': json.loads(info.to_json()), 'onnx': _text(model)})};\n",
    )
    write_text(
        folder / "runtime.js", f"const MIRANTE_RUNTIME = {_json({'module': _text(module), 'wasm': _text(wasm)})};\n"
    )


class _Script(str):
    """JSON that goes into a script unescaped."""

    def __html__(self) -> str:
        return self


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _runtime(given: str | None) -> tuple[bytes, bytes]:
    """Return onnxruntime-web's module and its WebAssembly."""
    kept = cache_folder() / "onnxruntime-web.tgz"
    path = kept if given is None else Path(given).expanduser()
    if given is None and not kept.exists():
        (package,) = fetch_packages([_PACKAGE], kept.parent, "onnxruntime-web", "--to web", "--runtime FILE.tgz")
        package.replace(kept)
    try:
        with tarfile.open(path) as archive:
            found = [archive.extractfile(name) for name in (_MODULE, _WASM)]
            module, wasm = (file.read() for file in found if file is not None)
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        if given is None:
            kept.unlink(missing_ok=True)
        raise RequestError(
            f"{path}: not a package of onnxruntime-web 1.20 or newer; `npm pack onnxruntime-web` creates one."
        ) from error
    return module, wasm
