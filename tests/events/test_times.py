"""Times of all the kinds that logs have, compared; the log keeps them as they are."""

from __future__ import annotations

import pytest

from durproj.events.sequence.times import comparable

SECONDS = 1769850000


@pytest.mark.parametrize(
    "time",
    [SECONDS, float(SECONDS), SECONDS * 10**3, SECONDS * 10**6, SECONDS * 10**9,
     str(SECONDS), f"{SECONDS}.0", str(SECONDS * 10**3), str(SECONDS * 10**9)],
)  # fmt: skip
def test_an_instant_is_the_same_in_every_unit_of_an_epoch(time):
    assert comparable(time) == ("number", SECONDS * 10**9)


def test_the_last_digit_of_an_epoch_counts():
    times = [SECONDS * 10**9, SECONDS * 10**9 + 1, SECONDS * 10**6 + 1, f"{SECONDS}.000001001"]
    values = [comparable(time)[1] for time in times]
    assert values == sorted(set(values))
    assert comparable(-SECONDS)[1] == -comparable(SECONDS * 1000)[1]


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("2026-01-31T09:00:00Z", "zoned"),
        ("2026-01-31 09:00:00.5+00", "zoned"),
        ("2026-01-31T09:00:00", "local"),
        ("2026-01-31 09:00:00.123000", "local"),
        ("20260131", "local"),
        ("yesterday", "other"),
        ("²³²³²³²³²³", "other"),
        (True, "other"),
        (["x"], "other"),
    ],
)
def test_kinds_that_are_not_compared_with_one_another(time, kind):
    assert comparable(time)[0] == kind
