"""Event logs from a seed: `python logs.py KIND PATH STREAMS EVENTS SEED`, EVENTS being those of each stream.

A program of its own, so that the memory it takes is not the benchmark's: see measure.py.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

FIRST = ("Alice", "Bruno", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hana", "Ines", "Jonas")
LAST = ("Chen", "Watson", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Haddad")
REASONS = ("changed_mind", "out_of_stock", "payment_failed", "duplicate")
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
MOST_ACTIVE = 4


class Account:
    """What the next event of a stream depends on."""

    __slots__ = ("active", "events", "key", "name")

    def __init__(self, key: str, pick: random.Random) -> None:
        self.key = key
        self.name = f"{pick.choice(FIRST)} {pick.choice(LAST)}"
        self.events = 0
        self.active: list[int] = []


Body = Callable[[Account, int], tuple[str, str]]
"""The type and the payload (JSON text) of the next event of a stream; the number is the event's own."""


def account_body(pick: random.Random) -> Body:
    """A life in which nothing grows: two orders are shipped at its beginning, later ones are cancelled."""
    chance = pick.random
    items = [f'"item_{number:04d}"' for number in range(2000)]

    def place(account: Account, number: int) -> tuple[str, str]:
        account.active.append(number)
        chosen = ",".join(items[int(chance() * 2000)] for _ in range(1 + int(chance() * 3)))
        total = int(chance() * 50_000) / 100
        return "OrderPlaced", f'{{"orderId":"ord_{number:07d}","items":[{chosen}],"total":{total}}}'

    def body(account: Account, number: int) -> tuple[str, str]:
        step = account.events
        if step < 5:
            if step == 0:
                return "UserRegistered", _registration(account)
            return place(account, number) if step < 3 else ("OrderShipped", _shipment(account))
        active = account.active
        drawn = chance()
        if drawn < 0.28 and len(active) < MOST_ACTIVE:
            return place(account, number)
        if drawn < 0.62 and active:
            order = active.pop(int(chance() * len(active)))
            reason = REASONS[int(chance() * 4)]
            refund = int(chance() * 50_000) / 100
            payload = f'{{"orderId":"ord_{order:07d}","reason":"{reason}","refund":{refund}}}'
            return "OrderCancelled", payload
        if drawn < 0.8:
            return "SubscriptionActivated", '{"plan":"pro","billingCycle":"annual"}'
        if drawn < 0.9:
            amount = int(chance() * 30_000) / 100
            return (
                "SubscriptionRenewed",
                f'{{"period":"{2025 + step % 9}-annual","amount":{amount}}}',
            )
        email = _email(account, int(chance() * 100))
        return "ProfileUpdated", f'{{"name":"{account.name}","email":"{email}"}}'

    return body


def growing_body(_pick: random.Random) -> Body:
    """A life in which every order is shipped, and the state keeps each of them."""

    def body(account: Account, number: int) -> tuple[str, str]:
        if account.events == 0:
            return "UserRegistered", _registration(account)
        if account.active:
            return "OrderShipped", _shipment(account)
        account.active.append(number)
        return "OrderPlaced", f'{{"orderId":"ord_{number:07d}","items":["item_a"],"total":24.5}}'

    return body


def settings_body(pick: random.Random) -> Body:
    """One of 200 settings is given another value: for `reducers.settings`."""

    def body(_account: Account, _number: int) -> tuple[str, str]:
        field, value = int(pick.random() * 200), pick.randbytes(44).hex()
        return "SettingChanged", f'{{"field":"field_{field:03d}","value":"{value}"}}'

    return body


KINDS = {"account": account_body, "growing": growing_body, "settings": settings_body}


def lines(kind: str, streams: int, events: int, seed: int) -> Iterator[str]:
    """The lines of a log, streams interleaved at random. A single stream has no key, and a longer log
    of it begins with the lines of a shorter one."""
    pick = random.Random(f"{kind} {streams} {seed}")
    accounts = [Account(f"u{number}", pick) for number in range(1, streams + 1)]
    body = KINDS[kind](pick)
    if streams == 1:
        order = (accounts[0] for _ in range(events))
    else:
        shuffled = accounts * events
        pick.shuffle(shuffled)
        order = iter(shuffled)
    gap_ms = 4000 if streams == 1 else 400
    date, ms = START, 0
    prefix = f"{date:%Y-%m-%d}T"
    for number, account in enumerate(order, 1):
        ms += 1 + int(pick.random() * gap_ms)
        if ms >= DAY_MS:
            ms -= DAY_MS
            date += timedelta(days=1)
            prefix = f"{date:%Y-%m-%d}T"
        seconds, rest = divmod(ms, 1000)
        minutes, second = divmod(seconds, 60)
        type, payload = body(account, number)
        account.events += 1
        user = "" if streams == 1 else f'"userId":"{account.key}",'
        yield (
            f'{{"eventId":"evt_{number:08d}","type":"{type}",'
            f'"timestamp":"{prefix}{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{rest:03d}Z",'
            f'{user}"payload":{payload}}}\n'
        )


def _registration(account: Account) -> str:
    return f'{{"userId":"{account.key}","name":"{account.name}","email":"{_email(account, 1)}"}}'


def _shipment(account: Account) -> str:
    order = account.active.pop(0)
    return f'{{"orderId":"ord_{order:07d}","carrier":"UPS","trackingId":"1Z{order}"}}'


def _email(account: Account, number: int) -> str:
    return f"{account.name.partition(' ')[0].lower()}.{number:02d}@example.com"


def main(kind: str, path: str, streams: str, events: str, seed: str) -> None:
    """Write a log to `path`."""
    with open(path, "w", encoding="ascii") as out:
        out.writelines(lines(kind, int(streams), int(events), int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
