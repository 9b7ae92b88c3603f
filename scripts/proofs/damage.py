"""Fifty ways and more in which a stored image may come to harm: planted, with what is to be found.

Each is a function of the site that it does its worst to; it returns what a check has to name, as
kinds by path. A path may be of a file that is there or of one that should be.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fetcher.model import State
from scripts.proofs.stored import Stored

Found = dict[str, str]
Plant = Callable[["Site"], Found]


@dataclass(slots=True)
class Site:
    """A DIR whose images are used up by damaging them."""

    directory: Path
    stored: list[Stored]
    used: set[str] = field(default_factory=set)
    """Paths that were given out."""
    _at: int = 0

    def next(self, state: State = State.VERIFIED) -> str:
        """The path of an image that nothing was done to yet; no other is in its folder."""
        while True:
            image = self.stored[self._at]
            self._at += 1
            if image.state is state and image.path not in self.used:
                self.used.add(image.path)
                return image.path

    def at(self, path: str) -> Path:
        return self.directory / path

    def folder_of(self, path: str) -> list[str]:
        """All images in the folder of ``path``, itself included; they are used up, too."""
        folder = path.rpartition("/")[0] + "/"
        found = [image.path for image in self.stored if image.path.startswith(folder)]
        self.used.update(found)
        return found

    def fresh_folder(self) -> list[str]:
        """The images of a folder that nothing was done to yet."""
        while True:
            path = self.next()
            folder = path.rpartition("/")[0] + "/"
            if not any(used.startswith(folder) for used in self.used if used != path):
                return self.folder_of(path)

    def rewrite(self, change: Callable[[bytes], bytes], state: State = State.VERIFIED) -> str:
        path = self.next(state)
        file = self.at(path)
        file.write_bytes(change(file.read_bytes()))
        return path


def _flip(at: Callable[[int], int]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        where = at(len(data))
        return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]

    return change


def _rewritten(kind: str, change: Callable[[bytes], bytes], state: State = State.VERIFIED) -> Plant:
    return lambda site: {site.rewrite(change, state): kind}


def _html(data: bytes) -> bytes:
    return (b"<!DOCTYPE html><title>503</title>" + b" " * len(data))[: len(data)]


def _removed(state: State) -> Plant:
    def plant(site: Site) -> Found:
        path = site.next(state)
        site.at(path).unlink()
        return {path: "missing"}

    return plant


def _folder_removed(site: Site) -> Found:
    paths = site.fresh_folder()
    shutil.rmtree(site.at(paths[0]).parent)
    return dict.fromkeys(paths, "missing")


def _folder_is_a_file(site: Site) -> Found:
    paths = site.fresh_folder()
    folder = site.at(paths[0]).parent
    shutil.rmtree(folder)
    folder.write_bytes(b"a file")
    return dict.fromkeys(paths, "missing") | {paths[0].rpartition("/")[0]: "extra"}


def _folder_is_a_link(site: Site) -> Found:
    paths = site.fresh_folder()
    folder = site.at(paths[0]).parent
    elsewhere = site.directory.parent / f"elsewhere-{folder.name}"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    return dict.fromkeys(paths, "link") | {paths[0].rpartition("/")[0]: "extra"}


def _exchanged(count: int) -> Plant:
    def plant(site: Site) -> Found:
        paths = [site.next() for _ in range(count)]
        contents = [site.at(path).read_bytes() for path in paths]
        for path, data in zip(paths, contents[1:] + contents[:1], strict=True):
            site.at(path).write_bytes(data)
        return dict.fromkeys(paths, "swapped")

    return plant


def _renamed_over_each_other(site: Site) -> Found:
    one, two = site.next(), site.next()
    between = site.directory / "between"
    site.at(one).rename(between)
    site.at(two).rename(site.at(one))
    between.rename(site.at(two))
    return {one: "swapped", two: "swapped"}


def _copied_over(site: Site) -> Found:
    """The other one is well."""
    path, other = site.next(), site.next()
    data, size = site.at(other).read_bytes(), site.at(path).stat().st_size
    site.at(path).write_bytes(data)
    return {path: _by_length(len(data), size)}


def _hard_linked(site: Site) -> Found:
    path, other = site.next(), site.next()
    size = site.at(path).stat().st_size
    site.at(path).unlink()
    os.link(site.at(other), site.at(path))
    return {path: _by_length(site.at(other).stat().st_size, size)}


def _by_length(found: int, recorded: int) -> str:
    return "altered" if found == recorded else "overlong" if found > recorded else "truncated"


def _linked(target: Callable[[Site, str], str | Path]) -> Plant:
    def plant(site: Site) -> Found:
        path = site.next()
        to = target(site, path)
        site.at(path).unlink()
        site.at(path).symlink_to(to)
        return {path: "link"}

    return plant


def _copy_outside(site: Site, path: str) -> Path:
    outside = site.directory.parent / "outside.jpg"
    shutil.copy(site.at(path), outside)
    return outside


def _instead(kind: str, make: Callable[[Path], object]) -> Plant:
    def plant(site: Site) -> Found:
        path = site.next()
        site.at(path).unlink()
        make(site.at(path))
        return {path: kind}

    return plant


def _full_folder(site: Site) -> Found:
    path = site.next()
    site.at(path).unlink()
    site.at(path).mkdir()
    (site.at(path) / "inner.jpg").write_bytes(b"inner")
    return {path: "directory", f"{path}/inner.jpg": "extra"}


def _socket(path: Path) -> None:
    # The address of a socket is short: bind by a relative one.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def _forbidden(site: Site) -> Found:
    path = site.next()
    site.at(path).chmod(0)
    return {path: "unreadable"}


def _closed(site: Site) -> Found:
    paths = site.fresh_folder()
    site.at(paths[0]).parent.chmod(0)
    return dict.fromkeys([*paths, paths[0].rpartition("/")[0]], "unreadable")


def _moved(to: Callable[[str], str], kind: str = "misplaced") -> Plant:
    def plant(site: Site) -> Found:
        path = site.next()
        target = to(path)
        site.at(target).parent.mkdir(parents=True, exist_ok=True)
        site.at(path).rename(site.at(target))
        return {path: "missing", target: kind}

    return plant


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _other_case(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0].upper()}.jpg"


def _extra(path: str, kind: str = "extra", data: bytes = b"extra") -> Plant:
    def plant(site: Site) -> Found:
        site.at(path).parent.mkdir(parents=True, exist_ok=True)
        site.at(path).write_bytes(data)
        return {path: kind}

    return plant


def _extra_link(site: Site) -> Found:
    site.at("images/train/link.jpg").symlink_to(site.at(site.next()))
    return {"images/train/link.jpg": "extra"}


def _copied(site: Site) -> Found:
    path = site.next()
    target = f"images/validation/zzz/{_name(path)}"
    site.at(target).parent.mkdir(exist_ok=True)
    shutil.copy(site.at(path), site.at(target))
    return {target: "misplaced"}


def _second_extension(site: Site) -> Found:
    path = site.next()
    target = path.removesuffix(".jpg") + ".gif"
    shutil.copy(site.at(path), site.at(target))
    return {target: "misplaced"}


def _superseded(site: Site) -> Found:
    """Quarantined once, fetched well since: no damage."""
    path = site.next()
    target = "mismatched/" + path.removeprefix("images/")
    site.at(target).parent.mkdir(parents=True, exist_ok=True)
    site.at(target).write_bytes(b"<html>")
    return {target: "superseded"}


def _not_utf8(site: Site) -> Found:
    folder = os.fsencode(site.at("images/train"))
    Path(os.fsdecode(folder + b"/caf\xe9.jpg")).write_bytes(b"name")
    return {"images/train/caf\\udce9.jpg": "extra"}


_QUARANTINED: Final = State.MISMATCHED
_UNLISTED: Final = State.UNVERIFIED

DAMAGE: Final[dict[str, Plant]] = {
    # Bytes.
    "first bit flipped": _rewritten("altered", _flip(lambda _: 0)),
    "middle bit flipped": _rewritten("altered", _flip(lambda size: size // 2)),
    "last bit flipped": _rewritten("altered", _flip(lambda size: size - 1)),
    "head zeroed": _rewritten("altered", lambda data: bytes(512) + data[512:]),
    "all zeroed": _rewritten("altered", lambda data: bytes(len(data))),
    "reversed": _rewritten("altered", lambda data: data[::-1]),
    "HTML of its length": _rewritten("altered", _html),
    "last byte cut": _rewritten("truncated", lambda data: data[:-1]),
    "cut in half": _rewritten("truncated", lambda data: data[: len(data) // 2]),
    "cut to one byte": _rewritten("truncated", lambda data: data[:1]),
    "head cut": _rewritten("truncated", lambda data: data[1:]),
    "emptied": _rewritten("empty", lambda _: b""),
    "a byte more": _rewritten("overlong", lambda data: data + b"\0"),
    "a line end more": _rewritten("overlong", lambda data: data + b"\r\n"),
    "twice": _rewritten("overlong", lambda data: data + data),
    "megabytes more": _rewritten("overlong", lambda data: data + bytes(3 << 20)),
    "unlisted, bit flipped": _rewritten("altered", _flip(lambda _: 9), _UNLISTED),
    "unlisted, cut": _rewritten("truncated", lambda data: data[:-9], _UNLISTED),
    "quarantined, bit flipped": _rewritten("altered", _flip(lambda _: 9), _QUARANTINED),
    "quarantined, cut": _rewritten("truncated", lambda data: data[:-9], _QUARANTINED),
    # Files that changed places.
    "pair swapped": _exchanged(2),
    "three in a ring": _exchanged(3),
    "renamed over each other": _renamed_over_each_other,
    "copied over": _copied_over,
    "hard link to another": _hard_linked,
    # Nothing there, or not a file.
    "removed": _removed(State.VERIFIED),
    "unlisted, removed": _removed(_UNLISTED),
    "quarantined, removed": _removed(_QUARANTINED),
    "folder removed": _folder_removed,
    "folder is a file": _folder_is_a_file,
    "folder is a link": _folder_is_a_link,
    "link to a copy": _linked(_copy_outside),
    "dangling link": _linked(lambda _, __: "nowhere.jpg"),
    "link to itself": _linked(lambda site, path: site.at(path)),
    "link to another image": _linked(lambda site, _: site.at(site.next())),
    "link to an endless file": _linked(lambda _, __: "/dev/zero"),
    "an empty folder": _instead("directory", Path.mkdir),
    "a folder with a file": _full_folder,
    "a pipe": _instead("special", os.mkfifo),
    "a socket": _instead("special", _socket),
    # Files elsewhere.
    "in another folder": _moved(lambda path: f"images/train/zzz/{_name(path)}"),
    "in another subset": _moved(lambda path: f"images/other/{_name(path)[:3]}/{_name(path)}"),
    "one folder up": _moved(lambda path: f"{path.rsplit('/', 2)[0]}/{_name(path)}"),
    "at the top": _moved(lambda path: f"images/{_name(path)}"),
    "in DIR itself": _moved(_name),
    "one folder down": _moved(lambda path: f"{path.rpartition('/')[0]}/down/{_name(path)}"),
    "among the quarantined": _moved(lambda path: f"mismatched/zzz/{_name(path)}"),
    "another extension": _moved(lambda path: path.removesuffix("jpg") + "png"),
    "extension in capitals": _moved(lambda path: path.removesuffix("jpg") + "JPG"),
    "second extension": _moved(lambda path: path + ".bak", "extra"),
    "no extension": _moved(lambda path: path.removesuffix(".jpg"), "extra"),
    "name in capitals": _moved(_other_case, "case-variant"),
    "a copy elsewhere": _copied,
    "a copy with another extension": _second_extension,
    # What nobody listed.
    "unknown id": _extra("images/train/fff/fffffffffffffff0.jpg"),
    "hidden file": _extra("images/train/.DS_Store"),
    "temporary file": _extra("images/train/000/upload.jpg.part"),
    "quarantined, unknown": _extra("mismatched/train/fff/fffffffffffffff1.html"),
    "extra folder": _extra("images/backup/2019/a.jpg"),
    "extra link": _extra_link,
    "name with a line end": _extra("images/train/a\nb.jpg"),
    "name that is not UTF-8": _not_utf8,
    # No damage, and named all the same.
    "superseded": _superseded,
    "left by a killed run": _extra(".partial/7.part", "leftover"),
}

PERMISSIONS: Final[dict[str, Plant]] = {
    "file without permission": _forbidden,
    "folder without permission": _closed,
}
"""Harm that nobody does to root; ``mirrors.start`` can make a process that is as good as others."""

NOTES: Final = frozenset({"superseded", "unclaimed", "leftover"})


def plant(site: Site, harms: dict[str, Plant] = DAMAGE) -> Found:
    """All of it; what is to be found."""
    found: Found = {}
    for name, harm in harms.items():
        for path, kind in harm(site).items():
            if path in found:
                raise AssertionError(f"{name} hits {path} again")
            found[path] = kind
    return found


def kinds(found: Found) -> Iterator[str]:
    """The kinds that are damage, one for each path."""
    return (kind for kind in found.values() if kind not in NOTES)
