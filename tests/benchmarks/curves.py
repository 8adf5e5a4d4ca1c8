"""Draws results as curves in SVG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal

# part: its title, the x axis, and the curves with their names.
PLOTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "load": ("Latency of a full story", "clients", {"p50": "p50, ms", "p99": "p99, ms"}),
    "workers": ("Full stories", "workers", {"per_second": "a second"}),
    "state": ("Recovery", "orders", {"recovery_seconds": "seconds"}),
    "disk": (
        "Disk of a shop under load",
        "s",
        {
            "requests": "requests, MB",
            "changelog": "changelogs, MB",
            "events": "events, MB",
            "stores": "stores, MB",
        },
    ),
    "year": (
        "A year of carts, stock and notifications",
        "day",
        {"thousand_rows": "rows, thousands", "disk_mb": "disk, MB", "rss_mb": "memory, MB"},
    ),
}


def draw(part: str, points: Sequence[Mapping[str, Any]], directory: Path) -> None:
    """Draw the curves of a part."""
    title, across, curves = PLOTS[part]
    chart = pygal.Line(title=title, x_title=across, width=600, height=360, js=[])
    chart.x_labels = [f"{point[across]:,}" for point in points]
    for figure, name in curves.items():
        chart.add(name, [point[figure] for point in points])
    directory.mkdir(parents=True, exist_ok=True)
    chart.render_to_file(str(directory / f"{part}.svg"))
