"""Writes the tables of README and docs from the committed results: `python benchmarks/tables.py [--check]`.

Between `<!-- results:NAME -->` and `<!-- /results -->` stands `results/NAME.csv`: a line for each of its rows, a column
for each metric, and how to measure it again; `<!-- results:NAME | METRIC | ... -->` shows these metrics only. `--check`
changes nothing, and exits with 1 where a table is out of date.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(
    r"(?P<begin><!-- results:(?P<name>[\w-]+)(?P<only>[^\n]*) -->\n).*?(?P<end><!-- /results -->)", re.DOTALL
)


def number(text: str) -> str:
    """`12345` as `12,345`, everything else as it is written."""
    return f"{int(text):,}" if re.fullmatch(r"-?\d{5,}", text) else text


def cell(row: dict[str, str] | None) -> str:
    """The value and, where it varies, its interval."""
    if row is None:
        return ""
    low, high = row["low"], row["high"]
    interval = f" [{number(low)}, {number(high)}]" if low and high and low != high else ""
    return number(row["value"]) + interval


def line(cells: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in cells) + " |"


def render(name: str, rows: list[dict[str, str]], only: list[str] | None = None) -> str:
    """The rows of one CSV as Markdown: all metrics, or `only` these."""
    found = {(row["row"], row["metric"]): row for row in rows}
    names = list(dict.fromkeys(row["row"] for row in rows))
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    if unknown := set(only or ()) - set(metrics):
        raise SystemExit(f"results:{name} has no metric {', '.join(sorted(unknown))}; there are {', '.join(metrics)}")
    metrics = only or metrics
    seeds = {row["row"]: row["seeds"] for row in rows}
    last = ["seeds"] if any(seeds.values()) else []
    lines = [line([name.replace("_", " "), *metrics, *last]), "|---|" + "---:|" * len([*metrics, *last])]
    for row in names:
        cells = [cell(found.get((row, metric))) for metric in metrics]
        lines.append(line([row, *cells, *(seeds[row] for _ in last)]))
    made = dict.fromkeys((row["command"], row["date"], row["commit"], row["hardware"]) for row in rows)
    lines += ["", *(f"`{command}`: {date}, commit {commit}, {hardware}  " for command, date, commit, hardware in made)]
    return "\n".join(lines).rstrip() + "\n"


def filled(text: str, source: str) -> str:
    """A page with its tables as the results say now."""

    def table(block: re.Match[str]) -> str:
        path = RESULTS / f"{block['name']}.csv"
        if not path.exists():
            raise SystemExit(f"{source}: results:{block['name']} needs {path.relative_to(ROOT)}, which does not exist")
        with path.open(newline="", encoding="utf-8") as file:
            only = [metric.strip() for metric in block["only"].split("|")[1:]]
            return block["begin"] + render(block["name"], list(csv.DictReader(file)), only) + block["end"]

    return BLOCK.sub(table, text)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a table is out of date")
    check = parser.parse_args().check
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        now = filled(text, page.relative_to(ROOT).as_posix())
        if now != text and not check:
            page.write_text(now, encoding="utf-8")
        if now != text:
            stale.append(page.relative_to(ROOT).as_posix())
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
