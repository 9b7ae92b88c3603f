"""What bytes are: a table of heads, and what must hold of any bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.sniff import HEAD, extension, is_image, sniff, usual_extensions


def bmff(major: bytes, *compatible: bytes) -> bytes:
    brands = b"".join(compatible)
    return (
        struct.pack(">I4s4sI", 16 + len(brands), b"ftyp", major, 0) + brands + b"\0\0\x03\x4dmeta"
    )


IMAGES = [
    ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
    ("image/jpeg", b"\xff\xd8\xff\xe1\x1f\xfeExif\0\0"),
    ("image/jpeg", b"\xff\xd8\xff\xdb"),
    ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ("image/gif", b"GIF87a\x01\0\x01\0"),
    ("image/gif", b"GIF89a\x01\0\x01\0"),
    ("image/webp", b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0"),
    ("image/webp", b"RIFF\x24\0\0\0WEBPVP8L"),
    ("image/bmp", b"BM" + struct.pack("<IIII", 1000, 0, 54, 40)),
    ("image/bmp", b"BM" + struct.pack("<IIII", 1000, 0, 138, 124)),
    ("image/tiff", b"II*\0\x08\0\0\0"),
    ("image/tiff", b"MM\0*\0\0\0\x08"),
    ("image/tiff", b"II+\0\x08\0\0\0"),
    ("image/tiff", b"MM\0+\0\x08\0\0"),
    ("image/x-icon", b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0"),
    ("image/x-icon", b"\0\0\2\0\1\0\x20\x20\0\0\0\0\0\0"),
    ("image/avif", bmff(b"avif", b"mif1", b"miaf")),
    ("image/avif", bmff(b"avis", b"avif")),
    ("image/avif", bmff(b"mif1", b"mif1", b"avif")),
    ("image/heic", bmff(b"heic", b"mif1", b"heic")),
    ("image/heic", bmff(b"mif1", b"heic")),
    ("image/heif", bmff(b"mif1", b"mif1", b"xxxx")),
    ("image/heif", bmff(b"mif1")),
    ("image/jxl", b"\xff\x0a\xfa\x1f\x41"),
    ("image/jxl", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "),
    ("image/jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 "),
    ("image/j2c", b"\xff\x4f\xff\x51\0\x2f"),
    ("image/vnd.adobe.photoshop", b"8BPS\0\1" + bytes(20)),
]
OTHERS = [
    (None, b""),
    ("text/plain", b"\xff\xd8"),
    (None, bytes(64)),
    ("text/plain", b"BMW builds cars, and this is a text about them."),
    ("text/plain", b"GIF, a format"),
    ("text/html", b"<!DOCTYPE html><html><head>"),
    ("text/html", b"<!doctype HTML PUBLIC"),
    ("text/html", b"\r\n\t <html>"),
    ("text/html", b"\xef\xbb\xbf<html lang='en'>"),
    ("text/html", b"\xef\xbb\xbf \n<body>"),
    ("text/html", b"<!-- error --><p>"),
    ("text/html", b"<script src='x'>"),
    ("text/html", b"<h1>404</h1>"),
    ("text/html", b"<a href='/'>home</a>"),
    ("text/html", b"<meta charset='utf-8'>"),
    ("text/plain", b"<abbr>"),
    ("text/plain", b"< html>"),
    ("text/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ("text/xml", b"\xef\xbb\xbf\n<?xml version='1.0'?>"),
    ("text/xml", b"<svg xmlns='http://www.w3.org/2000/svg'>"),
    ("text/xml", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'>"),
    ("text/plain", b"Not Found"),
    ("text/plain", b'{"error": "gone"}'),
    ("text/plain", "どこにもない".encode()),
    ("text/plain", "<html>".encode("utf-16")),
    ("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n\0"),
    ("application/x-gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
]


@pytest.mark.parametrize(("content_type", "head"), IMAGES)
def test_images(content_type: str, head: bytes) -> None:
    assert sniff(head) == content_type
    assert is_image(sniff(head))


def test_a_sound_is_no_picture() -> None:
    """Whichever name the library's version has for it."""
    found = sniff(b"RIFF\x24\0\0\0WAVEfmt \0")
    assert found in {"audio/wave", "audio/wav"}
    assert not is_image(found)


@pytest.mark.parametrize(("content_type", "head"), OTHERS)
def test_others(content_type: str | None, head: bytes) -> None:
    assert sniff(head) == content_type
    assert not is_image(sniff(head))


@pytest.mark.parametrize(
    "head",
    [
        bmff(b"isom", b"mp41"),
        b"\0\0\1\0\0\0",  # an icon file without an icon
        b"\0\0\1\xba\x44\0\4\0\4\1",  # an MPEG programme stream
        b"BM\0\1\2\3",
        b"%PDF-1.4\0",
    ],
)
def test_what_looks_a_little_like_an_image_is_none(head: bytes) -> None:
    assert not is_image(sniff(head))


@given(head=st.binary(max_size=HEAD))
def test_any_bytes_have_a_type_or_none(head: bytes) -> None:
    found = sniff(head)
    assert found is None or "/" in found


@given(text=st.text(st.characters(codec="ascii", min_codepoint=32), max_size=HEAD))
def test_text_is_never_an_image(text: str) -> None:
    assert not is_image(sniff(text.encode())) or text.startswith(("GIF87a", "GIF89a", "RIFF"))


@pytest.mark.parametrize(("content_type", "head"), IMAGES[:-1])
@given(tail=st.binary(max_size=100))
def test_what_follows_the_signature_changes_nothing(
    content_type: str, head: bytes, tail: bytes
) -> None:
    assert sniff(head + tail) == content_type


def test_svg_is_no_image() -> None:
    assert not is_image("image/svg+xml")


@pytest.mark.parametrize(
    ("content_type", "url", "expected"),
    [
        ("image/jpeg", "https://a.example/1.jpg", "jpg"),
        ("image/jpeg", "https://a.example/1.png", "jpg"),
        ("image/jpeg", "https://a.example/1.nef", "jpg"),
        ("image/png", "https://a.example/1_o.jpg", "png"),
        ("image/tiff", "https://a.example/1", "tif"),
        ("image/tiff", "https://a.example/1.TIFF", "tif"),
        ("image/tiff", "https://a.example/1.NEF", "nef"),
        ("image/tiff", "https://a.example/1.php", "tif"),
        ("image/vnd.adobe.photoshop", "https://a.example/1.psd?x=1", "psd"),
        ("image/vnd.adobe.photoshop", "https://a.example/1.exe", "bin"),
        ("text/html", "https://a.example/1.jpg", "html"),
        ("text/xml", "https://a.example/1.svg", "xml"),
        ("text/plain", "https://a.example/1.tga", "txt"),
        ("application/pdf", "https://a.example/1.tga", "bin"),
        ("application/pdf", "https://a.example/1.pdf", "bin"),
        (None, "https://a.example/1.jpg", "bin"),
        (None, "https://a.example/1.php", "bin"),
        (None, "https://a.example/a.b/1.tga#x", "tga"),
        (None, "https://a.raw", "bin"),
        (None, "https://a.example/?file=1.tga", "bin"),
        (None, "https://a.example/1.tga/", "bin"),
        (None, "", "bin"),
    ],
)
def test_extension(content_type: str | None, url: str, expected: str) -> None:
    assert extension(content_type, url) == expected


@pytest.mark.parametrize("content_type", sorted({known for known, _ in IMAGES[:-1]}))
def test_an_image_has_the_extension_of_its_type(content_type: str) -> None:
    assert extension(content_type, "https://a.example/1.php") not in {"bin", "php"}


@given(content_type=st.none() | st.text(), url=st.text())
def test_an_extension_is_fit_for_a_file_name(content_type: str | None, url: str) -> None:
    assert extension(content_type, url).isalnum()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/1_o.jpg", ("jpg", "png", "gif")),
        ("https://a.example/1_o.JPEG", ("jpg", "png", "gif")),
        ("https://a.example/1_o.png", ("png", "jpg", "gif")),
        ("https://a.example/1_o.webp", ("webp", "jpg", "png", "gif")),
        ("https://a.example/1_o.dng", ("dng", "jpg", "png", "gif")),
        ("https://a.example/1_o.html", ("jpg", "png", "gif")),
        ("https://a.example/image", ("jpg", "png", "gif")),
    ],
)
def test_usual_extensions(url: str, expected: tuple[str, ...]) -> None:
    assert usual_extensions(url) == expected


@given(url=st.from_regex(r"https://a\.example/[a-z]{1,8}\.[a-z]{2,5}", fullmatch=True))
def test_a_jpeg_is_looked_for_under_the_name_that_it_was_stored_as(url: str) -> None:
    assert extension("image/jpeg", url) in usual_extensions(url)
