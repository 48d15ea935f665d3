"""What is run of others is named by what it is, not by a name that can change its meaning."""

import json
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
LOCKS = sorted(REPOSITORY.glob("*/*/requirements.lock"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_of_others_are_named_by_their_commits(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", workflow.read_text())
    assert used
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" +# v\d+\.\d+\.\d+", comment), action


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_the_bill_of_materials_of_an_image_names_all_that_its_lock_does(lock: Path) -> None:
    told = subprocess.check_output([REPOSITORY / "tools" / "sbom", lock.parent.name], text=True)
    components = json.loads(told)["components"]
    named = {f"{each['name']}=={each['version']}" for each in components}
    lines = [line for line in lock.read_text().splitlines() if "win32" not in line]
    locked = set(re.findall(r"^[\w.-]+(?:\[[^]]*\])?==[^ \\]+", "\n".join(lines), re.MULTILINE))
    assert named == {re.sub(r"\[[^]]*\]", "", each) for each in locked}
    assert all(each["properties"] for each in components)
