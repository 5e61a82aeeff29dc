#!/usr/bin/env python3
"""What `patchglass experiment` must get on ten of the demo's samples, by the slow twin (reference.py).

    patchglass experiment ablation --coco assets/demo/samples/instances.json --limit 10 --even-wrong \
        --describe-tokens 32 --sets object,object+1,object+2,register,random:40 --out ROWS
    python experiments.py ROWS/rows.jsonl [I/N]

Writes expected/experiments.json. Pictures, weights, attention and knockouts are reference.py's; the masks, their patches
and rings, the registers, the lens hits and the gradients are computed here once more, by other means. Of the rows only
the random sets are taken, and the answers as proposals: the whole sequence is run with the proposed answer, and from the
first token on that is not the most likely one the reference decodes by itself, token by token.
"""
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch

import reference

HERE = Path(__file__).parent
DEMO = HERE.parent.parent / "assets" / "demo"
GRID, STEPS = 24, 8
PATCHES = GRID ** 2
GROUPS = {"O+1->LTP": ("last", "o1"), "O+1->LVR": ("lvr", "o1"), "I-LVR->LVR": ("lvr", "above"), "O+1->Q": ("question", "o1")}
WINDOWS = {"early": (0, 2), "mid": (3, 6), "all": (0, 9)}


class Twin:
    """The demo model, run as reference.py runs it: whole sequences, float32, attention in the open."""

    def __init__(s):
        folder = DEMO / "model"
        s.model = reference.LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation={"text_config": "open", "vision_config": "eager"}).eval()
        s.tokenizer = reference.Tokenizer.from_file(str(folder / "tokenizer.json"))
        s.pre = json.loads((folder / "preprocessor_config.json").read_text())
        s.lm, s.image_id = s.model.model.language_model, s.model.config.image_token_id
        s.n_layers, s.eos = s.model.config.text_config.num_hidden_layers, s.model.config.text_config.eos_token_id

    def look(s, file):
        pixels = reference.preprocess(DEMO / "samples" / file, 336, s.pre["image_mean"], s.pre["image_std"], "center")
        with torch.no_grad():
            features = s.model.model.get_image_features(pixel_values=pixels)
            features = getattr(features, "pooler_output", features)
            return features[0] if isinstance(features, (list, tuple)) else features.reshape(-1, features.shape[-1])

    def ids(s, prompt, prefix="", answer=""):
        ids = []
        for i in s.tokenizer.encode(f"USER: <image>\n{prompt} ASSISTANT:{prefix}{answer}").ids:
            ids += [i] * PATCHES if i == s.image_id else [i]
        return ids

    def logits(s, ids, patches, knockouts=(), resid=None):
        """[n, vocab]; `knockouts` are (queries, keys, layers), `resid` gets what enters every block and leaves the last."""
        reference.KNOCKOUTS.clear()
        for queries, keys, layers in knockouts:
            for layer in layers:
                reference.KNOCKOUTS.setdefault(layer, []).append((queries, keys, None))
        hooks = []
        if resid is not None:
            keep = lambda module, args, kwargs: resid.append((args[0] if args else kwargs["hidden_states"])[0].detach())
            hooks = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in s.lm.layers]
            hooks.append(s.lm.layers[-1].register_forward_hook(lambda m, a, out: resid.append((out[0] if isinstance(out, tuple) else out).reshape(-1, patches.shape[1]).detach())))
        start = ids.index(s.image_id)
        text = s.lm.embed_tokens(torch.tensor([ids]))
        embeds = torch.cat([text[:, :start], patches[None], text[:, start + PATCHES:]], 1)
        out = s.model.lm_head(s.lm(inputs_embeds=embeds, use_cache=False).last_hidden_state)[0]
        for hook in hooks:
            hook.remove()
        return out

    def answer(s, prompt, prefix, patches, most, proposed):
        ids = s.ids(prompt, prefix)
        longer = s.ids(prompt, prefix, " " + proposed) + [s.eos]
        given = longer[len(ids):][:most] if longer[:len(ids)] == ids else []
        with torch.no_grad():
            best = s.logits(ids + given[:-1], patches)[len(ids) - 1:].argmax(-1).tolist()
        out = []
        for mine, theirs in zip(best, given or [None]):
            out.append(mine)
            if mine != theirs:
                break
        while out[-1] != s.eos and len(out) < most:
            with torch.no_grad():
                out.append(int(s.logits(ids + out, patches)[-1].argmax()))
        return s.tokenizer.decode([i for i in out if i != s.eos]).strip()


def mask_of(segmentation):
    flat = np.concatenate([np.full(n, i % 2, np.uint8) for i, n in enumerate(segmentation["counts"])])
    return flat.reshape(segmentation["size"][::-1]).T.astype(bool)


def patches_of(mask):
    side = mask.shape[0] // GRID
    return mask.reshape(GRID, side, GRID, side).any((1, 3))


def ring(grid):
    padded = np.pad(grid, 1)
    return np.any([padded[r:r + GRID, c:c + GRID] for r in range(3) for c in range(3)], 0)


def text_of(grid):
    return ", ".join(f"r{r}c{c}" for r, c in zip(*np.nonzero(grid))) or "none"


def gradients(twin, visual, prompt):
    """Integrated gradients of the answer's first token, midpoints, from the mean token of the picture."""
    ids, mean = twin.ids(prompt), visual.mean(0, keepdim=True).expand_as(visual)
    with torch.no_grad():
        token = int(twin.logits(ids, visual)[-1].argmax())
    total = torch.zeros_like(visual)
    for step in range(STEPS):
        x = (mean + (visual - mean) * (step + .5) / STEPS).requires_grad_(True)
        total += torch.autograd.grad(twin.logits(ids, x)[-1, token], x)[0]
    return token, ((visual - mean) * total / STEPS).sum(1).tolist()


def hits(tokenizer, word, lens_ids, patches):
    """[level] of strict top-1, strict top-5, lenient top-1, lenient top-5 among the object's patches."""
    strict = {tokenizer.encode(word, add_special_tokens=False).ids[0], tokenizer.token_to_id(word)} - {None}

    def is_lenient(i):
        text = tokenizer.decode([i]).strip().lower()
        return i in strict or (len(re.sub(r"\W", "", text)) >= 3 and (word.startswith(text) or f"{word}s".startswith(text)))

    rows = []
    for level in lens_ids:
        top = [level[p] for p in patches]
        rows.append([sum(t[0] in strict for t in top), sum(any(i in strict for i in t) for t in top),
                     sum(is_lenient(t[0]) for t in top), sum(any(map(is_lenient, t)) for t in top)])
    return rows


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def main():
    coco = json.loads((DEMO / "samples" / "instances.json").read_text())
    categories = {c["id"]: c for c in coco["categories"]}
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()][1:]
    twin, out = Twin(), []
    n_words = twin.tokenizer.get_vocab_size(with_added_tokens=True)
    shard, of = map(int, sys.argv[2].split("/")) if len(sys.argv) > 2 else (1, 1)
    for row in sorted(lines, key=lambda row: row["index"])[shard - 1:10:of]:
        image = next(i for i in coco["images"] if i["id"] == row["image_id"])
        mine = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        single = [a for a in mine if sum(b["category_id"] == a["category_id"] for b in mine) == 1]
        chosen = max(single, key=lambda a: a["area"])
        assert chosen["id"] == row["annotation"], "another object was chosen"
        word, kind = categories[chosen["category_id"]]["name"], categories[chosen["category_id"]]["supercategory"]
        o = patches_of(mask_of(chosen["segmentation"]))
        o1, o2 = ring(o), ring(ring(o))
        visual = twin.look(image["file_name"])
        norms = visual.norm(dim=1).numpy()
        sets = {"object": text_of(o), "object+1": text_of(o1), "object+2": text_of(o2),
                "register": text_of((norms > norms.mean() + 2 * norms.std(ddof=1)).reshape(GRID, GRID)),
                "random:40": next(s["patches"] for s in row["sets"] if s["set"] == "random:40")}
        tasks = {"vqa": (f"What {kind} is in the image?", " It is a", 1), "poll": (f"Is there {article(word)} in this image?", "", 10),
                 "describe": ("Describe this image.", "", 32)}
        vqa, resid = twin.ids(*tasks["vqa"][:2]), []
        start, last = vqa.index(twin.image_id), len(vqa) - 1
        with torch.no_grad():
            first = twin.logits(vqa, visual, resid=resid)[-1]
            lens = [twin.model.lm_head(twin.lm.norm(h[start:start + PATCHES]))[:, :n_words].topk(5).indices.tolist() for h in resid]
        entry = {"index": row["index"], "file": image["file_name"], "word": word, "sets": sets,
                 "lens": hits(twin.tokenizer, word, lens, np.flatnonzero(o.ravel())), "answers": {}, "knockout": {}}
        for name, patches in [("clean", "none"), *sets.items()]:
            at = reference.parse_patches(patches, GRID, GRID)
            edited = visual.clone()
            edited[at] = visual.mean(0)
            rows = row["clean"] if name == "clean" else next(s["tasks"] for s in row["sets"] if s["set"] == name)
            for task, (prompt, prefix, most) in tasks.items():
                proposed = next(t["text"] for t in rows if t["task"] == task)
                entry["answers"].setdefault(name, {})[task] = twin.answer(prompt, prefix, edited, most, proposed)
        above = np.arange(PATCHES) < PATCHES - GRID
        places = {"o1": start + np.flatnonzero(o1.ravel()), "above": start + np.flatnonzero(above), "lvr": start + np.flatnonzero(~above),
                  "last": [last], "question": range(start + PATCHES, last)}
        watched = int(first.argmax())
        for group, (queries, keys) in GROUPS.items():
            for low, high in WINDOWS.values():
                knock = ([int(p) for p in places[queries]], [int(p) for p in places[keys]], range(low, high + 1))
                with torch.no_grad():
                    logits = twin.logits(vqa, visual, [knock])[-1]
                entry["knockout"].setdefault(group, {})[f"{low}-{high}"] = {
                    "id": int(logits.argmax()), "prob": float(logits.softmax(-1)[watched]), "logit": float(logits[watched])}
        if row["index"] < 2:
            token, values = gradients(twin, visual, tasks["poll"][0])
            entry["gradients"] = {"token": token, "steps": STEPS, "patches": [round(v, 6) for v in values]}
        out.append(entry)
        print(image["file_name"], word, entry["answers"], flush=True)
        name = "experiments.json" if of == 1 else f"experiments-{shard}.json"
        (HERE / "expected" / name).write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
