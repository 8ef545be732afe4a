"""Every command, with hostile text wherever the user's data or words go."""

from __future__ import annotations

import json
from pathlib import Path

from durproj.ids import encode_key

REDUCER = """
import time
seen = []
def f(state, event):
    if event.data.get("fail"):
        raise ValueError(event.data["text"])
    return {"text": event.data.get("text"), event.data.get("text"): event.data.get("text")}
def impure(state, event):
    return {event.data["text"]: time.time()}
def remembers(state, event):
    seen.append(event)
    return {event.data["text"]: len(seen)}
"""


def hostile_log(folder: Path, attack: str) -> list[str]:
    """A log, a reducer file and file names that hold `attack` wherever they can."""
    lines = [
        {"user": attack, "type": attack, "id": attack, "text": attack, "time": attack},
        {"user": attack + "2", "type": attack, "id": 7, "text": attack},
        {"user": attack, "type": attack, "id": attack, "text": attack},
        {"user": attack, "type": attack, "id": attack, "text": attack, "fail": True},
    ]
    (folder / "log.jsonl").write_bytes(
        # As raw as JSON allows: only the C0 characters have to be escaped.
        b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    )
    (folder / "r.py").write_text(REDUCER)
    return ["log.jsonl", "--reducer", "r.py:f", "--key", "user"]


def commands(folder: Path, attack: str, *, json_lines: bool) -> list[list[str]]:
    """Every command, with `attack` wherever the user's data or words go."""
    log = hostile_log(folder, attack)
    words = attack.replace("\0", "")
    id = f"projection/{encode_key(attack)}"
    flags = ["--json"] if json_lines else []
    name = words.replace("/", "").encode()[:200].decode(errors="ignore")[:60] or "x"
    (folder / name).write_bytes(b"{oops" + attack.encode() + bytes(range(256)))
    kept = ["--keep", f"{name}.kept", "--junit", "verify.xml"]
    return [
        ["run", *log, "-v", *flags],
        ["run", *log, "--reducer", "counts", "--name", "counted", *flags],
        ["run", *log, "--on-error", "park", "--name", "parked", *flags],
        ["resume", *flags],
        ["parked", *flags],
        ["list", *flags],
        ["export", *flags],
        ["export", "--journal", *flags],
        ["export", id, *flags],
        ["export", words, "--name", words, *flags],
        ["export", *([] if json_lines else ["--format", "csv"])],
        ["export", *([] if json_lines else ["--format", "csv", "--excel"])],
        ["export", "--to", f"{name}.csv", *flags],
        ["export", "--to", "out.db", "--table", words, *flags],
        ["export", "--to", "out.db", "--table", words, *flags],
        ["export", "--to", "absent.csv", "--column", words, *flags],
        ["export", "--to", words, *flags],
        ["inspect", id, *flags],
        ["inspect", f"{id}#0", *flags],
        ["inspect", f"projection/{words}", *flags],
        ["find", "--all-ids", "state.text != null", "--all", *flags],
        ["find", id, f"state.{words} < 0", *flags],
        ["find", "--name", words, "step == 0", *flags],
        ["compare", "projection", "counted", "-v", *flags],
        ["compare", id, f"counted/{words}", "--ignore", words, *flags],
        ["log", id, *flags],
        ["log", id, "-v", "--type", words, "--path", words, *flags],
        ["diff", f"{id}#0", *flags],
        ["diff", id, f"{id}2", *flags],
        ["blame", id, *flags],
        ["blame", id, "text", *flags],
        ["blame", f"projection/{words}", words, *flags],
        # Quietly: a bar, which folding twice takes long enough for, moves the cursor.
        ["verify", "-q", "-v", *flags],
        ["verify", "-q", id, "--refold", "--twice", *flags],
        ["verify", "-q", f"projection/{words}", "--name", words, *flags],
        ["verify", "-q", "--junit", "verify.xml", *flags],
        ["verify", "-q", "--junit", f"./{name}/x.xml", *flags],
        # One life at most: what is tested is what it says.
        ["crashtest", *log, "--reducer", "r.py:impure", *kept, *flags],
        ["crashtest", *log, "--reducer", "r.py:remembers", "--seed", "step:after@1", *kept, *flags],
        ["crashtest", *log, "--seed", words, *flags],
        ["crashtest", f"./{name}", "--junit", f"./{name}/x.xml", *flags],
        ["report", id, "-o", "report.html", *flags],
        ["report", f"projection/{words}", "-o", f"{name}.html", *flags],
        ["report", id, "-o", name, *flags],
        ["fork", id, "--as", "other", *flags],
        ["fork", id, "--as", id.replace("projection/", "again/"), "--drop-event", "0", *flags],
        ["fork", id, "--as", words, *flags],
        ["fork", id, "--as", "third", "--replace-event", f"1={words}", *flags],
        ["fork", id, "--as", "third", "--replace-event", words, *flags],
        ["fork", id, "--as", "third", "--replace-event", f"1=@{words}", *flags],
        ["inspect", id.replace("projection/", "again/"), *flags],
        ["promote", words, "projection", *flags],
        ["backup", f"./{name}.copy", *flags],
        ["backup", f"./{name}.copy", *flags],
        ["gc", "--user", words, *flags],
        ["gc", f"projection/{words}", *flags],
        ["gc", "--older-than", words, *flags],
        ["stats", "log.jsonl", "--key", "user", *flags],
        ["stats", f"./{name}", *flags],
        ["doctor", *flags],
        ["run", f"./{name}", *flags],
        ["run", "log.jsonl", "--reducer", words, *flags],
        ["run", "log.jsonl", "--reducer", f"r.py:{words}", *flags],
        ["run", "log.jsonl", "--user", words, *flags],
        ["run", *log, "--name", words, *flags],
        ["run", "log.jsonl", "--key", words, *flags],
        ["run", "--durability", words, *flags],
        ["run", "--fail", words, *flags],
        ["run", "--initial", words, *flags],
        ["run", "--format", words, *flags],
        ["list", "--store", f"{name}.db", *flags],
        ["promote", "projection", "new", "--force", *flags],
        ["run", "log.jsonl", "--user", words, "--reducer", "counts", "--key", "user", *flags],
        ["promote", "new", "projection", *flags],
        ["rewind", id, "--to", "0", *flags],
        ["gc", id, "--drop", *flags],
        ["run", f"--{words}", *flags],
        [words],
        ["run", b"\xff\x1b]0;x\x07".decode(errors="surrogateescape") + words],
    ]
