"""A mirror under mixed faults for as long as one likes: every law holds, and nothing grows.

It has three parts (``life``):

    restless   for a fifth of the time, runs follow one another: each is told to stop (SIGTERM) or
               killed with all its processes, what has failed is put back to pending, and the next
               goes on
    watched    for the rest, one run lives through everything else: hosts that behave as
               ``mischief`` has them, webs that go down and come back, workers that are killed
               (``harm``). Memory and descriptors of its processes are sampled (``sampling``)
    settled    all harm has an end, what has failed is put back, and the last run goes to the end
               of the list: each image must be in the very state that its host's behaviour makes
               (``judging``)

What "nothing grows" means, and how it is computed, is said in ``flatness``.
"""

from __future__ import annotations

from scripts.proofs.soak.life import prove
from scripts.proofs.soak.report import Report, lines
from scripts.proofs.soak.sampling import csv

__all__ = ["Report", "csv", "lines", "prove"]
