"""Is each number of README and the pages what its command prints? Says what differs.

    python benchmarks/every_number.py [PAGE ...] [--only TEXT] [--list]

A comment in the Markdown names the command, and stands above what it is about:

    <!-- numbers: COMMAND -->                    the next table, or the next block of text
    <!-- numbers: COMMAND | 27 | slow 9 ms -->   the next paragraph: each part must be printed
    <!-- numbers: none, WHY -->                  the next table, which no command prints
    <!-- file: NAME ... -->                      the next Python goes into files for the commands

A row is found by its words. Then its numbers are compared in order: counts exactly, rounding noise
within a factor of 100, times, ratios and sizes in memory within a factor of 2, any other number by
the digits that are shown, with one unit in the last. In a block of text … stands for what was left
out. Exits with 1 if a number differs, with 2 if a command fails.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).parent.parent
LEFT_OUT = {"changelog.md", "contributing.md", "command_options.md"}  # they are made of other files
LONG = {  # what takes longer than a minute on two cores
    "benchmarks/gradcheck.py --draws": "half an hour",
    "benchmarks/kills.py": "half an hour",
    "benchmarks/notebooks.py --draws": "half an hour",
    "benchmarks/proofs.py --right 10000": "half an hour",
    "benchmarks/sweep.py --seeds": "minutes",
}
BLOCK = re.compile(
    r"^<!-- (?P<comment>numbers|file): (?P<said>.+) -->\n"
    r"|^```(?P<language>.*)\n(?P<code>(?:.*\n)*?)```\n"
    r"|(?P<table>(?:^\|.*\n)+)"
    r"|(?P<paragraph>(?:^(?!\||```|<!--).*\S.*\n)+)",
    re.MULTILINE,
)
NUMBER = r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d*\.?\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)"
TOKEN = re.compile(rf"{NUMBER}|[^\W\d]\w*(?:['’]\w+)?|[–✓✗]")
MEASURED = re.compile(rf"(?:\w+ )?{NUMBER}(?:/\d+)?(?: ?(?:%|ms|s|kB))?")
TIME = re.compile(
    r"(?<![\w'’])(?:m|µ|milli|micro)?(?:s|seconds?)\b|\btimes?\b|\bratio\b|\bcalls\b|\b[kMG]i?B\b"
)
FOOTNOTES = str.maketrans("−", "-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Claim:
    """What a place shows, and the command that prints it; parts: of a paragraph."""

    place: str
    kind: str
    command: str
    parts: list[str]
    shown: str


@dataclass
class Pages:
    """What the pages claim, the files that they give to commands, and the tables left over."""

    claims: list[Claim] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    uncovered: list[str] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)


def read(paths: Sequence[Path]) -> Pages:
    """Everything that the comments of these pages say."""
    pages = Pages()
    for path in paths:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        text, waiting, names = path.read_text(encoding="utf-8") + "\n", list[str](), list[str]()
        for block in BLOCK.finditer(text):
            place = f"{name}:{text.count(chr(10), 0, block.start()) + 1}"
            if block["comment"] == "numbers":
                waiting.append(block["said"])
            elif block["comment"] == "file":
                names = block["said"].split()
            elif block["language"] == "python":
                for made in names:
                    pages.files[made] = pages.files.get(made, "") + block["code"]
                names = []
            elif block["language"] in (None, "text"):
                kind = block.lastgroup if block.lastgroup != "code" else "text"
                taken = [w for w in waiting if kind != "paragraph" or " | " in w]
                waiting = [w for w in waiting if w not in taken]
                _claim(pages, place, str(kind), taken, block[block.lastgroup or 0])
        if waiting:
            raise SystemExit(f"{name}: nothing stands below {waiting[0]!r}")
    return pages


def _claim(pages: Pages, place: str, kind: str, said: list[str], shown: str) -> None:
    """Add what the comments above a block say of it."""
    for text in said:
        command, *parts = text.split(" | ")
        if command.startswith("none, "):
            pages.not_measured.append(f"{place}  {command.removeprefix('none, ')}")
        else:
            pages.claims.append(Claim(place, "paragraph" if parts else kind, command, parts, shown))
    if kind == "table" and not said and measured(shown):
        pages.uncovered.append(place)


def cells(line: str) -> list[str]:
    """Of a row of a Markdown table; of a link the text."""
    line = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line)
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def measured(table: str) -> bool:
    """Whether a cell beyond the first column is a number by itself; an exit code is none."""
    header, _, *rows = map(cells, table.translate(FOOTNOTES).splitlines())
    columns = list(zip(header, *rows, strict=True))[1:]
    return any(
        title != "exit code" and any(map(MEASURED.fullmatch, column)) for title, *column in columns
    )


def tokens(text: str) -> list[str]:
    """Words and numbers."""
    return TOKEN.findall(text.translate(FOOTNOTES))


def is_number(token: str) -> bool:
    return re.fullmatch(NUMBER, token) is not None


def same(shown: str, printed: str, time: bool) -> bool:
    """Whether two words, or two numbers, are the same."""
    one, other = shown.replace(",", ""), printed.replace(",", "")
    if one == other or not (is_number(shown) and is_number(printed)):
        return one == other
    a, b = float(one), float(other)
    small, large = sorted([abs(a), abs(b)])
    if time:
        return a * b > 0 and large <= 2 * small
    if one.lstrip("-").isdigit() and other.lstrip("-").isdigit():
        return False
    if "e-" in one and large < 1e-10:
        return a * b > 0 and large <= 100 * small
    digits, _, power = one.partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    return abs(a - b) <= 1.001 * unit


def rows(claim: Claim) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    """What must be printed: each line, and its tokens with whether each is a time."""
    if claim.kind == "table":
        header, _, *lines = claim.shown.splitlines()
        first, *_ = titles = cells(header)
        for line in lines:
            yield (
                line,
                [
                    (token, bool(TIME.search(f"{first} {title} {line}")))
                    for title, cell in zip(titles, cells(line), strict=True)
                    for token in tokens(cell)
                ],
            )
        return
    lines = [line for line in claim.shown.splitlines() if not line.startswith("$ ")]
    for piece in claim.parts or [piece for line in lines for piece in line.split("…")]:
        if tokens(piece):
            yield piece, [(token, bool(TIME.search(piece))) for token in tokens(piece)]


def instead(shown: list[tuple[str, bool]], whole_lines: bool, output: str) -> str | None:
    """What was printed in a row's place; None if it is the same."""
    n, printed = len(shown), [tokens(line) for line in output.splitlines()]
    if not whole_lines:  # a text may be broken elsewhere
        stream = [token for line in printed for token in line]
        printed = [stream[k : k + n] for k in range(len(stream) - n + 1)]
    words = [None if is_number(token) else token for token, _ in shown]
    alike = [p for p in printed if [None if is_number(t) else t for t in p] == words]
    for p in alike:
        if all(same(token, other, time) for (token, time), other in zip(shown, p, strict=True)):
            return None
    begin = [token for token, _ in shown[: max(1, n // 3)]]
    near = alike or [p for p in printed if p[: len(begin)] == begin]
    return " ".join(near[0]) if near else "nothing like it"


def differences(claim: Claim, output: str) -> Iterator[tuple[str, str]]:
    """Each row that differs, and what is printed in its place."""
    for line, shown in rows(claim):
        other = instead(shown, claim.kind == "table", output)
        if other is not None:
            yield line.strip(), other
    there = tokens(claim.shown)
    for part in claim.parts:
        if not all(token in there for token in tokens(part) if is_number(token)):
            yield "(no such number in the paragraph)", part


def run(command: str, folder: Path) -> tuple[str, str]:
    """What a command prints, and the last line of one that fails."""
    program, *words = shlex.split(command)
    start = {"python": [sys.executable], "handgrad": [sys.executable, "-m", "handgrad"]}[program]
    words = [str(ROOT / w) if (ROOT / w.split(":")[0]).is_file() else w for w in words]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [*start, *words], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    # With 1 and 3 handgrad says what it has found.
    right = (0, 1, 3) if program == "handgrad" else (0,)
    last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
    return done.stdout, "" if done.returncode in right else last


def listed(pages: Pages) -> int:
    """Print what is covered by which command and what is not; returns the exit code."""
    for claim in pages.claims:
        long = [f"  (takes {time})" for text, time in LONG.items() if text in claim.command]
        print(f"{claim.place}  {claim.kind}  {claim.command}{''.join(long)}")
    for title, places in (("not measured", pages.not_measured), ("NO COMMAND", pages.uncovered)):
        print("".join(f"{title}: {place}\n" for place in places), end="")
    kinds = Counter(claim.kind for claim in pages.claims)
    print(len({claim.command for claim in pages.claims}), "commands:", end=" ")
    print(*(f"{n} × {kind}" for kind, n in kinds.items()), sep=", ", end="; ")
    print(f"{len(pages.uncovered)} tables of measured numbers without a command")
    return int(bool(pages.uncovered))


def compared(pages: Pages) -> int:
    """Run each command once and print what differs; returns the exit code."""
    outputs, differ = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in pages.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        commands = list(dict.fromkeys(claim.command for claim in pages.claims))
        for command in track(commands, "commands", console=Console(stderr=True)):
            began = perf_counter()
            outputs[command] = (*run(command, Path(folder)), perf_counter() - began)
    for claim in pages.claims:
        output, failed, seconds = outputs[claim.command]
        found = [] if failed else list(differences(claim, output))
        differ += len(found)
        verdict = f"FAILED: {failed}" if failed else "differs" if found else "same"
        print(f"{claim.place}  {claim.command} ({seconds:.0f} s): {verdict}")
        for shown, printed in found:
            print(f"    shown:   {shown}\n    printed: {printed}")
    failures = sum(bool(failed) for _, failed, _ in outputs.values())
    print(f"{len(pages.claims)} places, {len(outputs)} commands: ", end="")
    print(f"{differ} rows differ, {failures} commands failed")
    return 2 if failures else int(differ > 0)


def main(given: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    parser.add_argument("--only", default="", help="places and commands that contain this")
    parser.add_argument("--list", action="store_true", help="what is covered; runs nothing")
    options = parser.parse_args(given)
    docs = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in LEFT_OUT]
    pages = read([path.resolve() for path in options.pages] or [ROOT / "README.md", *docs])
    pages.claims = [c for c in pages.claims if options.only in f"{c.place} {c.command}"]
    return listed(pages) if options.list else compared(pages)


if __name__ == "__main__":
    sys.exit(main())
