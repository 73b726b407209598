"""Medical images as they come: shown as their own window says, and no name of a patient written anywhere."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape
from PIL import Image
from pydicom import Dataset as Header
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless, SecondaryCaptureImageStorage, generate_uid

from mirante import dicom
from mirante.errors import ImageError
from mirante.images import read_header, read_image

EXPLICIT = "1.2.840.10008.1.2.1"
SECRETS = ("Silva^Maria", "PRONTUARIO-77", "19610203", "Clinica Boa Vista")


def make(values: np.ndarray, bits: int = 12, **fields: object) -> bytes:
    """Write a DICOM file with these values, (H, W), (frames, H, W) or (H, W, 3)."""
    header = Header()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = EXPLICIT
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    header.PatientName, header.PatientID, header.PatientBirthDate, header.InstitutionName = (
        SECRETS[0],
        SECRETS[1],
        *SECRETS[2:],
    )
    colour = values.ndim == 3 and values.shape[2] == 3
    rows = values.shape[-3:-1] if colour else values.shape[-2:]
    header.Rows, header.Columns = rows
    header.SamplesPerPixel, header.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        header.PlanarConfiguration = 0
    elif values.ndim == 3:
        header.NumberOfFrames = len(values)
    header.BitsAllocated = 8 if bits <= 8 else 16
    header.BitsStored, header.HighBit, header.PixelRepresentation = bits, bits - 1, int(values.min() < 0)
    wanted = np.uint8 if bits <= 8 else np.int16 if values.min() < 0 else np.uint16
    header.PixelData = values.astype(wanted).tobytes()
    syntax, jpeg = fields.pop("syntax", None), fields.pop("jpeg", None)
    if isinstance(jpeg, bytes):
        header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        header.PixelData = encapsulate([jpeg])
        header["PixelData"].is_undefined_length = True
    for name, value in fields.items():
        setattr(header, name, value)
    if syntax is not None:
        header.compress(syntax)
    buffer = io.BytesIO()
    header.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


RAMP = np.tile(np.arange(0, 4096, 64), (48, 1))  # 48×64 of 12 bits


def test_the_window_of_the_file_says_what_is_black_and_what_is_white() -> None:
    shown = read_image(make(RAMP, WindowCenter=1024, WindowWidth=1024), None, 1)[0, :, 0]
    assert shown.shape == (64,)
    edges = np.flatnonzero(np.diff((shown > 0).astype(int))), np.flatnonzero(np.diff((shown == 255).astype(int)))
    assert edges[0].tolist() == [8] and edges[1].tolist() == [23]  # 512 is black still, 1536 is white
    assert abs(int(shown[16]) - 128) <= 1  # the centre


def test_slope_and_intercept_come_before_the_window() -> None:
    plain = read_image(make(RAMP, WindowCenter=1024, WindowWidth=1024), None, 1)
    houndsfield = make(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2 * 1024 - 1000, WindowWidth=2 * 1024)
    assert np.abs(read_image(houndsfield, None, 1).astype(int) - plain).max() <= 1


def test_monochrome1_is_turned_round_and_without_a_window_its_bits_count() -> None:
    usual = read_image(make(RAMP), None, 1)
    assert usual.min() == 0 and usual.max() == 251 and (np.diff(usual[0, :, 0].astype(int)) >= 0).all()
    assert (read_image(make(RAMP, PhotometricInterpretation="MONOCHROME1"), None, 1) == 255 - usual).all()
    signed = read_image(make(RAMP.astype(int) - 2048, bits=12), None, 1)
    assert np.abs(signed.astype(int) - usual).max() <= 1  # without a window, the range of its bits


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_files_show_the_same(syntax: str) -> None:
    compressed = make(RAMP, WindowCenter=2048, WindowWidth=4096, syntax=syntax)
    assert (
        read_image(compressed, None, 1) == read_image(make(RAMP, WindowCenter=2048, WindowWidth=4096), None, 1)
    ).all()


def test_a_jpeg_inside_is_read() -> None:
    values = (RAMP >> 4).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=95)
    window = {"WindowCenter": 128, "WindowWidth": 256}
    shown = read_image(make(values, bits=8, jpeg=buffer.getvalue(), **window), None, 1)
    assert np.abs(shown.astype(int) - read_image(make(values, bits=8, **window), None, 1)).max() <= 6


def test_colour_and_several_frames() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
    assert (read_image(make(colours, bits=8), None, 3) == colours).all()
    frames = np.stack([np.full((20, 30), value) for value in (0, 100, 4000)])
    frames[1, :10] = 900
    shown = read_image(make(frames), None, 1)
    assert (
        replace(read_header(make(frames)), pages=1) == read_header(make(frames[1]))
        and (shown == read_image(make(frames[1]), None, 1)).all()
    )


def test_damaged_files_are_named_with_a_reason() -> None:
    whole = make(RAMP)
    for damaged in (
        whole[:200],
        whole[: len(whole) // 2],
        b"\0" * 128 + b"DICM",
        b"\0" * 128 + b"DICM" + b"\xff" * 900,
    ):
        with pytest.raises(ImageError) as caught:
            read_header(damaged)
            read_image(damaged, (16, 16))
        assert not any(secret in str(caught.value) for secret in SECRETS)


def test_patients_are_groups_and_nothing_of_a_header_is_written(tmp_path: Path, mirante: Command) -> None:
    scans = tmp_path / "scans"
    for kind in ("bar", "disc"):
        (scans / kind).mkdir(parents=True)
        for number in range(24):
            pixels = np.asarray(draw_shape(kind, number).convert("L")).astype(int) * 16
            name = f"PRONTUARIO-{kind}-{number // 2}"
            (scans / kind / f"{number:02d}.dcm").write_bytes(make(pixels, PatientID=name))
    (scans / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    run = tmp_path / "run"
    home = {"XDG_DATA_HOME": str(tmp_path / "home"), "MIRANTE_CACHE": str(tmp_path / "cache")}
    words = ("--model", "8C3-MP2-16N", "--epochs", "2", "--folds", "3", "--out", run)
    done = mirante("train", scans, *words, cwd=tmp_path, **home)
    assert done.returncode == 0, done.stderr
    lines = (run / "predictions.csv").read_text().splitlines()
    groups = {line.split(",")[-2] for line in lines[1:]}
    assert len(lines) == 49 and len(groups) == 24
    assert json.loads((run / "data.json").read_text())["groups"] == 24
    checked = mirante("data", "check", scans, "--no-model", "--out", tmp_path / "checked", cwd=tmp_path, **home)
    answered = mirante("predict", run, scans, "--format", "json", cwd=tmp_path, **home)
    assert checked.returncode == 0 and answered.returncode == 0
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and scans not in path.parents]
    said = [one.stdout + one.stderr for one in (done, checked, answered)]
    for secret in ("PRONTUARIO", *SECRETS):
        assert not any(secret.encode() in content for content in written), secret
        assert not any(secret in text for text in said), secret
    key = tmp_path / "home" / "mirante" / "person.key"
    assert key.stat().st_mode & 0o077 == 0 and len(key.read_bytes()) == 32
    # under another key the same person has another name, so that two hospitals' runs cannot be matched
    key.write_bytes(bytes(32))
    again = mirante(
        "train", scans, *words[:-1], tmp_path / "other", cwd=tmp_path, **{**home, "MIRANTE_CACHE": str(tmp_path / "c2")}
    )
    assert again.returncode == 0, again.stderr
    other = {line.split(",")[-2] for line in (tmp_path / "other" / "predictions.csv").read_text().splitlines()[1:]}
    assert len(other) == 24 and not other & groups


def test_a_file_without_an_id_has_no_group() -> None:
    assert dicom.person(make(RAMP, PatientID="")) is None
    assert dicom.person(make(RAMP)) == dicom.person(make(RAMP + 1)) is not None
