"""The rows of `patchglass bench` in PyTorch: transformers' LLaVA on the same device, as well as torch can.

usage: python pytorch.py [--model demo|random-7b|FOLDER] [--device cpu|cuda] [--repeats 10] [--json FILE]

Rows have the names of `patchglass bench`. What an edit costs in torch: hooks change the decoder's input and the whole decoder
runs again (the vision tower does not, which is kinder than the reference repository, where it does). Two ways of attention are
timed (sdpa, eager) and the faster one counts. `full_lens_reference` is the lens as the reference repository does it: a
softmax per level over all positions and a Python loop with .item() per cell.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

DEMO = Path(__file__).resolve().parents[2] / "assets/demo/model"
TOP_K = 5


def load(model, device, dtype, attention):
    if model != "random-7b":
        folder = DEMO if model == "demo" else model
        net = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
        return net.to(device).eval()
    text = LlamaConfig(vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5)
    vision = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                              image_size=336, patch_size=14, projection_dim=768)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=32000)
    config._attn_implementation = attention
    torch.set_default_dtype(dtype)
    with torch.device(device):
        net = LlavaForConditionalGeneration._from_config(config, attn_implementation=attention)
    torch.set_default_dtype(torch.float32)
    return net.eval()


def crop(cache, n):
    """The cache with its first n positions; versions of transformers differ in what they take."""
    extra = cache.get_seq_length() - n
    if extra:
        try:
            cache.crop(n)
        except ValueError:
            cache.crop(-extra)


class Bench:
    def __init__(self, net, device, repeats, n_prompt):
        self.net, self.device, self.repeats = net, device, repeats
        self.lm = net.model.language_model
        self.head = net.lm_head
        size = net.config.vision_config.image_size
        dtype = net.lm_head.weight.dtype
        self.pixels = torch.randn(1, 3, size, size, device=device, dtype=dtype)
        visual = self.encode()
        ids = torch.randint(3, 2000, (n_prompt - visual.shape[0],), device=device)
        text = self.lm.embed_tokens(ids)
        self.image = slice(5, 5 + visual.shape[0])
        self.embeds = torch.cat([text[:5], visual, text[5:]])[None]  # [1, n, d]

    def sync(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def time(self, work, repeats=None, warm=2):
        times = []
        for i in range(warm + (repeats or self.repeats)):
            self.sync()
            since = time.perf_counter()
            work(i)
            self.sync()
            if i >= warm:
                times.append((time.perf_counter() - since) * 1e3)
        return sorted(times)

    def encode(self):
        features = self.net.get_image_features(pixel_values=self.pixels)
        features = getattr(features, "pooler_output", features)
        return features[0] if isinstance(features, (list, tuple)) or features.dim() == 3 else features

    def forward(self, embeds, mask=None, cache=None, hidden=True):
        """The residual stream of all levels, the last un-normed too, and the next-token distribution on the host."""
        last = []
        hook = self.lm.layers[-1].register_forward_hook(
            lambda m, a, out: last.append(out[0] if isinstance(out, tuple) else out))
        out = self.lm(inputs_embeds=embeds, attention_mask=mask, past_key_values=cache, use_cache=True,
                      output_hidden_states=hidden)
        hook.remove()
        logits = self.head(out.last_hidden_state[:, -1]).float().softmax(-1).cpu()
        return (*(out.hidden_states or ())[:-1], last[0]), logits, out.past_key_values

    def lens(self, states):
        """Top 5 and log-sum-exp of every patch at every level, f32 logits, a level at a time."""
        found = []
        for state in states:
            normed = self.lm.norm(state[0, self.image] if state.shape[1] > self.image.stop else state[0])
            logits = self.head(normed).float()
            lse = logits.logsumexp(-1, keepdim=True)
            values, ids = logits.topk(TOP_K, dim=-1)
            found.append((ids, (values - lse).exp()))
        return [(ids.cpu(), probs.cpu()) for ids, probs in found]

    def lens_reference(self, states):
        cells = []
        for state in states:
            probs = torch.softmax(self.head(self.lm.norm(state[0])), dim=-1)
            values, ids = torch.topk(probs, k=TOP_K, dim=-1)
            for at in range(ids.shape[0]):
                cells.append([(ids[at, k].item(), values[at, k].item()) for k in range(TOP_K)])
        return cells

    def edited(self, patches, variant):
        embeds = self.embeds.clone()
        rows = embeds[0, self.image]
        rows[patches] = rows.mean(0) if variant % 2 else torch.zeros_like(rows[0])
        return embeds

    def click(self, patches):
        def work(i):
            states, _, _ = self.forward(self.edited(patches, i))
            self.lens(states)
        return self.time(work)

    def knockout(self, i):
        """All blocks; transformers takes one mask for the whole decoder."""
        n = self.embeds.shape[1]
        mask = torch.zeros(1, 1, n, n, device=self.device, dtype=self.embeds.dtype)
        mask.masked_fill_(torch.ones(n, n, device=self.device, dtype=torch.bool).triu(1), float("-inf"))
        mask[0, 0, -1, self.image.start:self.image.stop - i % 2] = float("-inf")
        self.forward(self.embeds, mask=mask, hidden=False)

    def new_question(self):
        """As well as torch can: the picture's keys and values are kept, the text after it runs."""
        end = self.image.stop
        _, _, cache = self.forward(self.embeds[:, :end], hidden=False)
        def work(i):
            crop(cache, end)
            self.forward(self.embeds[:, end:] * (1 + i % 2), cache=cache)
        return self.time(work)

    def decode(self, n=16):
        _, _, cache = self.forward(self.embeds, hidden=False)
        token = self.embeds[:, -1:]
        def work(_):
            crop(cache, self.embeds.shape[1])
            for _ in range(n):
                out = self.lm(inputs_embeds=token, past_key_values=cache, use_cache=True)
                self.head(out.last_hidden_state[:, -1]).argmax(-1).item()
        return [t / n for t in self.time(work, repeats=min(4, self.repeats))]

    def rows(self):
        n = self.image.stop - self.image.start
        full = self.time(lambda i: self.forward(self.embeds * (1 + i % 2)))
        states, _, _ = self.forward(self.embeds)
        return {
            "encode": self.time(lambda i: self.encode()),
            "full_run": full,
            "full_lens": self.time(lambda i: self.lens(states)),
            "full_lens_reference": self.time(lambda i: self.lens_reference(states), repeats=1, warm=1),
            "full_run_and_lens": self.click([]),
            "click_first": self.click([0]),
            "click_middle": self.click([n // 2 + 12]),
            "click_last_row": self.click([n - 12]),
            "paint_30": self.click([n // 3 + 24 * (i // 6) + i % 6 for i in range(30)]),
            "knockout_last_all_blocks": self.time(self.knockout),
            "new_question": self.new_question(),
            "decode_token": self.decode(),
        }


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--n-prompt", type=int, default=616)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = torch.float32 if args.device == "cpu" else torch.float16
    rows = {}
    for attention in ("sdpa", "eager"):
        net = load(args.model, args.device, dtype, attention)
        for name, times in Bench(net, args.device, args.repeats, args.n_prompt).rows().items():
            if name not in rows or statistics.median(times) < statistics.median(rows[name][1]):
                rows[name] = (attention, times)
        del net
        if args.device != "cpu":
            torch.cuda.empty_cache()
    table = [{"name": name, "median_ms": statistics.median(times), "p95_ms": times[max(0, -(-95 * len(times) // 100) - 1)],
              "n": len(times), "attention": attention} for name, (attention, times) in rows.items()]
    device = torch.cuda.get_device_name() if args.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    result = {"device": device, "model": args.model, "torch": torch.__version__, "n_prompt": args.n_prompt, "rows": table}
    if args.device != "cpu":
        result["memory_bytes"] = torch.cuda.max_memory_reserved()
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1))
    for row in table:
        print(f"{row['name']:<28}{row['median_ms']:>12.2f}{row['p95_ms']:>12.2f}{row['n']:>6}  {row['attention']}")


main()
