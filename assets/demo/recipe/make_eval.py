"""Held-out scenes with true masks, as COCO: seeds that training never uses.

    python make_eval.py OUT --n 200 [--split seen|unseen] [--seed 1]

Writes OUT/images/*.png (336 px, or --size 672 by drawing at twice the size), OUT/instances.json (COCO, masks as
uncompressed RLE, categories by name) and OUT/scenes.json (objects, description, questions with their right answers).
`seen`: new scenes of drawings that training saw; `unseen`: scenes only of held-out drawings. Backgrounds are new paintings.
"""
import argparse
import json
import os

import numpy as np
import torch
from PIL import Image

import backgrounds
import render
from language import Asker, detail, name, short
from names import CATEGORY, CLASSES
from scenes import Backgrounds, Scenes, load_sprites

NOVEL = 2 * 10**7


def rle(mask):
    """Uncompressed COCO run lengths, column by column, zeros first."""
    flat = np.asarray(mask, np.uint8).T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + runs}


def instance(i, image, o, mask):
    ys, xs = np.nonzero(mask)
    return {"id": i, "image_id": image, "category_id": CLASSES.index(o["c"]) + 1, "iscrowd": 0, "area": int(mask.sum()),
            "bbox": [int(xs.min()), int(ys.min()), int(xs.max() - xs.min() + 1), int(ys.max() - ys.min() + 1)],
            "segmentation": rle(mask), "name": name(o), "source": o["m"]["src"]}


def coco(images, annotations):
    return {"info": {"description": "Scenes of the Patchglass demo model"}, "images": images, "annotations": annotations,
            "categories": [{"id": i + 1, "name": c, "supercategory": CATEGORY[c]} for i, c in enumerate(CLASSES)]}


class Studio:
    """Draws scenes over backgrounds painted for the purpose."""

    def __init__(s, seed, split, each=3, aug="plain", workers=2):
        s.data = backgrounds.build(each, 10**6 + seed * 4001, workers)
        s.scenes = Scenes(NOVEL + seed, split, load_sprites(), Backgrounds(data=s.data), aug)
        s.ask = Asker(s.scenes, NOVEL + seed + 1)
        s.R = render.Renderer("cpu", s.data, threads=2)

    def draw(s, scene, size=336):
        """-> picture [size, size, 3] uint8 and one boolean mask an object, of what is visible of it."""
        if size != render.IMG:
            return s.draw_large(scene, size)
        P, G = (torch.from_numpy(x) for x in s.scenes.arrays([scene]))
        im, seen = s.R.pixels(P, G)
        im = (im[0].permute(1, 2, 0) * 255).round().byte().numpy()
        return im, [(a[0] > .5).numpy() for a in seen[:len(scene["objs"])]]

    def draw_large(s, scene, size):
        P, G = (torch.from_numpy(x) for x in s.scenes.arrays([scene]))
        k = size / render.IMG
        P[:, :, 2:5] *= k
        old, render.IMG = render.IMG, size
        gx, gy = s.R.gx, s.R.gy
        g = (torch.arange(size) + .5) / (size / 2) - 1
        s.R.gy, s.R.gx = torch.meshgrid(g, g, indexing="ij")
        im, seen = s.R.pixels(P, G)
        render.IMG, s.R.gx, s.R.gy = old, gx, gy
        return (im[0].permute(1, 2, 0) * 255).round().byte().numpy(), [(a[0] > .5).numpy() for a in seen[:len(scene["objs"])]]


def record(scene, file, conversation):
    return {"file": file, "place": scene["bg"]["place"], "time": scene["bg"]["time"], "description": short(scene), "detail": detail(scene),
            "objects": [{"word": o["c"], "name": name(o), "x": round(o["x"]), "y": round(o["y"])} for o in scene["objs"]],
            "questions": [{"kind": k, "question": q, "answer": a} for k, q, a in conversation]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--n", type=int, default=200)
    ap.add_argument("--split", choices=["seen", "unseen"], default="seen")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--size", type=int, default=336)
    A = ap.parse_args()
    os.makedirs(A.out + "/images", exist_ok=True)
    st = Studio(A.seed, "train" if A.split == "seen" else "held")
    images, annotations, scenes = [], [], []
    while len(images) < A.n:
        sc = st.scenes.scene()
        im, masks = st.draw(sc, A.size)
        if min(m.sum() for m in masks) < 400 * (A.size / 336) ** 2:
            continue
        i = len(images) + 1
        file = f"{i:04d}.png"
        Image.fromarray(im).save(f"{A.out}/images/{file}", optimize=True)
        images.append({"id": i, "file_name": file, "width": A.size, "height": A.size})
        for o, m in zip(sc["objs"], masks):
            annotations.append(instance(len(annotations) + 1, i, o, m))
        scenes.append(record(sc, file, st.ask.conversation(sc, 14, loose=False)))
    json.dump(coco(images, annotations), open(A.out + "/instances.json", "w"))
    json.dump(scenes, open(A.out + "/scenes.json", "w"), indent=1)
    print(len(images), "scenes,", len(annotations), "objects,", sum(len(s["questions"]) for s in scenes), "questions")


if __name__ == "__main__":
    main()
