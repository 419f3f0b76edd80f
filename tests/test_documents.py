"""The README and the pages under docs/ are run, so that what they say stays true."""

import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[1]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


PROGRAMS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(blocks(page, "python"), 1)
]


@pytest.mark.parametrize("code", PROGRAMS)
def test_each_python_block_runs(code, tmp_path):
    program = tmp_path / "block.py"
    program.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_has_one_command_for_the_main_job_and_one_for_the_tests():
    main, tests = blocks(ROOT / "README.md", "sh")
    assert main.strip().endswith("smelt demo")
    assert tests.strip().endswith("-m pytest")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_links_to_is_there(page):
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)]+)\)", prose)
    local = [target.partition("#")[0] for target in links if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
