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
    found = faults.files(1_100, seed=7)
    assert found.wrong == [] and found.tried >= 1_100


@LINUX
def test_a_training_that_is_killed_reaches_the_same_weights() -> None:
    found = faults.kills(1, ("folds",), seed=7)
    assert found.wrong == [] and found.tried == 1


@LINUX
def test_a_cache_that_is_gone_is_made_again() -> None:
    assert faults.cache_gone(1, cut_too=False).wrong == []


@LINUX
def test_few_open_files_are_enough() -> None:
    assert faults.few_files(verbs=2).wrong == []


@LINUX
@pytest.mark.skipif(shutil.which("cc") is None, reason="the clock that jumps is compiled by cc")
def test_a_clock_that_jumps_changes_nothing() -> None:
    assert faults.clocks(1, verbs=1).wrong == []


@LINUX
def test_very_many_names_are_looked_at() -> None:
    assert faults.many_names(6_000).wrong == []


@MOUNTS
def test_a_full_disk_is_a_sentence_and_the_training_goes_on_later() -> None:
    assert faults.full_disk(1).wrong == []


@MOUNTS
def test_a_run_that_cannot_be_written_can_be_used() -> None:
    assert faults.read_only(3).wrong == []
