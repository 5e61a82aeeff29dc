"""Renders the drawings that sprites.tsv lists into data/sprites.zip, with what the sampler needs to know of each.

    mkdir packages && cd packages
    for p in fluent-emoji fluent-emoji-flat noto noto-v1 twemoji emojione fxemoji streamline-emojis; do
        npm pack @iconify-json/$p; done; npm pack @lobehub/fluent-emoji-3d
    for f in *.tgz; do mkdir -p ${f%.tgz} && tar xzf $f -C ${f%.tgz}; done
    apt-get download openclipart-png && dpkg -x openclipart-png*.deb openclipart
    cd .. && python build_sprites.py packages data/sprites.zip        (needs rsvg-convert)

The list was made by looking at every drawing: wrong, empty and framed ones are not in it. README.md gives the licences.
"""
import csv
import glob
import io
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from names import COLORS, COLOR_NAMES

SIDE = 160
PACKAGE = {"fluent": "iconify-json-fluent-emoji-[0-9]*", "flat": "iconify-json-fluent-emoji-flat-*", "noto": "iconify-json-noto-[0-9]*",
           "notov1": "iconify-json-noto-v1-*", "twemoji": "iconify-json-twemoji-*", "emojione": "iconify-json-emojione-[0-9]*",
           "fxemoji": "iconify-json-fxemoji-*", "streamline": "iconify-json-streamline-emojis-*"}


def find(root, pattern):
    hits = sorted(glob.glob(os.path.join(root, pattern)))
    if not hits:
        raise SystemExit(f"no package {pattern} in {root}")
    return hits[-1]


def svg(icons, drawing):
    i = icons["icons"][drawing]
    w, h = (i.get(k, icons.get(k, 16)) for k in ("width", "height"))
    l, t = (i.get(k, icons.get(k, 0)) for k in ("left", "top"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{l} {t} {w} {h}" '
            f'width="320" height="320">{i["body"]}</svg>')


def picture(root, source, drawing, icons):
    if source == "fluent3d":
        return Image.open(os.path.join(find(root, "lobehub-fluent-emoji-3d-*"), "package/assets", drawing + ".webp")).convert("RGBA")
    if source == "openclipart":
        return Image.open(os.path.join(find(root, "openclipart*/usr/share/openclipart"), "png", drawing)).convert("RGBA")
    r = subprocess.run(["rsvg-convert", "-w", "400", "-h", "400", "-a"], input=svg(icons[source], drawing).encode(), capture_output=True,
                       check=True, timeout=60)
    return Image.open(io.BytesIO(r.stdout)).convert("RGBA")


def square(im):
    """Cropped to its ink, at most SIDE - 8 a side, in the middle of a transparent square; resized premultiplied."""
    im = im.crop(im.getchannel("A").point(lambda v: 255 if v > 16 else 0).getbbox())
    x = np.asarray(im).astype(np.float32)
    x = np.concatenate([x[..., :3] * x[..., 3:] / 255, x[..., 3:]], -1)
    s = (SIDE - 8) / max(im.size)
    size = max(4, round(im.width * s)), max(4, round(im.height * s))
    how = Image.BOX if s < .5 else Image.LANCZOS
    y = np.stack([np.asarray(Image.fromarray(np.ascontiguousarray(x[..., c])).resize(size, how)) for c in range(4)], -1)
    a = np.clip(y[..., 3:], 1e-3, 255)
    y = np.clip(np.concatenate([np.where(y[..., 3:] > 1, y[..., :3] * 255 / a, 0), y[..., 3:]], -1), 0, 255).astype(np.uint8)
    out = Image.new("RGBA", (SIDE, SIDE))
    out.paste(Image.fromarray(y), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return out


def describe(im):
    """box and a solid point in -1..1 of the square, and the colour that most of the ink has, or None."""
    a = np.asarray(im).astype(np.float32) / 255
    ink = a[..., 3] > .5
    ys, xs = np.nonzero(ink)
    half = SIDE / 2
    box = [float(v) / half - 1 for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)]
    core, depth = ink, 0
    while True:
        less = core & np.roll(core, 1, 0) & np.roll(core, -1, 0) & np.roll(core, 1, 1) & np.roll(core, -1, 1)
        if not less.any():
            break
        core, depth = less, depth + 1
    p = np.argwhere(core)
    y, x = p[len(p) // 2]

    def plane(c):   # luma and two chroma axes, chroma weighted
        return np.stack([c @ np.array([.3, .59, .11]), (c[..., 0] - c[..., 1]) * 1.2, (c[..., 2] - (c[..., 0] + c[..., 1]) / 2) * 1.2], -1)
    px = a[ink][:, :3][::7]
    near = ((plane(px)[:, None] - plane(np.array(list(COLORS.values())))[None]) ** 2).sum(-1).argmin(1)
    share = np.bincount(near, minlength=len(COLORS)) / len(px)
    best = int(share.argmax())
    return {"box": [round(v, 3) for v in box], "solid": [round(x / half - 1 + .006, 3), round(y / half - 1 + .006, 3), depth],
            "dom": COLOR_NAMES[best] if share[best] > .62 else None}


def main(root, out):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(here + "/sprites.tsv") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    icons = {k: json.load(open(find(root, v) + "/package/icons.json")) for k, v in PACKAGE.items()}
    with ThreadPoolExecutor(os.cpu_count()) as ex:
        ims = list(ex.map(lambda r: square(picture(root, r["source"], r["drawing"], icons)), rows))
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        meta = []
        for i, (r, im) in enumerate(zip(rows, ims)):
            b = io.BytesIO()
            im.save(b, "webp", quality=88, method=4)
            z.writestr(f"{i:04d}.webp", b.getvalue())
            meta.append({"id": i, "cls": r["class"], "src": r["source"], "file": r["drawing"], "held": r["held_out"] == "1", **describe(im)})
        z.writestr("sprites.json", json.dumps(meta))
    print(len(meta), "drawings")


if __name__ == "__main__":
    main(*sys.argv[1:3])
