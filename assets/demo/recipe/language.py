"""What is said about a scene: descriptions, questions with their one right answer, and the text-only documents.

Every answer is a function of the scene and the question's meaning, never of its phrasing, so that answers can be checked
exactly. Questions that a scene does not decide clearly (two objects nearly as far left) are not asked.
"""
import random

from names import (CATEGORY, CLASSES, COLOR_NAMES, COLORS, GROUNDS, NAMED_CATEGORIES, NUMBERS, PLACE_NAMES, PLACES, TIMES,
                   TINTED, article, capital, is_many, plural)
from scenes import IMG, category, solid_point

SHORT = ["Describe the image.", "Describe this picture.", "What is in this image?", "What do you see?", "Write a caption for the image.",
         "What is shown in the picture?", "Caption this image.", "What does the picture show?", "Give a short description of the image.",
         "What can you see in the image?", "Tell me what you see.", "What is going on here?"]
DETAIL = ["Describe the image in detail.", "Describe this picture in detail.", "Where is everything?", "Give a detailed description of the image.",
          "Tell me about the picture in detail.", "Write a long description of the image.", "What is where in the picture?"]
LIST = ["List the objects.", "What objects are there?", "Which things are in the picture?", "Name everything in the image.",
        "What are the objects in the image?", "Name the objects that you see.", "Make a list of what is in the image."]
IN = ["in the image", "in the picture", "in this picture", "in this image", "here", "in the scene", "", ""]
KINDS = ["desc", "detail", "list", "exist", "catexist", "colexist", "isrel", "iscol", "color", "count", "countcat", "countall",
         "left", "right", "above", "below", "most", "next", "cell", "cat", "what", "whatcol", "size", "where", "bg", "time", "this", "point"]
KIND_ID = {k: i for i, k in enumerate(KINDS)}
# How the table of the README groups them.
GROUPS = {"describe": ["desc", "detail", "list"], "yes/no": ["exist", "catexist", "colexist", "isrel", "iscol"],
          "color": ["color"], "count": ["count", "countcat", "countall"], "left/right": ["left", "right"],
          "above/below": ["above", "below"], "what object": ["most", "cat", "what", "this", "cell", "whatcol"],
          "other": ["next", "size", "where", "bg", "time", "point"]}
WEIGHTS = {"exist": 15, "catexist": 4, "colexist": 5, "isrel": 8, "iscol": 4, "color": 12, "count": 10, "countcat": 4, "countall": 4,
           "left": 9, "right": 9, "above": 5, "below": 5, "most": 8, "next": 4, "cell": 6, "cat": 8, "what": 3, "whatcol": 5, "size": 3,
           "where": 8, "bg": 4, "time": 2, "this": 8, "point": 9}
SIDES = {"left": lambda a, p: a["x"] - p["x"], "right": lambda a, p: p["x"] - a["x"],
         "above": lambda a, p: a["y"] - p["y"], "below": lambda a, p: p["y"] - a["y"]}
PHRASE = {"left": ["to the left of", "left of", "on the left of", "on the left side of"],
          "right": ["to the right of", "right of", "on the right of", "on the right side of"],
          "above": ["above", "over", "higher than"], "below": ["below", "under", "lower than"]}
MOST = {"left": (["leftmost", "furthest left"], lambda o: -o["x"]), "right": (["rightmost", "furthest right"], lambda o: o["x"]),
        "top": (["top", "highest"], lambda o: -o["y"]), "bottom": (["bottom", "lowest"], lambda o: o["y"]),
        "big": (["largest", "biggest"], lambda o: o["area"] ** .5), "small": (["smallest"], lambda o: -o["area"] ** .5)}


def name(o):
    return (o["col"] + " " if o["col"] else "") + o["c"]


def the_color(o):
    """The colour that a question may ask for: the one it was painted with, or the one that most of its ink has."""
    return o["col"] or o["m"]["dom"]


def groups(objs):
    """Objects from left to right, like ones together: [(objects, phrase)]."""
    out = {}
    for o in sorted(objs, key=lambda o: o["x"]):
        out.setdefault((o["c"], o["col"]), []).append(o)
    return [(v, article(name(v[0])) if len(v) == 1 else NUMBERS[len(v)] + " " + (k[1] + " " if k[1] else "") + plural(k[0]))
            for k, v in out.items()]


def join(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def place_phrase(bg):
    return PLACES[bg["place"]][0] + {"day": "", "sunset": " at sunset", "night": " at night"}[bg["time"]]


def cell(o, margin=.10):
    """'top left' .. 'center' of the 3 x 3 cells, or None near a border."""
    f = [o["x"] * 3 / IMG, o["y"] * 3 / IMG]
    if any(min(abs(v - 1), abs(v - 2)) < margin for v in f):
        return None
    v, h = ["top", "", "bottom"][min(2, int(f[1]))], ["left", "", "right"][min(2, int(f[0]))]
    return (v + " " + h).strip() or "center"


def rough_cell(o):
    return cell(o, 0.)


def at(where):
    return {"center": "in the center", "left": "on the left", "right": "on the right"}.get(where, "at the " + where)


def short(sc):
    return capital(join([p for _, p in groups(sc["objs"])])) + " " + place_phrase(sc["bg"]) + "."


def listing(sc):
    return capital(join([p for _, p in groups(sc["objs"])])) + "."


def detail(sc):
    """Every object with its place, then who stands left of whom, then the background."""
    objs = sorted(sc["objs"], key=lambda o: o["x"])
    out = [capital(article(name(o))) + (" are " if is_many(o["c"]) else " is ") + at(rough_cell(o)) + "." for o in objs]
    for a, b in zip(objs, objs[1:]):
        if min(sum(p["c"] == o["c"] for p in objs) for o in (a, b)) == 1 == max(sum(p["c"] == o["c"] for p in objs) for o in (a, b)) \
                and b["x"] - a["x"] > 25:
            out.append("The " + a["c"] + (" are" if is_many(a["c"]) else " is") + " to the left of the " + b["c"] + ".")
            break
    return " ".join(out) + " The background is " + PLACES[sc["bg"]["place"]][1].lower() + {"day": "", "sunset": " at sunset", "night": " at night"}[sc["bg"]["time"]] + "."


def nearest_on(o, objs, side, gap=25, margin=20):
    """The object next to `o` on one side: (object or None, whether the scene decides it)."""
    d = sorted(((SIDES[side](o, p), i) for i, p in enumerate(objs) if p is not o), key=lambda t: t[0])
    if any(0 < v <= gap for v, _ in d):
        return None, False
    d = [t for t in d if t[0] > gap]
    if not d:
        return None, True
    if len(d) > 1 and d[1][0] - d[0][0] <= margin:
        return None, False
    return objs[d[0][1]], True


class Asker:
    """Asks questions about scenes, with a random generator of its own."""

    def __init__(s, scenes, seed=0):
        s.scenes, s.r, s.weights = scenes, random.Random(seed), dict(WEIGHTS)

    def tail(s):
        t = s.r.choice(IN)
        return " " + t if t else ""

    def ask(s, kind, sc):
        """-> (question, answer) or None when the scene does not decide it."""
        r, objs = s.r, sc["objs"]
        n = len(objs)
        count = {}
        for o in objs:
            count[o["c"]] = count.get(o["c"], 0) + 1
        unique = [o for o in objs if count[o["c"]] == 1]
        pick = r.choice
        if kind == "desc":
            return pick(SHORT), short(sc)
        if kind == "detail":
            return pick(DETAIL), detail(sc)
        if kind == "list":
            return pick(LIST), listing(sc)
        if kind == "exist":
            c = pick(objs)["c"]
            if r.random() < .5:
                like = [x for x in s.scenes.classes if CATEGORY[x] == CATEGORY[c]] if r.random() < .45 else s.scenes.classes
                c = pick(like)
            a, p = article(c), plural(c)
            q = pick([f"Is there {a}{s.tail()}?", f"Do you see {a}{s.tail()}?", f"Can you see {a}{s.tail()}?", f"Are there any {p}{s.tail()}?",
                      f"Does the image show {a}?", f"Does the picture contain {a}?", f"Is {a} in the image?"])
            return q, "Yes." if c in count else "No."
        if kind == "catexist":
            k = pick(NAMED_CATEGORIES) if r.random() < .6 else CATEGORY[pick(objs)["c"]]
            if k == "thing":
                return None
            q = pick([f"Is there {article(k)}{s.tail()}?", f"Do you see {article(k)}{s.tail()}?", f"Does the image show {article(k)}?"])
            return q, "Yes." if any(category(o) == k for o in objs) else "No."
        if kind == "colexist":
            t = [o for o in objs if o["col"]]
            if not t:
                return None
            o = pick(t)
            col = o["col"] if r.random() < .5 else pick(COLOR_NAMES)
            a = article(col + " " + o["c"])
            q = pick([f"Is there {a}{s.tail()}?", f"Do you see {a}{s.tail()}?", f"Can you see {a}?"])
            return q, "Yes." if any(p["c"] == o["c"] and p["col"] == col for p in objs) else "No."
        if kind == "isrel":
            if len(unique) < 2:
                return None
            a, b = r.sample(unique, 2)
            side = pick(list(SIDES))
            d = SIDES[side](b, a)
            if abs(d) < 25:
                return None
            return f"{'Are' if is_many(a['c']) else 'Is'} the {a['c']} {pick(PHRASE[side])} the {b['c']}?", "Yes." if d > 0 else "No."
        if kind in ("iscol", "color"):
            t = [o for o in unique if the_color(o)]
            if not t:
                return None
            o = pick(t)
            true = the_color(o)
            be = "are" if is_many(o["c"]) else "is"
            if kind == "color":
                q = pick([f"What color {be} the {o['c']}?", f"Which color {be} the {o['c']}?", f"What is the color of the {o['c']}?",
                          f"What color {'do' if be == 'are' else 'does'} the {o['c']} have?", f"Tell me the color of the {o['c']}."])
                return q, capital(true) + "."
            col = true if r.random() < .5 else pick(COLOR_NAMES)
            if not o["col"] and col != true:
                return None
            return f"{capital(be)} the {o['c']} {col}?", "Yes." if col == true else "No."
        if kind == "count":
            c = pick(objs)["c"] if r.random() < .85 else pick(s.scenes.classes)
            p = plural(c)
            q = pick([f"How many {p} are there{s.tail()}?", f"How many {p} do you see{s.tail()}?", f"How many {p} can you see?", f"How many {p}?",
                      f"Count the {p}.", f"What is the number of {p}?"])
            return q, capital(NUMBERS[count.get(c, 0)]) + "."
        if kind == "countcat":
            k = CATEGORY[pick(objs)["c"]] if r.random() < .8 else pick(NAMED_CATEGORIES)
            if k in ("thing", "food", "clothing"):
                return None
            return pick([f"How many {plural(k)} are there{s.tail()}?", f"How many {plural(k)} do you see?", f"Count the {plural(k)}."]), \
                capital(NUMBERS[sum(category(o) == k for o in objs)]) + "."
        if kind == "countall":
            return pick([f"How many objects are there{s.tail()}?", "How many things do you see?", "How many objects are in the image?",
                         "Count the objects.", "How many things are there?"]), capital(NUMBERS[n]) + "."
        if kind in SIDES:
            if n < 2 or not unique:
                return None
            o = pick(unique)
            p, clear = nearest_on(o, objs, kind)
            if not clear or (p is None and r.random() < .5):
                return None
            ph = pick(PHRASE[kind])
            q = pick([f"What is {ph} the {o['c']}?", f"What is {ph} the {o['c']}?", f"Which object is {ph} the {o['c']}?", f"What do you see {ph} the {o['c']}?",
                      f"What stands {ph} the {o['c']}?"])
            return q, capital(article(name(p))) + "." if p else "Nothing."
        if kind == "most":
            if n < 2:
                return None
            key = pick(list(MOST))
            words, f = MOST[key]
            v = sorted(objs, key=f)
            if f(v[-1]) - f(v[-2]) < (16 if key in ("big", "small") else 22):
                return None
            w = pick(words)
            q = pick([f"What is the {w} object?", f"What is the {w} thing{s.tail()}?", f"Which object is the {w}?", f"Which thing is {w}?"])
            if key in ("left", "right") and r.random() < .5:
                q = pick([f"What is on the {key}?", f"What do you see on the {key}?", f"What is on the {key} side?", f"Which object is on the {key}?",
                          f"What is on the far {key}?"])
                x = v[-1]["x"] / IMG
                if not (x < .42 if key == "left" else x > .58):
                    return None
            return q, capital(article(name(v[-1]))) + "."
        if kind == "next":
            if n < 3 or not unique:
                return None
            o = pick(unique)
            d = sorted((((p["x"] - o["x"]) ** 2 + (p["y"] - o["y"]) ** 2) ** .5, i) for i, p in enumerate(objs) if p is not o)
            if d[1][0] - d[0][0] < 30:
                return None
            q = pick([f"What is next to the {o['c']}?", f"What is closest to the {o['c']}?", f"What is near the {o['c']}?", f"Which object is nearest to the {o['c']}?"])
            return q, capital(article(name(objs[d[0][1]]))) + "."
        if kind == "cell":
            o = pick(objs)
            w = cell(o, .12) if r.random() < .85 else pick(["top left", "top right", "bottom left", "bottom right", "top", "bottom", "center"])
            if w is None or any(cell(p, .12) is None for p in objs):
                return None
            here = [p for p in objs if cell(p, .12) == w]
            if len(here) > 1 or w in ("left", "right", "top", "bottom") and any(w in cell(p, .12) and p not in here for p in objs):
                return None
            if not here and any(p["box"][0] < IMG * (.4 + .2 * ("right" in w)) and 0 for p in objs):
                return None
            q = pick([f"What is {at(w)}?", f"What is {at(w)} of the image?", f"What do you see {at(w)}?", f"Which object is {at(w)}?"])
            return q, capital(article(name(here[0]))) + "." if here else "Nothing."
        if kind == "cat":
            t = [o for o in objs if category(o) != "thing" and sum(category(p) == category(o) for p in objs) == 1]
            if not t:
                return None
            o = pick(t)
            k = category(o)
            q = pick([f"What {k} is in the image?", f"What kind of {k} is there{s.tail()}?", f"Which {k} do you see{s.tail()}?", f"What {k} is this?",
                      f"Which {k} is it?", f"What {k} do you see?", f"What is the {k}?", f"Name the {k}."])
            return q, capital(article(name(o))) + "."
        if kind == "what":
            if n != 2 or len(unique) != 2:
                return None
            o, p = r.sample(objs, 2)
            return pick([f"What else is there besides the {o['c']}?", f"What is with the {o['c']}?", f"What is there besides the {o['c']}?"]), \
                capital(article(name(p))) + "."
        if kind == "whatcol":
            t = [o for o in objs if the_color(o) and sum(the_color(p) == the_color(o) or not the_color(p) for p in objs) == 1]
            if not t:
                return None
            o = pick(t)
            return pick([f"What is {the_color(o)}?", f"Which object is {the_color(o)}?", f"What is the {the_color(o)} thing?", f"What {the_color(o)} object is there?"]), \
                "The " + o["c"] + "."
        if kind == "size":
            if len(unique) < 2:
                return None
            a, b = r.sample(unique, 2)
            if not (a["area"] > 1.6 * b["area"] or b["area"] > 1.6 * a["area"]):
                return None
            big = r.random() < .5
            x, y = (a, b) if (a["area"] > b["area"]) == big else (b, a)
            w = pick(["bigger", "larger"]) if big else "smaller"
            return pick([f"Which is {w}, the {a['c']} or the {b['c']}?", f"What is {w}, the {a['c']} or the {b['c']}?"]), "The " + x["c"] + "."
        if kind == "where":
            if not unique:
                return None
            o = pick(unique)
            w = cell(o)
            if not w:
                return None
            be = "are" if is_many(o["c"]) else "is"
            return pick([f"Where {be} the {o['c']}?", f"Where {be} the {o['c']}{s.tail()}?", f"In which part of the image {be} the {o['c']}?",
                         f"Where do you see the {o['c']}?"]), capital(at(w)) + "."
        if kind == "bg":
            return pick(["What is the background?", "What is in the background?", "Where was this taken?", "What place is this?", "What is behind the objects?"]), \
                PLACES[sc["bg"]["place"]][1] + "."
        if kind == "time":
            if not PLACES[sc["bg"]["place"]][2]:
                return None
            t = sc["bg"]["time"]
            return pick(["What time of day is it?", "Is it day or night?", "Is it day, sunset or night?", "What is the time of day?"]), capital(t) + "."
        if kind == "this":
            if n != 1:
                return None
            return pick(["What is this?", "What is it?", "What object is this?", "What thing is this?", "What is the object?", "What is in the image?"]), \
                capital(article(name(objs[0]))) + "."
        if kind == "point":
            if r.random() < .75:
                o = pick(objs)
                x, y = solid_point(o)
                x, y = x + r.uniform(-4, 4), y + r.uniform(-4, 4)
                if any(p is not o and p["box"][0] - 8 < x < p["box"][2] + 8 and p["box"][1] - 8 < y < p["box"][3] + 8 for p in objs):
                    return None
                a = capital(article(name(o)))
            else:
                x, y = r.uniform(4, IMG - 4), r.uniform(4, IMG - 4)
                if any(p["box"][0] - 14 < x < p["box"][2] + 14 and p["box"][1] - 14 < y < p["box"][3] + 14 for p in objs):
                    return None
                g = {s.scenes.ground_at(sc, x + dx, y + dy) for dx in (-9, 0, 9) for dy in (-9, 0, 9)}
                if len(g) > 1:
                    return None
                a = capital(g.pop())
            i, j = int(y // 14), int(x // 14)
            if not (0 <= i < 24 and 0 <= j < 24):
                return None
            return pick([f"What is at row {i}, column {j}?", f"What is in row {i}, column {j}?", f"What is at row {i} column {j}?"]), a + "."
        raise ValueError(kind)

    def loosen(s, q):
        """The way that people type: now and then no capital, no full stop, a polite start."""
        r = s.r.random()
        if r < .06:
            q = q[0].lower() + q[1:]
        elif r < .09:
            q = q[0].lower() + q[1:].rstrip("?.")
        elif r < .12:
            q = q.rstrip("?.")
        elif r < .14 and q.endswith("."):
            q = "Please " + q[0].lower() + q[1:]
        return q

    def conversation(s, sc, k, loose=True):
        """A description and up to k - 1 different questions: [(kind, question, answer)]."""
        r = s.r
        out = [(d,) + s.ask(d, sc) for d in [r.choices(["desc", "detail", "list"], [.5, .3, .2])[0]]]
        seen = set()
        for kind in r.choices(list(s.weights), list(s.weights.values()), k=k * 2):
            if len(out) == k:
                break
            qa = s.ask(kind, sc)
            if qa and qa[0] not in seen:
                seen.add(qa[0])
                out.append((kind,) + qa)
        r.shuffle(out)
        return [(a, s.loosen(q) if loose else q, c) for a, q, c in out]


def vocabulary():
    """Every word that must be one token."""
    w = set()
    for c in CLASSES:
        w |= {c, plural(c), capital(c)}
    for c in set(CATEGORY.values()):
        w |= {c, plural(c), capital(c)}
    for c in COLOR_NAMES + GROUNDS + PLACE_NAMES + TIMES + NUMBERS:
        w |= {c, capital(c)}
    text = " ".join(SHORT + DETAIL + LIST + IN + [x for v in PHRASE.values() for x in v] + [x for v, _ in MOST.values() for x in v]
                    + [v for p in PLACES.values() for v in p[:2]])
    text += """ Is there Do you see Can Are any Does the image show picture contain Which What color of have How many do are things objects count Count number
        Nothing Yes No The A An Some On In At a an some the thing object stands far side next to closest near nearest bigger larger smaller or besides else with
        Name kind it this Where part behind taken place time day Tell me Please row column center top bottom left right USER ASSISTANT background at sunset night
        is and in by on under from for that has not all one more than very into as be was which its used your my they with their when"""
    for p in "?.:,":
        text = text.replace(p, " ")
    return sorted(w | set(text.split()))


# ---- text without pictures

def scene_document(asker, sc, k):
    """A description in words, then questions about it that words can answer: one LLaVA-like conversation without a picture."""
    r = asker.r
    text = detail(sc) if r.random() < .75 else short(sc)
    out = [("USER: " + text, None)]
    objs = sc["objs"]
    allowed = ["exist", "catexist", "colexist", "count", "countcat", "countall", "color", "cat", "this", "what", "where", "left", "right", "desc", "list", "bg", "time"]
    first = True
    for kind in r.choices(allowed, k=k * 2):
        if kind in ("where", "left", "right") and text != detail(sc):
            continue
        if kind == "color" and not any(o["col"] for o in objs):
            continue
        if kind in ("color",):
            t = [o for o in objs if o["col"] and sum(p["c"] == o["c"] for p in objs) == 1]
            if not t:
                continue
            o = r.choice(t)
            qa = (f"What color is the {o['c']}?", capital(o["col"]) + ".")
        else:
            qa = asker.ask(kind, sc)
        if qa:
            out.append((("\n" if first else "USER: ") + asker.loosen(qa[0]) + " ASSISTANT:", " " + qa[1]))
            first = False
            if len(out) > k:
                break
    return out
