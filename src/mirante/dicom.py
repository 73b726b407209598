"""DICOM, the format of medical images: its pixels as a screen would show them, and an anonymous name for the patient.

pydicom reads it (pip install 'mirante[medical]'). Of a header, only the size, the rendering and a keyed hash of the patient's
id leave this module: no name, no date, no id.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

_CUT = (0.5, 99.5)  # percentiles of the values between which an image without its own window is shown


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file, by the magic number."""
    return data[128:132] == b"DICM"


def read_size(data: bytes) -> tuple[int, int, Literal[1, 3]]:
    """Return (height, width, channels) of a frame. Raises ImageError when the header cannot be read or there is no image."""
    header = _read(data, pixels=False)
    try:
        height, width = int(header.Rows), int(header.Columns)
        plain = str(header.PhotometricInterpretation).startswith("MONOCHROME")
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError("a DICOM file without an image") from error
    return height, width, 1 if plain else 3


def person(data: bytes) -> str | None:
    """Return a name for the patient that says only which images are of the same one; None if there is no id.

    A hash of the id under a key that is made once per user of this computer and never leaves it.
    """
    try:
        identity = str(_read(data, pixels=False).get("PatientID", "")).strip()
    except ImageError:
        return None
    if not identity:
        return None
    return hashlib.blake2b(identity.encode("utf-8", "replace"), key=_key(), digest_size=8).hexdigest()


def read_pixels(data: bytes) -> NDArray[np.uint8]:
    """Return the uint8 image (height, width, 1 or 3) as a screen shows it; of several frames, the middle one.

    Rescale slope and intercept, then the first window (or look-up table) of the file; without one, from the 0.5th to the 99.5th
    percentile of the values. MONOCHROME1 is inverted, so that larger is brighter. Raises ImageError.
    """
    dataset = _read(data, pixels=True)
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = int(dataset.get("NumberOfFrames") or 1)
            values = pixel_array(dataset, index=frames // 2)
            kind = str(dataset.PhotometricInterpretation)
            if kind == "PALETTE COLOR":
                values = apply_color_lut(values, dataset)
                return (values >> 8).astype(np.uint8) if values.dtype.itemsize > 1 else values
            if values.ndim == 3:
                return (values >> max(0, int(dataset.BitsStored) - 8)).astype(np.uint8)
            values = apply_modality_lut(values, dataset).astype(np.float64)
            window = _window(dataset)
            if window is not None:
                shown = shown_between(values, *window)
            elif "VOILUTSequence" in dataset or "WindowCenter" in dataset:  # a table, or a curve that is not linear
                values = apply_voi_lut(values.astype(np.int32), dataset).astype(np.float64)
                shown = shown_between(values, float(values.min()), float(values.max()))
            else:
                shown = windowed(values)
    except Exception as error:  # pydicom and its decoders raise many things on damaged files
        raise ImageError(_reason(error)) from error
    return (255 - shown if kind == "MONOCHROME1" else shown)[:, :, None]


def windowed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values (H, W) of any range as uint8, scaled from the 0.5th to the 99.5th percentile."""
    low, high = np.percentile(values, _CUT)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return shown_between(values, float(low), float(high))


def shown_between(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return values as uint8: `low` and below become 0, `high` and above 255."""
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    share = (values.astype(np.float64) - low) / (high - low)
    return (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Return the values at which black ends and white begins (DICOM PS3.3, C.11.2.1.2), if the window is linear."""
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if "VOILUTSequence" in dataset or function not in ("LINEAR", "LINEAR_EXACT"):
        return None
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    if function == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _read(data: bytes, pixels: bool) -> Dataset:
    try:
        import pydicom
        from pydicom import config
    except ImportError:
        raise ImageError("a DICOM image; run pip install 'mirante[medical]' and try again") from None
    try:
        with warnings.catch_warnings():  # pydicom's warnings quote the header
            warnings.simplefilter("ignore")
            config.settings.reading_validation_mode = config.IGNORE
            return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
    except Exception as error:  # as in read_pixels
        raise ImageError("a DICOM file whose header cannot be read") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, AttributeError | KeyError) or ("Pixel Data" in text and "no" in text.lower()):
        return "a DICOM file without an image"
    if "decompress" in text or "plugin" in text or "Transfer Syntax" in text:
        return "a DICOM image in a compression format that cannot be decoded here"
    return "damaged: its pixels cannot be decoded"


@lru_cache(maxsize=1)
def _key() -> bytes:
    from platformdirs import user_data_path

    path = user_data_path("mirante", appauthor=False) / "person.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    if not path.exists():
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(part, path)  # whichever process was first
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_bytes()
