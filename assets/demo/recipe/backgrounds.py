"""Procedural landscapes and rooms: every background of the demo model is drawn here, none is a photograph.

`paint(place, time, seed)` returns an RGB picture of SIZE x SIZE and a map of what every pixel shows (GROUNDS).
`python backgrounds.py OUT.npz --each 24 --workers 8` writes the set that training uses.
"""
import argparse
import math
import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image, ImageDraw

from names import GROUND_ID, PLACES, TIMES

SIZE = 420
LABEL = 105
Y = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None]
X = np.linspace(0, 1, SIZE, dtype=np.float32)[None]


def noise(r, octaves, sx=1., sy=1., falloff=.55):
    """Smooth noise about 0 of unit-ish size; `octaves` are cells a side, sx and sy stretch them."""
    out, a, tot = np.zeros((SIZE, SIZE), np.float32), 1., 0.
    for o in octaves:
        h, w = max(2, int(o * sy)), max(2, int(o * sx))
        layer = Image.fromarray(r.rand(h, w).astype(np.float32)).resize((SIZE, SIZE), Image.BICUBIC)
        out += a * (np.asarray(layer) - .5)
        tot += a
        a *= falloff
    return out / tot * 2


def soften(dots):
    """Single bright pixels as small round stars."""
    side = sum(np.roll(dots, k, a) for k in (-1, 1) for a in (0, 1))
    return dots + side * .4


def ridge(r, base, height, octaves=(3, 7, 15, 31), rough=.5):
    """A skyline: the y in 0..1 of every column."""
    x, y, a = np.linspace(0, 1, SIZE), np.zeros(SIZE), 1.
    for o in octaves:
        y += a * np.interp(x, np.linspace(0, 1, o + 1), r.rand(o + 1) - .5)
        a *= rough
    k = np.ones(9) / 9
    y = np.convolve(np.pad(y, 4, mode="edge"), k, "valid") if rough < .45 else y
    return (base + height * y).astype(np.float32)[None]


def mix(a, b, t):
    return np.asarray(a, np.float32) * (1 - t) + np.asarray(b, np.float32) * t


def rgb(*c):
    return np.array(c, np.float32)


class Canvas:
    """A picture under way: colour, labels, and the light of the hour."""

    def __init__(s, r, time):
        s.r, s.time = r, time
        s.im, s.lab = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE), np.uint8)
        s.light = {"day": rgb(1, 1, 1), "sunset": rgb(1.02, .78, .66), "night": rgb(.30, .36, .58)}[time]
        j = r.uniform(-.04, .04, 3)
        s.haze = {"day": rgb(.80, .89, .97), "sunset": rgb(.98, .70, .52), "night": rgb(.16, .20, .38)}[time] + j

    def lay(s, mask, color, ground):
        m = mask[..., None].astype(np.float32)
        s.im = s.im * (1 - m) + np.clip(color, 0, 1.2) * m
        s.lab[mask > .5] = GROUND_ID[ground]

    def over(s, img):
        """Alpha-blends an RGBA PIL layer; labels stay."""
        a = np.asarray(img, np.float32) / 255
        s.im = s.im * (1 - a[..., 3:]) + a[..., :3] * a[..., 3:]

    def sky(s, horizon, clouds=True):
        r, t = s.r, np.clip(Y / max(horizon, .05), 0, 1)[..., None]
        if s.time == "day":
            top = mix(rgb(.20, .48, .88), rgb(.42, .68, .95), r.rand())
            c = mix(top, rgb(.82, .92, .98), t ** 1.3)
        elif s.time == "sunset":
            a, b, d = [(rgb(.22, .18, .45), rgb(.85, .38, .45), rgb(1, .76, .40)), (rgb(.30, .34, .62), rgb(.95, .58, .52), rgb(1, .86, .62)),
                       (rgb(.36, .16, .36), rgb(.92, .36, .25), rgb(1, .66, .22))][r.randint(3)]
            c = np.where(t < .6, mix(a, b, t / .6), mix(b, d, (t - .6) / .4))
        else:
            c = mix(rgb(.02, .03, .11), rgb(.13, .17, .38) + r.uniform(-.03, .05, 3), t ** 1.2)
        s.im = np.broadcast_to(c, s.im.shape).astype(np.float32).copy()
        s.lab[:] = GROUND_ID["sky"]
        cx, cy = r.uniform(.12, .88), horizon * (r.uniform(.8, 1.02) if s.time == "sunset" else r.uniform(.12, .5))
        d = np.sqrt((X - cx) ** 2 + (Y - cy) ** 2)[..., None]
        s.sun = (cx, cy)
        if s.time == "sunset":
            s.im += (rgb(1, .62, .25) * np.exp(-(d / .28) ** 2) * .55 + rgb(1, .9, .6) * np.exp(-(d / .07) ** 2) * .7)
            s.im = np.where(d < .042, rgb(1, .95, .74), s.im)
        elif s.time == "night":
            stars = np.zeros((SIZE, SIZE), np.float32)
            n = r.randint(90, 220)
            stars[r.randint(0, SIZE, n), r.randint(0, SIZE, n)] = r.uniform(.3, 1, n) ** 2
            s.im += soften(stars)[..., None] * rgb(.95, .97, 1)
        elif r.rand() < .5:
            s.im += rgb(1, .97, .85) * np.exp(-(d / .16) ** 2) * .35
        if clouds and r.rand() < (.85 if s.time == "day" else .55):
            n = noise(r, [3, 6, 12, 24, 48], 1, r.uniform(1.6, 3))
            w = np.clip((n - r.uniform(.0, .22)) * r.uniform(2, 3.2), 0, 1)[..., None] * np.clip(1.15 - t, 0, 1)
            shade = np.clip(.5 + noise(r, [6, 12, 24])[..., None] * .6, 0, 1)
            c = {"day": mix(rgb(.84, .88, .94), rgb(1, 1, 1), shade), "sunset": mix(rgb(.62, .36, .48), rgb(1, .72, .52), shade),
                 "night": mix(rgb(.10, .12, .25), rgb(.22, .25, .42), shade)}[s.time]
            s.im = s.im * (1 - w * .9) + c * w * .9

    def mountains(s, base, n=2, snow=None):
        r = s.r
        snow = r.rand() < .6 if snow is None else snow
        for k in range(n):
            line = ridge(r, base - (n - 1 - k) * .06, .30 - .07 * k, (3, 6, 13, 27, 55), .52)
            depth = (Y - line) / .3
            c = mix([rgb(.36, .40, .50), rgb(.42, .38, .40), rgb(.30, .38, .42)][r.randint(3)], s.haze, .55 - .22 * k)
            slope = noise(r, [12, 30, 70], 1.4, .8)
            c = c * (1 + slope[..., None] * .25)
            if snow:
                cap = np.clip((.30 + noise(r, [10, 25, 60]) * .35 - depth) * 6, 0, 1)[..., None]
                c = c * (1 - cap) + rgb(.95, .97, 1) * (1 + slope[..., None] * .12) * cap
            c = mix(c, s.haze, np.clip(depth * .5, 0, .5)[..., None])
            s.lay(np.clip((Y - line) * SIZE, 0, 1), c * s.light, "mountain")

    def hills(s, base, n, colors, ground, height=.09, texture=.22):
        """Rolling layers of ground, paler with distance."""
        r = s.r
        for k in range(n):
            f = k / max(1, n - 1) if n > 1 else 1.
            line = ridge(r, base + (1 - base) * .55 * f ** 1.4 * (n > 1), height * (1 - .3 * f), (2, 4, 7), .4)
            c = mix(colors[0], colors[1], f) * (1 + noise(r, [8, 30, 90, 200], 1, .45, .85)[..., None] * texture * (.4 + .6 * f))
            c = c * (1 + np.clip((Y - line)[..., None] * -1.2 + .12, -.25, .12))
            c = mix(c, s.haze, (1 - f) * .38)
            s.lay(np.clip((Y - line) * SIZE, 0, 1), c * s.light, ground)

    def water(s, top, bottom=2., tint=None, ground="water"):
        r = s.r
        tint = rgb(.10, .38, .58) + r.uniform(-.06, .08, 3) if tint is None else tint
        sky = s.im[:max(2, int(top * SIZE))].mean((0, 1))
        d = np.clip((Y - top) / max(.05, 1 - top), 0, 1)[..., None]
        wave = noise(r, [20, 50, 110], .35, 1 + 2 * .8) * (.25 + .75 * d[..., 0]) * .5
        fine = np.sin((Y * SIZE / (2.5 + 9 * d[..., 0]) + noise(r, [6, 14], .6, 1.5) * 5)) * .06
        c = mix(mix(tint, sky, .65), tint * s.light ** .6, d ** .7) * (1 + (wave + fine)[..., None])
        glint = np.exp(-((X - s.sun[0]) / (.04 + .12 * d[..., 0])) ** 2) * np.clip(fine * 14 + wave * 2, 0, 1)
        c = c + glint[..., None] * {"day": rgb(.25, .25, .22), "sunset": rgb(.75, .45, .2), "night": rgb(.25, .28, .35)}[s.time]
        s.lay(((Y > top) & (Y < bottom)).astype(np.float32) * np.ones_like(X), c, ground)

    def trees(s, base, n, size, kind, color, ground=None, jitter=.02):
        """A row of pines or round trees standing on y = base; three-times oversampled."""
        r, k = s.r, 3
        layer = Image.new("RGBA", (SIZE * k, SIZE * k))
        d = ImageDraw.Draw(layer)
        xs = np.sort(r.rand(n))
        for i in r.permutation(n):
            x, y = xs[i] * SIZE * k, (base + r.uniform(-jitter, jitter)) * SIZE * k
            h = size * r.uniform(.65, 1.25) * SIZE * k
            c = np.clip((color + r.uniform(-.05, .05, 3)) * s.light, 0, 1)
            f = tuple((c * 255).astype(int)) + (255,)
            hi = tuple((np.clip(c * 1.22, 0, 1) * 255).astype(int)) + (255,)
            trunk = tuple((np.clip(rgb(.32, .22, .14) * s.light, 0, 1) * 255).astype(int)) + (255,)
            d.rectangle([x - h * .035, y - h * .25, x + h * .035, y + h * .03], fill=trunk)
            if kind == "pine":
                for j in range(4):
                    w, t = h * (.24 - .045 * j), y - h * (.12 + .2 * j)
                    d.polygon([(x - w, t), (x + w, t), (x, t - h * .34)], fill=f)
                    d.polygon([(x - w * .2, t), (x + w, t), (x, t - h * .34)], fill=hi)
            else:
                for _ in range(7):
                    a, q = x + r.uniform(-.2, .2) * h, y - h * r.uniform(.42, .82)
                    w = h * r.uniform(.12, .22)
                    d.ellipse([a - w, q - w, a + w, q + w], fill=f)
                d.ellipse([x - h * .02, y - h * .85, x + h * .2, y - h * .6], fill=hi)
        layer = layer.resize((SIZE, SIZE), Image.LANCZOS)
        s.over(layer)
        if ground:
            s.lab[np.asarray(layer)[..., 3] > 128] = GROUND_ID[ground]

    def dots(s, top, n, colors, size=(1.2, 3.2)):
        """Flowers or stones, larger towards the front."""
        r, k = s.r, 2
        layer = Image.new("RGBA", (SIZE * k, SIZE * k))
        d = ImageDraw.Draw(layer)
        for _ in range(n):
            y = top + (1 - top) * r.rand() ** .8
            q = r.uniform(*size) * (.4 + .9 * (y - top) / (1 - top)) * k
            x, y = r.rand() * SIZE * k, y * SIZE * k
            c = np.clip(colors[r.randint(len(colors))] * s.light, 0, 1) * 255
            d.ellipse([x - q, y - q * .8, x + q, y + q * .8], fill=tuple(c.astype(int)) + (235,))
        s.over(layer.resize((SIZE, SIZE), Image.LANCZOS))

    def done(s):
        im = np.clip(s.im, 0, 1)
        return (im * 255 + .5).astype(np.uint8), s.lab


def outdoors(place, c, r):
    green = [(rgb(.50, .68, .36), rgb(.26, .55, .16)), (rgb(.56, .70, .40), rgb(.36, .60, .20)), (rgb(.44, .64, .42), rgb(.18, .46, .18))][r.randint(3)]
    h = r.uniform(.38, .6)
    c.sky(h)
    if place == "meadow":
        if r.rand() < .4:
            c.mountains(h + .03, 1)
        c.hills(h, r.randint(2, 5), green, "grass")
        if r.rand() < .5:
            c.trees(h + .06, r.randint(3, 9), r.uniform(.08, .16), ["pine", "round"][r.randint(2)], rgb(.18, .42, .18))
        if r.rand() < .6:
            c.dots(h + .2, r.randint(40, 160), [rgb(.98, .9, .3), rgb(.98, .98, .98), rgb(.92, .42, .55), rgb(.7, .5, .9)][:r.randint(1, 5)])
    elif place == "desert":
        a = rgb(.93, .76, .48) + r.uniform(-.06, .04, 3)
        for k in range(r.randint(2, 5)):
            line = ridge(r, h + .13 * k, .12, (2, 3, 6), .4)
            lit = np.clip(.5 + (noise(r, [2, 4], 1, .6)) * .5 + np.sin((Y * 60 + noise(r, [4, 9]) * 9)) * .035, 0, 1)[..., None]
            col = mix(mix(a * rgb(.78, .68, .6), a, lit), c.haze, .3 / (k + 1)) * (1 + noise(r, [150, 300])[..., None] * .05)
            c.lay(np.clip((Y - line) * SIZE, 0, 1), col * c.light, "sand")
    elif place in ("beach", "sea"):
        if r.rand() < .3:
            c.hills(h - .02, 1, (rgb(.36, .5, .4), rgb(.36, .5, .4)), "mountain", .08)
        c.water(h, tint=[rgb(.08, .42, .62), rgb(.10, .55, .66), rgb(.12, .32, .52)][r.randint(3)])
        if place == "beach":
            line = ridge(r, r.uniform(.66, .76), .09, (2, 3, 5), .35)
            foam = np.exp(-((Y - line + .012) / .012) ** 2) * np.clip(.75 + noise(r, [30, 80]) * .8, 0, 1)
            sand = (rgb(.92, .82, .62) + r.uniform(-.05, .05, 3)) * (1 + noise(r, [5, 12, 120, 300], 1, 1, .7)[..., None] * .12)
            wet = np.exp(-np.clip(Y - line, 0, 1) / .05)[..., None]
            c.lay(np.clip((Y - line) * SIZE * .4, 0, 1), sand * (1 - .28 * wet) * c.light, "sand")
            c.im = c.im * (1 - foam[..., None] * .85) + rgb(.97, .98, 1) * c.light ** .7 * foam[..., None] * .85
    elif place == "lake":
        c.mountains(h + .02, r.randint(1, 3))
        c.trees(h + .03, r.randint(20, 50), .06, "pine", rgb(.14, .34, .22), "forest", .008)
        c.hills(h + .03, 1, (rgb(.25, .42, .25), rgb(.25, .42, .25)), "grass", .01)
        top = h + .05
        flip = c.im[:int(top * SIZE)][::-1]
        c.water(top)
        n = min(len(flip), SIZE - int(top * SIZE))
        y0 = int(top * SIZE)
        shift = (np.sin(np.arange(n) * .9) * np.linspace(0, 4, n)).astype(int)
        refl = np.stack([np.roll(flip[i], shift[i], 0) for i in range(n)])
        c.im[y0:y0 + n] = c.im[y0:y0 + n] * .48 + refl * .52 * .92
        line = ridge(r, r.uniform(.80, .88), .08, (2, 4), .4)
        g = green[1] * (1 + noise(r, [30, 90, 200], 1, .5, .85)[..., None] * .3)
        c.lay(np.clip((Y - line) * SIZE, 0, 1), g * c.light, "grass")
    elif place == "snow":
        if r.rand() < .6:
            c.mountains(h + .02, r.randint(1, 3), True)
        white = (rgb(.84, .89, .97), rgb(.95, .97, 1))
        c.hills(h, r.randint(2, 4), white, "snow", .08, .05)
        if r.rand() < .75:
            c.trees(h + .07, r.randint(4, 14), r.uniform(.1, .2), "pine", rgb(.22, .40, .36))
        c.dots(0., r.randint(0, 120), [rgb(1.2, 1.2, 1.25)], (.6, 1.6))
    elif place == "mountain":
        c.mountains(h + .08, r.randint(2, 4))
        g = [green, (rgb(.5, .48, .44), rgb(.42, .40, .36)), (rgb(.62, .60, .42), rgb(.48, .46, .28))][r.randint(3)]
        c.hills(h + .14, r.randint(1, 3), g, "mountain" if g is not green else "grass", .06, .3)
        if r.rand() < .5:
            c.trees(h + .2, r.randint(4, 16), .1, "pine", rgb(.14, .32, .2))
    elif place == "forest":
        c.hills(h - .02, 2, (rgb(.14, .30, .16), rgb(.14, .28, .12)), "forest", .03)
        c.im = mix(c.im, c.haze * (.8 if c.time != "night" else .5), .45)
        for k in range(4):
            b = h + .02 + .07 * k
            col = mix(rgb(.12, .34, .16), c.haze / np.maximum(c.light, .3), .45 - .14 * k)
            c.trees(b, 26 - 4 * k, .30 + .07 * k, ["pine", "round"][r.randint(2)], np.clip(col, 0, 1), "forest", .015)
        c.hills(h + .2, 2, (rgb(.22, .44, .18), rgb(.20, .38, .14)), "grass", .05, .4)
        if r.rand() < .5:
            c.dots(h + .3, r.randint(20, 80), [rgb(.75, .45, .15), rgb(.85, .7, .2), rgb(.5, .3, .12)])
    elif place == "field":
        if r.rand() < .5:
            c.hills(h - .02, 2, (rgb(.45, .58, .42), rgb(.30, .50, .28)), "grass", .06)
        a = [rgb(.90, .74, .32), rgb(.50, .66, .24), rgb(.80, .62, .30), rgb(.72, .55, .80)][r.randint(4)]
        d = np.clip((Y - h) / (1 - h), .004, 1)
        u = (X - r.uniform(.25, .75)) / d
        rows = np.sin(u * r.uniform(9, 16)) * np.clip(d * 4, 0, 1)
        col = a * (1 + rows[..., None] * .22) * (1 + noise(r, [40, 100, 200], 1, 1.4, .9)[..., None] * .28)
        c.lay(np.clip((Y - h - .02) * SIZE, 0, 1) * np.ones_like(X), mix(col, c.haze, np.clip(.4 - d, 0, 1)[..., None] * .9) * c.light, "field")
    elif place == "road":
        if r.rand() < .5:
            c.mountains(h + .03, 1)
        g = [green, (rgb(.85, .70, .48), rgb(.80, .62, .40))][r.randint(2)]
        c.hills(h, 2, g, "grass" if g is green else "sand", .03)
        cx, vx = r.uniform(.35, .65), r.uniform(.4, .6)
        d = np.clip((Y - h - .03) / (1 - h - .03), 0, 1)
        mid, half = mix(vx, cx, d), .012 + r.uniform(.42, .62) * d
        on = np.clip((half - np.abs(X - mid)) * SIZE * .5, 0, 1) * (Y > h + .03)
        asphalt = rgb(.34, .35, .38) * (1 + noise(r, [5, 150, 300], 1, 1, .9)[..., None] * .16)
        c.lay(on, asphalt * c.light, "road")
        dash = ((np.log(np.maximum(d, .01)) * 5 % 1) < .55) & (np.abs(X - mid) < .018 * d + .001)
        edge = np.abs(np.abs(X - mid) - half * .93) < .010 * d + .0008
        line = ((dash | edge) & (Y > h + .04))[..., None]
        c.im = np.where(line, rgb(.94, .93, .86) * c.light, c.im)
    elif place == "city":
        for k in range(3):
            x, base = 0, h + .04 + .03 * k
            col = mix([rgb(.42, .46, .55), rgb(.55, .47, .45), rgb(.46, .50, .50)][r.randint(3)], c.haze, .55 - .24 * k)
            while x < SIZE:
                w, top = r.randint(24, 62), base - r.uniform(.1, .42 - .07 * k)
                m = ((X * SIZE >= x) & (X * SIZE < x + w) & (Y > top)).astype(np.float32)
                f = col * r.uniform(.8, 1.15)
                wx, wy = (X * SIZE - x) % 9, ((Y - top) * SIZE) % 11
                win = ((wx > 2.5) & (wx < 7) & (wy > 3) & (wy < 8) & (Y - top > .01))
                lit = r.rand(60, 60)[np.minimum(((Y - top) * SIZE // 11).astype(int) % 60, 59), np.minimum(((X * SIZE - x) // 9).astype(int) % 60, 59)]
                glow = {"day": f * c.light * .72, "sunset": rgb(1, .8, .5), "night": rgb(1, .86, .5)}[c.time]
                face = np.where((win & (lit > (.0 if c.time == "day" else .55)))[..., None], glow, f * c.light)
                c.lay(m, face, "city")
                x += w
        c.lay(np.clip((Y - h - .09) * SIZE, 0, 1) * np.ones_like(X), rgb(.62, .62, .63) * (1 + noise(r, [80, 200])[..., None] * .08) * c.light, "road")
        c.lay(np.clip((Y - h - .16) * SIZE, 0, 1) * np.ones_like(X), rgb(.36, .37, .40) * (1 + noise(r, [6, 120, 300])[..., None] * .12) * c.light, "road")
        d = np.abs(Y - (h + .16 + 1) / 2) < .008
        c.im = np.where((d & ((X * 7 + r.rand()) % 1 < .6))[..., None], rgb(.93, .90, .75) * c.light, c.im)


def indoors(place, c, r):
    c.sun = (.5, .2)
    if place == "brick":
        bh = r.randint(16, 28)
        bw = bh * 2.2
        yy, xx = np.arange(SIZE)[:, None], np.arange(SIZE)[None]
        row = yy // bh
        off = xx + (row % 2) * bw / 2
        m = ((yy % bh) < 2.5) | ((off % bw) < 2.5)
        t = r.rand(64, 64)[(row % 64).astype(int), ((off // bw) % 64).astype(int)][..., None]
        base = [rgb(.64, .28, .20), rgb(.72, .42, .30), rgb(.80, .77, .72), rgb(.46, .27, .24)][r.randint(4)]
        im = base * (.78 + .4 * t) * (1 + noise(r, [60, 200])[..., None] * .18)
        im = np.where(m[..., None], mix(base, rgb(.8, .78, .75), .7), im) * (1.08 - .25 * np.abs(X - .5)[..., None] - .12 * Y[..., None])
        c.lay(np.ones((SIZE, SIZE)), im, "brick")
    elif place == "room":
        a = np.array([r.uniform(.45, .95) for _ in range(3)], np.float32)
        a = mix(a, rgb(.9, .88, .84), .45)
        im = a * (1 + noise(r, [100, 200])[..., None] * .02) * (1.06 - .35 * np.sqrt((X - r.rand()) ** 2 + (Y - .2) ** 2)[..., None] * .8)
        if r.rand() < .4:
            im = im * (1 - .07 * (np.sin(X * r.uniform(40, 110)) > 0)[..., None])
        c.lay(np.ones((SIZE, SIZE)), im, "wall")
    if place in ("brick", "room") and r.rand() < .85 or place == "table":
        h = r.uniform(.58, .72) if place != "table" else -.01
        d = np.clip((Y - h) / (1 - h), .002, 1)
        a = [rgb(.62, .42, .25), rgb(.75, .56, .36), rgb(.46, .30, .19), rgb(.82, .70, .54)][r.randint(4)]
        n = r.randint(5, 9)
        u = (X - .5) / (.35 + .65 * d) * n if place != "table" else np.broadcast_to(Y * n, (SIZE, SIZE))
        plank = np.floor(u).astype(int)
        tone = r.rand(64)[plank % 64][..., None]
        grain = noise(r, [3, 10, 30, 90], *((.16, 3.5) if place == "table" else (3.5, .16)), .8)
        im = a * (.82 + .32 * tone) * (1 + grain[..., None] * .30)
        im = im * (1 - .45 * (np.abs((u % 1) - .5) > .485)[..., None]) * (.86 + .2 * d[..., None])
        c.lay(np.clip((Y - h) * SIZE, 0, 1) * np.ones_like(X), im, "wood")
        if place == "room":
            b = (Y > h - .035) & (Y < h)
            c.im = np.where(b[..., None] & np.ones((SIZE, SIZE, 1), bool), rgb(.95, .94, .92) * (.9 + .1 * X[..., None]), c.im)
    elif place == "pattern":
        p, q = mix(r.rand(3), rgb(1, 1, 1), .25), mix(r.rand(3), rgb(.9, .9, .9), .15)
        f, th, k = r.uniform(3, 9), r.uniform(0, 3.1), r.randint(5)
        u, v = np.cos(th) * X + np.sin(th) * Y, -np.sin(th) * X + np.cos(th) * Y
        if k == 0:
            m = np.clip(np.sin(u * f * 6.28) * 20, 0, 1)
        elif k == 1:
            m = np.clip(np.sin(u * f * 6.28) * np.sin(v * f * 6.28) * 30, 0, 1)
        elif k == 2:
            m = np.clip((.3 - np.sqrt(((u * f) % 1 - .5) ** 2 + ((v * f) % 1 - .5) ** 2)) * 30, 0, 1)
        elif k == 3:
            m = np.clip(np.sin(np.sqrt((X - .5) ** 2 + (Y - .5) ** 2) * f * 12) * 8, 0, 1)
        else:
            m = np.clip(noise(r, [3, 6, 12]) * 2 + .5, 0, 1)
        c.lay(np.ones((SIZE, SIZE)), mix(p, q, m[..., None]), "pattern")
    elif place == "underwater":
        a = rgb(.05, .38, .58) + r.uniform(-.04, .08, 3)
        rays = np.clip(noise(r, [14, 30], 1, .12) * 1.4, 0, 1) * np.clip(1 - Y * 1.1, 0, 1)
        im = mix(a + rgb(.25, .32, .25), a * .55, Y[..., None] ** .8) + rays[..., None] * .22
        c.lay(np.ones((SIZE, SIZE)), im, "water")
        line = ridge(r, r.uniform(.84, .93), .08, (3, 6), .4)
        c.lay(np.clip((Y - line) * SIZE * .3, 0, 1), mix(rgb(.78, .74, .58), a, .42) * (1 + noise(r, [10, 120])[..., None] * .12), "sand")
        c.dots(.02, r.randint(10, 50), [rgb(.75, .92, 1)], (1, 3))
    elif place == "space":
        n1, n2 = noise(r, [2, 5, 11, 23, 47]), noise(r, [3, 7, 15, 31])
        a, b = [(rgb(.35, .12, .5), rgb(.1, .3, .6)), (rgb(.5, .16, .3), rgb(.25, .15, .5)), (rgb(.1, .35, .42), rgb(.2, .16, .45))][r.randint(3)]
        im = rgb(.02, .02, .06) + np.clip(n1, 0, 1)[..., None] * a * .9 + np.clip(n2, 0, 1)[..., None] * b * .7
        n = r.randint(200, 420)
        st = np.zeros((SIZE, SIZE), np.float32)
        st[r.randint(0, SIZE, n), r.randint(0, SIZE, n)] = r.uniform(.2, 1, n) ** 2
        im = im + soften(st)[..., None]
        c.lay(np.ones((SIZE, SIZE)), im, "space")


def paint(place, time, seed):
    """-> uint8 [SIZE, SIZE, 3], uint8 labels [LABEL, LABEL] (GROUND_ID)."""
    r = np.random.RandomState(seed)
    c = Canvas(r, time)
    if PLACES[place][2] and place != "sky":
        outdoors(place, c, r)
    elif place == "sky":
        c.sky(1., True)
        if r.rand() < .6:
            c.sky(r.uniform(.8, 1.3), True)
    else:
        indoors(place, c, r)
    im, lab = c.done()
    k = SIZE // LABEL
    return im, lab[k // 2::k, k // 2::k][:LABEL, :LABEL]


def jobs(each, seed):
    out = []
    for i, (p, (_, _, timed)) in enumerate(PLACES.items()):
        for j, t in enumerate(TIMES if timed else ["day"]):
            for k in range(each if t == "day" else max(1, each * 2 // 3)):
                out.append((p, t, seed + (i * 3 + j) * 1009 + k))
    return out


def _one(a):
    return paint(*a)


def build(each=24, seed=7, workers=8):
    """Every background of one set: images, labels, place index, time index."""
    todo = jobs(each, seed)
    if workers > 1:
        with ProcessPoolExecutor(workers) as ex:
            res = list(ex.map(_one, todo, chunksize=2))
    else:
        res = [_one(a) for a in todo]
    places = list(PLACES)
    return dict(im=np.stack([a for a, _ in res]), lab=np.stack([b for _, b in res]),
                place=np.array([places.index(p) for p, _, _ in todo]), time=np.array([TIMES.index(t) for _, t, _ in todo]))


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("out")
    ap.add_argument("--each", type=int, default=24)
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--workers", type=int, default=os.cpu_count())
    A = ap.parse_args()
    b = build(A.each, A.seed, A.workers)
    np.savez(A.out, **b)
    print(len(b["im"]), "backgrounds")
