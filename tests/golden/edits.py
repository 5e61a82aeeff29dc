#!/usr/bin/env python3
"""What transformers makes of swapped, steered, erased and scaled rows: the golden of `tests/edits.rs`.

    python edits.py            # writes expected_edits.json beside this file

Independent of `reference.py`: it computes the visual tokens of both pictures, puts those of the second one where the
swap says, and gives the merged embeddings to the language model; other edits are hooks on its blocks. float32, CPU.
"""
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlavaForConditionalGeneration

from reference import parse_patches, preprocess

HERE = Path(__file__).parent
FOLDER = HERE / "checkpoints" / "old-f32"
OTHER = HERE / "pictures" / "rgb-336x336.png"
PROMPT = "What is it?"
CASES = {
    "swap_embeddings": {"type": "swap", "patches": "r2c3-r5c7", "from": "r1c0", "layer": 0},
    "swap_in_place": {"type": "swap", "patches": "r0c1, r3c2-r4c4", "layer": 0},
    "swap_level_2": {"type": "swap", "patches": "r1c1-r3c2", "from": "r4c5", "layer": 2},
    "steer": {"type": "steer", "tokens": "image", "word": "dog", "strength": -0.7, "layer": 1},
    "steer_answer": {"type": "steer", "tokens": "answer", "word": "red", "vector": "embedding", "strength": 1.5, "layer": 2},
    "erase": {"type": "erase", "tokens": "patches:r1c1-r4c4", "word": "dog", "layer": 1},
    "erase_text": {"type": "erase", "tokens": "image", "word": "dog", "vector": {"text": 2}, "layer": 1},
    "scale": {"type": "scale", "tokens": "question", "by": 0.4, "layer": 1},
}
N_NEW = 6


class Twin:
    def __init__(self):
        self.model = LlavaForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
        config = self.model.config
        self.pre = json.loads((FOLDER / "preprocessor_config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.size = config.vision_config.image_size
        self.side = self.size // config.vision_config.patch_size
        image_id = getattr(config, "image_token_id", None) or config.image_token_index
        self.ids = []
        for i in self.tokenizer.encode(f"USER: <image>\n{PROMPT} ASSISTANT:").ids:
            self.ids += [i] * self.side**2 if i == image_id else [i]
        self.start, self.n_prompt = self.ids.index(image_id), len(self.ids)
        self.lm, self.head = self.model.model.language_model, self.model.lm_head
        eos = config.text_config.eos_token_id
        self.eos = set(eos) if isinstance(eos, list) else {2 if eos is None else eos}

    def visual(self, path):
        pixels = preprocess(path, self.size, self.pre["image_mean"], self.pre["image_std"], "center")
        features = self.model.model.get_image_features(pixel_values=pixels)
        features = getattr(features, "pooler_output", features)
        return features[0] if isinstance(features, (list, tuple)) else features.reshape(-1, features.shape[-1])

    def positions(self, text, n_now):
        image, last = range(self.start, self.start + self.side**2), self.n_prompt - 1
        if text.startswith("patches:"):
            return [self.start + p for p in parse_patches(text[8:], self.side, self.side)]
        sets = {"image": image, "question": range(image.stop, last), "last": [last], "answer": range(last, n_now)}
        return list(sets[text])

    def word_vector(self, word, kind):
        pieces = [t for t in self.tokenizer.encode(word, add_special_tokens=False).ids if self.tokenizer.id_to_token(t) != "▁"]
        if kind == "unembedding":
            return self.head.weight[pieces[0]] * self.lm.norm.weight
        if kind == "embedding":
            return self.lm.embed_tokens.weight[pieces[0]]
        rows = self.forward(self.lm.embed_tokens(torch.tensor([self.tokenizer.encode(word).ids])), None, {})[0]
        return rows[kind["text"]][-1]

    def forward(self, embeds, edit, other):
        """-> [level][n, d] never normed, [vocab] of the last row"""
        resid, handles = [], []

        def pre_hook(layer):
            def hook(module, args, kwargs):
                h = (args[0] if args else kwargs["hidden_states"]).clone()
                if edit is not None and edit["layer"] == layer:
                    self.apply(h[0], edit, other)
                resid.append(h[0].clone())
                return ((h, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": h})
            return hook

        for at, layer in enumerate(self.lm.layers):
            handles.append(layer.register_forward_pre_hook(pre_hook(at), with_kwargs=True))
        post = lambda module, args, out: resid.append((out[0] if isinstance(out, tuple) else out).reshape(embeds.shape)[0].clone())
        handles.append(self.lm.layers[-1].register_forward_hook(post))
        out = self.lm(inputs_embeds=embeds, use_cache=False)
        for handle in handles:
            handle.remove()
        return resid, self.head(out.last_hidden_state)[0, -1]

    def apply(self, h, edit, other):
        if edit["type"] == "swap":
            places = [divmod(p, self.side) for p in parse_patches(edit["patches"], self.side, self.side)]
            corner = (min(r for r, _ in places), min(c for _, c in places))
            start = divmod(parse_patches(edit["from"], self.side, self.side)[0], self.side) if "from" in edit else corner
            for r, c in places:
                theirs = (r - corner[0] + start[0]) * self.side + c - corner[1] + start[1]
                h[self.start + r * self.side + c] = other[edit["layer"]][self.start + theirs]
            return
        at = [p for p in self.positions(edit["tokens"], h.shape[0]) if p < h.shape[0]]
        if edit["type"] == "scale":
            h[at] *= edit["by"]
            return
        unit = torch.nn.functional.normalize(edit["direction"], dim=0)
        if edit["type"] == "steer":
            h[at] += edit["strength"] * h[at].norm(dim=1, keepdim=True) * unit
        else:
            h[at] -= (h[at] @ unit)[:, None] * unit

    def run(self, edit):
        def merged(visual, ids):
            embeds = self.lm.embed_tokens(torch.tensor([ids])).clone()
            embeds[0, self.start:self.start + len(visual)] = visual
            return embeds

        ours, theirs = self.visual(FOLDER / "picture.png"), self.visual(OTHER)
        other = self.forward(merged(theirs, self.ids), None, {})[0]
        edit = dict(edit)
        if "word" in edit:
            edit["direction"] = self.word_vector(edit["word"], edit.get("vector", "unembedding"))
        sequence, answer, first = list(self.ids), [], None
        for _ in range(N_NEW):
            resid, logits = self.forward(merged(ours, sequence), edit, other)
            first = first or (resid, logits.softmax(-1))
            answer.append(int(logits.argmax()))
            if answer[-1] in self.eos:
                break
            sequence.append(answer[-1])
        resid, probs = first
        best = probs[: self.tokenizer.get_vocab_size(with_added_tokens=True)].topk(5)
        return {
            "norms": [[float(f"{x:.7g}") for x in level.norm(dim=1).tolist()] for level in resid],
            "last": [[float(f"{x:.7g}") for x in level[-1].tolist()] for level in resid],
            "next": {"ids": best.indices.tolist(), "probs": best.values.tolist()},
            "answer": answer,
        }


def main():
    twin = Twin()
    with torch.no_grad():
        cases = {name: {"intervention": {**edit, **({"image": f"../../pictures/{OTHER.name}"} if edit["type"] == "swap" else {})},
                        **twin.run(edit)} for name, edit in CASES.items()}
    (HERE / "expected_edits.json").write_text(json.dumps({"prompt": PROMPT, "max_new_tokens": N_NEW, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
