"""The whole check of a fresh clone: what it does where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CI = Path(__file__).resolve().parent.parent / ".ci" / "run"


def test_without_its_tools_and_root_it_ends_before_the_first_check(tmp_path):
    for name in ("bash", "dirname"):
        os.symlink(shutil.which(name), tmp_path / name)
    said = {"id": "echo 1000", "python3": "true", "apt-get": "echo installed", "make": "echo made"}
    for name, does in said.items():
        (tmp_path / name).write_text(f"#!{shutil.which('sh')}\n{does}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", CI], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    missing = set(done.stderr.partition(": ")[2].split())
    assert missing == {"strace", "chromium", "util-linux", "mount"}


def test_what_its_tests_lack_is_no_reason_to_skip_them(tmp_path):
    for name in ("bash", "dirname", "strace", "chromium", "unshare", "setpriv", "mount", "python3"):
        (tmp_path / name).symlink_to(
            shutil.which(name) if name in ("bash", "dirname") else "/bin/true"
        )
    (tmp_path / "make").write_text(f'#!{shutil.which("sh")}\necho "CI is $CI"\nexit 1\n')
    (tmp_path / "make").chmod(0o755)
    for given, told in (({}, "true"), ({"CI": "gitlab"}, "gitlab")):
        env = {"PATH": str(tmp_path), **given}
        done = subprocess.run(["bash", CI], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, f"CI is {told}\n"), done.stderr
