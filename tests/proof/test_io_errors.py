import pytest

from proof import io_errors
from proof.quick import tests_of

test_io_errors = tests_of(io_errors.PROOFS)


@pytest.mark.parametrize("at", [*range(1, 6), 9])
def test_after_a_sync_that_failed_nothing_more_is_written(tmp_path, at):
    """The first syncs are those of a store in the making: of its file, then of its schema."""
    struck = io_errors.Struck(tmp_path, io_errors.COMMANDS[1])
    struck.fail("fdatasync", "EIO", at)
