#!/usr/bin/env python3
"""Repeats a run of Patchglass with Hugging Face transformers and prints the same answer.

    python THIS_FILE [--model FOLDER] [--image FILE] [--device cpu] [--dtype float32] [--patch r3c4 --level 7]

Needs torch, transformers >= 5, tokenizers, pillow, numpy and safetensors. Exits with 1 where the answer differs from the
one that Patchglass gave.
"""
import argparse, json, re, sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tokenizers import Tokenizer
from transformers import AttentionInterface, DynamicCache, LlavaForConditionalGeneration
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

# ---- the experiment -------------------------------------------------------------------------------------------------
@EXPERIMENT@
# ---- attention with knocked-out edges -------------------------------------------------------------------------------
KNOCKOUTS = {}   # block -> list of (queries, keys, heads): functions of the length so far, and a list of heads or None


def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Causal attention written out. query [1, heads, n, d]; key, value [1, kv_heads, n_so_far, d]."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    n, n_keys = query.shape[2], key.shape[2]
    first = n_keys - n
    rows = torch.arange(first, n_keys, device=query.device)
    columns = torch.arange(n_keys, device=query.device)
    scores = (query @ key.transpose(2, 3)) * scaling
    blocked = (columns[None] > rows[:, None])[None].repeat(query.shape[1], 1, 1)     # [heads, query, key]
    for queries, keys, heads in KNOCKOUTS.get(module.layer_idx, []):
        q, k = torch.zeros(n_keys, dtype=torch.bool), torch.zeros(n_keys, dtype=torch.bool)
        q[queries(n_keys)], k[keys(n_keys)] = True, True
        pairs = q.to(query.device)[first:, None] & k.to(query.device)[None] & (columns[None] != rows[:, None])
        for head in range(query.shape[1]) if heads is None else heads:               # a query always keeps itself
            blocked[head] |= pairs
    pattern = scores.masked_fill(blocked[None], float("-inf")).float().softmax(-1).to(query.dtype)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


AttentionInterface.register("patchglass", attention)
ALL_MASK_ATTENTION_FUNCTIONS.register("patchglass", lambda *a, **k: None)


# ---- picture --------------------------------------------------------------------------------------------------------
def preprocess(path, size, mean, std, crop):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    w, h = image.size
    if crop == "pad":
        side = max(w, h)
        canvas = Image.new("RGB", (side, side), tuple(int(m * 255) for m in mean))
        canvas.paste(image, ((side - w) // 2, (side - h) // 2))
        image = canvas.resize((size, size), Image.BICUBIC)
    else:
        short = min(w, h)
        image = image.resize((int(size * w / short) if w > h else size, int(size * h / short) if h > w else size), Image.BICUBIC)
        w, h = image.size
        left, top = (w - size) // 2, (h - size) // 2
        image = image.crop((left, top, left + size, top + size))
    x = (np.asarray(image, dtype=np.float32) / 255.0 - np.array(mean, dtype=np.float32)) / np.array(std, dtype=np.float32)
    return torch.from_numpy(x).permute(2, 0, 1)[None]


def model_folder(name):
    if Path(name).is_dir():
        return Path(name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
        from huggingface_hub import snapshot_download
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    sys.exit(f"error: there is no model folder {name}: @MODEL_HINT@")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--model", default=MODEL)
    ap.add_argument("--image", default=IMAGE)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--dtype", default="float32")
    ap.add_argument("--patch", help="also print the likeliest words of this patch, e.g. r3c4")
    ap.add_argument("--level", type=int, help="at this level; the last unless given")
    args = ap.parse_args()
    folder = model_folder(args.model)
    model = LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=getattr(torch, args.dtype), attn_implementation={"text_config": "patchglass", "vision_config": "eager"})
    model = model.to(args.device).eval()
    config, text_config = model.config, model.config.text_config
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pre = json.loads((folder / "preprocessor_config.json").read_text())
    mean, std = pre.get("image_mean", [0.48145466, 0.4578275, 0.40821073]), pre.get("image_std", [0.26862954, 0.26130258, 0.27577711])
    image_id = getattr(config, "image_token_id", None) or config.image_token_index
    rows = cols = config.vision_config.image_size // config.vision_config.patch_size
    lm, head = model.model.language_model, model.lm_head

    def visual_tokens(path):
        pixels = preprocess(path, config.vision_config.image_size, mean, std, CROP).to(args.device, model.dtype)
        features = model.model.get_image_features(pixel_values=pixels)
        features = getattr(features, "pooler_output", features)
        return features[0] if isinstance(features, (list, tuple)) else features.reshape(-1, features.shape[-1])

    visual = visual_tokens(args.image)
    text = TEMPLATE.replace("{prompt}", PROMPT) + ANSWER_PREFIX
    ids = []
    for i in tokenizer.encode(text).ids:
        ids += [image_id] * len(visual) if i == image_id else [i]
    n_prompt, start = len(ids), ids.index(image_id)
    end = start + len(visual)
    first_patch = end - rows * cols           # a tower that keeps its class token has one visual token more
    patches = slice(first_patch, end)
    positions = {
        "image": lambda n: list(range(start, end)), "system": lambda n: list(range(start)),
        "question": lambda n: list(range(end, n_prompt - 1)), "last": lambda n: [n_prompt - 1],
        "answer": lambda n: list(range(n_prompt - 1, n)), "all": lambda n: list(range(n)),
    }

    def token_set(what):
        return positions[what] if isinstance(what, str) else lambda n: [first_patch + p for p in what]

    def replacement(how, at, clean):
        """The rows that take the place of those at `at`; `clean` are all patches of this picture at that level."""
        if how == "zero":
            return torch.zeros_like(clean[at])
        if how == "mean":
            return clean.mean(0, keepdim=True).expand_as(clean[at])
        if "patch" in how:
            return clean[how["patch"]][None].expand_as(clean[at])
        if "mean_of" in how:
            from safetensors.torch import load_file
            vector, = load_file(how["mean_of"]).values()
            return vector.flatten().to(clean)[None].expand_as(clean[at])
        if "image" in how:
            return how["rows"][at]
        raise ValueError(f"unknown replacement {how}")

    @torch.no_grad()
    def run(interventions, visual, n_new):
        """-> ids of the answer, their probabilities, residual stream of every level [n_layers + 1][n_prompt, d]"""
        KNOCKOUTS.clear()
        changes, edits, resid, first = {}, {}, [], [0]    # first: the position at which a pass begins
        for row in interventions:
            if row["type"] == "attention_knockout":
                for block in row["blocks"]:
                    KNOCKOUTS.setdefault(block, []).append((token_set(row["queries"]), token_set(row["keys"]), row["heads"]))
            elif row["type"] in ("steer", "erase", "scale"):
                edits.setdefault(row["level"], []).append((token_set(row["tokens"]), row))
            else:
                at = row["patches"]
                changes.setdefault(row["level"], []).append((at, row))

        def before(level):
            def hook(module, inputs, named):
                h = inputs[0] if inputs else named["hidden_states"]
                if level in changes and first[0] == 0:
                    h = h.clone()
                    clean = h[0, patches].clone()
                    for at, row in changes[level]:
                        h[0, [first_patch + p for p in at]] = change(row, at, clean, level)
                for positions, row in edits.get(level, []):      # generated tokens too
                    at = [p - first[0] for p in positions(first[0] + h.shape[1]) if p >= first[0]]
                    h = h.clone()
                    h[0, at] = edited(row, h[0, at])
                if first[0] == 0:
                    resid.append(h[0].clone())
                return ((h, *inputs[1:]), named) if inputs else (inputs, {**named, "hidden_states": h})
            return hook

        def after(module, inputs, out):
            h = out[0] if isinstance(out, tuple) else out
            if first[0] == 0:
                resid.append(h[0].clone())

        handles = [block.register_forward_pre_hook(before(i), with_kwargs=True) for i, block in enumerate(lm.layers)]
        handles.append(lm.layers[-1].register_forward_hook(after))
        embeds = lm.embed_tokens(torch.tensor([ids], device=args.device))
        embeds[0, start:end] = visual
        cache, answer, probs = DynamicCache(config=text_config), [], []
        eos = text_config.eos_token_id if text_config.eos_token_id is not None else 2
        step = head(lm(inputs_embeds=embeds, past_key_values=cache, use_cache=True).last_hidden_state[0, -1]).float()
        while len(answer) < n_new:
            token = int(step.argmax())
            answer.append(token)
            probs.append(float(step.softmax(-1)[token]))
            if token in (eos if isinstance(eos, list) else [eos]):
                break
            token = lm.embed_tokens(torch.tensor([[token]], device=args.device))
            first[0] = n_prompt + len(answer) - 1
            step = head(lm(inputs_embeds=token, past_key_values=cache, use_cache=True).last_hidden_state[0, -1]).float()
        for handle in handles:
            handle.remove()
        return answer, probs, resid

    def change(row, at, clean, level):
        """The rows that an intervention puts in the place of those of the patches `at`."""
        if row["type"] == "ablation":
            return replacement(row["with"], at, clean)
        if row["type"] == "swap":
            return row["rows"][row["from"]]
        raise ValueError(f"unknown intervention {row['type']}")

    def edited(row, x):
        """Rows made from themselves: a factor, a word's direction added or projected out."""
        h = x.float()
        if row["type"] == "scale":
            h = h * row["by"]
        else:
            unit = row["direction"] / row["direction"].norm()
            if row["type"] == "steer":
                h = h + row["strength"] * h.norm(dim=-1, keepdim=True) * unit
            else:
                for _ in range(2):            # once more for what rounding left
                    h = h - (h @ unit)[:, None] * unit
        return h.to(x.dtype)

    @torch.no_grad()
    def word_vector(word, vector):
        """What stands for a word: a row of the unembedding, of the embeddings, or what the model makes of it as text."""
        pieces = tokenizer.encode(word, add_special_tokens=False).ids
        token = next(t for t in pieces if tokenizer.id_to_token(t) != "▁")
        if vector == "unembedding":
            return head.weight[token].float() * lm.norm.weight.float()
        if vector == "embedding":
            return lm.embed_tokens.weight[token].float()
        level, found = vector["text"], []
        keep = lambda x: found.append(x[0, -1].float())
        if level < len(lm.layers):
            hook = lm.layers[level].register_forward_pre_hook(
                lambda module, inputs, named: keep(inputs[0] if inputs else named["hidden_states"]), with_kwargs=True)
        else:
            hook = lm.layers[-1].register_forward_hook(
                lambda module, inputs, out: keep(out[0] if isinstance(out, tuple) else out))
        lm(inputs_embeds=lm.embed_tokens(torch.tensor([tokenizer.encode(word).ids], device=args.device)))
        hook.remove()
        return found[0]

    for row in INTERVENTIONS:                 # rows of another picture come from a run of their own
        if "word" in row:
            row["direction"] = word_vector(row["word"], row["vector"])
        if row["type"] == "swap":
            row["rows"] = run([], visual_tokens(row["image"]), 0)[2][row["level"]][patches]
        if isinstance(row.get("with"), dict) and "image" in row["with"]:
            row["with"]["rows"] = run([], visual_tokens(row["with"]["image"]), 0)[2][row["level"]][patches]

    def say(name, interventions, expected):
        answer, probs, resid = run(interventions, visual, MAX_NEW_TOKENS)
        eos = text_config.eos_token_id if text_config.eos_token_id is not None else 2
        shown = [t for t in answer if t not in (eos if isinstance(eos, list) else [eos])]
        text = tokenizer.decode(shown).strip()
        print(f"{name}: {text}")
        print("  " + " ".join(f"{tokenizer.id_to_token(t)}:{p:.3f}" for t, p in zip(answer, probs)))
        if args.patch:
            r, c = map(int, re.fullmatch(r"r(\d+)c(\d+)", args.patch).groups())
            level = len(resid) - 1 if args.level is None else args.level
            with torch.no_grad():
                words = head(lm.norm(resid[level][first_patch + r * cols + c])).float().softmax(-1)[:tokenizer.get_vocab_size()].topk(5)
            print(f"  {args.patch} at level {level}: " + ", ".join(f"{tokenizer.id_to_token(int(i))} {p:.3f}" for p, i in zip(*words)))
        if answer != expected:
            print(f"  Patchglass gave the tokens {expected}, here they are {answer}")
        return answer == expected

    same = say("before", [], EXPECTED["before"])
    if INTERVENTIONS:
        same = say("after", INTERVENTIONS, EXPECTED["after"]) and same
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
