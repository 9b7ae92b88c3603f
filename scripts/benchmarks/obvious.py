"""The script that one would write first: aiohttp, aiofiles, a semaphore, and hashlib in between.

    obvious.py LIST.csv DIR

It checks MD5, writes ``DIR/{ImageID}.jpg``, and fails at the first image that is not right. What it
lacks is what a mirror needs: retries, limits per host, a manifest, bounded memory.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import sys
from base64 import b64encode
from pathlib import Path

import aiofiles
import aiohttp
import uvloop

CONNECTIONS = 64


async def download(
    session: aiohttp.ClientSession, slots: asyncio.Semaphore, row: dict[str, str], out: Path
) -> None:
    async with slots:
        async with session.get(row["OriginalURL"]) as response:
            response.raise_for_status()
            data = await response.read()
        if b64encode(hashlib.md5(data).digest()).decode() != row["OriginalMD5"]:  # noqa: S324  listed
            raise ValueError(f"{row['ImageID']}: wrong MD5")
        async with aiofiles.open(out / f"{row['ImageID']}.jpg", "wb") as file:
            await file.write(data)


async def main(source: Path, out: Path) -> None:
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    slots = asyncio.Semaphore(CONNECTIONS)
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(download(session, slots, row, out) for row in rows))


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
