"""Image files that are damaged, unusual or malicious. Each name begins with the expected outcome."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 80},
    "progressive.jpg": {"format": "JPEG", "progressive": True},
    "tif": {"format": "TIFF"},
    "lzw.tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
    "webp": {"format": "WEBP", "lossless": True},
    "ppm": {"format": "PPM"},
}
_SHARES = (0.02, 0.2, 0.4, 0.6, 0.8, 0.95)
_FLIPS = 14
FLAT_SIDE = 4000
"""Height and width of the files named `any-flat-...`."""


def whole(options: dict[str, object]) -> bytes:
    """A valid image of 40×30 pixels, of coarse blocks, so that every format has something to compress."""
    pixels = np.random.default_rng(0).integers(0, 256, (30 // 5, 40 // 5, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels.repeat(5, 0).repeat(5, 1)), **options)


def encoded(image: Image.Image, **options: object) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def corpus() -> Iterator[tuple[str, bytes]]:
    """Names and contents. Files named `refused-...` must be refused; `any-...` may be read if possible."""
    for kind, options in KINDS.items():
        content = whole(options)
        for share in _SHARES:
            yield f"any-cut-at-{share}.{kind}", content[: int(len(content) * share)]
        random = np.random.default_rng(len(content))
        for number in range(_FLIPS):
            flipped = bytearray(content)
            # The first bytes hold sizes and offsets, where a wrong value does the most harm.
            end = len(flipped) if number % 2 else min(60, len(flipped))
            for place in random.integers(2, end, 1 + number % 3):
                flipped[place] = random.integers(0, 256)
            yield f"any-flipped-{number}.{kind}", bytes(flipped)
        yield f"any-trailing-zeros.{kind}", content[: len(content) // 2] + bytes(len(content))
        yield f"any-twice.{kind}", content + content
        yield f"refused-without-its-header.{kind}", content[16:]
    yield from _lying_headers()
    yield from _bombs()
    yield from _slow()
    yield from _not_images()


def _lying_headers() -> Iterator[tuple[str, bytes]]:
    huge = 0x7FFFFFFF
    for width, height in ((huge, huge), (100_000, 100_000), (huge, 1), (0, 5)):
        yield f"refused-{width}x{height}.png", png(width, height)
        yield f"refused-{width}x{height}.bmp", _bmp(width, height)
        yield f"refused-{width}x{height}.ppm", f"P6 {width} {height} 255\n".encode()
        yield f"refused-plain-{width}x{height}.ppm", f"P3 {width} {height} 255\n1 2 3".encode()
        yield f"refused-{width}x{height}.tif", _tiff(width, height)
    for width, height in ((65535, 65535), (65535, 1400)):
        yield f"refused-{width}x{height}.jpg", _jpeg(width, height)
        yield f"refused-{width}x{height}.gif", _gif(width, height)
    yield "refused-16383x16383.webp", _webp(16383, 16383)
    yield "refused-8000x8000.webp", _webp(8000, 8000)
    # Within the limit, but libjpeg would make them up from almost no data.
    for width, height in ((9000, 9000), (65000, 1300), (1300, 65000), (1000, 1000)):
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            yield f"refused-{kind}-{width}x{height}.jpg", _jpeg(width, height, progressive=progressive)
            yield f"refused-{kind}-grey-{width}x{height}.jpg", _jpeg(width, height, progressive=progressive, mode="L")
    # Within the limit, but with almost no data: the memory used must be in proportion to the pixels.
    yield "any-9000x9000.png", png(9000, 9000)
    yield "any-9000x9000.tif", _tiff(9000, 9000)
    yield "any-9000x9000.gif", _gif(9000, 9000)
    yield "any-negative.bmp", _bmp(-40, -30)
    yield "any-strips-of-4-gigabytes.tif", _tiff(8, 8, length=0xFFFFFFF0)
    yield "refused-strips-beyond-the-end.tif", _tiff(8, 8, offset=0xFFFFFF00)
    yield "any-circular-pages.tif", _tiff(8, 8, next_page=8)
    yield "refused-directory-beyond-the-end.tif", b"II*\0" + struct.pack("<I", 0xFFFFFF00)
    yield "refused-65535-tags.tif", b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(40)


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that become large, in places other than the pixels."""
    large = zlib.compress(bytes(200_000_000), 9)
    for chunk, head in ((b"zTXt", b"Comment\0\0"), (b"iCCP", b"icc\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")):
        yield f"any-bomb-in-{chunk.decode()}.png", png(4, 4, rows=bytes(52), extra=_chunk(chunk, head + large))
    yield "any-bomb-in-the-pixels.png", png(4, 4, packed=large)
    yield "any-100000-text-chunks.png", png(4, 4, rows=bytes(52), extra=_chunk(b"tEXt", b"a\0b") * 100_000)
    yield "any-100000-extensions.gif", _gif(4, 4, extra=b"\x21\xfe\x01a\0" * 100_000)
    yield "any-100000-markers.jpg", b"\xff\xd8" + b"\xff\xfe\0\x03a" * 100_000
    # Valid, but a thousand times as large when decoded.
    flat = Image.new("L", (FLAT_SIDE, FLAT_SIDE))
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"any-flat-{mode}.png", encoded(flat.convert(mode), format="PNG")
    yield "any-flat-16-bit.png", encoded(Image.new("I;16", flat.size), format="PNG")
    yield "any-flat.gif", encoded(flat, format="GIF")
    yield "any-flat.tif", encoded(flat.convert("RGB"), format="TIFF", compression="tiff_lzw")
    yield "any-flat.jpg", encoded(flat, format="JPEG", progressive=True)


def _slow() -> Iterator[tuple[str, bytes]]:
    """Files on which a decoder spends seconds per megabyte."""
    # One long comment in the pixels costs nothing.
    for outcome, name, comment in (
        ("any", "a-long", b"#" + b"a" * 5_000_000 + b"\n"),
        ("refused", "many", b"#\n" * 2_500_000),
        ("refused", "many-other", b"#\r" * 2_500_000),
    ):
        for kind in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"):
            size = b" 4 4 " if kind in (b"P1", b"P4") else b" 4 4 255\n"
            yield f"refused-{name}-in-the-header-{kind.decode()}.ppm", kind + b" " + comment + size + b"1 " * 48
            if kind <= b"P3":
                yield f"{outcome}-{name}-in-the-pixels-{kind.decode()}.ppm", kind + size + comment + b"1 " * 48
    yield "refused-an-endless-comment.ppm", b"P6 #" + b"a" * 5_000_000
    yield "refused-spaces-in-the-header.ppm", b"P6 " + b" " * 5_000_000 + b"4 4 255\n" + bytes(48)
    yield "any-only-spaces.ppm", b"P3 4 4 255\n" + b" " * 5_000_000
    yield "any-an-endless-number.ppm", b"P3 4 4 255\n" + b"1" * 5_000_000
    scans = encoded(Image.new("RGB", (2000, 2000)), format="JPEG", progressive=True)
    yield "refused-thousands-of-scans.jpg", scans[:-2] + scans[scans.rindex(b"\xff\xda") : -2] * 3000 + scans[-2:]


def _not_images() -> Iterator[tuple[str, bytes]]:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(evil) print showpage\n"
    yield "refused-empty.png", b""
    yield "refused-one-byte.png", b"\x89"
    yield "refused-text.png", b"this is no image at all"
    yield "refused-zeros.bmp", bytes(10_000)
    yield "refused-postscript.png", postscript
    yield "refused-pdf.png", b"%PDF-1.4\n"
    yield "refused-script.svg.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    yield "refused-archive.png", b"PK\x03\x04" + bytes(100)
    yield "refused-code.png", b"\x7fELF" + bytes(100)
    yield "refused-page.jpg", b"<!doctype html><title>404</title>"
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (0, 255)]
    for kind in ("gif", "png", "webp", "tiff"):
        yield (
            f"refused-animated.{kind}",
            encoded(frames[0], format=kind.upper(), save_all=True, append_images=frames[1:]),
        )
    for kind in ("ico", "icns", "jpeg2000", "pcx", "sgi", "tga", "xbm", "dds"):
        image = frames[0].resize((32, 32)).convert("1" if kind == "xbm" else "RGB")
        yield f"refused-{kind}.png", encoded(image, format=kind.upper())


def png(
    width: int, height: int, *, rows: bytes = bytes(99), packed: bytes | None = None, extra: bytes = b"", kind: int = 2
) -> bytes:
    """A PNG, in RGB by default, that may declare more than it contains."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(rows) if packed is None else packed)
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 99, 0, 0, 54) + info + bytes(99)


def _tiff(width: int, height: int, *, offset: int = 200, length: int = 99, next_page: int = 0) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: offset, 277: 1, 278: height, 279: length}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value & 0xFFFFFFFF) for tag, value in tags.items())
    body = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", next_page)
    return body.ljust(200, b"\0") + bytes(99)


def _jpeg(width: int, height: int, *, progressive: bool = False, mode: str = "RGB") -> bytes:
    content = bytearray(encoded(Image.new(mode, (16, 16)), format="JPEG", progressive=progressive))
    place = content.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def _gif(width: int, height: int, extra: bytes = b"") -> bytes:
    palette = bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette + extra + frame + b"\x3b"


def _webp(width: int, height: int) -> bytes:
    sound = encoded(Image.new("RGBA", (8, 8)), format="WEBP", lossless=True)
    chunk = sound[12:]
    extended = (
        b"VP8X" + struct.pack("<II", 10, 0) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    )
    body = b"WEBP" + extended + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write(folder: Path) -> list[Path]:
    """Write the whole corpus into a folder."""
    paths = []
    for name, content in corpus():
        paths.append(folder / name)
        paths[-1].write_bytes(content)
    return paths
