"""Scenes: which drawings stand where on which background. Sampling on the CPU; pictures are made by render.py.

A scene is a dict {objs, bg}; `Scenes.fill` turns it into the float rows that the renderer reads.
"""
import io
import json
import math
import os
import random
import zipfile

import numpy as np

from names import CATEGORY, CLASS_ID, CLASSES, COLORS, COLOR_NAMES, GROUNDS, PLACE_NAMES, PLACES, TIMES, TINTED

IMG = 336
MAX_OBJECTS = 4
P_SIZE, G_SIZE = 28, 12
DATA = os.environ.get("DEMO_DATA", os.path.join(os.path.dirname(os.path.abspath(__file__)), "data"))
FLYING = {"airplane", "helicopter", "rocket", "butterfly", "bee", "bat", "eagle", "parrot", "owl", "sun", "moon", "star",
          "kite", "balloon", "ghost"}
FREE_PLACES = {"sky", "pattern", "table", "space", "underwater"}
# Augmentation strength: `plain` is what samples and evaluation use.
AUG = {"plain": 0., "mild": .4, "strong": 1.}


def load_sprites(path=None):
    """-> list of dicts id, cls, src, file, held, box, solid, dom."""
    with zipfile.ZipFile(path or os.path.join(DATA, "sprites.zip")) as z:
        return json.loads(z.read("sprites.json"))


def sprite_image(archive, i):
    from PIL import Image
    return Image.open(io.BytesIO(archive.read(f"{i:04d}.webp"))).convert("RGBA")


class Backgrounds:
    """Labels, places and times of the painted set (the pictures themselves stay with the renderer)."""

    def __init__(s, path=None, data=None):
        b = data if data is not None else np.load(path or os.path.join(DATA, "backgrounds.npz"))
        s.lab, s.place, s.time = b["lab"], b["place"], b["time"]
        s.by = {}
        for i, (p, t) in enumerate(zip(s.place.tolist(), s.time.tolist())):
            s.by.setdefault(PLACE_NAMES[p], {}).setdefault(TIMES[t], []).append(i)


class Scenes:
    """Samples scenes. `split`: 'train' draws seen drawings only, 'held' held-out ones only."""

    def __init__(s, seed=0, split="train", meta=None, backs=None, aug="mild"):
        s.r = random.Random(seed)
        s.meta = meta or load_sprites()
        s.backs = backs or Backgrounds()
        s.aug = AUG[aug]
        s.by = {c: [] for c in CLASSES}
        for m in s.meta:
            if split == "all" or m["held"] == (split == "held"):
                s.by[m["cls"]].append(m)
        s.classes = [c for c in CLASSES if s.by[c]]

    def scene(s, n=None, distinct=False, place=None, time=None, grounded=None):
        r = s.r
        n = n or r.choices([1, 2, 3, 4], [.18, .3, .3, .22])[0]
        classes = r.sample(s.classes, n)
        if not distinct and n >= 2 and r.random() < .33:
            k = r.randint(2, n)
            classes[:k] = [classes[0]] * k
        place = place or r.choice(PLACE_NAMES)
        time = time or (r.choices(TIMES, [.5, .25, .25])[0] if PLACES[place][2] else "day")
        bg = dict(place=place, time=time, id=r.choice(s.backs.by[place][time]), flip=r.random() < .5, zoom=r.uniform(.8, 1),
                  ox=r.random(), oy=r.random())
        if grounded is None:
            grounded = r.random() < .5
        grounded = grounded and place not in FREE_PLACES
        objs = []
        for c in classes:
            objs.append(s.place_one(c, n, objs, grounded))
        if grounded:
            objs.sort(key=lambda o: o["y"] + o["s"] * .5 * o["m"]["box"][3])
        return dict(objs=objs, bg=bg)

    def place_one(s, c, n, objs, grounded):
        r = s.r
        m = r.choice(s.by[c])
        lo, hi = {1: (110, 235), 2: (92, 185), 3: (80, 148), 4: (70, 128)}[n]
        best = None
        for t in range(40):
            size = r.uniform(lo, hi) * (1 if t < 20 else .82)
            x0, y0, x1, y1 = [v * size * .5 for v in m["box"]]
            fly = grounded and c in FLYING
            if grounded and not fly:
                depth = r.random()
                size = lo + (hi - lo) * (.15 + .85 * depth)
                size *= 1 if t < 20 else .82
                x0, y0, x1, y1 = [v * size * .5 for v in m["box"]]
                y = IMG * (.68 + .29 * depth) - y1
            elif fly:
                y = r.uniform(-y0 + 2, max(-y0 + 3, IMG * .42))
            else:
                y = r.uniform(-y0 + 1, max(-y0 + 2, IMG - y1 - 1))
            x = r.uniform(-x0 + 1, max(-x0 + 2, IMG - x1 - 1))
            box = (x + x0, y + y0, x + x1, y + y1)
            over = 0.
            for o in objs:
                b = o["box"]
                w = min(box[2], b[2]) - max(box[0], b[0])
                h = min(box[3], b[3]) - max(box[1], b[1])
                if w > 0 and h > 0:
                    over = max(over, w * h / min((box[2] - box[0]) * (box[3] - box[1]), (b[2] - b[0]) * (b[3] - b[1])))
            if best is None or over < best[0]:
                best = (over, x, y, size, box, grounded and not fly)
            if over < .05:
                break
        _, x, y, size, box, stands = best
        # x, y, box: centre and box of the drawing's own ink, which need not be the middle of its square
        return dict(c=c, m=m, id=m["id"], x=(box[0] + box[2]) / 2, y=(box[1] + box[3]) / 2, px=x, py=y, s=size, box=box, stands=stands,
                    area=(box[2] - box[0]) * (box[3] - box[1]), rot=r.gauss(0, 2 if stands else 8), flip=r.random() < .5,
                    col=r.choice(COLOR_NAMES) if c in TINTED else None)

    def fill(s, scene, P, G):
        """Renderer rows: P [MAX_OBJECTS, P_SIZE] with -1 in column 0 where there is no object, G [G_SIZE]."""
        r, a = s.r, s.aug
        u, g = r.uniform, r.gauss
        lean = u(-.8, .8)
        for i, o in enumerate(scene["objs"]):
            col = COLORS[o["col"]] if o["col"] else (-1, -1, -1)
            plainhue = o["col"] is not None or o["m"]["dom"] is not None
            hue = 0. if plainhue else g(0, .22) * a + (u(-3.1, 3.1) if r.random() < .18 * a else 0)
            sat = 1. if o["col"] else (u(1 - .5 * a, 1 + .35 * a) if r.random() > .1 * a or plainhue else 0.)
            P[i] = [o["id"], CLASS_ID[o["c"]], o["px"], o["py"], o["s"], math.radians(o["rot"] * (1 + .6 * a)), -1 if o["flip"] else 1,
                    u(1 - .22 * a, 1 + .15 * a), *col, COLOR_NAMES.index(o["col"]) if o["col"] else -1,
                    u(1 - .15 * a, 1 + .15 * a), u(1 - .15 * a, 1 + .15 * a), u(1 - .15 * a, 1 + .15 * a),
                    g(0, .16) * a, 1 + g(0, .13) * a, abs(g(0, .045)) * a, u(0, 6.28), u(1, 3.2), hue, sat, u(1 - .35 * a, 1 + .3 * a),
                    (r.random() < .35 * a) * r.random(), 1. if o["stands"] else 0., lean, u(.22, .34), u(.25, .42)]
        b = scene["bg"]
        G[:10] = [b["id"], -1 if b["flip"] else 1, b["zoom"], b["ox"], b["oy"], u(1 - .2 * a, 1 + .12 * a), g(0, .12) * a,
                  max(0, g(0, .03)) * a, u(1 - .2 * a, 1 + .15 * a), (r.random() < .15 * a) * 1.]

    def arrays(s, scenes):
        P = np.zeros((len(scenes), MAX_OBJECTS, P_SIZE), np.float32)
        P[:, :, 0] = -1
        G = np.zeros((len(scenes), G_SIZE), np.float32)
        for i, sc in enumerate(scenes):
            s.fill(sc, P[i], G[i])
        return P, G

    def ground_at(s, scene, x, y):
        """What the background shows at picture pixel (x, y)."""
        b = scene["bg"]
        lab = s.backs.lab[b["id"]]
        n = lab.shape[0]
        gx = ((x / IMG * 2 - 1) * b["zoom"] + (2 * b["ox"] - 1) * (1 - b["zoom"])) * (-1 if b["flip"] else 1)
        gy = (y / IMG * 2 - 1) * b["zoom"] + (2 * b["oy"] - 1) * (1 - b["zoom"])
        i, j = int((gy + 1) / 2 * n), int((gx + 1) / 2 * n)
        return GROUNDS[lab[min(max(i, 0), n - 1), min(max(j, 0), n - 1)]]


def solid_point(o):
    """A pixel well inside the object's ink."""
    u, v, _ = o["m"]["solid"]
    u *= -1 if o["flip"] else 1
    c, n = math.cos(math.radians(o["rot"])), math.sin(math.radians(o["rot"]))
    h = o["s"] / 2
    return o["px"] + (c * u - n * v) * h, o["py"] + (n * u + c * v) * h


def category(o):
    return CATEGORY[o["c"]]
