"""The other releases of a campaign can be made of the product's code."""

import pytest

from agents.ops.local.deployment import REPOSITORY
from tests.chaos.releases import NEXT_RELEASE, SMALL_FILES, Edit, copy_product, edited


@pytest.mark.parametrize("edit", [*NEXT_RELEASE, *SMALL_FILES], ids=lambda edit: edit.file)
def test_each_edit_has_its_place_in_the_code(edit: Edit):
    code = edited((REPOSITORY / edit.file).read_text(), edit)

    compile(code, edit.file, "exec")


@pytest.mark.parametrize("code", ["none", "twice twice"])
def test_an_edit_without_a_place_of_its_own_is_an_error(code: str):
    with pytest.raises(ValueError, match="times: twice"):
        edited(code, Edit("a.py", "twice", "once"))


def test_a_release_differs_by_its_edits_only(tmp_path):
    release = copy_product(tmp_path / "release", SMALL_FILES)

    changed = [
        str(file.relative_to(release))
        for file in release.rglob("*.py")
        if file.read_text() != (REPOSITORY / file.relative_to(release)).read_text()
    ]
    assert changed == [edit.file for edit in SMALL_FILES]
    assert copy_product(release, NEXT_RELEASE) == release
