"""The notebooks, their exercises and a guide for teachers, to be copied into a reader's folder.

An installed package has them beside this file; a checkout has them at its top.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from handgrad.errors import BadInput
from handgrad.files import make_folder, reason, write_whole
from handgrad.inputs import file_path, shown

GUIDE = "teachers_guide.md"


def notebooks() -> dict[str, Path]:
    """The files by where a copy lies: the notebooks in order, the exercises, the guide."""
    here = Path(__file__).parent
    folder = here if (here / GUIDE).exists() else here.parents[2] / "notebooks"
    found = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("exercises/*.ipynb"))]
    return {path.relative_to(folder).as_posix(): path for path in (*found, folder / GUIDE)}


def copy_notebooks(folder: Path, force: bool = False) -> tuple[list[Path], list[Path]]:
    """Copy them; the files that are copied now, and the exercises that were left as they are.

    An exercise that is there and holds something else (a learner's answers) is never overwritten.
    Raises `BadInput`, before anything is written, where another file of such a name holds something
    else and `force` is not given, and where the folder cannot be written.
    """
    make_folder(file_path("folder", folder))
    copies = {folder / name: source.read_bytes() for name, source in notebooks().items()}
    changed = [p for p, data in copies.items() if p.exists() and p.read_bytes() != data]
    kept = [p for p in changed if p.parent != folder]
    lost = [p for p in changed if p not in kept]
    if lost and not force:
        raise BadInput(
            f"{', '.join(map(str, lost))} would be overwritten, and may hold your work: "
            "choose another folder, or add --force"
        )
    copies = {path: data for path, data in copies.items() if path not in kept}
    new = [path for path in copies if not path.exists()]
    try:
        for path, data in copies.items():
            make_folder(path.parent)
            write_whole(path, data)
    except BaseException:  # Ctrl-C too: all of them or none
        for path in new:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            (folder / "exercises").rmdir()
        raise
    return list(copies), kept


def reset_blank(folder: Path, name: str) -> Path:
    """Empty one blank of the exercises in the folder again; the file that it is in.

    name: NOTEBOOK:BLANK, such as 01:dW2. Raises `BadInput` where there is no such blank.
    """
    number, _, blank = name.partition(":")
    sources = {n: p for n, p in notebooks().items() if n.startswith(f"exercises/{number}_")}
    if len(sources) != 1 or not blank:
        raise BadInput(f"a blank to reset must be like 01:dW2, got {shown(name)}")
    ((place, source),) = sources.items()
    inside = file_path("folder", folder) / Path(place).name
    path = inside if inside.is_file() and folder.name == "exercises" else folder / place
    new, old = read_notebook(source), read_notebook(path)
    empty = {c["metadata"].get("exercise"): c["source"] for c in new["cells"]}
    cells = [c for c in old["cells"] if c["metadata"].get("exercise") == blank]
    if blank not in empty or not cells:
        known = ", ".join(filter(None, empty))
        raise BadInput(f"a blank to reset must be one of {known}, got {blank}")
    for cell in cells:
        cell["source"] = empty[blank]
    write_whole(path, (json.dumps(old, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's content, each source a text. Raises `BadInput` where the file holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for cell in found["cells"]:
            cell["source"] = "".join(cell["source"])  # a file may have a list of lines
            cell["metadata"].keys()
    except OSError as error:
        raise BadInput(f"{path} must be a file that can be read, got: {reason(error)}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise BadInput(f"{path} must be a notebook, and is none: {error}") from None
    return dict(found)
