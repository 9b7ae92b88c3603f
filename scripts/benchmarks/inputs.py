"""The same list, in the form that each program reads: lines, without line ends."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from scripts.benchmarks.corpus import Corpus, Image
from scripts.benchmarks.web import Web

_V3_HEADER: Final = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL"
)


class Item(NamedTuple):
    image: Image
    url: str


Listing = tuple[Item, ...]


def listing(corpus: Corpus, web: Web) -> Listing:
    return tuple(
        Item(image, web.url(number, image.file_name)) for number, image in enumerate(corpus.images)
    )


def open_images_v3(items: Iterable[Item]) -> Iterator[str]:
    yield _V3_HEADER
    for (image_id, size, md5), url in items:
        page = f"https://photos.invalid/{image_id}"
        yield (
            f"{image_id},train,{url},{page},https://creativecommons.org/licenses/by/2.0/,"
            f'https://photos.invalid/people/{image_id[:6]}/,"A. Nobody, {image_id[:4]}",'
            f'"Made up &quot;{image_id[-4:]}&quot;",{size},{b64encode(md5).decode()},{page}_z.jpg'
        )


def urls(items: Iterable[Item]) -> Iterator[str]:
    return (item.url for item in items)


def aria2(items: Iterable[Item]) -> Iterator[str]:
    for image, url in items:
        yield url
        yield f"  out={image.file_name}"


def aria2_md5(items: Iterable[Item]) -> Iterator[str]:
    for image, url in items:
        yield url
        yield f"  out={image.file_name}"
        yield f"  checksum=md5={image.md5.hex()}"


def curl(items: Iterable[Item]) -> Iterator[str]:
    """A configuration file: where to, relative to the current directory, for every URL."""
    for image, url in items:
        yield f'url = "{url}"'
        yield f'output = "{image.file_name}"'


def url_hex_md5(items: Iterable[Item]) -> Iterator[str]:
    """CSV with digests in hex, which is what img2dataset compares with."""
    yield "url,md5"
    for image, url in items:
        yield f"{url},{image.md5.hex()}"


def url_size(items: Iterable[Item]) -> Iterator[str]:
    return (f"{item.url} {item.image.size}" for item in items)


def md5sums(items: Iterable[Item]) -> Iterator[str]:
    """What ``md5sum --check`` reads, in the directory of the images."""
    for image, _ in items:
        yield f"{image.md5.hex()}  {image.file_name}"
