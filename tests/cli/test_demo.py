# SPDX-License-Identifier: Apache-2.0
"""`smelt demo`: it tells its story, leaves its pictures, and its exit status says whether what it claims holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smelt
from smelt.cli import main
from smelt.cli.demo.story import FILES, PICTURES, Story
from smelt.cli.screen import Screen

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parent.parent


def demo(folder, *arguments, **settings):
    """Run the command in a folder, as a user does whose store is off and whose terminal is none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "smelt", "demo", "--steps", "200", *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**kept, "PYTHONPATH": str(SOURCE), "SMELT_STORE": "off", "PYTHONIOENCODING": "utf-8", **settings},
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A folder in which the demonstration ran, and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    with (resources.files("smelt.cli.demo") / "grace_hopper.jpg").open("rb") as file, Image.open(file) as picture:
        picture.resize((128, 150)).save(folder / "small.png")
    return folder, demo(folder, "small.png")


def test_all_its_claims_hold_and_it_says_so(told):
    _, done = told
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    assert f"All {done.stdout.count('✓')} claims hold" in done.stdout


def test_it_compiles_once_and_a_second_process_not_at_all(told):
    _, done = told
    assert "✓ four kernels were launched, and 4 compiled, by LLVM" in done.stdout
    assert "✓ launched three times more, 0 were compiled" in done.stdout
    assert "✓ the second process compiled 0 kernels" in done.stdout
    assert "✓ it found 4 in the store" in done.stdout
    assert "✓ LLVM was not loaded" in done.stdout


def test_two_metal_devices_run_the_same_metallibs(told):
    folder, done = told
    assert "✓ for the first device 4 metallibs were compiled, " in done.stdout
    assert "✓ for the second device 0 were compiled and 4 pipelines linked, of the very same metallibs" in done.stdout
    library = smelt.metal.library(folder / "smelt-demo" / "draw.metallib")
    assert library.functions == ("draw",)


def test_it_says_why_what_was_edited_is_compiled_again(told):
    _, done = told
    assert "✓ 1 of the three kernels was compiled again, the one that calls it" in done.stdout
    assert "pipeline.tone changed; it is called by pipeline.drawn(" in done.stdout


def test_it_leaves_programs_and_pictures_whose_paths_it_shows(told):
    folder, done = told
    written = folder / "smelt-demo"
    assert {path.name for path in written.iterdir()} == {*FILES} - {"__pycache__"}
    seen = []
    for name in PICTURES:
        assert str(written / name) in done.stdout
        with Image.open(written / name) as picture:
            assert picture.size == (128, 150)
            seen.append(np.asarray(picture.convert("L")))
            assert len(np.unique(seen[-1])) > 100
    assert not np.array_equal(seen[0], seen[PICTURES.index("redrawn.png")])


def test_there_is_no_colour_where_there_is_no_terminal(told):
    _, done = told
    assert "\x1b" not in done.stdout


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path, tmp_path, 1, Screen(quiet=True))


def test_a_claim_that_does_not_hold_is_counted_and_marked(story, capsys):
    story.screen = Screen()
    story._claim("two and two are four", holds=True)
    story._claim("two and two are five", holds=False)
    assert story.broken == ["two and two are five"]
    story.screen.summary(story.claims, story.directory)
    shown = capsys.readouterr().out
    assert "✓ two and two are four" in shown or "ok two and two are four" in shown
    assert "✗ two and two are five" in shown or "WRONG two and two are five" in shown
    assert "1 of 2 claims do not hold" in shown


def test_the_exit_status_is_1_if_a_claim_does_not_hold_and_json_names_it(tmp_path, monkeypatch, capsys):
    def tell(story):
        story._claim("the moon is made of cheese", holds=False)
        story.seconds["asking"] = 0.5

    monkeypatch.setattr(Story, "tell", tell)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    assert main(["demo", "--json", "--output", str(tmp_path / "new")]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "directory": str((tmp_path / "new").resolve()),
        "claims": [{"claim": "the moon is made of cheese", "holds": False}],
        "seconds": {"asking": 0.5},
    }


def test_it_does_not_write_where_other_things_are(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert main(["demo", "--output", str(tmp_path)]) == 1
    other = (
        f"{tmp_path.resolve() / 'thesis.tex'} is there, and not of the demonstration; name a new directory by --output"
    )
    assert other in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_it_does_not_take_back_what_a_user_wrote_into_its_programs(tmp_path, capsys):
    (tmp_path / "pipeline.py").write_text("tones = 12")
    assert main(["demo", "--output", str(tmp_path)]) == 1
    changed = (
        f"{tmp_path.resolve() / 'pipeline.py'} was changed, and would be written anew; name a new directory by --output"
    )
    assert changed in capsys.readouterr().err
    assert (tmp_path / "pipeline.py").read_text() == "tones = 12"


def test_what_is_no_picture_is_named_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not a picture")
    assert main(["demo", str(tmp_path / "notes.txt"), "--output", str(tmp_path / "new")]) == 1
    assert "cannot identify image file" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("steps", ["0", "-1", "many"])
def test_steps_are_a_number(steps, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--steps", steps])
    assert "argument --steps: it is a number, 1 or more" in capsys.readouterr().err
