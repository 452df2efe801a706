"""The HTML text of a report. Every text from a run is escaped, and nothing is fetched."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from romanesco.core.clock import split
from romanesco.study import verdict as say
from romanesco.study.claims import standing
from romanesco.study.labels import ABSENT as DASH
from romanesco.study.labels import differing, labels_of
from romanesco.study.runs import Run
from romanesco.study.stats import t_interval

DISCLAIMER = (
    "For research and education, not for vehicles, medical devices, industrial control, trading or anything where "
    "failure harms. Toy-task results may not transfer; attention does not always help; seeds vary; training costs "
    "compute."
)
COVERAGE = (
    ("3", ".75 / .63 / .75", ".72 / .64 / .61", ".96 / .64 / .82"),
    ("5", ".89 / .80 / .89", ".82 / .82 / .74", ".94 / .83 / .82"),
    ("10", ".93 / .91 / .92", ".90 / .95 / .83", ".95 / .93 / .84"),
    ("20", ".95 / .94 / .94", ".93 / .95 / .87", ".95 / .93 / .87"),
)
COVERED = (
    "How often an interval that should hold the truth 95 % of the time does, for scores that are normal, bimodal "
    "(70 % N(500, 5), 30 % N(150, 50)) and skewed."
)
HALVES = {"success", "training"}  # figures side by side, where there are both
CAPTIONS = {
    "evaluation": "Mean over the episodes of an evaluation; IQM over seeds with its 95 % bootstrap band, a thin line "
    "for each seed. Dashed: the threshold that counts as solved, where the task has one.",
    "success": "Share of evaluation episodes that succeed.",
    "training": "Episodes played while learning, exploration included.",
    "learning": "What the updates did. off_policy, how far acting and replay differ, must stay below the dashed line.",
}
CSS = Path(__file__).with_name("report.css")
PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><style>{css}</style></head>\n'
    "<body><main>\n{body}\n<footer>{footer}</footer></main></body></html>\n"
)


def halves(names: Iterable[str]) -> set[str]:
    """Of these figures, those that stand side by side."""
    return HALVES & set(names) if HALVES.issubset(names) else set()


def _cards(pictures: dict[str, str]) -> str:
    kind = lambda name: ' class="half"' if name in halves(pictures) else ""
    cards = (f"<figure{kind(n)}>{svg}<figcaption>{CAPTIONS[n]}</figcaption></figure>" for n, svg in pictures.items())
    return f'<div class="cards">{"".join(cards)}</div>'


def _esc(x: Any) -> str:
    return html.escape(str(x), quote=True).replace(" %", "\N{NO-BREAK SPACE}%")


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table without the columns that hold nothing."""
    keep = [i for i in range(len(head)) if i == 0 or any(row[i] != DASH for row in rows)]
    cells = lambda row, tag: "".join(f"<{tag}>{_esc(row[i])}</{tag}>" for i in keep)
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(x: Any, form: Callable[[Any], str] = say.number) -> str:
    return form(x) if isinstance(x, (int, float)) else DASH


def _tiny(x: float) -> str:
    return f"{x:.1e}" if x else "0"


def _seed_row(run: Run, seed: int, result: dict[str, Any]) -> tuple[Any, ...]:
    score = lambda kind, field="mean": (result.get(kind) or {}).get(field)
    reached = _cell(result.get("steps_to_threshold"), "{:,}".format)
    if run.threshold is not None and result.get("greedy") and reached == DASH:
        reached = "never"
    return (
        seed, _cell(score("greedy")), _cell(score("greedy", "success"), say.percent), _cell(score("sampled")),
        _cell(score("absolute")), _cell(result.get("best_step"), "{:,}".format), reached,
        _cell(say.largest_off_policy(run, seed), _tiny), _cell(result.get("frozen_at"), "{:,}".format),
    )  # fmt: skip


def _seed_table(run: Run) -> str:
    results = {s.get("seed"): s for s in say.seed_results(run)}
    head = ("seed", "greedy", "success", "sampled", "absolute", "best at step", "threshold at step",
            "largest off_policy", "frozen at step")  # fmt: skip
    note = "" if results else '<p class="soft">There is no final evaluation yet.</p>'
    return note + _table(head, [_seed_row(run, seed, results.get(seed, {})) for seed in run.seeds])


def _run_table(runs: Sequence[Run]) -> str:
    """One row a run."""
    rows = []
    for label, run in zip(labels_of(runs), runs, strict=True):
        returns, success = say.finals(run), say.finals(run, "success")
        mean = t_interval(returns)
        student = f"{say.number(sum(returns) / len(returns))} [{', '.join(map(say.number, mean))}]" if mean else DASH
        solved = sum(s.get("steps_to_threshold") is not None for s in say.seed_results(run))
        share = f"{solved} of {len(run.seeds)}" if run.threshold is not None else DASH
        off = _cell(say.largest_off_policy(run), _tiny)
        rows.append((
            label, run.status, len(run.seeds), f"{run.steps:,}", say.span(returns) or DASH, student,
            say.span(success, say.percent) or DASH, share, off,
        ))  # fmt: skip
    head = ("run", "status", "seeds", "steps", "IQM return", "mean return", "success", "solved", "largest off_policy")
    return _table(head, rows)


def _differences(runs: Sequence[Run]) -> str:
    """Settings in which the runs differ."""
    rows = [(key, *values) for key, values in differing(runs).items()]
    return _table(("setting", *labels_of(runs)), rows) if rows else '<p class="soft">Their settings are the same.</p>'


def _made_with(run: Run) -> str:
    size = run.model.get("parameters"), run.model.get("carry")
    about = "{:,} parameters, {:,} numbers of memory a stream. ".format(*size) if None not in size else ""
    spent = split(rows[-1] for seed in run.seeds if (rows := run.metrics(seed)))
    about += f"Time: {spent}. " if spent else ""
    git = run.version.get("git") or {}
    dirty = " with changes" if git.get("dirty") else ""
    commit = f", commit {str(git['commit'])[:10]}{dirty}" if git.get("commit") else ""
    packages = run.version.get("dependencies") or {}
    with_ = "".join(f", {name} {packages[name]}" for name in ("jax", "equinox", "optax", "numpy") if name in packages)
    ours = f"romanesco {run.version.get('romanesco', '?')}{commit}, Python {run.version.get('python', '?')}{with_}"
    return f"{about}{ours}, on {run.version.get('device', '?')} ({run.version.get('platform', '?')})."


def _warned(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Each warning once, with the runs that it is about."""
    about: dict[str, list[str]] = {}
    for run, label in zip(runs, labels, strict=True):
        for text in say.warnings(run):
            about.setdefault(text, []).append(label)
    whose = lambda names: "All" if len(names) == len(runs) else ", ".join(names)
    name = lambda names: f"<strong>{_esc(whose(names))}</strong>: " if len(runs) > 1 else ""
    return "".join(f'<p class="warn">{name(names)}{_esc(text)}</p>' for text, names in about.items())


def _coverage() -> str:
    head = ("seeds", "IQM, percentile", "mean, BCa", "mean, Student t")
    title = "How far an interval can be trusted"
    return f"<details><summary>{title}</summary><p>{COVERED}</p>{_table(head, COVERAGE)}</details>"


def _origin(run: Run, label: str | None) -> str:
    return (
        f"{f'<h3>{_esc(label)}</h3>' if label else ''}<pre>{_esc(run.command) or DASH}</pre>"
        f'<p class="soft">{_esc(_made_with(run))}</p>'
        f"<details><summary>Configuration</summary><pre>{_esc(run.config_text) or DASH}</pre></details>"
    )


def page(runs: Sequence[Run], pictures: dict[str, str]) -> str:
    """The HTML text of a report."""
    labels, many = labels_of(runs), len(runs) > 1
    title = f"{len(runs)} runs" if many else labels[0]
    named = list(zip(runs, labels, strict=True))
    parts = [f"<h1>{_esc(title)}</h1>", f'<p class="soft">{_esc(", ".join(run.name for run in runs))}</p>']
    if many:
        first, *more = standing(runs)
        parts += [f'<p class="verdict">{_esc(first)}</p>', *(f"<p>{_esc(text)}</p>" for text in more)]
        parts.append(f"<ul>{''.join(f'<li>{_esc(say.verdict(run, label))}</li>' for run, label in named)}</ul>")
    else:
        parts.append(f'<p class="verdict">{_esc(say.verdict(runs[0], labels[0]))}</p>')
    parts.append(_warned(runs, labels))
    parts += [_coverage()] if any(len(run.seeds) < say.ENOUGH for run in runs) else []
    parts.append("<h2>Curves</h2>" if pictures else '<p class="soft">There is nothing to draw yet.</p>')
    parts.append(_cards(pictures))
    parts += ["<h2>Runs</h2>", _run_table(runs), "<h2>Settings that differ</h2>", _differences(runs)] if many else []
    parts.append("<h2>Seeds</h2>")
    for run, label in named:
        parts += [f"<h3>{_esc(label)}</h3>" if many else "", _seed_table(run)]
    parts += ["<h2>How it was made</h2>", *map(_origin, runs, labels if many else [None])]
    body = "\n".join(filter(None, parts))
    return PAGE.format(title=_esc(title), css=CSS.read_text(encoding="utf-8"), body=body, footer=DISCLAIMER)
