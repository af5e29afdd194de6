"""Is each number of README and the pages what its command prints? Says what differs.

    python benchmarks/every_number.py [PAGE ...] [--only TEXT] [--list]

A comment in the Markdown names the command. It stands before what the command prints:

    <!-- numbers: COMMAND -->                 the next table, or the next block of text
    <!-- numbers: COMMAND | 27 | slow 9 ms -->   the next paragraph: each of these is printed
    <!-- numbers: none, WHY -->               the next table, which no command prints
    <!-- file: NAME ... -->                   the next lines of Python go into files for commands

A row is found by its words. Then its numbers are compared in order: counts exactly, rounding noise
within a factor of 100, times, ratios and sizes in memory within a factor of 2, and any other number
by the digits that are shown, with one unit in the last. In a block of text … stands for what was
left out. Exits with 1 if a number differs, and with 2 if a command fails.
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

from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).parent.parent
LEFT_OUT = {"changelog.md", "contributing.md", "command_options.md"}  # they are made of other files
LONG = {  # what takes longer than a minute on two cores
    "benchmarks/gradcheck.py --draws 10": "hours",
}
BLOCK = re.compile(
    r"^<!-- (?P<kind>numbers|file): (?P<said>.+) -->\n"
    r"|^```(?P<language>.*)\n(?P<code>(?:.*\n)*?)```\n"
    r"|(?P<table>(?:^\|.*\n)+)"
    r"|(?P<text>(?:^(?!\||```|<!--).*\S.*\n)+)",
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
    """What a place says that a command prints; parts: of a paragraph, the ones that are claimed."""

    place: str
    kind: str
    command: str
    parts: tuple[str, ...]
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
        _read_page(path, pages)
    return pages


def _read_page(path: Path, pages: Pages) -> None:
    name = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    waiting: list[str] = []
    names: list[str] = []
    for found in BLOCK.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        if found["kind"] == "numbers":
            waiting.append(found["said"])
        elif found["kind"] == "file":
            names = found["said"].split()
        elif found["language"] == "python" and names:
            for made in names:
                pages.files[made] = pages.files.get(made, "") + found["code"]
            names = []
        elif found["table"] or found["language"] == "text" or found["text"]:
            kind = "table" if found["table"] else "paragraph" if found["text"] else "text"
            shown = found["code"] or found["table"] or found["text"]
            taken = [w for w in waiting if kind != "paragraph" or " | " in w]
            waiting = [w for w in waiting if w not in taken]
            reasons = [w.removeprefix("none, ") for w in taken if w.startswith("none, ")]
            pages.not_measured += [f"{place}  {reason}" for reason in reasons]
            for said in taken:
                command, *parts = said.split(" | ")
                if not said.startswith("none, "):
                    what = "paragraph" if parts else kind
                    pages.claims.append(Claim(place, what, command, tuple(parts), shown))
            if kind == "table" and not taken and measured(shown):
                pages.uncovered.append(place)
    if waiting:
        raise SystemExit(f"{name}: nothing stands below {waiting[0]!r}")


def cells(line: str) -> list[str]:
    """Of a row of a Markdown table, without links and marks of footnotes."""
    line = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line)
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def measured(table: str) -> bool:
    """Whether a cell beyond the first column is a number by itself; exit codes are none."""
    header, _, *rows = map(cells, table.translate(FOOTNOTES).splitlines())
    return any(
        MEASURED.fullmatch(cell) and title != "exit code"
        for row in rows
        for title, cell in list(zip(header, row, strict=True))[1:]
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
    if re.fullmatch(r"-?\d+", one) and re.fullmatch(r"-?\d+", other):
        return False
    if "e-" in one and large < 1e-10:
        return a * b > 0 and large <= 100 * small
    digits, _, power = one.partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    return abs(a - b) <= 1.001 * unit


@dataclass(frozen=True)
class Row:
    """A line that is shown: its tokens, and which of them are times."""

    line: str
    tokens: list[str]
    times: list[bool]


def rows(claim: Claim) -> Iterator[Row]:
    """What must be printed: a table's rows, the lines of a text, the parts of a paragraph."""
    if claim.kind == "table":
        lines = claim.shown.splitlines()
        header = cells(lines[0])
        for line in lines[2:]:
            parts = list(zip(map(tokens, cells(line)), header, strict=True))
            times = [bool(TIME.search(f"{header[0]} {h} {line}")) for t, h in parts for _ in t]
            yield Row(line, [token for t, _ in parts for token in t], times)
        return
    lines = list(claim.parts) or [
        piece
        for line in claim.shown.splitlines()
        if not line.startswith("$ ")
        for piece in line.split("…")
    ]
    for line in lines:
        found = tokens(line)
        if found:
            yield Row(line, found, [bool(TIME.search(line))] * len(found))


def printed_instead(row: Row, claim: Claim, output: str) -> str | None:
    """What was printed in a row's place; None if it is the same."""
    n, printed = len(row.tokens), [tokens(line) for line in output.splitlines()]
    if claim.kind != "table":  # lines may be broken elsewhere
        stream = [token for line in printed for token in line]
        printed = [stream[k : k + n] for k in range(len(stream) - n + 1)]
    words = [None if is_number(t) else t for t in row.tokens]
    alike = [p for p in printed if [None if is_number(t) else t for t in p] == words]
    if any(all(map(same, row.tokens, p, row.times)) for p in alike):
        return None
    begin = row.tokens[: max(1, n // 3)]
    near = alike or [p for p in printed if p[: len(begin)] == begin]
    return " ".join(near[0]) if near else "nothing like it"


def differences(claim: Claim, output: str) -> Iterator[tuple[str, str]]:
    """Each row that differs, and what is printed in its place."""
    for row in rows(claim):
        instead = printed_instead(row, claim, output)
        if instead is not None:
            yield row.line.strip(), instead
    there = tokens(claim.shown)
    for part in claim.parts:
        if not all(token in there for token in tokens(part) if is_number(token)):
            yield "(no such number in the paragraph)", part


def arguments(command: str) -> list[str]:
    """The command, with this Python and the project's own files."""
    program, *words = shlex.split(command)
    start = {"python": [sys.executable], "handgrad": [sys.executable, "-m", "handgrad"]}[program]
    here = [str(ROOT / w) if (ROOT / w.split(":")[0]).is_file() else w for w in words]
    return [*start, *here]


def run(command: str, folder: Path) -> tuple[str, str]:
    """What a command prints, and the last line of one that fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONIOENCODING"] = "utf-8"
    done = subprocess.run(
        arguments(command), cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    # With 1 and 3 handgrad says what it has found.
    right = (0, 1, 3) if command.startswith("handgrad ") else (0,)
    last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
    return done.stdout, "" if done.returncode in right else last


def how_long(command: str) -> str:
    return next((f"  (takes {time})" for text, time in LONG.items() if text in command), "")


def list_everything(pages: Pages) -> None:
    """Print what is covered by which command, and what is not."""
    for claim in pages.claims:
        print(f"{claim.place}  {claim.kind}  {claim.command}{how_long(claim.command)}")
    for title, places in (("NO COMMAND", pages.uncovered), ("not measured", pages.not_measured)):
        for place in places:
            print(f"{title}: {place}")
    kinds = Counter(claim.kind for claim in pages.claims)
    commands = len({claim.command for claim in pages.claims})
    print(f"{commands} commands for", ", ".join(f"{n} × {kind}" for kind, n in kinds.items()))
    print(f"{len(pages.uncovered)} tables of measured numbers without a command")


def compare(pages: Pages) -> int:
    """Run each command once, print what differs, and return the exit code."""
    outputs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in pages.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        commands = list(dict.fromkeys(claim.command for claim in pages.claims))
        for command in track(commands, "commands", console=Console(stderr=True)):
            outputs[command] = run(command, Path(folder))
    differ = 0
    for claim in pages.claims:
        output, failed = outputs[claim.command]
        found = [] if failed else list(differences(claim, output))
        differ += len(found)
        verdict = f"FAILED: {failed}" if failed else "differs" if found else "same"
        print(f"{claim.place}  {claim.command}: {verdict}")
        for shown, instead in found:
            print(f"    shown:   {shown}\n    printed: {instead}")
    failures = sum(1 for _, failed in outputs.values() if failed)
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
    if options.list:
        list_everything(pages)
        return int(bool(pages.uncovered))
    return compare(pages)


if __name__ == "__main__":
    sys.exit(main())
