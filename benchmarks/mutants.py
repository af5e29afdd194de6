"""How many small changes of the source do the tests see?

    python benchmarks/mutants.py --count 640 --seed 22

Lines of the source are drawn, and on each one change of cosmic-ray's: another operator, another
number, a condition turned round, a decorator left out. The tests that reach the line run on it, the
shortest first, in a copy of the project. A change that none of them notices has survived.
`.coverage`, from `make coverage`, says which tests reach a line. The survivors that change nothing,
each with its reason, stand in `tests/survivors.toml`.
"""

import argparse
import ast
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from coverage import CoverageData
from rich.progress import track

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
# What is drawn from, in proportion to its lines.
SOURCES = (
    "src/handgrad/stages/*.py",
    "src/handgrad/exact/*.py",
    "src/handgrad/checker/*.py",
    "src/handgrad/sweep/*.py",
    *(f"src/handgrad/{name}.py" for name in ("comparison", "parity", "problem", "rounding")),
    *(f"src/handgrad/{name}.py" for name in ("training", "verification", "witnesses")),
    *(f"src/handgrad/{name}.py" for name in ("exercise", "lesson", "progress")),
    "lessons/exercises.py",
)
LOG, SURVIVORS = ROOT / ".durations", ROOT / "tests" / "survivors.toml"
# What runs in a process of its own is not told which test began it.
ELSEWHERE = {"user_file.py": ("tests/test_check_command", "tests/test_exit_codes")}
PRELOADED = ["numpy", "torch", "torch._dynamo", "matplotlib.pyplot", "rich.progress", "typer"]


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str
    turn: int = 1  # of the same changes that were drawn, from the top of the file

    @property
    def name(self) -> str:
        which = f" ({self.turn})" if self.turn > 1 else ""
        return f"{self.path}: {self.before} → {self.after}{which}"


def changes(path: Path) -> Iterator[tuple[int, str, int]]:
    """Line, operator and occurrence of every change that can be made in the file."""
    source = path.read_text()
    tree, idle, lines = get_ast(source), set(_idle_lines(source)), source.splitlines()
    for operator in cosmic_ray.plugins.operator_names():
        kind = cosmic_ray.plugins.get_operator(operator)
        if kind.arguments():
            continue
        one = kind()
        places = (p for node in ast_nodes(tree) for p in one.mutation_positions(node))
        for occurrence, ((line, _), _end) in enumerate(places):
            text = lines[line - 1].strip()
            dotted = "Exception" in operator and "." in text  # it stumbles over these
            if line not in idle and not dotted and text != "*,":  # which is no product
                yield line, operator, occurrence


def _idle_lines(source: str) -> Iterator[int]:
    """Lines with nothing but types in them, and those that only a type checker reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from range(node.lineno, (node.end_lineno or 0) + 1)
        if isinstance(node, ast.FunctionDef | ast.AnnAssign):
            hints = [a.annotation for a in ast.walk(node) if isinstance(a, ast.arg)]
            hints += [node.returns if isinstance(node, ast.FunctionDef) else node.annotation]
            yield from (hint.lineno for hint in hints if hint and "|" in ast.unparse(hint))


def draw(count: int, seed: int) -> list[Mutant]:
    """That many lines, and one change on each.

    A line is drawn by the hash of its text: the same ones are drawn when other lines change.
    """
    by_line: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    keys = dict[tuple[str, int], str]()
    for path in sorted({p for pattern in SOURCES for p in ROOT.glob(pattern)}):
        name, lines = str(path.relative_to(ROOT)), path.read_text().splitlines()
        seen = Counter[str]()
        for number, text in enumerate(map(str.strip, lines), 1):
            keys[name, number] = _hash(seed, name, text, seen[text])
            seen[text] += 1
        for number, operator, occurrence in changes(path):
            by_line[name, number].append((operator, occurrence))
    drawn = (
        _one(by_line[place], keys[place], place) for place in sorted(by_line, key=keys.__getitem__)
    )
    found = list(islice(filter(None, drawn), count))
    turns = Counter[str]()
    for one in sorted(found, key=lambda one: (one.path, one.line, one.occurrence)):
        turns[one.name] += 1
        found[found.index(one)] = replace(one, turn=turns[one.name])
    return found


def _one(possible: list[tuple[str, int]], key: str, place: tuple[str, int]) -> Mutant | None:
    """The first change, by the hash, that is Python at all."""
    turns = Counter[str]()
    ranked = []
    for operator, occurrence in possible:
        ranked.append((_hash(key, operator, turns[operator]), operator, occurrence))
        turns[operator] += 1
    made = (mutant(*place, operator, occurrence) for _, operator, occurrence in sorted(ranked))
    return next(filter(None, made), None)


def _hash(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()


def mutant(path: str, line: int, operator: str, occurrence: int) -> Mutant | None:
    old, text = (ROOT / path).read_text().splitlines(), changed(ROOT / path, operator, occurrence)
    try:
        compile(text, path, "exec")
    except SyntaxError:
        return None
    if len(new := text.splitlines()) != len(old):
        return Mutant(path, line, operator, occurrence, old[line - 1].strip(), "(left out)")
    k = next(k for k, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
    return Mutant(path, k + 1, operator, occurrence, old[k].strip(), new[k].strip())


def changed(path: Path, operator: str, occurrence: int) -> str:
    return mutate_code(path.read_text(), cosmic_ray.plugins.get_operator(operator)(), occurrence)


class Tests:
    """Which tests reach a line, and how long each takes."""

    def __init__(self) -> None:
        self.data = CoverageData(str(ROOT / ".coverage"))
        self.data.read()
        self.failing: set[str] = set()  # without any change
        self.seconds: dict[str, float] = defaultdict(float)
        for number, test in re.findall(r"^([\d.]+)s \w+ +(\S.*)$", LOG.read_text(), re.MULTILINE):
            self.seconds[test] += float(number)

    def reaching(self, one: Mutant, budget: float) -> list[str]:
        """The shortest first, one of each function before its other cases, within the budget."""
        lines = self.data.contexts_by_lineno(one.path)
        reached = [context for line in _statement(one) for context in lines.get(line, ())]
        found = set(map(_test_of, reached)) - {""}
        if Path(one.path).name in ELSEWHERE:
            found |= {
                test for test in self.seconds if test.startswith(ELSEWHERE[Path(one.path).name])
            }
        if not found:  # a line that runs at import, or in a process of its own
            found = {_test_of(c) for contexts in lines.values() for c in contexts} - {""}
        if not found:  # what numba has compiled is not seen at all
            files = tuple(f"tests/test_{part}.py" for part in Path(one.path).with_suffix("").parts)
            found = {test for test in self.seconds if test.startswith(files)}
        found -= self.failing
        turns: dict[str, int] = Counter()
        ranked = []
        for test in sorted(found, key=lambda test: (self.seconds[test], test)):
            function = test.split("[")[0]
            ranked.append((turns[function], self.seconds[test], test))
            turns[function] += 1
        chosen = []
        for _, seconds, test in sorted(ranked):
            if seconds <= budget:
                chosen.append(test)
                budget -= seconds
        return chosen


def _test_of(context: str) -> str:
    """The test that ran: what stands before its phase, whose name may hold a bar too."""
    return context.rpartition("|")[0]


def _statement(one: Mutant) -> range:
    """The lines of the smallest statement that the change is in, without its body."""
    spans = []
    for node in ast.walk(ast.parse((ROOT / one.path).read_text())):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if node.lineno <= one.line <= max(end, node.lineno):
                spans.append(range(node.lineno, max(end, node.lineno) + 1))
    return min(spans, key=len, default=range(one.line, one.line + 1))


def run_tests(copy: str, tests: list[str], report: str, stop: list[str]) -> None:
    """Exits with pytest's status, in a process that already has NumPy and PyTorch."""
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": f"{copy}/src", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, f"{copy}/src")
    import pytest

    options = ["-q", "-rfE", "-p", "no:cacheprovider", "-p", "no:cov", *stop]
    with Path(report).open("w") as file, redirect_stdout(file), redirect_stderr(file):
        status = pytest.main([*options, *tests])
        sys.stdout.flush()
    os._exit(status)


def failed(copy: Path, tests: list[str], seconds: float, stop: list[str]) -> list[str]:
    """Which tests fail in the copy: with `-x` the first, or "time" where they take too long."""
    report = copy / "report.txt"
    context = multiprocessing.get_context("forkserver")
    given = (str(copy), tests, str(report), stop)
    process = context.Process(target=run_tests, args=given)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return ["time"]
    text = report.read_text()
    names = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.MULTILINE)
    if process.exitcode and not names:  # the change may end the import, or take a test away
        if not stop:
            raise SystemExit(f"pytest ended with {process.exitcode}; make coverage again: {text}")
        return ["the collection"]
    return names if process.exitcode else []


def killer(one: Mutant, tests: list[str], copy: Path, *, budget: float) -> str | None:
    """The test that notices the change."""
    target = copy / one.path
    source = target.read_text()
    try:
        target.write_text(changed(target, one.operator, one.occurrence))
        return next(iter(failed(copy, tests, 60 + 3 * budget, ["-x"])), None)
    finally:
        target.write_text(source)


def copies(count: int, folder: Path) -> SimpleQueue[Path]:
    free: SimpleQueue[Path] = SimpleQueue()
    left_out = shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__", "runs", ".*")
    for k in range(count):
        shutil.copytree(ROOT, folder / str(k), ignore=left_out)
        free.put(folder / str(k))
    return free


def reasons() -> dict[str, str]:
    """What is known to change nothing, and why."""
    if not SURVIVORS.exists():
        return {}
    listed = tomllib.loads(SURVIVORS.read_text())["survivor"]
    return {f"{s['path']}: {s['change']}": s["why"] for s in listed}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=640)
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--budget", type=float, default=25, help="seconds of tests for each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", help="mutants whose name contains this")
    parser.add_argument("--resume", action="store_true", help="go on with what --out holds")
    parser.add_argument("--out", type=Path, default=ROOT / ".mutants.json")
    options = parser.parse_args()
    drawn = [m for m in draw(options.count, options.seed) if (options.only or "") in m.name]
    tests = Tests()
    multiprocessing.set_forkserver_preload(PRELOADED)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.workers) as pool:
        free = copies(options.workers, Path(folder))

        def in_a_copy(work: Callable[[Path], T]) -> T:
            copy = free.get()
            try:
                return work(copy)
            finally:
                free.put(copy)

        used = sorted({test for m in drawn for test in tests.reaching(m, options.budget)})
        parts = [used[k :: 4 * options.workers] for k in range(4 * options.workers)]
        unchanged = [partial(failed, tests=part, seconds=3600, stop=[]) for part in parts if part]
        for names in track(pool.map(in_a_copy, unchanged), "unchanged", total=len(unchanged)):
            tests.failing.update(names)

        done = json.loads(options.out.read_text()) if options.resume else []
        known_results = {result["name"]: result for result in done}

        def judged(one: Mutant) -> dict[str, Any]:
            if one.name in known_results:
                return known_results[one.name]
            chosen = tests.reaching(one, options.budget)
            work = partial(killer, one, chosen, budget=options.budget)
            by = in_a_copy(work) if chosen else None
            found = {"tests": len(chosen), "killed by": by}
            return {"name": one.name, "line": one.line, "operator": one.operator, **found}

        for result in track(pool.map(judged, drawn), "mutants", total=len(drawn)):
            results.append(result)
            options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    print(f"{len(used)} tests; left out, as they fail without any change: {sorted(tests.failing)}")
    known = reasons()
    survived = [r for r in results if not r["killed by"]]
    left = [r for r in survived if r["name"] not in known]
    print(
        f"{len(results)} mutants: {len(results) - len(survived)} killed, "
        f"{len(survived) - len(left)} change nothing, {len(left)} survived"
    )
    for r in left:
        print(f"  line {r['line']} of {r['name']}  ({r['tests']} tests)")
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
