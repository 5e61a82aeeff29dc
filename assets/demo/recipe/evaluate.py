"""Scores a model in training: exact answers, describing, logit lens, ablation, attention knockout, with true masks.

Nothing here is trained on. `Evaluator(...)` draws its scenes once, from seeds that training does not use.
"""
import random

import numpy as np
import torch
import torch.nn.functional as F

from batches import TURNS, pack, text_length, unpack
from language import GROUPS, KINDS, Asker, short
from names import CATEGORY, CLASSES, COLOR_NAMES, GROUNDS, article, capital, plural
from net import N_VISUAL
from scenes import MAX_OBJECTS, Backgrounds, Scenes, load_sprites

NOVEL = 10**7   # seeds from here on are never used for training


def dilate(m):
    return F.max_pool2d(m.view(-1, 1, 24, 24).float(), 3, 1, 1).view(-1, N_VISUAL) > 0


class Evaluator:
    def __init__(s, tok, renderer, dev, n=256, batch=64, log=print):
        s.tok, s.R, s.dev, s.batch, s.log = tok, renderer, dev, batch, log
        s.np, s.p0 = len(tok.prefix), len(tok.prefix) + N_VISUAL
        s.meta, s.backs = load_sprites(), Backgrounds()
        s.pre = torch.tensor(tok.prefix, device=dev)
        one = tok.one
        s.forms = torch.zeros(len(CLASSES), tok.size, dtype=torch.bool)
        for i, c in enumerate(CLASSES):
            s.forms[i, [one(c), one(plural(c)), one(capital(c))]] = True
        s.loose = s.forms.clone()
        for i, c in enumerate(CLASSES):
            k = CATEGORY[c]
            s.loose[i, [one(k), one(plural(k)), one(capital(k))]] = True
        s.forms, s.loose = s.forms.to(dev), s.loose.to(dev)
        s.color = torch.tensor([[one(c), one(capital(c))] for c in COLOR_NAMES], device=dev)
        s.ground = torch.tensor([one(g) for g in GROUNDS], device=dev)
        s.sets = {}
        for k, split in enumerate(("train", "held")):
            sc = Scenes(NOVEL + k, split, s.meta, s.backs, "plain")
            ask = Asker(sc, NOVEL + 10 + k)
            items = [sc.scene() for _ in range(n)]
            P, G = sc.arrays(items)
            conv = [ask.conversation(x, TURNS, loose=False) for x in items]
            s.sets["seen" if k == 0 else "unseen"] = (items, torch.from_numpy(P), torch.from_numpy(G), conv)
        sc = Scenes(NOVEL + 5, "train", s.meta, s.backs, "plain")
        items = [sc.scene(distinct=True) for _ in range(n)]
        P, G = sc.arrays(items)
        s.sets["distinct"] = (items, torch.from_numpy(P), torch.from_numpy(G), None)

    def amp(s):
        return torch.autocast("cuda" if s.dev != "cpu" else "cpu", torch.bfloat16, enabled=s.dev != "cpu")

    def look(s, M, P, G):
        im, own, cover, ground = s.R(P, G)
        with s.amp():
            v = M.visual(im)
        return v.float(), own, cover, ground

    def embed(s, M, v, ids=None):
        parts = [M.embed(s.pre).expand(len(v), -1, -1).float(), v]
        if ids is not None:
            parts.append(M.embed(ids).float())
        x = torch.cat(parts, 1)
        return x if s.dev == "cpu" else x.bfloat16()

    def logits(s, M, v, ids, masks=None, frm=0):
        """Logits of text positions from `frm` on, of ids [B, T] after the picture."""
        t = s.p0 + ids.shape[1]
        with s.amp():
            h = M.lm(s.embed(M, v, ids), torch.arange(t, device=s.dev), masks=masks)
            return M.head(h[:, s.p0 + frm:].float()).float()

    @torch.no_grad()
    def answers(s, M, which):
        """Share of whole answers that greedy decoding gets exactly right, by kind and by group."""
        items, P, G, conv = s.sets[which]
        ok = np.zeros((len(KINDS), 2))
        n = text_length(s.tok)
        for i in range(0, len(items), s.batch):
            b = unpack({k: torch.from_numpy(v) for k, v in pack(s.tok, conv[i:i + s.batch], n, s.p0).items()}, s.dev)
            v, *_ = s.look(M, P[i:i + s.batch], G[i:i + s.batch])
            B = len(v)
            ids, seg = b["ids"], b["seg"]
            x = s.embed(M, v, ids)
            pos = torch.cat([torch.arange(s.p0, device=s.dev).expand(B, -1), b["pos"]], 1)
            with s.amp():
                h = M.lm(x, pos, text_mask(seg, s.p0, x.dtype), s.p0)[:, s.p0:].float()
                flat = b["answers"]
                guess = M.head(h.reshape(B * n, -1)[flat]).argmax(-1)
            lab = b["lab"].view(-1)[flat]
            bad = torch.zeros(B, TURNS, dtype=torch.long, device=s.dev)
            row, turn = flat // n, seg.view(-1)[flat].long()
            bad.index_put_((row, turn), (guess != lab).long(), accumulate=True)
            right = (bad == 0).cpu().numpy()
            kinds = b["kinds"].cpu().numpy()
            for k in range(len(KINDS)):
                ok[k] += right[kinds == k].sum(), (kinds == k).sum()
        out = {g: [round(ok[[KINDS.index(k) for k in ks], 0].sum() / max(1, ok[[KINDS.index(k) for k in ks], 1].sum()), 4),
                   int(ok[[KINDS.index(k) for k in ks], 1].sum())] for g, ks in GROUPS.items()}
        out["all"] = [round(ok[:, 0].sum() / ok[:, 1].sum(), 4), int(ok[:, 1].sum())]
        out["kinds"] = {k: round(a / max(1, b), 3) for k, (a, b) in zip(KINDS, ok)}
        return out

    @torch.no_grad()
    def lens(s, M, which="seen"):
        """Per level: share of object patches (cover > .5) whose top-1 / top-5 is the object's own word (strict; lenient adds
        its category), other classes' words as a control, background patches' own word, objects with a patch that reads."""
        items, P, G, _ = s.sets[which]
        L = M.c.layers + 1
        acc, n_obj, n_bg, n_things = np.zeros((L, 8)), 0, 0, 0
        for i in range(0, len(items), s.batch):
            p = P[i:i + s.batch].to(s.dev)
            v, own, cover, ground = s.look(M, p, G[i:i + s.batch])
            cls = torch.gather(p[:, :, 1].long(), 1, own.clamp(min=0))
            cov = torch.gather(cover, 1, own.clamp(min=0)[:, None]).squeeze(1)
            obj, bg = (own >= 0) & (cov > .5), cover.sum(1) < .02
            thing = (torch.arange(len(v), device=s.dev)[:, None] * MAX_OBJECTS + own.clamp(min=0))[obj]
            n_obj, n_bg, n_things = n_obj + int(obj.sum()), n_bg + int(bg.sum()), n_things + len(thing.unique())
            with s.amp():
                levels = M.lm(s.embed(M, v), torch.arange(s.p0, device=s.dev), hidden=True)
            col = torch.gather(p[:, :, 11].long(), 1, own.clamp(min=0))[obj]
            for k, h in enumerate(levels):
                with s.amp():
                    top = M.head(h[:, s.np:].float()).float().topk(5, -1).indices
                t = top[obj]
                hit = torch.gather(s.forms[cls[obj]], 1, t)
                soft = torch.gather(s.loose[cls[obj]], 1, t)
                other = torch.gather(s.forms[(cls[obj] + 37) % len(CLASSES)], 1, t)
                paint = (t[:, :, None] == s.color[col.clamp(min=0)][:, None]).any(-1) & (col >= 0)[:, None]
                b = top[bg] == s.ground[ground[bg]][:, None]
                reads = torch.zeros(len(v) * MAX_OBJECTS, device=s.dev).index_add_(0, thing, hit[:, 0].float())
                acc[k] += [float(x) for x in (hit[:, 0].sum(), hit.any(1).sum(), soft[:, 0].sum(), soft.any(1).sum(), other.any(1).sum(),
                                              b[:, 0].sum(), (reads > 0).sum(), paint[:, 0].sum())]
        names = ["top1", "top5", "top1_lenient", "top5_lenient", "other_top5", "ground_top1", "objects_read", "color_top1"]
        div = [n_obj] * 5 + [max(1, n_bg), max(1, n_things), n_obj]
        return {"patches": n_obj, **{a: [round(float(x), 4) for x in acc[:, j] / div[j]] for j, a in enumerate(names)}}

    @torch.no_grad()
    def generate(s, M, v, ids, n=40):
        """Greedy answers after the prompt ids [B, T]; plain and slow, the picture is read anew for every token."""
        start = ids.shape[1]
        done = torch.zeros(len(ids), dtype=torch.bool, device=s.dev)
        for _ in range(n):
            nxt = s.logits(M, v, ids, frm=ids.shape[1] - 1)[:, -1].argmax(-1)
            nxt = torch.where(done, s.tok.eos, nxt)
            done |= nxt == s.tok.eos
            ids = torch.cat([ids, nxt[:, None]], 1)
            if bool(done.all()):
                break
        return ids[:, start:]

    def prompt(s, q):
        return torch.tensor(s.tok.turn(q)[0], device=s.dev)

    @torch.no_grad()
    def describe(s, M, which, limit=128):
        """Greedy descriptions: share of the objects' classes that are named, share of named classes that are not there."""
        items, P, G, _ = s.sets[which]
        name_of = {}
        for c in CLASSES:
            for w in (c, plural(c), capital(c)):
                name_of[s.tok.one(w)] = c
        found = there = wrong = named = exact = 0
        examples = []
        for i in range(0, min(limit, len(items)), s.batch):
            v, *_ = s.look(M, P[i:i + s.batch], G[i:i + s.batch])
            out = s.generate(M, v, s.prompt("Describe the image.").expand(len(v), -1)).tolist()
            for sc, ids in zip(items[i:i + s.batch], out):
                true = {o["c"] for o in sc["objs"]}
                said = {name_of[t] for k, t in enumerate(ids) if t in name_of and not (
                    name_of[t] == "orange" and k + 1 < len(ids) and ids[k + 1] in name_of)}
                found, there = found + len(true & said), there + len(true)
                wrong, named = wrong + len(said - true), named + len(said)
                text = s.tok.decode(ids)
                exact += text == short(sc)
                if len(examples) < 6:
                    examples.append([short(sc), text])
        n = min(limit, len(items))
        return dict(recall=round(found / there, 4), false_names=round(wrong / max(1, named), 4), exact=round(exact / n, 4), n=n, examples=examples)

    def targets(s, i):
        """One object a scene that its category names alone; index or -1."""
        items, *_ = s.sets["distinct"]
        r, out = random.Random(4 + i), []
        for sc in items[i:i + s.batch]:
            O = sc["objs"]
            ok = [k for k, o in enumerate(O) if CATEGORY[o["c"]] != "thing" and sum(CATEGORY[p["c"]] == CATEGORY[o["c"]] for p in O) == 1]
            out.append(r.choice(ok) if ok and len(O) > 1 else -1)
        return out

    @torch.no_grad()
    def interventions(s, M, limit=192):
        """Ablation (tokens := mean visual token) and knockout of attention, share still right among those right before."""
        items, P, G, _ = s.sets["distinct"]
        L, dev = M.c.layers, s.dev
        mean = s.look(M, P[:s.batch], G[:s.batch])[0].mean((0, 1))
        conds = ["none", "object", "object+1", "random=object", "random=object+1", "norm=object"]
        A = {t: {k: [0, 0] for k in conds} for t in ("describe", "vqa", "poll")}
        K, kn, sizes = {}, 0, np.zeros(3)
        wins = [(a, a + 3) for a in range(0, L - 2)] + [(0, L)]
        for i in range(0, min(limit, len(items)), s.batch):
            tg = s.targets(i)
            v, own, *_ = s.look(M, P[i:i + s.batch], G[i:i + s.batch])
            tt = torch.tensor(tg, device=dev)
            keep = [b for b in range(len(v)) if tg[b] >= 0 and int((own[b] == tg[b]).sum()) >= 6]
            if not keep:
                continue
            v, own, t = v[keep], own[keep], tt[keep]
            O = [items[i + b]["objs"][tg[b]] for b in keep]
            B = len(v)
            om = own == t[:, None]
            om1 = dilate(om) & ~((own >= 0) & ~om)
            sizes += int(om.sum()), int(om1.sum()), B
            gen = torch.Generator(device="cpu").manual_seed(i)

            def rnd(n, avoid):
                z = torch.rand(B, N_VISUAL, generator=gen).to(dev).masked_fill(avoid, -1)
                return (z.argsort(1, descending=True).argsort(1) < n[:, None]) & ~avoid
            norm = v.norm(dim=-1).argsort(1, descending=True).argsort(1)
            masks = {"none": om & False, "object": om, "object+1": om1, "random=object": rnd(om.sum(1), om),
                     "random=object+1": rnd(om1.sum(1), om1), "norm=object": norm < om.sum(1)[:, None]}
            nid = torch.tensor([s.tok.one(o["c"]) for o in O], device=dev)
            qs = [s.tok.turn(f"What {CATEGORY[o['c']]} is in the image?", capital(article((o["col"] + " " if o["col"] else "") + o["c"])) + ".") for o in O]
            ps = [s.tok.turn(f"Is there {article(o['c'])} in the image?", "Yes.") for o in O]

            def pad(q):
                m = max(len(x) for x, _ in q)
                return torch.tensor([x + [s.tok.pad] * (m - len(x)) for x, _ in q], device=dev)
            iv, ip = pad(qs), pad(ps)
            where = torch.tensor([n - 1 + x[n:].index(s.tok.one(o["c"])) for (x, n), o in zip(qs, O)], device=dev)
            pwhere = torch.tensor([n - 1 for _, n in ps], device=dev)
            yes, ar = s.tok.one("Yes"), torch.arange(B, device=dev)
            dq = s.prompt("Describe the image.").expand(B, -1)
            base = {}
            for k, m in masks.items():
                vv = torch.where(m[..., None], mean, v)
                got = {"vqa": s.logits(M, vv, iv)[ar, where].argmax(-1) == nid, "poll": s.logits(M, vv, ip)[ar, pwhere].argmax(-1) == yes,
                       "describe": (s.generate(M, vv, dq, 22) == nid[:, None]).any(1)}
                base = got if k == "none" else base
                for name, g in got.items():
                    A[name][k][0] += int((g & base[name]).sum())
                    A[name][k][1] += int(base[name].sum())
            T = s.p0 + iv.shape[1]
            causal = torch.tril(torch.ones(T, T, dtype=torch.bool, device=dev))[None, None].expand(B, -1, -1, -1)
            start = torch.tensor([n - 1 for _, n in qs], device=dev)
            last = torch.arange(T, device=dev)[None] >= s.p0 + start[:, None]
            lg = s.logits(M, v, iv)[ar, where]
            right, p0 = lg.argmax(-1) == nid, lg.softmax(-1)[ar, nid]
            kn += int(right.sum())
            e = K.setdefault("none", [0, 0.])
            e[0] += int(right.sum())
            e[1] += float(p0[right].sum())
            for name, key, ws in [("object+1", om1, wins), ("random", masks["random=object+1"], [(0, L)]), ("everything", om | True, wins)]:
                kk = torch.zeros(B, T, dtype=torch.bool, device=dev)
                kk[:, s.np:s.p0] = key
                cut = causal & ~(last[:, None, :, None] & kk[:, None, None, :])
                for a, b in ws:
                    lg = s.logits(M, v, iv, [cut if a <= q < b else causal for q in range(L)])[ar, where]
                    e = K.setdefault(f"{name}->last {a}-{b - 1}", [0, 0.])
                    e[0] += int(((lg.argmax(-1) == nid) & right).sum())
                    e[1] += float(lg.softmax(-1)[ar, nid][right].sum())
        return {"ablation": {t: {k: [round(a / max(1, n), 3), n] for k, (a, n) in d.items()} for t, d in A.items()},
                "patches": [round(float(x / max(1, sizes[2])), 1) for x in sizes[:2]],
                "knockout": {k: [round(a / max(1, kn), 3), round(b / max(1, kn), 3)] for k, (a, b) in K.items()}, "knockout_n": kn}

    def quick(s, M):
        """What is scored along the way."""
        M.eval()
        out = {"seen": s.answers(M, "seen"), "unseen": s.answers(M, "unseen"), "lens": s.lens(M)}
        M.train()
        return out

    def full(s, M, until=lambda: False):
        M.eval()
        out = s.quick(M)
        for name, f in (("describe_seen", lambda: s.describe(M, "seen")), ("lens_unseen", lambda: s.lens(M, "unseen")),
                        ("interventions", lambda: s.interventions(M)), ("describe_unseen", lambda: s.describe(M, "unseen"))):
            if until():
                s.log("no time left for", name)
                break
            out[name] = f()
        return out


def text_mask(seg, p0, dtype):
    """Additive mask [B, 1, T, p0 + T]: text sees the prefix and picture, and its own turn up to itself."""
    B, T = seg.shape
    same = (seg[:, :, None] == seg[:, None, :]) & torch.tril(torch.ones(T, T, dtype=torch.bool, device=seg.device))
    see = torch.cat([torch.ones(B, T, p0, dtype=torch.bool, device=seg.device), same], 2)
    return torch.zeros(B, 1, T, p0 + T, dtype=dtype, device=seg.device).masked_fill_(~see[:, None], float("-inf"))


def line(r):
    """One line of a score."""
    g = " ".join(f"{k}={v[0]:.3f}" for k, v in r["seen"].items() if k != "kinds")
    return f"seen {g} | unseen all={r['unseen']['all'][0]:.3f} what={r['unseen']['what object'][0]:.3f} | lens top1 {r['lens']['top1']}"
