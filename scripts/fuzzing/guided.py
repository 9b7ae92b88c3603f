"""``python -m scripts.fuzzing.guided TARGET FOLDER SECONDS``: one target, led by coverage.

libFuzzer takes over the process and never gives it back, so this is a process of its own; see
``fuzzing``. What it met that reaches new code it keeps in FOLDER, and a finding as a file there
whose name begins with ``crash-``, ``timeout-`` or ``oom-``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

LONGEST_RUN = 20
"""Seconds for one input, after which it is a finding; most take less than a millisecond."""
MEMORY = 2_048
"""Megabytes of the process."""


def main(name: str, folder: str, seconds: str) -> None:
    with atheris.instrument_imports(include=["fetcher", "yaml"], enable_loader_override=False):
        from scripts.fuzzing.registry import TARGETS  # noqa: PLC0415  to be instrumented

    target = TARGETS[name]
    words = Path(folder, "words")
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in (*target.words, b"\0"))
    words.write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")
    corpus = Path(folder, "corpus")
    options = (
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        f"-timeout={LONGEST_RUN}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={folder}/",
        f"-dict={words}",
        "-print_final_stats=1",
        "-verbosity=1",
    )
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
