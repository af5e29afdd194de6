"""The page of the default run in a cold browser: size, first paint, a step of the slider, requests.

    python benchmarks/explore.py [--starts 5] [--pictures docs]

A step is measured to the second frame after it: 33 ms are two frames of 60 Hz, the least there is.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import track

from handgrad import make_problem, train
from handgrad.explore import page
from handgrad.explore.numbers import STUCK
from handgrad.verification import compare_runs

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from browser import Opened, chromium

STEPS = """async () => {
  const slider = document.querySelector("input[type=range]");
  const frame = () => new Promise(requestAnimationFrame);
  const found = [];
  for (let shot = 0; shot < 40; shot++) {
    const began = performance.now();
    slider.value = shot;
    slider.dispatchEvent(new Event("input"));
    const worked = performance.now() - began;
    await frame();
    await frame();
    found.push([worked, performance.now() - began]);
  }
  return found;
}"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


def cold(path: Path) -> dict[str, Any]:
    """One start of a browser with a new profile."""
    with chromium() as browser:
        opened = Opened(browser, path)
        paint, steps = opened.page.evaluate(PAINT), opened.page.evaluate(STEPS)
        return {
            "paint": paint,
            "work": median(work for work, _ in steps),
            "step": median(step for _, step in steps),
            "requests": len(opened.requests) - 1,  # the file itself
        }


def pictures(path: Path, folder: Path) -> None:
    """The two pictures of README."""
    with chromium() as browser:
        at, size = "#epoch=5&sample=12&part=W1[2,0]", {"width": 1100, "height": 1040}
        opened = Opened(browser, path, at, viewport=size)
        opened.settled().screenshot(path=folder / "explore.png")
        opened.page.locator(".scrubber").evaluate("bar => bar.remove()")  # it lies over the rest
        opened.page.locator("#sample").screenshot(path=folder / "explore-sample.png")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page(compare_runs(make_problem())), encoding="utf-8")
        if options.pictures:
            pictures(path, options.pictures)
        starts = track(range(options.starts), "starts", console=Console(stderr=True))
        found = [cold(path) for _ in starts]
        size = path.stat().st_size / 1000
    print(f"| median of {options.starts} | median | worst |\n|---|---|---|")
    print(f"| file | {size:.0f} kB | |")
    for key, name, unit in (
        ("paint", "first paint", " ms"),
        ("work", "a step's own work", " ms"),
        ("step", "a step of the slider, to the second frame (33 ms is the least)", " ms"),
        ("requests", "requests", ""),
    ):
        values = [start[key] for start in found]
        print(f"| {name} | {median(values):.0f}{unit} | {max(values):.0f}{unit} |")
    stuck = train(make_problem(STUCK)).final["val_accuracy"]
    print(f"the run that got stuck ends at {100 * stuck:.1f} %")


if __name__ == "__main__":
    main()
