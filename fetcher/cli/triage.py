"""``fetcher triage``: what kind of mismatch each mismatched image is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.table import Table

from fetcher.checking.decoding import MAX_PIXELS, Decoder
from fetcher.checking.files import Record
from fetcher.checking.triage import Mismatch, Triage
from fetcher.cli import options
from fetcher.cli.stopping import told_to_stop
from fetcher.errors import Exit
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.manifest.triage import BATCH, TriageBook
from fetcher.policy.triage import MEANINGS, Facts, Finding, Kind
from fetcher.report import results

_NO_ROTATION = frozenset({"", "0", "0.0", "nan"})


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@click.option("--again", is_flag=True, help="Also what was looked at before.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1, 1_000_000_000),
    default=MAX_PIXELS,
    show_default=True,
    metavar="N",
    help="Pictures of more pixels are not decoded.",
)
@options.manifest_option
@options.json_option
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def triage(
    *,
    directory: Path,
    again: bool,
    max_pixels: int,
    manifest: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Look at the bytes of DIR's mismatched images, and say of what kind they are.

    Sends nothing, and moves and changes no file; the findings are in the manifest's table triage,
    and in the report. What was looked at before is not looked at again.
    """
    root = os.path.realpath(directory)
    path = options.manifest_path(directory, manifest)
    seen = 0
    with (
        Decoder(max_pixels=max_pixels) as decoder,
        ManifestMaintainer(path, command=options.command_line()) as opened,
        told_to_stop() as received,
    ):
        book = TriageBook(opened)
        placeholders = book.prepare()
        mismatches = (_mismatch(row, placeholders) for row in book.todo(again=again))
        batch: list[tuple[int, str | None, Finding]] = []
        for mismatch, finding in Triage(root, decoder).run(mismatches, lambda: bool(received)):
            batch.append((mismatch.asset_id, mismatch.md5, finding))
            seen += 1
            if len(batch) == BATCH:
                book.write(batch)
                batch.clear()
        book.write(batch)
        counts = book.counts()
    if as_json:
        kinds = {str(kind): counts[kind] for kind in Kind}
        click.echo(json.dumps({"complete": not received, "looked_at": seen, "kinds": kinds}))
    elif not quiet:
        _show({kind: counts[kind] for kind in Kind if counts[kind]}, seen)
    return Exit.STOPPED if received else Exit.COMPLETE


def _mismatch(row: tuple[object, ...], placeholders: frozenset[str]) -> Mismatch:
    asset_id, path, size, md5, offset, listed_as, shared, *kept, rotation = row
    return Mismatch(
        asset_id=_int(asset_id) or 0,
        md5=_text(md5),
        record=_record(path, size, md5, offset),
        facts=Facts(str(md5) in placeholders, _text(listed_as), _int(shared) or 1),
        listed=_record(*kept),
        rotation="" if str(rotation or "").strip() in _NO_ROTATION else str(rotation).strip(),
    )


def _record(path: object, size: object, md5: object, offset: object) -> Record | None:
    if path is None:
        return None
    return Record(str(path), _int(size), _text(md5), _int(offset))


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _show(counts: dict[Kind, int], seen: int) -> None:
    console = results.console(markup=False, emoji=False, highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    for kind, n in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(f"{n:,}", str(kind), MEANINGS[kind])
    console.print(table)
    console.print(f"{sum(counts.values()):,} mismatched images, {seen:,} looked at now")
