"""A web that can go down, and come back where it was, its scripts begun anew."""

from __future__ import annotations

from pathlib import Path

from fetcher.demo.process import WebProcess
from fetcher.demo.steps import Answer, Bytes, status
from scripts.proofs.mischief import ROBOTS, Planted


class SoakedWeb:
    """Serves what is planted at it, from an address of its own: no connection of anybody's takes
    its port while it is down.
    """

    def __init__(self, directory: Path, address: str, images: list[Planted]) -> None:
        directory.mkdir()
        # What its scripts are not known of yet is trouble that passes.
        self.process = WebProcess(directory, address=address, unscripted=503)
        self._images = images

    def up(self) -> None:
        web = self.process.__enter__()
        web.serve("/robots.txt", status(503), Answer(Bytes(ROBOTS.encode(), "text/plain")))
        for image in self._images:
            if image.steps:
                web.serve(image.path, *image.steps)

    def down(self) -> None:
        self.process.stop()
