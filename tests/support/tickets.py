"""A CSV of 400 support tickets with what exports have: a BOM, quotes, a gap, a stray space, a rare class."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random

ROWS = 400
COLUMNS = ("id", "message", "team", "date")
# rows from 0, header aside
EMPTY_MESSAGE, SPACED_TEAM, RARE_TEAM = 17, 42, 300
RARE = "legal"
THINGS = {
    "billing": ["the invoice", "a refund", "my subscription", "the charge on my card", "the price"],
    "shipping": ["my parcel", "the delivery", "the courier", "the tracking number", "the address"],
    "technical": ["the app", "the login", "an error message", "the update", "the password reset"],
    "sales": ["a quote", "the enterprise plan", "a demo", "the discount for schools", "more seats"],
}
PATTERNS = (
    "Hello, I have a question about {0}.",
    "{0} is wrong, please help",
    'Your page says "{0} is on its way", but it is not',
    "Since Monday {0} and {1} do not work; what can I do?",
    "I wrote twice about {0}, nobody answered",
    "Can you tell me, when {0}, or {1}, will be ready?",
)


def make_tickets(path: Path, delimiter: str = ",") -> Path:
    """Write the tickets, the same in each call; the team can be told from the message."""
    random = Random(0)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(COLUMNS)
        for row in range(ROWS):
            # unequal classes: about 40, 30, 20 and 10 in 100
            team = random.choices(list(THINGS), weights=[4, 3, 2, 1])[0]
            message = random.choice(PATTERNS).format(*random.sample(THINGS[team], 2))
            message = f"{message} (ticket of {random.choice(['Ann', 'Bo', 'Cem', 'Dee'])}, no {row})"
            if row == EMPTY_MESSAGE:
                message = ""
            elif row == SPACED_TEAM:
                team += " "
            elif row == RARE_TEAM:
                team, message = RARE, "Our lawyers ask for the contract, and for a copy of the terms"
            writer.writerow([1000 + row, message, team, date(2024, 1, 1) + timedelta(days=row // 3)])
    return path
