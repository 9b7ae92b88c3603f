"""What a mirror would take: for machines as one JSON object, for people as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from fetcher.model import Tally
from fetcher.policy import planning
from fetcher.policy.codes import CODES
from fetcher.policy.planning import Amount, GroupPlan, Need, Room, Survey
from fetcher.report.text import duration, printable, rate, size

SHOWN: Final = 12
"""Hosts, groups and subsets that are shown; JSON has all of them."""
_UNKNOWN: Final = "unknown"


class Plan(Struct, frozen=True):
    survey: Survey
    groups: Sequence[GroupPlan]
    need: Need
    room: Room | None
    """Where --to leads; ``None`` if it was not given."""
    have: Tally | None
    """Where the mirror there stands, if there is one."""
    unmet_ids: int
    """Of --ids, without a row that could be accepted."""
    max_bytes: int

    @property
    def seconds(self) -> float | None:
        """At least: groups go side by side."""
        return max((plan.seconds for plan in self.groups if plan.seconds is not None), default=None)

    @property
    def missing(self) -> int | None:
        """Bytes that are not free and will be needed; 0 if it fits, ``None`` if nobody knows."""
        if self.room is None or self.need.bytes is None:
            return None
        have = self.have.stored_bytes if self.have is not None else 0
        return max(0, self.need.bytes - have - self.room.free)


def as_dict(plan: Plan) -> dict[str, object]:
    """The contract of ``plan --json``. Times are in seconds, ``null`` where nothing limits them;
    bytes are ``null`` where there are images and the size of none is listed.
    """
    survey, need, total = plan.survey, plan.need, planning.to_fetch(plan.survey)
    rows = survey.rows
    return {
        "rows": {
            "read": rows.read,
            "accepted": rows.accepted,
            "duplicate": rows.duplicate,
            "rejected": rows.rejected,
        },
        "rejected": dict(sorted(survey.reasons.items())),
        "examples": [example._asdict() for example in survey.examples],
        "invalid": planning.invalid(survey),
        "subsets": _amounts(planning.by_subset(survey)),
        "bytes": {
            "expected": total.listed,
            "unsized": total.unsized,
        },
        "sizes": {
            "quantiles": {f"{share:g}": n for share, n in planning.quantiles(survey).items()},
            "classes": [
                {"from": start, "to": end, "images": n}
                for start, end, n in planning.size_classes(survey.sizes)
            ],
        },
        "without_md5": survey.without_md5,
        "uncheckable": survey.uncheckable,
        "too_large": survey.too_large,
        "unmet_ids": plan.unmet_ids,
        "hosts": _amounts(planning.by_host(survey)),
        "hosts_folded": survey.folded,
        "groups": {
            group.name: {
                "hosts": group.hosts,
                "requests": group.requests,
                "bytes": group.bytes,
                "rate": group.budget.rate,
                "burst": group.budget.burst,
                "concurrency": group.budget.concurrency,
                "bandwidth": group.budget.bandwidth,
                "seconds": group.seconds,
            }
            for group in plan.groups
        },
        "seconds": plan.seconds,
        "disk": {
            "files": need.files,
            "bytes": need.bytes,
            "images": need.images,
            "manifest": need.manifest,
            "folders": need.folders,
            "guessed_sizes": need.guessed,
            "free": plan.room.free if plan.room is not None else None,
            "free_files": plan.room.files if plan.room is not None else None,
            "stored": plan.have.stored_bytes if plan.have is not None else None,
            "missing": plan.missing,
        },
    }


def show(console: Console, plan: Plan) -> None:
    survey = plan.survey
    rows = survey.rows
    console.print(
        f"rows read {rows.read:,} = accepted {rows.accepted:,} + duplicate {rows.duplicate:,} + "
        f"rejected {rows.rejected:,}"
    )
    for sentence in _problems(plan):
        console.print(sentence, soft_wrap=not console.is_terminal)
    if not survey.rows.accepted:
        return  # of nothing there are no tables
    _subsets(console, survey)
    _sizes(console, survey)
    _groups(console, plan)
    _disk(console, plan)


def _problems(plan: Plan) -> Iterable[str]:
    survey = plan.survey
    for reason, n in sorted(survey.reasons.items()):
        yield f"  rejected {n:,}: {reason}"
        for example in survey.examples:
            if example.reason == reason:
                where = f"{example.list_path}, line {example.line}"
                yield f"    {printable(where)}: {printable(example.detail)}"
    for code, n in planning.invalid(survey).items():
        yield f"  never asked for {n:,}: {code}, {CODES[code].meaning}"
    if survey.uncheckable:
        yield f"  {survey.uncheckable:,} with neither size nor MD5: they will end as unverified"
    if survey.without_md5 - survey.uncheckable:
        yield f"  {survey.without_md5 - survey.uncheckable:,} with a size and no MD5"
    if survey.too_large:
        limit = f"fetch.max_bytes ({size(plan.max_bytes)})"
        yield f"  {survey.too_large:,} larger than {limit}: too-large"
    if plan.unmet_ids:
        yield f"  {plan.unmet_ids:,} ids of --ids without a row that can be used"


def _subsets(console: Console, survey: Survey) -> None:
    table = _table("images", "expected", "subset", right=2)
    for name, amount in _first(planning.by_subset(survey)):
        table.add_row(f"{amount.images:,}", _expected(amount), printable(name) or "(none)")
    console.print()
    console.print(table)


def _sizes(console: Console, survey: Survey) -> None:
    quantiles = planning.quantiles(survey)
    if not quantiles:
        return
    names = {0.0: "smallest", 0.5: "median", 1.0: "largest"}
    told = (f"{names.get(share, f'p{share * 100:g}')} {size(n)}" for share, n in quantiles.items())
    console.print(f"\nsizes: {', '.join(told)}", soft_wrap=not console.is_terminal)
    table = _table("images", "share", "size", right=2)
    total = survey.sizes.total()
    for start, end, n in planning.size_classes(survey.sizes):
        bounds = f"up to {size(end)}" if end is not None else f"from {size(start)}"
        table.add_row(f"{n:,}", f"{n / total:.1%}", bounds)
    console.print(table)


def _groups(console: Console, plan: Plan) -> None:
    table = _table("requests", "expected", "at least", "limits", "hosts", "host group", right=3)
    for group in plan.groups[:SHOWN]:
        budget = group.budget
        limits = [rate(budget.rate) if budget.rate is not None else "no rate limit"]
        if budget.bandwidth is not None:
            limits.append(f"{size(budget.bandwidth)}/s")
        limits.append(f"{budget.concurrency} at once")
        table.add_row(
            f"{group.requests:,}",
            _known(group.bytes),
            _least(group),
            ", ".join(limits),
            f"{group.hosts:,}",
            printable(group.name),
        )
    console.print()
    console.print(table)
    if len(plan.groups) > SHOWN:
        console.print(f"and {len(plan.groups) - SHOWN:,} host groups more; --json has all")
    if plan.survey.folded:
        console.print('Too many hosts to tell all apart: the later ones are counted as "…".')
    hosts = planning.by_host(plan.survey)
    shown = ", ".join(f"{printable(name)} {amount.images:,}" for name, amount in _first(hosts))
    more = f", and {len(hosts) - SHOWN:,} more" if len(hosts) > SHOWN else ""
    console.print(f"hosts: {shown}{more}", soft_wrap=not console.is_terminal)
    if plan.seconds is not None:
        console.print(
            f"At the configured limits it takes at least {duration(plan.seconds)}; "
            "redirects, retries and throttling come on top.",
            soft_wrap=not console.is_terminal,
        )


def _disk(console: Console, plan: Plan) -> None:
    need = plan.need
    guessed = f", {need.guessed:,} sizes guessed by the mean" if need.guessed else ""
    images = "images unknown, as no size is listed"
    if need.images is not None:
        images = f"images {size(need.images)} in whole blocks{guessed}"
    console.print(
        f"\ndisk: {_known(need.bytes)} for {need.files:,} files ({images}, manifest about "
        f"{size(need.manifest)}, folders about {size(need.folders)})",
        soft_wrap=not console.is_terminal,
    )
    if plan.room is None:
        console.print("--to DIR compares that with what is free there.")
        return
    stored = f"; {size(plan.have.stored_bytes)} are stored already" if plan.have else ""
    console.print(f"{printable(plan.room.path)}: {size(plan.room.free)} free{stored}")
    if plan.missing:
        console.print(f"It does not fit: {size(plan.missing)} are missing.")
    if plan.room.files is not None and plan.room.files < need.files:
        console.print(f"Its file system has room for {plan.room.files:,} more files only.")


def _first(amounts: Mapping[str, Amount]) -> list[tuple[str, Amount]]:
    return list(amounts.items())[:SHOWN]


def _expected(amount: Amount) -> str:
    if amount.listed is None:
        return _UNKNOWN
    return size(amount.listed) + (f" + {amount.unsized:,} unknown" if amount.unsized else "")


def _known(n: int | None) -> str:
    return _UNKNOWN if n is None else size(n)


def _least(group: GroupPlan) -> str:
    if group.seconds is not None:
        return duration(group.seconds)
    return _UNKNOWN if group.budget.bandwidth is not None else ""


def _amounts(amounts: Mapping[str, Amount]) -> dict[str, object]:
    return {
        name: {"images": amount.images, "bytes": amount.listed, "unsized": amount.unsized}
        for name, amount in amounts.items()
    }


def _table(*headings: str, right: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, heading in enumerate(headings):
        number = at < right
        justify: Literal["right", "left"] = "right" if number else "left"
        # Where it is narrow a name takes more lines: cut, it would be another one.
        table.add_column(heading, justify=justify, no_wrap=number, overflow="fold")
    return table
