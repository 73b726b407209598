"""A sample of `make faults`: what is damaged, killed, full or jumping is said, and ends nothing else."""

from __future__ import annotations

import shutil
import sys

import faults
import pytest

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the campaign uses what Linux has")
MOUNTS = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("unshare") is None or faults.cannot_mount(),
    reason="file systems can be mounted by root on Linux only",
)


@LINUX
def test_damaged_files_of_every_format_end_nothing() -> None:
    found = faults.files(900, seed=7)
    assert found.wrong == [] and found.tried >= 900


@LINUX
def test_very_many_names_are_looked_at() -> None:
    assert faults.many_names(6_000).wrong == []


@MOUNTS
def test_a_full_disk_is_a_sentence_and_the_training_goes_on_later() -> None:
    assert faults.full_disk(1, ()).wrong == []
