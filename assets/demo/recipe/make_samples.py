"""The twelve sample scenes that ship with the program: chosen places and things, drawn with masks.

    python make_samples.py OUT [--size 672] [--model MODEL_FOLDER]

Every scene of SCENES is drawn with many seeds; the first that is clear is kept: nothing overlaps, nothing leaves the
picture, everything is large enough, places and sides are unambiguous. With --model only scenes that the model describes
exactly are kept (README.md says so). Writes OUT/*.png, OUT/instances.json (COCO) and OUT/scenes.json with the sources.
"""
import argparse
import json
import os

import numpy as np
from PIL import Image

from make_eval import Studio, coco, instance, record
from names import CLASSES

# file, place, time, what stands there (class, colour or None), whether things stand on the ground
SCENES = [("meadow", "meadow", "day", [("dog", None), ("tree", None), ("bicycle", "red")], True),
          ("beach", "beach", "day", [("crab", None), ("umbrella", "yellow"), ("ball", "blue")], True),
          ("lake", "lake", "sunset", [("swan", None), ("tent", "orange")], True),
          ("snow", "snow", "day", [("penguin", None), ("penguin", None), ("snowman", None)], True),
          ("night", "forest", "night", [("owl", None), ("fox", None), ("moon", None)], True),
          ("city", "city", "sunset", [("bus", "red"), ("car", "blue"), ("airplane", None)], True),
          ("desert", "desert", "day", [("camel", None), ("cactus", None), ("snake", None)], True),
          ("table", "table", "day", [("apple", None), ("cheese", None), ("cup", "blue"), ("pizza", None)], False),
          ("reef", "underwater", "day", [("octopus", None), ("turtle", None), ("fish", None)], False),
          ("room", "room", "day", [("cat", None), ("chair", "green"), ("book", "red")], True),
          ("savanna", "field", "sunset", [("elephant", None), ("giraffe", None), ("lion", None)], True),
          ("space", "space", "day", [("rocket", None), ("robot", None), ("star", "yellow")], False)]
# The sets whose drawings go well together.
STYLES = ("fluent3d", "fluent", "noto")
EXCLUDED = {"tennis", "1f3be"}   # a racket with a small ball


def compose(st, place, time, things, grounded, style):
    """A scene of given things in one style, or None when a class has no drawing in it."""
    s = st.scenes
    pools = {c: [m for m in s.by[c] if m["src"] == style and m["file"] not in EXCLUDED] for c, _ in things}
    if not all(pools.values()):
        return None
    kept, s.by = s.by, {**s.by, **pools}
    sample, s.r.sample = s.r.sample, lambda *_: [c for c, _ in things]
    rand, s.r.random = s.r.random, s.r.random
    try:
        sc = s.scene(n=len(things), distinct=True, place=place, time=time, grounded=grounded)
    finally:
        s.by, s.r.sample, s.r.random = kept, sample, rand
    todo = list(things)
    for o in sc["objs"]:
        k = next(i for i, (c, _) in enumerate(todo) if c == o["c"])
        o["col"] = todo.pop(k)[1]
        o["rot"] *= .4
    return sc


def clear(sc):
    """No overlap, all inside, large enough, the background calm enough to stand on."""
    B = [o["box"] for o in sc["objs"]]
    for i, a in enumerate(B):
        if a[0] < 8 or a[1] < 8 or a[2] > 328 or a[3] > 330 or (a[2] - a[0]) * (a[3] - a[1]) < 5200:
            return False
        for b in B[i + 1:]:
            if min(a[2], b[2]) - max(a[0], b[0]) > -4 and min(a[3], b[3]) - max(a[1], b[1]) > -4:
                return False
    xs = sorted(o["x"] for o in sc["objs"])
    return all(q - p > 40 for p, q in zip(xs, xs[1:])) and xs[-1] - xs[0] > 100


def patches(mask):
    """Row-major indices of the patches (of 24x24) that the mask covers by more than .35, which is what the recipe calls an object's."""
    n = mask.shape[0] // 24
    return np.flatnonzero(mask.reshape(24, n, 24, n).mean((1, 3)) > .35).tolist()


def describes(model, picture, question):
    """The exported model's greedy answer."""
    import torch
    hf, tok, processor = model
    ids = tok(f"USER: <image>\n{question} ASSISTANT:").input_ids
    k = ids.index(hf.config.image_token_index if hasattr(hf.config, "image_token_index") else hf.config.image_token_id)
    ids = torch.tensor([ids[:k] + [ids[k]] * 576 + ids[k + 1:]])
    px = processor(images=picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = hf.generate(input_ids=ids, pixel_values=px, attention_mask=torch.ones_like(ids), max_new_tokens=80, do_sample=False)
    return tok.decode(out[0, ids.shape[1]:], skip_special_tokens=True).strip()


def open_model(folder):
    from transformers import AutoTokenizer, CLIPImageProcessor, LlavaForConditionalGeneration
    return (LlavaForConditionalGeneration.from_pretrained(folder, torch_dtype="float32").eval(), AutoTokenizer.from_pretrained(folder),
            CLIPImageProcessor.from_pretrained(folder))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--size", type=int, default=672)
    ap.add_argument("--model", default="")
    ap.add_argument("--seed", type=int, default=5)
    ap.add_argument("--tries", type=int, default=4000)
    ap.add_argument("--only", default="", help="files to draw, separated by commas")
    A = ap.parse_args()
    os.makedirs(A.out, exist_ok=True)
    st = Studio(A.seed, "train", 6)
    model = open_model(A.model) if A.model else None
    images, annotations, scenes = [], [], []
    for n, (file, place, time, things, grounded) in enumerate(SCENES):
        if A.only and file not in A.only.split(","):
            continue
        asked = 0
        for t in range(A.tries):
            sc = compose(st, place, time, things, grounded, STYLES[(n + t // 400) % len(STYLES)])
            if sc is None or not clear(sc):
                continue
            im, masks = st.draw(sc, A.size)
            picture = Image.fromarray(im)
            rec = record(sc, file + ".png", st.ask.conversation(sc, 8, loose=False))
            if model:
                asked += 1
                said = describes(model, picture, "Describe the image.")
                if said != rec["description"] and asked < 30:
                    continue
                rec["model"] = said
            break
        else:
            raise SystemExit("no clear scene for " + file)
        picture.save(f"{A.out}/{file}.png", optimize=True)
        i = len(images) + 1
        images.append({"id": i, "file_name": file + ".png", "width": A.size, "height": A.size})
        for o, m in zip(sc["objs"], masks):
            annotations.append(instance(len(annotations) + 1, i, o, m))
        rec["objects"] = [{**r, "source": o["m"]["src"], "drawing": o["m"]["file"], "patches": patches(m)}
                          for r, o, m in zip(rec["objects"], sc["objs"], masks)]
        scenes.append(rec)
        print(file, "|", rec["description"], "|", rec.get("model", ""))
    used = {a["category_id"] for a in annotations}
    out = coco(images, annotations)
    out["categories"] = [c for c in out["categories"] if c["id"] in used]
    assert all(CLASSES[c["id"] - 1] == c["name"] for c in out["categories"])
    json.dump(out, open(A.out + "/instances.json", "w"))
    json.dump(scenes, open(A.out + "/scenes.json", "w"), indent=1)


if __name__ == "__main__":
    main()
