"""What is installed: each package at the one version that was tested, and in harmony."""

import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLERS = {"pip", "setuptools", "wheel"}


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned() -> dict[str, str]:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {_name(name): version for name, version in pairs}


def test_whatever_is_installed_is_pinned_and_of_that_version():
    installed = {_name(d.name): d.version for d in distributions()}
    found = {n: v for n, v in installed.items() if n not in INSTALLERS}
    assert "aiokafka" in found
    assert found.items() - _pinned().items() == set()


def test_no_two_packages_contradict_each_other():
    words = [sys.executable, "-m", "pip", "check"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
