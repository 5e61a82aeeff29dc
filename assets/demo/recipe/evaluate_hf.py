"""The table of assets/demo/README.md, from the exported checkpoint in transformers, by greedy decoding.

    python make_eval.py eval-seen --split seen
    python make_eval.py eval-unseen --split unseen
    python evaluate_hf.py MODEL_FOLDER eval-seen eval-unseen [--limit 200] [--out table.md]

Every question of every scene is asked; an answer counts only when it is the right one word for word. For descriptions the
table also gives the share of objects that are named and the share of named things that are not there. Pictures are read from
the PNG files through the checkpoint's own preprocessing.
"""
import argparse
import json
import os
import time

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, LlavaForConditionalGeneration

from language import GROUPS
from names import CLASSES, plural

NAME = {w: c for c in CLASSES for w in (c, plural(c))}
GROUP = {k: g for g, ks in GROUPS.items() for k in ks}


def named(text):
    """Classes that a description names; `orange` before a noun is a colour."""
    w = [x.strip(".,").lower() for x in text.split()]
    return {NAME[a] for a, b in zip(w, w[1:] + [""]) if a in NAME and not (a == "orange" and b in NAME)}


@torch.no_grad()
def answers(model, tok, feats, questions, most=90):
    """Greedy answers to several questions about one picture: the picture's keys and values are computed once."""
    from transformers import DynamicCache
    emb, lm = model.get_input_embeddings(), model.model.language_model
    image = tok.convert_tokens_to_ids("<image>")
    ids = [tok(f"USER: <image>\n{q} ASSISTANT:").input_ids for q in questions]
    k = ids[0].index(image)
    head = torch.cat([emb(torch.tensor([ids[0][:k]])), feats], 1)
    tails = [x[k + 1:] for x in ids]
    cache = DynamicCache()
    lm(inputs_embeds=head, past_key_values=cache, use_cache=True)
    base = head.shape[1]
    out = []
    for t in tails:   # one at a time: the shared prefix is cut back after each
        got, step = [], torch.tensor([t])
        while len(got) < most:
            h = lm(inputs_embeds=emb(step), past_key_values=cache, use_cache=True).last_hidden_state[:, -1]
            n = int(model.lm_head(h).argmax(-1))
            if n == tok.eos_token_id:
                break
            got.append(n)
            step = torch.tensor([[n]])
        cache.crop(base - cache.get_seq_length())
        out.append(tok.decode(got).strip())
    return out


def run(model, tok, proc, folder, limit):
    scenes = json.load(open(folder + "/scenes.json"))[:limit]
    stat, there, found, said_n, wrong, clicks = {}, 0, 0, 0, 0, []
    for sc in scenes:
        t = time.time()
        px = proc(images=Image.open(f"{folder}/images/{sc['file']}"), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            f = model.get_image_features(pixel_values=px)
        f = getattr(f, "pooler_output", f)
        f = (f[0] if isinstance(f, (list, tuple)) else f).reshape(1, 576, -1)
        qs = [q["question"] for q in sc["questions"]]
        a = answers(model, tok, f, ["Describe the image."] + qs)
        clicks.append(time.time() - t)
        true, said = {o["word"] for o in sc["objects"]}, named(a[0])
        there, found, said_n, wrong = there + len(true), found + len(true & said), said_n + len(said), wrong + len(said - true)
        for q, x in zip(sc["questions"], a[1:]):
            for g in (GROUP[q["kind"]], "all"):
                e = stat.setdefault(g, [0, 0])
                e[0] += x == q["answer"]
                e[1] += 1
    rows = {"description names the objects": (found, there), "named things that are not there": (wrong, said_n)}
    rows.update({g + ", exact": tuple(stat[g]) for g in list(GROUPS) + ["all"] if g in stat})
    return rows


def click_time(model, n=5):
    """Seconds for picture and prompt through the whole model once, two threads."""
    torch.set_num_threads(2)
    ids = torch.full((1, 592), 300)
    ids[:, 5:581] = model.config.image_token_index if hasattr(model.config, "image_token_index") else model.config.image_token_id
    px = torch.randn(1, 3, 336, 336)
    ts = []
    with torch.no_grad():
        for _ in range(n + 1):
            t = time.time()
            model(input_ids=ids, pixel_values=px, attention_mask=torch.ones_like(ids))
            ts.append(time.time() - t)
    return sorted(ts[1:])[n // 2]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("folders", nargs="+")
    ap.add_argument("--limit", type=int, default=10**9)
    ap.add_argument("--out", default="")
    A = ap.parse_args()
    model = LlavaForConditionalGeneration.from_pretrained(A.model, torch_dtype=torch.float32).eval()
    tok, proc = AutoTokenizer.from_pretrained(A.model), CLIPImageProcessor.from_pretrained(A.model)
    cols = {os.path.basename(f.rstrip("/")): run(model, tok, proc, f, A.limit) for f in A.folders}
    text = "| | " + " | ".join(cols) + " |\n|---|" + "---|" * len(cols) + "\n"
    for k in next(iter(cols.values())):
        text += f"| {k} | " + " | ".join(f"{100 * c[k][0] / max(1, c[k][1]):.1f} % of {c[k][1]}" if k in c else "" for c in cols.values()) + " |\n"
    size = os.path.getsize(A.model + "/model.safetensors")
    text += f"\nmodel.safetensors: {size:,} bytes. Picture and prompt once through transformers on two threads, f32: {1e3 * click_time(model):.0f} ms.\n"
    print(text)
    if A.out:
        with open(A.out, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
