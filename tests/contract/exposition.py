"""The metrics of a process, parsed without Prometheus' own code."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.programs import need

_SERIES = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}

_SELECTED = re.compile(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|without)\s*\([^)]*\)")
_NAME = re.compile(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()")


@dataclass
class Family:
    """One metric.

    Attributes:
        series: the values that there are, by name and labels.
    """

    name: str
    help: str = ""
    kind: str = ""
    series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(
        default_factory=dict
    )

    @property
    def names(self) -> set[str]:
        """The names of its series."""
        return {self.name + part for part in _PARTS.get(self.kind, ("",))}

    def value(self, suffix: str = "", **labels: str) -> float:
        """Add up the series that have these labels."""
        return sum(
            value
            for (name, has), value in self.series.items()
            if name == self.name + suffix and labels.items() <= dict(has).items()
        )


def families(text: str) -> dict[str, Family]:
    """Read the text format, by name of the metric."""
    found: dict[str, Family] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            _, what, name, rest = [*line.split(" ", 3), ""][:4]
            family = found.setdefault(name, Family(name))
            setattr(family, {"HELP": "help", "TYPE": "kind"}[what], rest)
            continue
        name, labels, value = _SERIES.fullmatch(line).groups()
        (owner,) = (each for each in found.values() if name in each.names)
        owner.series[name, tuple(_LABEL.findall(labels or ""))] = float(value)
    return found


def asked_for(query: str) -> Iterator[str]:
    """Yield the names that a PromQL query asks for."""
    yield from _NAME.findall(_SELECTED.sub("", query))


def promtool(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own tool, of Debian's package prometheus; or skip the test."""
    need("promtool")
    return subprocess.run(
        ["promtool", *words], input=text, capture_output=True, text=True, check=False
    )


def complaints(text: str) -> str:
    """Return the faults that promtool finds in metrics."""
    ran = promtool("check", "metrics", text=text)
    return ran.stdout + ran.stderr or ("" if not ran.returncode else "it failed")
