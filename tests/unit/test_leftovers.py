"""A failure is told once, of the test that failed."""

import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TWO_TESTS = textwrap.dedent(
    """
    import gc
    import subprocess
    import sys

    def test_that_leaves_a_program_behind():
        program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        assert program.poll() is not None

    def test_that_comes_next():
        gc.collect()
    """
)


def test_what_a_failed_test_leaves_behind_fails_no_other(tmp_path: Path) -> None:
    file = tmp_path / "test_two.py"
    file.write_text(TWO_TESTS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", REPOSITORY / "pyproject.toml"),
            *("-p", "tests.leftovers", "-p", "no:cacheprovider", file),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout
