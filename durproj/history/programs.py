"""What only projections have, refused for the workflows of programs."""

from __future__ import annotations

import shlex

from durproj.errors import UsageError


def programs_own(id: str, why: str, hint: str) -> UsageError:
    """That `id`, or `name/…` for all of a name, is a program's, and why that is in the way."""
    return UsageError(f"{id} is a program's workflow: {why}", hint)


def no_states(id: str, what: str, example: str | None = None) -> UsageError:
    """That `id`, or `name/…`, has no `what`, its steps being no states of one thing. example: a workflow
    to look at, where `id` is none."""
    return programs_own(
        id,
        f"its steps are calls of functions, not states of one projection, so there is no {what}",
        f"durproj log {shlex.quote(example or id)} shows what each of them returned",
    )
