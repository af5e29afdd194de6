"""Run the notebooks' code over seeds, sizes, rates and dtypes: does a proof ever cry wolf?

    python benchmarks/notebooks.py             100 settings of each notebook, from the whole grid
    python benchmarks/notebooks.py --draws 10 --most-updates 5000      a quick look
    python benchmarks/notebooks.py --answers   what the exercises say of others' answers

Every proof in a notebook must hold with every setting, so the number of runs that raise must be 0.
Outcomes ("reaches 0.93") are counted beside them, and proofs that say "not decidable".
"""

import argparse
import math
import re
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).parent.parent / "lessons"))
import build
import inprocess

SAID = {
    "reached": "and so at least 0.93: yes",
    "not decidable": "not decidable",
    "not in this run": "not in this run",
}


@cache
def cells(lesson: Path) -> list[str]:
    """The code of a lesson's notebook, built once."""
    return inprocess.code(build.build(lesson))


def play(task: tuple[Path, dict[str, object]]) -> tuple[str, dict[str, bool], str]:
    """Run one notebook with one setting: its name, what it said, and the message if it raised."""
    lesson, settings = task
    warnings.filterwarnings("ignore", message=".*non-interactive.*")
    changed = inprocess.with_settings(cells(lesson), **settings)  # type: ignore[arg-type]
    try:
        said = "".join(inprocess.run(changed))
    except inprocess.Failed as failed:
        return lesson.stem, {}, f"{settings}: {str(failed).splitlines()[0]}"
    return lesson.stem, {name: text in said for name, text in SAID.items()}, ""


def answers() -> None:
    """Print what is said of the answers in `tests/answers`, and how often it is right."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    import test_exercises as exercises

    found, falsely, bare = 0, 0, 0
    for name, what, code in exercises.WRONG:
        blank = exercises.BY_NAME[name]
        said = exercises.said(blank, exercises.filled(blank, code))
        print(f"{what}:\n{exercises.said(blank, exercises.filled(blank, code), hints=1)}\n")
        found += said.startswith(f"{blank.name} ✗ ")
        bare += bool(exercises.BARE.search(said))
        sentence = re.search(r"is right\. (.+)", said)
        if sentence:
            part = exercises.part_of(blank, said)
            falsely += not exercises.is_so(blank, code, part, sentence[1])
    n = len(exercises.WRONG)
    print(f"{n} wrong answers: {found} found, {falsely} named falsely,", end=" ")
    print(f"{100 * (n - bare) / n:.0f} % get more than their furthest entry")
    passed = 0
    for name, _, code in exercises.RIGHT:
        blank = exercises.BY_NAME[name]
        passed += "✓" in exercises.said(blank, exercises.filled(blank, code))
    print(f"{len(exercises.RIGHT)} right answers: {passed} pass")


def main() -> None:
    """Print a line a notebook, and every message of a run that raised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100, help="Settings of each notebook.")
    parser.add_argument(
        "--most-updates", type=float, default=math.inf, help="Leave out longer runs."
    )
    parser.add_argument("--workers", type=int, default=2, help="Processes.")
    parser.add_argument("--answers", action="store_true", help="The exercises, no notebook.")
    arguments = parser.parse_args()
    if arguments.answers:
        answers()
        return
    settings = inprocess.draws(arguments.draws, arguments.most_updates)
    tasks = [(lesson, s) for lesson in build.lessons() for s in settings]
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = list(track(pool.map(play, tasks), "runs", total=len(tasks)))
    print(f"{'notebook':<24} {'runs':>5} {'raised':>7}  " + "  ".join(SAID))
    for lesson in build.lessons():
        own = [(said, message) for name, said, message in results if name == lesson.stem]
        raised = [message for _, message in own if message]
        counts = "  ".join(
            f"{sum(said.get(name, False) for said, _ in own):>{len(name)}}" for name in SAID
        )
        print(f"{lesson.stem:<24} {len(own):5} {len(raised):7}  {counts}")
        for message in raised:
            print("   ", message)
    failed = sum(bool(message) for *_, message in results)
    print(f"{len(results)} runs: {failed} raised")


if __name__ == "__main__":
    main()
