"""Both archives: the same twice, nothing missing, nothing else, and each extra runs.

python tests/archives.py        builds both into dist/, installs the wheel with each extra, runs it
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from rich.progress import track

ROOT = Path(__file__).parent.parent
CHECK = """
import numpy as np
from handgrad import Config, gradcheck, make_problem, train
p = {"w": np.array([1.0, -2.0])}
assert gradcheck(lambda p: (p["w"] ** 2).sum(), p, lambda p: {"w": 2 * p["w"]})
assert train(make_problem(Config(epochs=2))).steps == 32
"""
JAX = """
import jax
from handgrad import gradcheck_module
assert gradcheck_module(jax.numpy.sin, jax.numpy.ones(3))
"""
EXACT = """
import numpy as np
from handgrad import gradcheck
p = np.array([0.5])
assert "proved" in str(gradcheck(lambda p: np.exp(p).sum(), p, np.exp))
"""
FIGURE = "from handgrad import figures; print(figures.png)"
SWEEP = (
    "from handgrad import Grid, run_sweep; assert run_sweep(Grid(seeds=3, epochs=2)).height == 3"
)
SMALL = ["--epochs", "2", "--n-train", "40", "--n-val", "20"]
# For each extra, what must run where it alone is installed.
RUNS: dict[str, list[list[str]]] = {
    "": [["-c", CHECK]],
    "cli": [["-m", "handgrad", "--version"], ["-m", "handgrad", "verify", *SMALL]],
    "dask": [["-c", "import distributed\n" + SWEEP]],
    "exact": [["-c", EXACT]],
    "figures": [["-c", FIGURE]],
    "jax": [["-c", JAX]],
    "progress": [["-m", "handgrad", "notebooks", "nb"], ["-m", "handgrad", "progress", "nb"]],
    "sweep": [["-c", SWEEP]],
    "torch": [
        ["-c", "import torch, handgrad as h; assert h.verify(h.make_problem(h.Config(epochs=2)))"]
    ],
    "all": [["-m", "handgrad", "verify"], ["-m", "handgrad", "explore", *SMALL]],
}
# Of an archive's files, those that no clone has.
MADE = {"PKG-INFO"}
LEFT_OUT = (".ci/", ".github/")


def tracked() -> set[str]:
    """The files of the project, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def build(folder: Path) -> list[Path]:
    """The source distribution, and a wheel that is built from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(folder.iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def strange_in_sdist(path: Path, files: set[str]) -> set[str]:
    """What it has and the project has not, or the other way round."""
    with tarfile.open(path) as archive:
        inside = {m.name.split("/", 1)[1] for m in archive.getmembers() if m.isfile()}
    return (inside - MADE) ^ {name for name in files if not name.startswith(LEFT_OUT)}


def strange_in_wheel(path: Path, files: set[str]) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {n.removeprefix("src/") for n in files if n.startswith("src/")}
    lessons = {f"handgrad/{n}" for n in files if n.startswith("notebooks/")}
    return inside ^ (package | lessons)


def installed(wheel: Path, extra: str, folder: Path) -> str:
    """A Python that has the wheel with this extra, and nothing else."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    command = [python, "-m", "pip", "install", "--quiet", *constraints, what]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"[{extra}] cannot be installed: {done.stderr}")
    return python


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        once, again = build(folder / "once"), build(folder / "again")
        if list(map(digest, once)) != list(map(digest, again)):
            sys.exit("the archives differ from one build to the next")
        wheel, sdist = once
        files = tracked()
        for strange in (strange_in_wheel(wheel, files), strange_in_sdist(sdist, files)):
            if strange:
                sys.exit(f"in an archive or missing from it: {sorted(strange)}")
        for extra, commands in track(list(RUNS.items()), "extras"):
            python = installed(wheel, extra, folder / "venv")
            for command in commands:
                done = subprocess.run(
                    [python, *command], cwd=folder, capture_output=True, text=True
                )
                if done.returncode:
                    sys.exit(f"[{extra}] {' '.join(command)}: {done.stdout}{done.stderr}")
            shutil.rmtree(folder / "venv")
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(folder / "once", ROOT / "dist")
    for path in sorted((ROOT / "dist").iterdir()):
        print(f"{digest(path)}  dist/{path.name}")


if __name__ == "__main__":
    main()
