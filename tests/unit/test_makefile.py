"""The Makefile passes settings on as they are given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ODD = "https://hook.test/a%2Fb?sig=a%2Fb%3D&x=$HOME$$(HOME)${HOME}#$@ 'y' \"z\" \\ é"


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.parametrize("on", ["the command line", "the environment"])
def test_make_passes_settings_on_byte_for_byte(on: str):
    words = ["make", "-s", "--eval", "show: ; @printenv WEBHOOK_URL", "show"]
    environment = os.environ | {"WEBHOOK_URL": ODD}
    if on == "the command line":
        words.append(f"WEBHOOK_URL={ODD}")
        environment["WEBHOOK_URL"] = "another"
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert ran.stdout == f"{ODD}\n".encode()


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_make_still_takes_options_of_several_words():
    words = ["make", "-n", "fuzz", "FUZZ=--records 5 --seed 7"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m tests.fuzz --records 5 --seed 7\n" in ran.stdout
