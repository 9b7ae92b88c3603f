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
        for asset_id, path, size, md5, offset in json.loads(line):
            observed = examiner.examine(Record(path, size, md5, offset))
            if observed is not None:
                slot = None if offset is None else (offset, size or 0)
                amiss.append((asset_id, path, md5, slot, *observed))
        # What a repair moves away between two batches must be looked at anew.
        if amiss:
            examiner.forget()
        replies.write(json.dumps((examiner.read - before, amiss)).encode("ascii") + b"\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])
