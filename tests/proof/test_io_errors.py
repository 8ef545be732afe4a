from proof import io_errors
from proof.quick import tests_of

test_io_errors = tests_of(io_errors.PROOFS)


def test_after_a_sync_that_failed_nothing_more_is_written(tmp_path):
    struck = io_errors.Struck(tmp_path, io_errors.COMMANDS[1])
    struck.fail("fdatasync", "EIO", 9)
