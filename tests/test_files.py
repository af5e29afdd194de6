"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from handgrad import BadInput
from handgrad.files import make_folder, write_whole


def test_a_failure_on_the_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_whole(file, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="got: No space left on device"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="must be a folder that can be written"):
        make_folder(tmp_path / "file")
    assert list(make_folder(tmp_path / "a" / "b").iterdir()) == []
