"""The four notebooks and a guide for teachers, to be copied into a folder of the reader's.

An installed package has them beside this file; a checkout has them at its top.
"""

from pathlib import Path

from handgrad.errors import BadInput
from handgrad.files import make_folder, write_whole
from handgrad.inputs import file_path

GUIDE = "teachers_guide.md"


def notebooks() -> list[Path]:
    """The notebooks' files, in order, and the guide's."""
    here = Path(__file__).parent
    folder = here if (here / GUIDE).exists() else here.parents[2] / "notebooks"
    return [*sorted(folder.glob("*.ipynb")), folder / GUIDE]


def copy_notebooks(folder: Path, force: bool = False) -> list[Path]:
    """Copy them; the files that are there now.

    Raises `BadInput`, before anything is written, where a file of that name holds something else
    (a learner's work) and `force` is not given, and where the folder cannot be written.
    """
    make_folder(file_path("folder", folder))
    copies = {folder / source.name: source.read_bytes() for source in notebooks()}
    changed = [p for p, data in copies.items() if p.exists() and p.read_bytes() != data]
    if changed and not force:
        raise BadInput(
            f"{', '.join(map(str, changed))} would be overwritten, and may hold your work: "
            "choose another folder, or add --force"
        )
    new = [path for path in copies if not path.exists()]
    try:
        for path, data in copies.items():
            write_whole(path, data)
    except BaseException:  # Ctrl-C too: all of them or none
        for path in new:
            path.unlink(missing_ok=True)
        raise
    return list(copies)
