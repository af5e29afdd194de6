"""Does `benchmarks/every_number.py` see a number that its command does not print?"""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from every_number import LEFT_OUT, ROOT, main, read, same

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLAIMS = read([path for path in PAGES if path.name not in LEFT_OUT])
COMMANDS = sorted({claim.command for claim in CLAIMS.claims})

PAGE = """# A page

<!-- file: printing.py -->
```python
print("| kind | covered % | size |")
print("| smooth | 99.98 | 1,024 |")
print("| stairs | 75.00 | 7 |")
```

<!-- numbers: python printing.py -->
| kind | covered % | size |
|---|---|---|
| smooth | 99.98 | 1,024 |
| stairs | 75.0 | 7 |
"""


def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], page: str) -> tuple[int, str]:
    """The exit code for such a page, and what is printed."""
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    return main([str(path)]), capsys.readouterr().out


def shows(command: str, block: str) -> str:
    return f"<!-- numbers: python -c {shlex.quote(command)} -->\n```text\n{block}\n```\n"


def test_the_same_numbers_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(tmp_path, capsys, PAGE)
    assert code == 0
    assert re.search(r"page.md:11  python printing.py \(\d+ s\): same", text)
    assert "1 places, 1 commands: 0 rows differ, 0 commands failed" in text


@pytest.mark.parametrize(
    ("shown", "instead", "printed"),
    [
        ("| smooth | 99.98", "| smooth | 99.91", "smooth 99.98 1,024"),
        ("1,024 |\n| stairs", "1,025 |\n| stairs", "smooth 99.98 1,024"),
        ("| stairs | 75.0 ", "| stairs | – ", "stairs 75.00 7"),
        ("| stairs | 75.0 ", "| waves | 75.0 ", "nothing like it"),
    ],
)
def test_a_changed_digit_and_a_missing_row_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: str, instead: str, printed: str
) -> None:
    before, table = PAGE.rsplit("|---|\n", 1)
    code, text = said(tmp_path, capsys, f"{before}|---|\n{table.replace(shown, instead)}")
    assert code == 1
    (row,) = re.findall(r"shown:   (.*)\n    printed: (.*)", text)
    assert instead.split(" |\n")[0] in row[0]
    assert row[1] == printed


def test_a_line_of_text_that_is_not_printed_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = shows("print('x  pass  5 of 5,\\n9 more')", "x pass 5 of\n… 9 more")
    assert said(tmp_path, capsys, right)[0] == 0
    code, text = said(tmp_path, capsys, right.replace("x pass 5 of\n", "x pass 4 of\ny pass\n"))
    assert code == 1
    assert "shown:   x pass 4 of\n    printed: x pass 5 of" in text
    assert "shown:   y pass\n    printed: nothing like it" in text


def test_a_command_that_fails_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "print(5); raise SystemExit('no such bound')"
    code, text = said(tmp_path, capsys, shows(command, "5") + shows("print(6)", "6"))
    assert code == 2
    assert "FAILED: no such bound" in text
    assert "1 commands failed" in text


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("check 10 ms", "check 19.5 ms", True),
        ("check 10 ms", "check 50 ms", False),
        ("seconds 0.3 12", "seconds 0.2 20", True),
        ("seconds 0.3 12", "seconds 0.2 50", False),
        ("a unit's column 10", "a unit's column 11", False),
        ("error 3.4e-14", "error 9.1e-16", True),
        ("error 3.4e-14", "error 3.1e-11", False),
        ("error 3.4e-05", "error 3.6e-05", False),
        ("error -3.4e-05", "error 3.4e-05", False),
        ("share 0.98", "share 0.9732", True),
        ("share 0.98", "share 0.96", False),
        ("right 20/20", "right 19/20", False),
    ],
)
def test_what_counts_as_the_same(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shown: str,
    printed: str,
    alike: bool,
) -> None:
    code, _ = said(tmp_path, capsys, shows(f"print({printed!r})", shown))
    assert code == (not alike)


def test_a_column_is_a_time_where_its_header_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "| case | calls | draws |\n|---|---|---|\n| a | {} | {} |\n"
    page = "<!-- numbers: python -c 'print(\"a 10 20\")' -->\n"
    assert said(tmp_path, capsys, page + table.format(14, 20))[0] == 0
    assert said(tmp_path, capsys, page + table.format(10, 21))[0] == 1
    assert said(tmp_path, capsys, page + table.format(50, 20))[0] == 1


def test_the_numbers_of_a_paragraph_are_those_of_its_comment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = """<!-- numbers: python -c 'print(38, "none,", 962, "named")' | 38 | 962 named -->

Of 38 none, of 1,000 962.
"""
    assert said(tmp_path, capsys, page)[0] == 0
    code, text = said(tmp_path, capsys, page.replace("of 1,000 962", "of 1,000 961"))
    assert code == 1
    assert "no such number in the paragraph" in text
    code, text = said(tmp_path, capsys, page.replace("| 38", "| 39").replace("Of 38", "Of 39"))
    assert code == 1


def test_each_command_runs_once_in_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "open('ran', 'x'); print('once: 1')"
    assert said(tmp_path, capsys, 2 * shows(command, "once: 1"))[0] == 0
    assert not (ROOT / "ran").exists()


def test_only_runs_what_contains_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.md"
    path.write_text(shows("print(5)", "5") + shows("print(6)", "7"))
    assert main([str(path), "--only", "print(5)"]) == 0
    assert main([str(path)]) == 1


def test_the_list_says_what_is_covered_and_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.md"
    bare = "\n| case | error |\n|---|---|\n| a | 0.31 |\n"
    codes = "\n| verdict | exit code |\n|---|---|\n| pass | 0 |\n"
    words = "\n| option | means |\n|---|---|\n| `--seed` | 42, if it is not given |\n"
    path.write_text(PAGE + codes + words)
    assert main([str(path), "--list"]) == 0
    assert "table  python printing.py" in capsys.readouterr().out
    path.write_text(PAGE + bare + codes + words)
    assert main([str(path), "--list"]) == 1
    out = capsys.readouterr().out
    assert "NO COMMAND: " in out
    assert "1 tables of measured numbers without a command" in out
    path.write_text(f"{PAGE}\n<!-- numbers: none, from a book -->{bare}")
    assert main([str(path), "--list"]) == 0
    assert "not measured: " in capsys.readouterr().out


def test_a_comment_that_stands_before_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("<!-- numbers: python printing.py -->\n\nNo table.\n")
    with pytest.raises(SystemExit, match="nothing stands below"):
        main([str(path)])


def test_words_are_not_numbers() -> None:
    assert same("float32", "float32", False)
    assert not same("float32", "float64", True)


# The project's own pages


def test_every_measured_table_has_its_command() -> None:
    assert CLAIMS.uncovered == []
    assert len(COMMANDS) > 20


@cache
def options_of(program: str) -> str:
    """What a script's or a command's --help says."""
    start = {"python": [sys.executable], "handgrad": [sys.executable, "-m", "handgrad"]}
    kind, what = program.split()
    done = subprocess.run(
        [*start[kind], what, "--help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists_and_takes_its_options(command: str) -> None:
    program, what, *words = shlex.split(command)
    if program == "python" and what in CLAIMS.files:
        return
    helped = options_of(f"{program} {what}")
    for word in words:
        if word.startswith("--"):
            assert re.search(rf"{word}\b", helped), word
        elif word.startswith("examples/"):
            assert (ROOT / word.split(":")[0]).exists()
