#!/usr/bin/env python3
"""Writes the pictures that tests/preprocess.rs reads, and what Pillow makes of each.

    python tests/golden/generate_pictures.py

pictures/NAME.EXT is the input; pictures/NAME.expected.png is 84x42: on the left the 42x42 px that a model sees with a centre crop,
on the right those with padding, both before normalisation. pictures/bilinear.expected.png holds the same of rgb-113x200.png, resized
with the wrong filter: the test's negative control. The steps are those of CLIPImageProcessor with LLaVA-1.5's configuration.
Made with Pillow 13.0 (libjpeg-turbo 3.2, libwebp 1.6) and numpy 2.4. It does not make the damaged files: the test cuts them itself.
"""
import struct, zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIZE = 42
MEAN = [0.48145466, 0.4578275, 0.40821073]
OUT = Path(__file__).parent / "pictures"
ORIENTATION = 0x0112


def see(image, mode, filter=Image.BICUBIC):
    """What a model of SIZE px sees of an upright RGB picture."""
    w, h = image.size
    if mode == "pad":
        side = max(w, h)
        canvas = Image.new("RGB", (side, side), tuple(int(m * 255) for m in MEAN))
        canvas.paste(image, ((side - w) // 2, (side - h) // 2))
        return canvas.resize((SIZE, SIZE), filter)
    short = min(w, h)
    image = image.resize((int(SIZE * w / short) if w > h else SIZE, int(SIZE * h / short) if h > w else SIZE), filter)
    w, h = image.size
    left, top = (w - SIZE) // 2, (h - SIZE) // 2
    return image.crop((left, top, left + SIZE, top + SIZE))


def expect(name, upright, filter=Image.BICUBIC):
    """Writes both crops of an upright RGB picture side by side."""
    sheet = Image.new("RGB", (2 * SIZE, SIZE))
    sheet.paste(see(upright, "center", filter), (0, 0))
    sheet.paste(see(upright, "pad", filter), (SIZE, 0))
    sheet.save(OUT / f"{name}.expected.png", optimize=True)


def load(file):
    """A picture as the reference loads it: upright, RGB, alpha dropped."""
    return ImageOps.exif_transpose(Image.open(OUT / file)).convert("RGB")


def levels(width, height, seed, channels=3):
    """[height, width, channels] of waves, hard-edged rectangles of strong colour and a little noise, 0 to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([0.5 + 0.4 * np.sin(x / 7 + c) * np.cos(y / (5 + 3 * c)) for c in range(channels)], -1)
    for _ in range(6):
        left, top = rng.integers(0, width), rng.integers(0, height)
        picture[top:top + rng.integers(3, height // 2), left:left + rng.integers(3, width // 2)] = rng.integers(0, 2, channels)
    return np.clip(picture + 0.02 * rng.standard_normal(picture.shape), 0, 1)


def bytes_of(*args, **kwargs):
    return np.rint(levels(*args, **kwargs) * 255).astype(np.uint8)


def write_png16(path, samples):
    """A 16-bit PNG, which Pillow cannot write in colour. samples [height, width, 1 or 3] of uint16."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def oriented(n):
    exif = Image.Exif()
    exif[ORIENTATION] = n
    return exif.tobytes()


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()

    def save(file, image, **kwargs):
        image.save(OUT / file, **kwargs)
        expect(file.rsplit(".", 1)[0], load(file))

    rgb = lambda width, height, seed: Image.fromarray(bytes_of(width, height, seed))
    # Sizes: odd ones, both ways round, larger and smaller than the model's, the model's own, and a square.
    for seed, (width, height) in enumerate([(61, 47), (47, 61), (113, 200), (42, 42), (31, 23), (9, 40), (43, 41)]):
        save(f"rgb-{width}x{height}.png", rgb(width, height, seed), optimize=True)
    expect("bilinear", load("rgb-113x200.png"), Image.BILINEAR)
    y, x = np.mgrid[0:336, 0:336]
    rings = 127.5 + 127.5 * np.sin((x[..., None] ** 2 + y[..., None] ** 2) / np.array([700, 1100, 1900]))
    save("rgb-336x336.png", Image.fromarray((rings.astype(np.uint8) // 128) * 255), optimize=True)

    # Kinds of pixel.
    grey = Image.fromarray(bytes_of(61, 47, 10, channels=1)[..., 0])
    save("grey.png", grey, optimize=True)
    save("grey-1-bit.png", grey.convert("1"), optimize=True)
    save("grey-4-bit.png", Image.fromarray((np.asarray(grey) // 16)), bits=4, optimize=True)
    save("grey-alpha.png", Image.fromarray(bytes_of(61, 47, 11, channels=2), "LA"), optimize=True)
    save("rgba.png", Image.fromarray(bytes_of(61, 47, 12, channels=4), "RGBA"), optimize=True)
    palette = rgb(61, 47, 13).quantize(37)
    save("palette.png", palette, optimize=True)
    save("palette-transparent.png", palette, transparency=bytes(range(0, 37 * 6, 6)), optimize=True)
    deep = np.rint(levels(31, 43, 14) * 65535).astype(np.uint16)
    write_png16(OUT / "rgb-16-bit.png", deep)
    expect("rgb-16-bit", load("rgb-16-bit.png"))
    # Pillow clips 16-bit grey at 255, which makes nearly everything white; the high byte is what it takes of 16-bit colour.
    write_png16(OUT / "grey-16-bit.png", deep[..., :1])
    expect("grey-16-bit", Image.fromarray((deep[..., 0] >> 8).astype(np.uint8)).convert("RGB"))

    # Formats.
    save("bmp-24-bit.bmp", rgb(47, 31, 20))
    save("bmp-palette.bmp", rgb(47, 31, 21).quantize(16))
    save("webp-lossless.webp", rgb(61, 47, 22), lossless=True)
    save("webp-lossless-alpha.webp", Image.fromarray(bytes_of(61, 47, 23, channels=4), "RGBA"), lossless=True, exact=True)
    save("webp-lossy.webp", rgb(113, 200, 24), quality=80)
    photo = rgb(113, 200, 25)
    save("jpeg-444.jpg", photo, quality=90, subsampling=0)
    save("jpeg-422.jpg", photo, quality=85, subsampling=1)
    save("jpeg-420.jpg", photo, quality=75, subsampling=2)
    save("jpeg-420-progressive.jpg", photo, quality=75, subsampling=2, progressive=True)
    save("jpeg-grey.jpg", grey, quality=85)
    save("jpeg-cmyk.jpg", rgb(61, 47, 26).convert("CMYK"), quality=85)
    save("jpeg-cmyk-420.jpg", rgb(31, 23, 27).convert("CMYK"), quality=85, subsampling=2)

    # Orientations, in EXIF of three formats and in XMP.
    for n in (2, 3, 6, 8):
        save(f"jpeg-exif-{n}.jpg", rgb(61, 47, 30), quality=85, exif=oriented(n))
    save("png-exif-5.png", rgb(61, 47, 31), exif=oriented(5), optimize=True)
    save("webp-exif-7.webp", rgb(61, 47, 32), lossless=True, exif=oriented(7))
    save("jpeg-xmp-6.jpg", rgb(61, 47, 33), quality=85, xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>')
    print(len(list(OUT.iterdir())), "files,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes")


if __name__ == "__main__":
    main()
