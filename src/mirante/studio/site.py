"""The learning pages as a folder of static files: any web server, or a USB stick, serves them, and nothing is fetched or sent.

The templates and modules are the studio's own. What a page opened from disk may not do is put differently: modules come as data in an
import map, since a browser loads none from disk, and the sample photo, the digits and TensorFlow.js come as scripts. One page is the
site's alone: a small network that learns in the page (lab.js), in a worker, and is downloaded as a model.onnx; its
graph is Mirante's own (lab_models).
"""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from importlib import resources
from pathlib import Path

from mirante.errors import RequestError
from mirante.exports.export import export
from mirante.exports.npm import fetch_packages
from mirante.files import write_bytes, write_text
from mirante.locale import LANGUAGES, Language, language
from mirante.places import cache_folder
from mirante.run import Run
from mirante.see.arithmetic import KERNELS
from mirante.studio.lab_models import lab_models
from mirante.templates import environment

CHAPTERS = ("pixels", "channels", "convolution", "pooling", "network", "training", "probabilities", "mistakes")
"""Those of the studio but for augmentation, which asks the studio to change an image."""
LINES = (
    "32C3-MP2-64C3-MP2-64N",
    "8C3-MP2-16C3-MP2-32N",
    "32C3same-MP2-64C3same-MP2-128C3same-MP2-64N-D0.5",
    "W2-48B-96B-192B-GMP",
)
"""The networks that can be seen drawn; the studio draws any."""
_STATIC = ("studio.css", "icon.svg", "theme.js")
_LIBRARY = ("tfjs-core", "tfjs-layers", "tfjs-backend-cpu", "tfjs-backend-wasm")  # layers brings the gradients
_WASM = "package/wasm-out/tfjs-backend-wasm-simd.wasm"
_VERSION = "^4.22.0"
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'self' file: data: blob: 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' file: 'unsafe-inline'; "
    "img-src 'self' file: data: blob:; media-src 'self' blob:; connect-src blob:; worker-src blob:; form-action 'none'\">"
)


def write_site(folder: Path, run: Path | None = None, library: Path | None = None) -> Path:
    """Write the site into a new folder and return its first page.

    run      a run whose model answers in the page, as `export --to web` has it
    library  a folder with the packages of TensorFlow.js (.tgz); None takes those in the cache, or has npm fetch them

    Raises RequestError when the folder is there already, or no library can be had.
    """
    if folder.is_file():
        raise RequestError(f"{folder}: a file, not a folder; choose another place.")
    if folder.exists() and any(folder.iterdir()):
        raise RequestError(f"{folder}: already exists and is not empty; choose another folder.")
    if run is not None:
        Run(run).model()  # what is wrong with it is said before anything is written
    scripts = _library(library)
    static = folder / "static"
    static.mkdir(parents=True)
    room = resources.files("mirante.studio") / "static"
    for name in _STATIC:
        write_bytes(static / name, (room / name).read_bytes())
    modules = {one.name: one.read_text(encoding="utf-8") for one in room.iterdir() if one.name.endswith(".js")}
    write_text(static / "modules.js", _import_map(modules))
    write_text(static / "sample.js", f"globalThis.MIRANTE_SAMPLE = {json.dumps(_sample())};\n")
    write_text(static / "lab-data.js", _lab_data(scripts, modules["lab-worker.js"]))
    for code in LANGUAGES:
        _write_pages(folder / code, language(code), run is not None)
        if run is not None:
            export(run, "web", out=folder / code / "model", lang=code)
    write_text(folder / "index.html", _first_page())
    return folder / "index.html"


def _write_pages(folder: Path, say: Language, has_model: bool) -> None:
    folder.mkdir()
    other = "en" if say.code == "pt" else "pt"
    shared = {
        "say": say,
        "other": other,
        "site": True,
        "has_model": has_model,
        "room": "learn",
        "chapters": CHAPTERS,
        "runs": (),
        "kernels": {name: numbers.tolist() for name, numbers in KERNELS.items()},
    }
    templates = environment("mirante.studio/templates")
    pages = {"index.html": templates.get_template("learn.html.j2").render(shared)}
    for number, name in enumerate(CHAPTERS):
        following = CHAPTERS[number + 1] if number + 1 < len(CHAPTERS) else None
        drawings = {line: _drawing(line, say) for line in LINES} if name == "network" else {}
        words = {**shared, "name": name, "following": following, "drawings": drawings}
        pages[f"{name}.html"] = templates.get_template(f"learn-{name}.html.j2").render(words)
    pages["lab.html"] = templates.get_template("lab.html.j2").render({**shared, "room": "lab"})
    for name, page in pages.items():
        write_text(folder / name, _static(page, name, other))


def _static(page: str, name: str, other: str) -> str:
    """Return a page of the studio with the addresses that it has in a folder."""
    page = page.replace("<title>", f"{_POLICY}\n<title>", 1)
    page = re.sub(r'(href|src)="/static/([\w.-]+\.(?:css|svg))"', r'\1="../static/\2"', page)
    page = page.replace(
        '<script src="/static/theme.js"></script>',
        "".join(f'<script src="../static/{script}"></script>\n' for script in ("theme.js", "sample.js", "modules.js")),
    )
    page = re.sub(r'<script src="/static/([\w.-]+)"></script>', r'<script src="../static/\1"></script>', page)
    page = re.sub(
        r'<script type="module" src="/static/([\w.-]+)"></script>',
        r'<script type="module">import "mirante/\1";</script>',
        page,
    )
    page = page.replace(f'href="?lang={other}"', f'href="../{other}/{name}"')
    page = re.sub(r'href="/learn/(\w+)"', r'href="\1.html"', page)
    return re.sub(r'href="/(?:learn)?"', 'href="index.html"', page)


def _import_map(modules: dict[str, str]) -> str:
    """Return a script that makes every module importable as mirante/NAME, from disk too."""
    encoded = {}
    for name, text in modules.items():
        bare = re.sub(r'(from|import) "\./([\w.-]+)"', r'\1 "mirante/\2"', text)
        encoded[f"mirante/{name}"] = "data:text/javascript;base64," + base64.b64encode(bare.encode()).decode()
    return (
        "{\n  const map = document.createElement('script');\n  map.type = 'importmap';\n"
        f"  map.textContent = JSON.stringify({{ imports: {json.dumps(encoded)} }});\n  document.head.append(map);\n}}\n"
    )


def _sample() -> str:
    from PIL import Image

    from mirante import see

    held = io.BytesIO()
    photo = Image.fromarray(see.read(None))
    photo.thumbnail((512, 512))
    photo.save(held, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def _lab_data(library: str, worker: str) -> str:
    """Return a script with what the laboratory works on: digits, graphs to fill with weights, and the worker with its library."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    side = 16
    images = np.stack(
        [
            np.asarray(
                Image.fromarray((one * 255 / 16).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
            )
            for one in digits.images
        ]
    )
    held = {
        "worker": f"{library}\n{worker}",
        "models": lab_models(),
        "digits": {
            "images": base64.b64encode(images.tobytes()).decode(),
            "targets": digits.target.tolist(),
            "side": side,
        },
    }
    return f"globalThis.MIRANTE_LAB = {json.dumps(held)};\n"


def _drawing(line: str, say: Language) -> str:
    from mirante.model.notation import parse_layers
    from mirante.see.drawing import draw_model, to_svg

    return to_svg(draw_model(parse_layers(line, (32, 32, 3), 10), (32, 32, 3), 10, say), background=False)


def _first_page() -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n<title>Mirante</title>\n<link rel="icon" href="static/icon.svg">\n<link rel="stylesheet" '
        'href="static/studio.css">\n</head>\n<body>\n<main id="main">\n<h1>Mirante</h1>\n<ul class="cards">\n'
        '<li><a class="card" href="pt/index.html" lang="pt-BR" hreflang="pt-BR"><strong>Português</strong>'
        "<span>Como uma imagem vira uma resposta, em oito capítulos curtos</span></a></li>\n"
        '<li><a class="card" href="en/index.html" hreflang="en"><strong>English</strong>'
        "<span>How a picture becomes an answer, in eight short chapters</span></a></li>\n</ul>\n</main>\n</body>\n</html>\n"
    )


def _library(given: Path | None) -> str:
    """Return TensorFlow.js as one script: the core, layers, and what computes, on the processor or the graphics card."""
    kept = given or cache_folder() / "tensorflow.js"
    if given is None and not all(_package(kept, name) for name in _LIBRARY):
        packages = [f"@tensorflow/{name}@{_VERSION}" for name in _LIBRARY]
        fetch_packages(packages, kept, "TensorFlow.js", "--as-site", "--library DIR")
    parts = []
    for name in _LIBRARY:
        path, file = _package(kept, name), name.replace("tfjs", "tf")
        try:
            if path is None:
                raise KeyError(name)
            with tarfile.open(path) as archive:
                found = archive.extractfile(f"package/dist/{file}.min.js")
                assert found is not None
                parts.append(found.read().decode("utf-8"))
                if name == "tfjs-backend-wasm":
                    compiled = archive.extractfile(_WASM)
                    assert compiled is not None
                    parts.append(f'const MIRANTE_WASM = "{base64.b64encode(compiled.read()).decode()}";')
        except (OSError, KeyError, ValueError, tarfile.TarError) as error:
            if path is not None and given is None:
                path.unlink(missing_ok=True)  # the next time it is fetched again
            raise RequestError(
                f"{kept}: lacks the package {name} of TensorFlow.js 4; `npm pack @tensorflow/{name}` creates it."
            ) from error
    return "\n".join(re.sub(r"//# sourceMappingURL=\S+", "", part) for part in parts)


def _package(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"tensorflow-{name}-[0-9]*.tgz"))), None)
