"""Training, in two programs that can run side by side:

    python train.py vision   --out RUN --until 170            the vision tower, on patch classes
    python train.py variants --out RUN --names answers,llava  language models on top of it, in lockstep on the same pictures

Stages end by the clock (`--until` seconds after $T0, or after the start) or after `--steps` steps. `--resume` goes on from the
state that `--save-every` seconds left behind. What each variant does stands in variants.json; README.md says why.
No loss is ever put on the decoder's hidden states at the visual tokens.
"""
import argparse
import json
import math
import os
import random
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import SceneBatches, TextRows, loader, unpack
from evaluate import Evaluator, line, text_mask
from names import CLASSES, COLOR_NAMES, GROUNDS
from net import N_VISUAL, Llava, block, config, vision_block
from render import Renderer
from scenes import DATA, Backgrounds
from tokenizer import Tok

T0 = float(os.environ.get("T0", time.time()))
NC, NG = len(CLASSES), len(GROUNDS)


def now():
    return time.time() - T0


def log(*a):
    print("[%.1f]" % now(), *a, flush=True)


class Muon:
    """Momentum orthogonalised by Newton-Schulz steps (K. Jordan), for the matrices of the vision tower's layers."""

    def __init__(s, params):
        groups = {}
        for p in params:
            groups.setdefault(tuple(p.shape), []).append(p)
        s.groups = [(v, [torch.zeros_like(p) for p in v]) for v in groups.values()]

    @torch.no_grad()
    def step(s, lr, momentum=.95, decay=.02):
        for ps, ms in s.groups:
            gs = [p.grad for p in ps]
            torch._foreach_lerp_(ms, gs, 1 - momentum)
            x = torch.stack(torch._foreach_lerp(gs, ms, momentum)).bfloat16()
            tall = x.shape[1] > x.shape[2]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
            for _ in range(5):
                q = x @ x.mT
                x = 3.4445 * x + (-4.7750 * q + 2.0315 * q @ q) @ x
            x = (x.mT if tall else x).float()
            torch._foreach_mul_(ps, 1 - lr * decay)
            torch._foreach_add_(ps, list(x.unbind(0)), alpha=-lr * max(1, ps[0].shape[0] / ps[0].shape[1]) ** .5)


class Progress:
    """0..1 through a stage: by the clock, or by steps. The clock starts at `begin`, after compilation."""

    def __init__(s, until, steps=0, done=0.):
        s.until, s.steps, s.done, s.start, s.n = until, steps, done, None, 0

    def begin(s):
        s.start = now()

    def value(s):
        if s.steps:
            return s.done + s.n / s.steps
        if s.start is None:
            return s.done
        return s.done + (1 - s.done) * (now() - s.start) / max(1., s.until - s.start)

    def over(s):
        return s.value() >= 1 or (not s.steps and now() >= s.until)


def cosine(p, warm=.02, floor=.03):
    return min(1., (p + 1e-3) / warm) * (floor + (1 - floor) * .5 * (1 + math.cos(math.pi * min(1., p))))


def adam(params, lr, wd, dev):
    params = list(params)
    return torch.optim.AdamW([dict(params=[p for p in params if p.dim() >= 2], weight_decay=wd),
                              dict(params=[p for p in params if p.dim() < 2], weight_decay=0.)],
                             lr=lr, betas=(.9, .98), fused=dev != "cpu")


def set_lr(opt, lr):
    for g in opt.param_groups:
        g["lr"] = lr


class Env:
    """What both programs need: device, tokenizer, renderer, compiled blocks."""

    def __init__(s, A):
        s.A, s.dev = A, "cpu" if A.cpu else "cuda"
        torch.manual_seed(A.seed)
        random.seed(A.seed)
        torch.set_float32_matmul_precision("high")
        s.tok = Tok()
        s.c = config(vocab=s.tok.size)
        if A.tiny:
            s.c = config(vocab=s.tok.size, vd=64, vl=3, vh=2, vf=96, d=64, layers=4, heads=4, f=96)
        s.block, s.vision_block = block, vision_block

    def open(s, batch):
        """Opens the renderer; after the workers were forked."""
        data = dict(__import__("numpy").load(DATA + "/backgrounds.npz"))
        s.R = Renderer(s.dev, data, threads=2 if s.A.cpu else 16)
        if s.dev != "cpu" and not s.A.eager:
            import torch._dynamo as dynamo
            for k in ("cache_size_limit", "recompile_limit", "accumulated_cache_size_limit"):
                try:
                    setattr(dynamo.config, k, 64)
                except Exception:
                    pass
            s.R.compile(batch)
            s.block, s.vision_block = torch.compile(block, dynamic=False), torch.compile(vision_block, dynamic=False)
        log("renderer ready", tuple(s.R.bg.shape), tuple(s.R.sp.shape))

    def amp(s):
        return torch.autocast("cuda" if s.dev != "cpu" else "cpu", torch.bfloat16, enabled=s.dev != "cpu")

    def to(s, b):
        return unpack(b, s.dev)

    def cast(s, x):
        return x if s.dev == "cpu" else x.bfloat16()


# ---- the vision tower

def vision(A):
    """Patch class, ground, colour, place on the grid, and (from the class token) which classes are there. Heads are thrown away."""
    E = Env(A)
    c = E.c
    it = loader(SceneBatches(E.tok, A.batch, 11 + A.seed, "strong", text=False), A.workers)
    checks = {k: loader(SceneBatches(E.tok, A.batch, 10**7 + 77, "plain", text=False, split=k), 0) for k in ("train", "held")}
    E.open(A.batch)
    M = Llava(c).to(E.dev).vision_tower.vision_model
    if A.init:
        from safetensors.torch import load_file
        M.load_state_dict({k: v.float() for k, v in load_file(A.init).items()}, strict=False)
    H = nn.ModuleDict(dict(norm=nn.LayerNorm(c.vd), cls=nn.Linear(c.vd, NC + NG), col=nn.Linear(c.vd, len(COLOR_NAMES) + 1),
                           row=nn.Linear(c.vd, 24), column=nn.Linear(c.vd, 24), has=nn.Linear(c.vd, NC))).to(E.dev)
    mats = [p for n, p in M.named_parameters() if p.dim() == 2 and ".layers." in n]
    ids = {id(p) for p in mats}
    rest = [p for p in M.parameters() if id(p) not in ids] + list(H.parameters())
    opt, muon = adam(rest, A.lr, .05, E.dev), Muon(mats)
    rows = torch.arange(24, device=E.dev).repeat_interleave(24)
    cols = torch.arange(24, device=E.dev).repeat(24)

    def forward(b, run):
        im, own, cover, ground = E.R(b["P"], b["G"])
        with E.amp():
            f, last = M(im, run, last=True)
            f = H["norm"](f[:, 1:])
            out = {k: H[k](f).float() for k in ("cls", "col", "row", "column")}
            out["has"] = H["has"](M.post_layernorm(last[:, 0])).float()
        cls = torch.gather(b["P"][:, :, 1].long(), 1, own.clamp(min=0))
        return out, own, torch.where(own >= 0, cls, NC + ground)

    def check(split):
        M.eval()
        good = torch.zeros(2, device=E.dev)
        with torch.no_grad():
            for _ in range(A.checks):
                b = E.to(next(checks[split]))
                out, own, t = forward(b, vision_block)
                good += torch.stack([((out["cls"].argmax(-1) == t) & (own >= 0)).sum(), (own >= 0).sum()]).float()
        M.train()
        return round(float(good[0] / good[1]), 4)
    P = Progress(A.until, A.steps)
    acc, nextcheck = None, .34
    while not P.over():
        b = E.to(next(it))
        out, own, t = forward(b, E.vision_block)
        obj = own >= 0
        w = torch.where(obj, 1., .25)
        ce = F.cross_entropy(out["cls"].transpose(1, 2), t, reduction="none", label_smoothing=.05)
        l_cls = (ce * w).sum() / w.sum()
        col = torch.gather(b["P"][:, :, 11].long(), 1, own.clamp(min=0)) + 1
        l_col = (F.cross_entropy(out["col"].transpose(1, 2), col, reduction="none") * obj).sum() / obj.sum().clamp(min=1)
        l_pos = F.cross_entropy(out["row"].flatten(0, 1), rows.repeat(len(own))) + F.cross_entropy(out["column"].flatten(0, 1), cols.repeat(len(own)))
        has = torch.zeros(len(own), NC, device=E.dev).scatter_add_(1, b["P"][:, :, 1].long().clamp(min=0), (b["P"][:, :, 0] >= 0).float()).clamp(max=1)
        l_has = F.binary_cross_entropy_with_logits(out["has"], has) * 20
        loss = l_cls + .3 * l_col + .05 * l_pos + .2 * l_has
        opt.zero_grad(set_to_none=True)
        for p in mats:
            p.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(rest + mats, 1.)
        g = cosine(P.value())
        set_lr(opt, A.lr * g)
        opt.step()
        muon.step(A.muon * g)
        P.n += 1
        if P.n == 3:
            if E.dev != "cpu":
                torch.cuda.synchronize()
            P.begin()
            log("vision: compiled")
        if P.n % A.log_every == 0 or P.n == 3:
            hit = ((out["cls"].argmax(-1) == t) & obj).sum() / obj.sum()
            acc = hit if acc is None else acc * .7 + hit * .3
            log("vision", P.n, "p %.3f" % P.value(), "cls %.3f col %.3f pos %.3f has %.3f acc %.3f" % tuple(float(x.detach()) for x in (l_cls, l_col, l_pos, l_has, acc)))
        if P.value() > nextcheck:
            log("vision check at", round(P.value(), 2), "seen", check("train"), "unseen", check("held"))
            nextcheck += .33
    log("vision END steps", P.n)
    from safetensors.torch import save_file
    sd = {k: v.detach().half().contiguous().cpu() for k, v in M.state_dict().items() if f".layers.{c.vl - 1}." not in k}
    save_file(sd, A.out + "/vision.tmp", metadata={"format": "pt"})
    os.replace(A.out + "/vision.tmp", A.out + "/vision.safetensors")
    res = {"seen": check("train"), "unseen": check("held"), "steps": P.n, "seconds": round(now() - (P.start or 0), 1)}
    log("vision saved; patch accuracy", res)
    json.dump(res, open(A.out + "/vision.json", "w"))


def load_vision(M, path):
    """Loads the tower; its unused last layer becomes the identity, since nothing reads it."""
    from safetensors.torch import load_file
    v = M.vision_tower.vision_model
    r = v.load_state_dict({k: x.float() for k, x in load_file(path).items()}, strict=False)
    assert not r.unexpected_keys and all(f".layers.{M.c.vl - 1}." in k for k in r.missing_keys), r
    with torch.no_grad():
        for n, p in v.encoder.layers[-1].named_parameters():
            p.fill_(1.) if "norm" in n and n.endswith("weight") else p.zero_()


# ---- language models

class Variant:
    """One language model and projector with the recipe of variants.json."""

    def __init__(s, name, spec, E):
        s.name, s.spec, s.E = name, spec, E
        torch.manual_seed(spec.get("seed", 0) + E.A.seed)
        s.M = Llava(E.c).to(E.dev)
        for p in s.M.vision_tower.parameters():
            p.requires_grad_(False)
        s.lm, s.proj = list(s.M.language_model.parameters()), list(s.M.multi_modal_projector.parameters())
        s.rng, s.stage, s.opt, s.n, s.mean = random.Random(E.A.seed + 5), None, None, 0, {}
        s.scores = []

    def enter(s, stage):
        if s.stage == stage:
            return
        s.stage = stage
        for p in s.lm:
            p.requires_grad_(stage != "align")
        s.opt = adam(s.proj if stage == "align" else s.lm + s.proj, 1e-3, s.spec.get("wd", .05), s.E.dev)
        log(s.name, "enters stage", stage)

    def lr(s, p):
        """Learning rate at progress p of the picture stage; `align` is the share that goes to the projector alone."""
        a = s.spec.get("align", 0.)
        if p < a:
            return s.spec.get("align_lr", 2e-3) * cosine(p / a, .05, .1)
        return s.spec["lr"] * cosine((p - a) / (1 - a), s.spec.get("warm", .03))

    def keep(s):
        """Stochastic depth: blocks of this step, the later the likelier to be skipped."""
        d, n = s.spec.get("drop", 0.), len(s.M.language_model.model.layers)
        return None if not d else [s.rng.random() >= d * i / (n - 1) for i in range(n)]

    def record(s, **k):
        for a, b in k.items():
            b = b.detach()
            s.mean[a] = b if a not in s.mean else s.mean[a] * .97 + b * .03

    def show(s):
        return s.name + " " + " ".join(f"{k} {float(v):.3f}" for k, v in s.mean.items())

    def backward(s, loss, lr):
        set_lr(s.opt, lr)
        s.opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in s.lm + s.proj if p.grad is not None], 1.)
        s.opt.step()
        s.n += 1

    def text_loss(s, rows):
        """Next-token prediction on rows of plain text [B, T]."""
        M, E = s.M, s.E
        with E.amp():
            h = M.lm(E.cast(M.embed(rows)), torch.arange(rows.shape[1], device=E.dev), run=E.block, keep=s.keep())
            h, t = h[:, :-1].flatten(0, 1), rows[:, 1:].flatten()
            pick = torch.randperm(len(t), device=E.dev)[:len(t) // 2]
            return F.cross_entropy(M.head(h[pick]).float(), t[pick])

    def picture_step(s, feats, b, p, text):
        """One step on pictures: features [B, 576, vd], packed conversations, progress, maybe rows of plain text."""
        M, E = s.M, s.E
        s.enter("align" if p < s.spec.get("align", 0.) else "tune")
        with E.amp():
            v = M.multi_modal_projector(feats)
            pre = M.embed(E.prefix).expand(len(v), -1, -1)
            x = torch.cat([E.cast(pre), E.cast(v), E.cast(M.embed(b["ids"]))], 1)
            h = M.lm(x, b["where"], b["mask"], E.p0, run=E.block, keep=s.keep())[:, E.p0:].flatten(0, 1)
            lab = b["lab"].flatten()

            def ce(i):
                return F.cross_entropy(M.head(h[i]).float(), lab[i])
            la = ce(b["answers"])
            loss = la
            s.record(answer=la)
            if s.spec.get("question"):
                lq = ce(b["questions"])
                loss = loss + s.spec["question"] * lq
                s.record(question=lq)
        every = s.spec.get("replay", 0)
        if every and text is not None and s.n % every == 0 and s.stage == "tune":
            lt = s.text_loss(text)
            s.record(text=lt)
            loss = loss + s.spec.get("replay_weight", 1.) * lt
        s.backward(loss, s.lr(p))

    def weights(s):
        return {k: v.detach().half().contiguous().cpu() for k, v in s.M.state_dict().items() if not k.startswith("vision_tower")}

    def save(s, out):
        from safetensors.torch import save_file
        save_file(s.weights(), f"{out}/{s.name}.tmp", metadata={"format": "pt"})
        os.replace(f"{out}/{s.name}.tmp", f"{out}/{s.name}.safetensors")

    def load(s, path):
        from safetensors.torch import load_file
        s.M.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)


def text_stage(A, E, group, rows):
    """Trains one language model on plain text and copies it to every variant of the group."""
    if not group:
        return {}
    lead = group[0]
    P = Progress(A.text_until, A.text_steps)
    lead.stage = "text"
    lead.opt = adam(lead.lm, A.text_lr, .05, E.dev)
    while not P.over():
        t = next(rows).to(E.dev, non_blocking=True).long()
        loss = lead.text_loss(t)
        lead.record(text=loss)
        lead.backward(loss, A.text_lr * cosine(P.value()))
        P.n += 1
        if P.n == 3:
            P.begin()
        if P.n % A.log_every == 0 or P.n == 3:
            log("text", P.n, "p %.3f" % P.value(), lead.show())
    log("text END steps", P.n, lead.show())
    for v in group[1:]:
        v.M.language_model.load_state_dict(lead.M.language_model.state_dict())
    for v in group:
        v.mean, v.n = {}, 0
    return {"steps": P.n, "loss": float(lead.mean.get("text", torch.tensor(0.))) if lead.mean else None}


def variants(A):
    specs = json.load(open(A.spec))
    names = A.names.split(",")
    E = Env(A)
    E.p0 = len(E.tok.prefix) + N_VISUAL
    focus = {k: float(v) for k, v in (x.split("=") for x in A.focus.split(",") if x)}
    it = loader(SceneBatches(E.tok, A.batch, 500 + A.seed, A.aug, focus=focus), A.workers, 6)
    rows = loader(TextRows(E.tok, A.text_batch, 640 if not A.tiny else 96, 900 + A.seed, DATA + "/glosses.txt"), A.text_workers, 8)
    for q in (it, rows):
        next(q)   # workers are forked before the device is opened
    E.open(A.batch)
    E.prefix = torch.tensor(E.tok.prefix, device=E.dev)
    group = [Variant(n, specs[n], E) for n in names]
    log("variants", names, "parameters M", round(sum(p.numel() for p in group[0].M.parameters()) / 1e6, 3))
    for v in group:
        if v.spec.get("init"):
            v.load(v.spec["init"])
            log(v.name, "starts from", v.spec["init"])
    results = {"stages": {}, "variants": {n: {"spec": specs[n], "scores": []} for n in names}}

    def flush():
        tmp = A.results + ".tmp"
        json.dump(results, open(tmp, "w"))
        os.replace(tmp, A.results)
    state = f"{A.out}/state-{'-'.join(names)}.pt"
    resumed = torch.load(state, map_location=E.dev) if A.resume and os.path.exists(state) else None
    scorer = Evaluator(E.tok, E.R, E.dev, A.evaln, min(64, A.evaln), log)
    # the picture block is compiled before the tower is there
    fake = torch.randn(A.batch, N_VISUAL, E.c.vd, device=E.dev)

    def prepare(b):
        b = E.to(b)
        b["mask"] = text_mask(b["seg"], E.p0, torch.float32 if A.cpu else torch.bfloat16)
        b["where"] = torch.cat([torch.arange(E.p0, device=E.dev).expand(len(b["pos"]), -1), b["pos"]], 1)
        return b
    b = prepare(next(it))
    warm = Variant("warm", {"lr": 1e-4, "question": .1}, E)
    with torch.no_grad(), E.amp():
        warm.M.features(E.R(b["P"], b["G"])[0], E.vision_block)
    for _ in range(2):
        warm.picture_step(fake, b, .5, None)
    if any(v.spec.get("align") for v in group):
        warm.spec["align"] = 1.
        warm.picture_step(fake, b, .5, None)
    del warm
    log("language block compiled")
    if resumed is None:
        results["stages"]["text"] = text_stage(A, E, [v for v in group if v.spec.get("text")], rows)
        flush()
    while not os.path.exists(A.vision):
        if now() > A.until - 60:
            raise SystemExit("no vision tower in time: " + A.vision)
        time.sleep(.5)
    for v in group:
        load_vision(v.M, A.vision)
    log("vision tower loaded")
    done = 0.
    if resumed:
        done = resumed["p"]
        for v, q in zip(group, resumed["variants"]):
            v.M.load_state_dict(q["model"])
            v.enter(q["stage"])
            v.opt.load_state_dict(q["opt"])
            v.n = q["n"]
        log("resumed at", round(done, 3))
    P = Progress(A.until - A.eval_time, A.steps, done)
    marks = [m for m in (float(x) for x in A.score_at.split(",") if x) if m > done]
    saved, uses_text = now(), any(v.spec.get("replay") for v in group)
    while not P.over():
        b = prepare(next(it))
        im, *_ = E.R(b["P"], b["G"])
        with torch.no_grad(), E.amp():
            feats = group[0].M.features(im, E.vision_block)
        need = uses_text and any(v.spec.get("replay") and v.n % v.spec["replay"] == 0 for v in group)
        text = next(rows).to(E.dev, non_blocking=True).long() if need else None
        p = P.value()
        for v in group:
            v.picture_step(feats, b, p, text)
        P.n += 1
        if P.n == 3:
            if E.dev != "cpu":
                torch.cuda.synchronize()
            P.begin()
        if P.n % A.log_every == 0 or P.n == 3:
            log("step", P.n, "p %.3f" % P.value(), "|", " | ".join(v.show() for v in group))
        if marks and P.value() > marks[0]:
            marks.pop(0)
            t = now()
            for v in group:
                r = scorer.quick(v.M)
                results["variants"][v.name]["scores"].append({"p": round(P.value(), 3), "step": P.n, "t": round(now(), 1), **r})
                log("SCORE", v.name, "p %.2f" % P.value(), line(r))
            flush()
            if P.start is not None:
                P.start += now() - t   # the clock of the schedule does not count scoring ...
            if not P.steps:
                P.until = A.until - A.eval_time   # ... but the end stays where it is
        if A.save_every and now() - saved > A.save_every:
            saved = now()
            torch.save({"p": P.value(), "variants": [{"model": v.M.state_dict(), "opt": v.opt.state_dict(), "stage": v.stage, "n": v.n} for v in group]}, state + ".tmp")
            os.replace(state + ".tmp", state)
    log("END steps", P.n, "ms/step", round((now() - (P.start or now())) / max(1, P.n - 3) * 1e3, 1))
    for v in group:
        v.save(A.out)
    log("saved")
    for v in group:
        r = scorer.full(v.M, lambda: now() > A.until + A.grace)
        results["variants"][v.name]["final"] = {"p": round(P.value(), 3), "step": P.n, "scenes": P.n * A.batch, "t": round(now(), 1), **r}
        log("FINAL", v.name, line(r))
        for k in ("describe_seen", "describe_unseen", "interventions"):
            if k in r:
                log("  ", k, json.dumps(r[k])[:1800])
        flush()
    log("done")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["vision", "variants"])
    here = os.path.dirname(os.path.abspath(__file__))
    for k, v in dict(out="run", batch=128, workers=8, seed=0, lr=1.5e-3, muon=.02, until=170., steps=0, checks=4, log_every=200, init="",
                     names="answers,llava", spec=here + "/variants.json", vision="", results="", text_until=120., text_steps=0, text_lr=1.5e-3,
                     text_batch=48, text_workers=4, eval_time=40., grace=15., evaln=256, score_at=".2,.45,.7", aug="mild", save_every=0., focus="").items():
        ap.add_argument("--" + k.replace("_", "-"), type=type(v), default=v)
    for k in ("cpu", "tiny", "eager", "resume"):
        ap.add_argument("--" + k, action="store_true")
    A = ap.parse_args()
    os.makedirs(A.out, exist_ok=True)
    A.vision = A.vision or A.out + "/vision.safetensors"
    A.results = A.results or A.out + f"/results-{A.names.replace(',', '-')}.json"
    (vision if A.what == "vision" else variants)(A)


if __name__ == "__main__":
    main()
