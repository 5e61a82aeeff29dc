#!/usr/bin/env python3
"""Writes inside/expected.json: attention, rollout, attribution and the forced answer of inside/session.json by transformers.

    python inside.py

Every part of the answer is one whole pass of Hugging Face transformers in float32 over all tokens. The direction of the
logit is autograd's, with the final norm's scale held; heads come from what enters `o_proj`, sources from the patterns and
what leaves `v_proj`. The file has the form of `result.json`. Needs what reference.py needs.
"""
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlavaForConditionalGeneration

from reference import KNOCKOUTS, PATTERNS, Layout, parse_layers, parse_patches, preprocess

HERE = Path(__file__).parent / "inside"


class Runner:
    def __init__(self, session):
        folder = HERE / session["model"]
        self.model = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation={"text_config": "open", "vision_config": "eager"}).eval()
        self.lm, self.head = self.model.model.language_model, self.model.lm_head
        config = self.model.config
        pre = json.loads((folder / "preprocessor_config.json").read_text())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        size = config.vision_config.image_size
        self.side = size // config.vision_config.patch_size
        pixels = preprocess(HERE / session["image"], size, pre["image_mean"], pre["image_std"], "center")
        with torch.no_grad():
            features = self.model.model.get_image_features(pixel_values=pixels)
            features = getattr(features, "pooler_output", features)
            self.visual = features[0] if isinstance(features, (list, tuple)) else features.reshape(-1, features.shape[-1])
        image_id = getattr(config, "image_token_id", None) or config.image_token_index
        text = f"USER: <image>\n{session['prompt']} ASSISTANT:"
        self.ids = []
        for i in tokenizer.encode(text).ids:
            self.ids += [i] * len(self.visual) if i == image_id else [i]
        self.layout = Layout(len(self.ids), self.ids.index(image_id), len(self.visual))
        self.text = config.text_config

    def forward(self, tokens, interventions):
        """One pass over the prompt and `tokens`; keeps what the parts below need."""
        KNOCKOUTS.clear()
        PATTERNS.clear()
        all_ids = self.ids + tokens
        start, n = self.layout.image_start, len(all_ids)
        zeroed = {}
        for row in interventions:
            if row["type"] == "ablation":
                assert row["with"] == "zero"
                zeroed[row["layer"]] = [start + p for p in parse_patches(row["patches"], self.side, self.side)]
                continue
            sets = [self.layout.resolve(row[key], n, self.side, self.side) for key in ("queries", "keys")]
            for layer in parse_layers(row["layers"], self.text.num_hidden_layers):
                KNOCKOUTS.setdefault(layer, []).append((*sets, row["heads"]))
        kept = {"before": [], "attn": [], "mlp": [], "z": [], "v": []}

        def before(layer):
            def hook(module, args, kwargs):
                x = args[0] if args else kwargs["hidden_states"]
                x[0, zeroed.get(layer, [])] = 0.0
                kept["before"].append(x[0].clone())
            return hook

        def out(name):
            return lambda module, args, y: kept[name].append((y[0] if isinstance(y, tuple) else y)[0].clone())

        handles = []
        for i, block in enumerate(self.lm.layers):
            handles += [block.register_forward_pre_hook(before(i), with_kwargs=True),
                        block.self_attn.register_forward_hook(out("attn")), block.mlp.register_forward_hook(out("mlp")),
                        block.self_attn.v_proj.register_forward_hook(out("v")),
                        block.self_attn.o_proj.register_forward_pre_hook(lambda m, a: kept["z"].append(a[0][0].clone()))]
        handles.append(self.lm.layers[-1].register_forward_hook(out("before")))
        with torch.no_grad():
            embeds = self.lm.embed_tokens(torch.tensor([all_ids]))
            embeds[0, start:start + len(self.visual)] = self.visual
            logits = self.head(self.lm(inputs_embeds=embeds, use_cache=False).last_hidden_state)[0]
        for handle in handles:
            handle.remove()
        return logits, kept, dict(PATTERNS)

    def answer(self, interventions, n):
        tokens = []
        while len(tokens) < n:
            tokens.append(int(self.forward(tokens, interventions)[0][-1].argmax()))
            if tokens[-1] == self.text.eos_token_id:
                break
        return tokens

    def attention(self, spec, answer, interventions):
        token = int(spec["query"].removeprefix("answer:"))
        query = len(self.ids) + token
        _, _, patterns = self.forward(answer[:token + 1], interventions)
        patterns = torch.stack([patterns[i] for i in sorted(patterns)])        # [layer, head, query, key]
        into = self.layout.resolve(spec["into"], query + 1, self.side, self.side)
        rollout = torch.eye(query + 1)
        for pattern in patterns.mean(1):
            rollout = (0.5 * pattern + 0.5 * torch.eye(query + 1)) @ rollout
        row = patterns[:, :, query]
        return {"position": query, "mass": row[..., into].sum(-1).tolist(), "mean": row.mean((0, 1)).tolist(),
                "rollout": rollout[query].tolist()}

    def attribution(self, token, answer, interventions):
        logits, kept, patterns = self.forward(answer[:token], interventions)
        position, norm = len(self.ids) - 1 + token, self.lm.norm
        final = kept["before"][-1][position].clone().requires_grad_(True)
        scale = (final.detach().pow(2).mean() + norm.variance_epsilon).rsqrt()
        (self.head(norm.weight * (final * scale)))[answer[token]].backward()
        u = final.grad
        at = lambda name: [float(x[position] @ u) for x in kept[name]]
        heads, tokens = [], torch.zeros(position + 1)
        n_heads, width = self.text.num_attention_heads, self.text.head_dim
        for layer, block in enumerate(self.lm.layers):
            o = block.self_attn.o_proj.weight.detach()
            row = []
            for head in range(n_heads):
                part = slice(head * width, (head + 1) * width)
                row.append(float((o[:, part] @ kept["z"][layer][position, part]) @ u))
                group = head // (n_heads // self.text.num_key_value_heads)
                values = kept["v"][layer][:, group * width:(group + 1) * width]
                pattern = patterns[layer][head, position]
                tokens += (pattern[:, None] * values @ o[:, part].T @ u)[:position + 1]
            heads.append(row)
        start = self.layout.image_start
        return {"token": token, "id": answer[token], "position": position, "logit": float(logits[position, answer[token]]),
                "embedding": float(kept["before"][0][position] @ u), "attention": at("attn"), "mlp": at("mlp"),
                "heads": heads, "tokens": tokens.tolist(), "patches": tokens[start:start + len(self.visual)].tolist()}


def main():
    session = json.loads((HERE / "session.json").read_text())
    runner, rows, readout = Runner(session), session["interventions"], session["readout"]
    answer = runner.answer([], session["decode"]["max_new_tokens"])
    result = {}
    for name, interventions in (("baseline", []), ("edited", rows)):
        result[name] = {"attention": runner.attention(readout["attention"], answer, interventions),
                        "attribution": runner.attribution(readout["attribution"]["token"], answer, interventions)}
    edited = runner.answer(rows, session["decode"]["max_new_tokens"])
    last = len(runner.ids) - 1
    clean = runner.forward([], [])[0][last].double().log_softmax(-1)
    forced = [runner.forward(answer[:i], rows)[0][-1].double().softmax(-1) for i in range(len(answer))]
    result["comparison"] = {
        "flipped": edited != answer, "next_token_kl": float((clean.exp() * (clean - forced[0].log())).sum()),
        "forced": {"ids": answer, "probs": [float(p[i]) for p, i in zip(forced, answer)],
                   "best_ids": [int(p.argmax()) for p in forced], "best_probs": [float(p.max()) for p in forced]}}
    (HERE / "expected.json").write_text(json.dumps(result) + "\n")
    print("clean", answer, "edited", edited, "kl", result["comparison"]["next_token_kl"])


if __name__ == "__main__":
    main()
