"""A comparison as tables: an arm a row, a pair a row, and what a number of seeds can detect."""

from __future__ import annotations

from typing import Any

from romanesco.study.claims import bounds, counted, probability
from romanesco.study.curves import thousands
from romanesco.study.pairs import Comparison
from romanesco.study.verdict import number

Table = tuple[list[str], list[list[Any]]]  # head and rows


def arm_rows(told: Comparison) -> Table:
    """Head and a row an arm, without the columns that hold nothing."""
    head = ["arm", "seeds", f"IQM {told.unit}", "95 % interval", "mean", "95 % interval", "worst", "best", "solved",
            "steps to it"]  # fmt: skip
    rows = []
    for arm in told.arms:
        soon = arm.efficiency
        solved = (f"{soon.reached} of {len(soon.times)}", thousands(soon.restricted_mean)) if soon else ("", "")
        rows.append([
            arm.name, counted(arm), number(arm.iqm), bounds(arm.interval), number(arm.mean), bounds(arm.mean_interval),
            number(arm.worst), number(arm.best), *solved,
        ])  # fmt: skip
    keep = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return [head[i] for i in keep], [[row[i] or "-" for i in keep] for row in rows]


def pair_rows(told: Comparison) -> Table:
    """Head and a row a pair; p corrected by Holm where there are several."""
    many = len(told.pairs) > 1
    head = ["pair", "difference", "95 % interval", "p", *["p Holm"] * many, "P(a > b)", "delta", "p Welch"]
    rows = [
        [f"{p.a} - {p.b}", number(p.difference), bounds(p.interval) or "-", probability(p.p),
         *[probability(p.p_holm)] * many, number(p.improvement), number(p.cliffs_delta),
         probability(p.welch.p) if p.welch else "-"]
        for p in told.pairs
    ]  # fmt: skip
    return head, rows


def power_rows(told: Comparison) -> Table:
    """Head and a row an effect: seeds needed, and the power of numbers of seeds."""
    columns = [key for key in told.power[0] if key.startswith("power_")]
    head = [
        "difference d",
        "seeds an arm for power 0.8",
        *(f"power with {key.removeprefix('power_')}" for key in columns),
    ]
    rows = [[f"{row['effect']:g}", row["seeds"], *(f"{row[key]:.2f}" for key in columns)] for row in told.power]
    return head, rows
