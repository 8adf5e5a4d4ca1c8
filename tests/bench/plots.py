"""What was measured, as curves in SVG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal

Points = Sequence[Mapping[str, Any]]

# part: the file, its title, the x axis, and the curves with their names.
_PLOTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "load": ("Latency of a full story", "clients", {"p50": "p50, ms", "p99": "p99, ms"}),
    "workers": ("Full stories", "workers", {"per_second": "a second"}),
    "state": ("Recovery", "orders", {"recovery_seconds": "seconds"}),
}


def draw(measured: Mapping[str, Points], directory: Path) -> None:
    """Draw the parts that have a plot."""
    directory.mkdir(parents=True, exist_ok=True)
    for part, (title, across, curves) in _PLOTS.items():
        if part in measured:
            _draw(measured[part], title, across, curves, directory / f"{part}.svg")


def _draw(
    points: Points, title: str, across: str, curves: Mapping[str, str], file: Path
) -> None:
    chart = pygal.Line(title=title, x_title=across, width=600, height=360, js=[])
    chart.x_labels = [f"{point[across]:,}" for point in points]
    for figure, name in curves.items():
        chart.add(name, [point[figure] for point in points])
    chart.render_to_file(str(file))
