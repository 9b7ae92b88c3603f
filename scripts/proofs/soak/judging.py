"""What DIR, the manifest and the webs' journals say while no run is on, and what they must say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.proofs import laws
from scripts.proofs.mischief import PRIVATE, Planted
from scripts.proofs.rate import worst_window
from scripts.proofs.soak.report import Report
from scripts.proofs.soak.settings import BURST
from scripts.proofs.soak.webs import SoakedWeb

LATE: Final = 1.0
"""Seconds by which a machine that has other things to do may push requests together on their way
to a web (law 4 is exact where nothing comes in between: ``scripts/prove rate``)."""


class Judge:
    """Of the mirror of ``images`` in ``directory``; what is wrong goes to the report."""

    def __init__(
        self,
        directory: Path,
        webs: Sequence[SoakedWeb],
        images: Sequence[Planted],
        report: Report,
    ) -> None:
        self._directory = directory
        self._webs = webs
        self._images = {image.row.image_id: image for image in images}
        self._report = report
        self._settled: dict[str, int] = {}
        """Requests for what is settled, by image, when that was seen first."""

    @property
    def settled(self) -> int:
        """Images, when that was looked at last."""
        return len(self._settled)

    def reopened(self) -> None:
        """What has failed was put back: it may be asked for again."""
        for image in laws.snapshot(self._directory).images.values():
            if image.state == "pending":
                self._settled.pop(image.image_id, None)

    def look(self, *, finished: bool = False) -> None:
        """Laws 1, 2, 3 and 5."""
        self._report.breaches += laws.breaches(self._directory, finished=finished)
        asked = Counter(request.path for web in self._webs for request in web.process.requests())
        for image_id, before in self._settled.items():
            if asked[self._images[image_id].path] != before:
                self._report.breach(f"law 5: {image_id} was settled, and asked for again")
        for image in laws.snapshot(self._directory).images.values():
            if image.state != "pending":
                path = self._images[image.image_id].path
                self._settled.setdefault(image.image_id, asked[path])

    def judge(self, rows: tuple[int, int, int], *, rate: float, paced_until: float) -> None:
        """The end: every image by its kind, ``rows`` (accepted, duplicate, rejected), what must not
        be asked, and law 4 for ``rate`` requests a second to each web, as long as it was in force.
        """
        now = laws.snapshot(self._directory)
        counted = (now.accepted, now.duplicate, now.rejected)
        if counted != rows:
            self._report.breach(f"law 1: {counted} rows accepted, duplicate and rejected")
        for image_id, planted in self._images.items():
            image = now.images.get(image_id)
            found = (image.state, image.code) if image is not None else None
            if found != (planted.kind.state, planted.kind.code):
                self._report.breach(f"{planted.kind.name}: {image_id} ended as {found}")
            elif image is not None:
                self._report.states[image.state] += 1
        worst = 0.0
        for web in self._webs:
            requests = web.process.requests()
            self._report.requests += len(requests)
            if any(request.path.startswith(PRIVATE) for request in requests):
                self._report.breach("what robots.txt does not allow was asked for")
            times = [request.at for request in requests if request.at < paced_until]
            worst = max(worst, worst_window(times, rate, BURST))
        self._report.worst_window = worst
        if worst > rate * LATE:
            self._report.breach(f"law 4: {worst:.1f} requests beyond the budget")
