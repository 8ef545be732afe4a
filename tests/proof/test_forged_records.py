import json
import shutil

import pytest

from proof import forged_records
from proof.damage import lay_out, put_together
from proof.forged_records import records
from proof.hostile_stores import limited
from proof.quick import tests_of

test_forged_records = tests_of(forged_records.PROOFS)

PROGRAM = {"kind": "workflow", "workflow": "w", "args": "[]"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = lay_out(tmp_path_factory.mktemp("sound"))
    put_together(path)
    return path


@pytest.mark.parametrize("options", [{}, PROGRAM], ids=["none", "of a program"])
@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_parked_stream_is_one_of_a_fold(sound, tmp_path, command, options):
    store = shutil.copy(sound, tmp_path / "durproj.db")
    shutil.copy(sound.with_name("parks.jsonl"), tmp_path)
    for kind, (_, forge) in records(sound).items():
        if kind.startswith("options"):
            forge(store, json.dumps(options))
    done = limited(["parked", command, "parked/p"], tmp_path)
    assert done.code == 74
    assert "a stored record is malformed: " in done.err
