"""What a report is made of: sections of figures, each with its title, what to know, and its plot.

The order is that of a reader's questions: how does it stand, what has changed, why, where, what
arrived, over time, at what cost, and how do you know?
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from fetcher.policy import uploads


class View(Struct, frozen=True):
    """How a table is shown. ``empty`` is said where it has no rows."""

    name: str
    title: str
    note: str = ""
    empty: str = "There is nothing to show."


class Section(Struct, frozen=True):
    id: str
    title: str
    views: tuple[View, ...]


_LOST = "Lost is what is settled and not present; its share is of what is settled."

SECTIONS: Final = (
    Section(
        "stand",
        "Where it stands",
        (
            View(
                "states",
                "Images by state",
                "Stored is what lies under images/ or in shards; quarantined bytes are left out.",
            ),
        ),
    ),
    Section(
        "since",
        "What has changed",
        (
            View(
                "since_kinds",
                "Changes by kind",
                "Of the images that had been settled before the run and were asked again in it or "
                "later. Died: was present, is gone. Changed: was present, has other bytes now. "
                "Closed: was present, is not accessible now. An image that was not asked again is "
                "not counted.",
                "No image that was settled before that run has been asked again in it or later. "
                "What a run found is compared with what there is now by naming the next one.",
            ),
            View("since_states", "From which state to which"),
            View("since_examples", "Examples"),
        ),
    ),
    Section(
        "why",
        "Why",
        (
            View(
                "codes",
                "Images by code",
                "A code is the last word on an image: what its last answer, or the lack of one, "
                "came to. Images that wait for a retry count with the code of the last attempt.",
                "No image has a code: there is nothing to explain.",
            ),
            View(
                "examples",
                "Examples of each code",
                "The first by id.",
                "No image has a code.",
            ),
        ),
    ),
    Section(
        "where",
        "Where",
        (
            View("subsets", "By subset", _LOST),
            View("host_groups", "By host group", f"Hosts of one owner are one group. {_LOST}"),
            View("hosts", "By host", "The largest ones."),
            View("licences", "By licence", "As the lists say."),
            View(
                "upload_years",
                "By year of upload to Flickr, estimated",
                "Lists have no dates. The number in a Flickr URL is dated by interpolation between "
                f"numbers whose days are known ({uploads.SOURCE}); it is good for a year at best. "
                "Above the last of them, and for other hosts, no year is known and none is "
                "guessed.",
            ),
            View("size_classes", "By listed size", _LOST),
        ),
    ),
    Section(
        "bytes",
        "What arrived",
        (
            View(
                "sizes",
                "Sizes, listed and received",
                "Received is whatever arrived whole, the listed image or not.",
            ),
            View(
                "mismatches",
                "Kinds of mismatches",
                "Images that arrived whole and are not the listed ones, against the listed size. "
                "Kinds are what fetcher triage could tell from the bytes; where it has not looked, "
                "the code stands. Not comparable: a picture, and the listed one is not at hand.",
                "Nothing arrived that is not what was listed.",
            ),
        ),
    ),
    Section(
        "suspects",
        "Placeholder suspects",
        (
            View(
                "suspect_redirects",
                "Redirect targets that many images share",
                "Suspects only: look at the target before you believe it. What is known as a "
                "placeholder already is not among them.",
                "No redirect target is shared by many images.",
            ),
            View(
                "suspect_digests",
                "Unexpected bytes that many images share",
                "Suspects only: look at one of the files before you believe it.",
                "No unexpected digest is shared by many images.",
            ),
        ),
    ),
    Section(
        "time",
        "Over time",
        (
            View(
                "audits",
                "Audits",
                "What each audit found of what it asked for. A HEAD compares no bytes: what it "
                "calls present has the listed length and is an image.",
                "There was no audit.",
            ),
            View(
                "audit_rates",
                "What audits say of the whole list",
                "Shares of the images listed, with 95 % intervals: Wilson's, of the sum weighted "
                "over the strata, with Kish's effective sample size 1 / sum(W² / n); for up to "
                "three images set back to the Poisson limit, as Brown, Cai and DasGupta do. Of a "
                "whole list there is nothing to estimate.",
                "There was no audit.",
            ),
            View(
                "audit_codes",
                "The same by code",
                "What is present has no code.",
                "There was no audit, or it found nothing but what is present.",
            ),
            View(
                "link_rot",
                "What each run found",
                "Of the images that the run asked for, by the last attempt in it; an audit counts "
                "once, however many runs it took. A run that asked only for a part says nothing of "
                "the rest, and a mirror's that resumes asks for what is left, which is no random "
                "part. The share that is gone is of the clear answers.",
                "No run has asked for an image yet.",
            ),
            View(
                "timeline",
                "The last run that asked for images",
                "Answers and bytes by the time at which they were complete.",
                "No run has asked for an image yet.",
            ),
        ),
    ),
    Section(
        "cost",
        "What it took",
        (
            View("attempts", "Attempts by outcome", empty="There was no attempt yet."),
            View("retries", "Attempts per image", "Since an image was last opened."),
        ),
    ),
    Section(
        "how",
        "How the figures were obtained",
        (
            View(
                "summary",
                "The numbers of the sentence at the top",
                "Shares are of what is settled, except the share that is settled itself.",
            ),
            View("lists", "Image lists", empty="No list was read."),
            View("rejected", "Rows that could not be used", empty="Every row could be used."),
            View("runs", "Runs", "The last hundred.", empty="There was no run."),
            View("settings", "Settings of the last run", empty="No run has noted its settings."),
        ),
    ),
)

NAMES: Final = tuple(view.name for section in SECTIONS for view in section.views)
