"""``python -m fetcher.checking.worker ROOT``: hashes files for the process that started it.

A line of JSON comes in, ``[[asset_id, path, size, md5, offset], …]``, and a line goes out for it,
``[bytes read, [[asset_id, path, recorded md5, slot, kind, detail, size, md5], …]]``, with what does
not match; a slot is offset and size in a shard. It ends with its input, so it never outlives its
starter. It imports next to nothing, as it is waited for.
"""

from __future__ import annotations

import json
import signal
import sys

from fetcher.checking.files import Examiner, Record


def main(root: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the starter, which ends our input
    examiner = Examiner(root)
    replies = sys.stdout.buffer
    for line in sys.stdin.buffer:
        before = examiner.read
        amiss = []
        batch = [(asset_id, Record(*rest)) for asset_id, *rest in json.loads(line)]
        observed = examiner.examine_all([record for _, record in batch])
        for (asset_id, record), found in zip(batch, observed, strict=True):
            if found is not None:
                slot = None if record.offset is None else (record.offset, record.size or 0)
                amiss.append((asset_id, record.path, record.md5, slot, *found))
        # What a repair moves away between two batches must be looked at anew.
        if amiss:
            examiner.forget()
        replies.write(json.dumps((examiner.read - before, amiss)).encode("ascii") + b"\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])
