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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirante.errors import ImageError
from mirante.places import data_folder
from mirante.rendering import Depth, Rendering, shown_between

if TYPE_CHECKING:
    from pydicom import Dataset

_META, _FIRST_GROUP = b"\x02\x00", b"\x08\x00"  # the groups that a file without its preamble begins with


class Size(NamedTuple):
    """Of a DICOM file, what mirante.images.Header says of any file."""

    height: int
    width: int
    channels: Literal[1, 3]
    depth: Depth
    pages: int


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file, by the magic number, or where that is missing by the first element."""
    if data[128:132] == b"DICM":
        return True
    if data[:2] == _META:
        return data[4:6] in (b"UL", b"OB", b"UI")
    if data[:2] != _FIRST_GROUP or data[3:4] != b"\0":
        return False
    explicit = data[4:6] in (b"UL", b"CS", b"UI", b"DA", b"TM")
    return explicit or (data[2] in (0x00, 0x05, 0x08, 0x16, 0x18) and data[6:8] == b"\0\0" and 0 < data[4] <= 64)


def read_size(data: bytes, page: int = 0) -> Size:
    """Return what a file says of its image. Raises ImageError when the header cannot be read, or there is no such frame."""
    header = _read(data, pixels=False)
    try:
        height, width = int(header.Rows), int(header.Columns)
        plain = str(header.PhotometricInterpretation).startswith("MONOCHROME")
        frames = int(header.get("NumberOfFrames") or 1)
        windowless = plain and not _has_window(_with_frame(header, page)) and int(header.get("BitsStored") or 16) > 8
    except AttributeError as error:
        raise ImageError("a DICOM file without an image") from error
    except Exception as error:  # pydicom reads a value when it is asked for, and has many errors for a damaged one
        raise ImageError("a DICOM file whose header cannot be read") from error
    if page > frames:
        raise ImageError(f"no page {page}: it has {frames}")
    return Size(height, width, 1 if plain else 3, "integers" if windowless else "bytes", frames)


def person(data: bytes) -> str | None:
    """Return a name for the patient that says only which images are of the same one; None if there is no id.

    A hash of the id under a key that is made once per user of this computer and never leaves it.
    """
    try:
        identity = str(_read(data, pixels=False).get("PatientID", "")).strip()
    except Exception:  # as in read_size
        return None
    if not identity:
        return None
    return hashlib.blake2b(identity.encode("utf-8", "replace"), key=_key(), digest_size=8).hexdigest()


def read_pixels(data: bytes, rendering: Rendering) -> NDArray[np.uint8]:
    """Return the uint8 image (height, width, 1 or 3) of a frame: of several, the middle one, unless the rendering says which.

    Rescale slope and intercept, then the rendering's window; without one, the first window (or look-up table) of the file; without
    that either, the range of the file's bits. MONOCHROME1 is inverted, so that larger is brighter. Raises ImageError.
    """
    dataset, values = _values(data, rendering.page)
    from pydicom.pixels.processing import apply_color_lut, apply_voi_lut

    try:
        kind = str(dataset.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            values = apply_color_lut(values, dataset)
            return (values >> 8).astype(np.uint8) if values.dtype.itemsize > 1 else values
        if values.ndim == 3:
            return (values >> max(0, int(dataset.BitsStored) - 8)).astype(np.uint8)
        own = _window(dataset)
        if rendering.window.asked or not _has_window(dataset):
            full = _range(dataset)
            bytes_ = int(dataset.BitsStored) <= 8 and not rendering.window.asked
            shown = shown_between(values, *(full if bytes_ else rendering.window.bounds(values, full)))
        elif own is not None:
            shown = shown_between(values, *own)
        else:  # a table, or a curve that is not linear
            values = apply_voi_lut(values.astype(np.int32), dataset).astype(np.float64)
            shown = shown_between(values, float(values.min()), float(values.max()))
    except Exception as error:  # pydicom and its decoders raise many things on damaged files
        raise ImageError(_reason(error)) from error
    return (255 - shown if kind == "MONOCHROME1" else shown)[:, :, None]


def read_values(data: bytes, page: int = 0) -> NDArray[Any]:
    """Return the values of a frame before any window, (height, width), as integers if they are. Raises ImageError."""
    values = _values(data, page)[1]
    whole: NDArray[Any] = np.rint(values).astype(np.int64)
    return whole if np.array_equal(whole, values) else values


def _values(data: bytes, page: int) -> tuple[Dataset, NDArray[Any]]:
    """Return the header, and a frame's values after rescale slope and intercept (H, W), or its colours (H, W, 3)."""
    dataset = _read(data, pixels=True)
    from pydicom.pixels.processing import apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = int(dataset.get("NumberOfFrames") or 1)
            values = pixel_array(dataset, index=page - 1 if page else frames // 2)
            dataset = _with_frame(dataset, page)
            if values.ndim == 3 or str(dataset.PhotometricInterpretation) == "PALETTE COLOR":
                return dataset, values
            return dataset, apply_modality_lut(values, dataset).astype(np.float64)
    except Exception as error:  # pydicom and its decoders raise many things on damaged files
        raise ImageError(_reason(error)) from error


def _with_frame(dataset: Dataset, page: int) -> Dataset:
    """Return the header with what an enhanced file says of a frame (window, slope, intercept) where a plain file says it."""
    frame = page - 1 if page else int(dataset.get("NumberOfFrames") or 1) // 2
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*shared[:1], *own[frame : frame + 1]):
        for sequence in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
            for item in (group.get(sequence) or [])[:1]:
                for name in ("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept"):
                    if name in item:
                        setattr(dataset, name, item.get(name))
    return dataset


def _range(dataset: Dataset) -> tuple[float, float]:
    """Return the values that the bits of the file can hold, after rescale slope and intercept."""
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation") or 0)
    stored = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    low, high = sorted(slope * one + intercept for one in stored)
    return low, high


def _has_window(dataset: Dataset) -> bool:
    if "VOILUTSequence" in dataset:
        return True
    try:
        width = _first(dataset.get("WindowWidth"))
        return width is not None and _first(dataset.get("WindowCenter")) is not None and width > 0
    except (TypeError, ValueError):  # a window that is no number
        return False


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Return the values at which black ends and white begins (DICOM PS3.3, C.11.2.1.2), if the window is linear."""
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if "VOILUTSequence" in dataset or function not in ("LINEAR", "LINEAR_EXACT"):
        return None
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    if function == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    half = max(0.0, width - 1) / 2
    return centre - 0.5 - half, centre - 0.5 + half


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
            return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels, force=data[128:132] != b"DICM")
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
    path = data_folder() / "person.key"
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
