"""When a photo was uploaded to Flickr, as far as its number tells.

Image lists have no dates, but the file name in a Flickr URL begins with the photo's number, and
numbers are handed out in rising order, as photos come in. Days on which they passed round numbers
were written down by an observer and partly confirmed by Flickr (``SOURCE``). Between two such days
a number is dated by linear interpolation, which is good for a year and not for a month. Beyond the
last day that is known nothing is guessed.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Final

SOURCE: Final = "https://www.kullin.net/2010/09/flickr-5-billion-photos/"

MILESTONES: Final[tuple[tuple[int, date], ...]] = (
    (1_000_000, date(2004, 10, 22)),
    (10_000_000, date(2005, 4, 20)),
    (100_000_000, date(2006, 2, 15)),
    (250_000_000, date(2006, 9, 22)),
    (500_000_000, date(2007, 5, 15)),
    (850_000_000, date(2007, 7, 19)),
    (1_500_000_000, date(2007, 10, 6)),
    (2_000_000_000, date(2007, 11, 13)),
    (2_500_000_000, date(2008, 5, 17)),
    (3_000_000_000, date(2008, 11, 3)),
    (3_500_000_000, date(2009, 5, 4)),
    (4_000_000_000, date(2009, 10, 11)),
    (5_000_000_000, date(2010, 9, 18)),
)
"""The photo's number, and the day on which it was reached."""

STEP: Final = 1_000_000
"""Boundaries are multiples of it: closer they are not known."""

LATER: Final = f"after {MILESTONES[-1][1].isoformat()}"
UNKNOWN: Final = "unknown"


def boundaries() -> tuple[tuple[int, str], ...]:
    """Pairs of a number and the year of all photos below it, in rising order.

    What is not below the last of them was uploaded ``LATER``. Flickr opened in 2004, so numbers
    below the first milestone are of that year.
    """
    found: list[tuple[int, str]] = []
    for (low, since), (high, until) in pairwise(MILESTONES):
        for year in range(since.year + 1, until.year + 1):
            passed = (date(year, 1, 1) - since) / (until - since)
            number = low + (high - low) * passed
            found.append((round(number / STEP) * STEP, str(year - 1)))
    last, day = MILESTONES[-1]
    return (*found, (last, str(day.year)))
