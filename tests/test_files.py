"""Files are written whole or not at all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from archives import tracked
from system import posix

from handgrad import BadInput
from handgrad.files import make_folder, write_whole
from handgrad.notebooks import copy_notebooks


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


@posix
def test_the_umask_is_respected_and_so_is_the_mode_of_what_was_there(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(tmp_path / "file", b"mine alone")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").chmod(0o640)
    write_whole(tmp_path / "file", b"again")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@posix
def test_what_a_kill_left_is_cleared_by_the_next_run(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from handgrad.files import write_whole\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "write_whole(Path(sys.argv[1]), b'half')"
    )
    file = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", code, str(file)])
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_whole(file, b"whole")
    assert [f.name for f in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"whole"


def test_an_interrupt_leaves_all_notebooks_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "01_numpy_manual.ipynb").write_text("mine")
    real, calls = os.fsync, iter(range(9))

    def third(descriptor: int) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", third)
    with pytest.raises(KeyboardInterrupt):
        copy_notebooks(tmp_path, force=True)
    assert [f.name for f in tmp_path.iterdir()] == ["01_numpy_manual.ipynb"]


def test_a_file_that_somebody_reads_is_replaced_a_little_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows gives no access while another process has the file open."""
    real, refusals = os.replace, iter(range(2))

    def busy(part: Path, path: Path) -> None:
        if next(refusals, None) is not None:
            raise PermissionError(13, "Access is denied")
        real(part, path)

    monkeypatch.setattr(os, "replace", busy)
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    refusals = iter(range(99))
    with pytest.raises(BadInput, match="got: Access is denied"):
        write_whole(tmp_path / "file", b"newer")
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_no_two_files_differ_by_case_alone_and_every_name_is_one_on_windows() -> None:
    names = tracked()
    assert len({name.lower() for name in names}) == len(names) > 200
    for part in {part for name in names for part in Path(name).parts}:
        assert not re.search(r'[<>:"|?*\\]|[. ]$', part), part
        assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part.lower()), part


@pytest.mark.slow
def test_no_file_is_read_in_the_encoding_of_the_machine(tmp_path: Path) -> None:
    """Windows would take its own code page; Python warns of it where it is asked to."""
    small = "--epochs 1 --n-train 40"
    for line in (f"verify {small}", "notebooks here", f"explore {small}", "sweep --seeds 2"):
        code = (
            "import sys, warnings\n"
            "warnings.filterwarnings('error', category=EncodingWarning, module='handgrad')\n"
            f"sys.argv = ['handgrad', *{line.split()}]\n"
            "from handgrad.__main__ import main\n"
            "main()"
        )
        command = [sys.executable, "-X", "warn_default_encoding", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@posix
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new"
