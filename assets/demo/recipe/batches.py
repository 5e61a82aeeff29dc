"""Batches for training: scenes with packed conversations, scenes alone, and rows of plain text. CPU worker processes."""
import random

import numpy as np
import torch

from language import Asker, KIND_ID, scene_document
from names import CLASSES
from net import N_VISUAL
from scenes import Backgrounds, Scenes, load_sprites

TURNS = 14


def text_length(tok, want=256):
    """Length of the packed text, such that prefix + picture + text is a multiple of 8."""
    n = len(tok.prefix) + N_VISUAL + want
    return want + (-n) % 8


def pack(tok, conversations, length, start):
    """Turns packed one after another; each sees the picture and itself only.

    -> ids, lab (next token or -100), seg (turn or -1), pos, each [B, length]; flat indices of the positions that predict
    `answers` and `questions`; kinds [B, TURNS] (KIND_ID or -1).
    """
    B = len(conversations)
    ids = np.full((B, length), tok.pad, np.int16)
    lab = np.full((B, length), -100, np.int16)
    part = np.zeros((B, length), np.int8)
    seg = np.full((B, length), -1, np.int8)
    pos = np.zeros((B, length), np.int16)
    kinds = np.full((B, TURNS), -1, np.int8)
    for b, turns in enumerate(conversations):
        at = 0
        for j, (kind, q, a) in enumerate(turns):
            x, n = tok.turn(q, a)
            if at + len(x) > length:
                continue
            e = at + len(x)
            ids[b, at:e] = x
            lab[b, at:e - 1] = x[1:]
            part[b, at:at + n - 1] = 2
            part[b, at + n - 1:e - 1] = 1
            seg[b, at:e] = j
            pos[b, at:e] = np.arange(start, start + len(x))
            kinds[b, j] = KIND_ID[kind]
            at = e
    answers, questions = (np.flatnonzero((part == k) & (lab >= 0)).astype(np.int32) for k in (1, 2))
    return dict(ids=ids, lab=lab, seg=seg, pos=pos, kinds=kinds, answers=answers, questions=questions)


def unpack(b, dev):
    """The small integers of `pack` as int64 on the device."""
    return {k: (v if v.is_floating_point() else v.long()) for k, v in ((k, v.to(dev, non_blocking=True)) for k, v in b.items())}


class SceneBatches(torch.utils.data.IterableDataset):
    """Endless batches: P, G and, unless `text` is off, the packed conversations. `focus`: kinds asked so much more often."""

    def __init__(s, tok, batch, seed, aug="mild", text=True, split="train", turns=TURNS, focus=None):
        s.tok, s.batch, s.seed, s.aug, s.text, s.split, s.turns = tok, batch, seed, aug, text, split, turns
        s.meta, s.backs, s.focus = load_sprites(), Backgrounds(), focus or {}

    def __iter__(s):
        w = torch.utils.data.get_worker_info()
        seed = s.seed * 1000003 + 7919 * (w.id if w else 0)
        scenes = Scenes(seed, s.split, s.meta, s.backs, s.aug)
        ask = Asker(scenes, seed + 1)
        for kind, times in s.focus.items():
            ask.weights[kind] *= times
        n, start = text_length(s.tok), len(s.tok.prefix) + N_VISUAL
        while True:
            sc = [scenes.scene() for _ in range(s.batch)]
            P, G = scenes.arrays(sc)
            out = dict(P=P, G=G)
            if s.text:
                out.update(pack(s.tok, [ask.conversation(x, s.turns) for x in sc], n, start))
            yield {k: torch.from_numpy(v) for k, v in out.items()}


class TextRows(torch.utils.data.IterableDataset):
    """Endless rows [batch, length] of plain text: glosses, conversations about described scenes, lists said twice."""

    def __init__(s, tok, batch, length, seed, glosses):
        s.tok, s.batch, s.length, s.seed = tok, batch, length, seed
        with open(glosses) as f:
            s.lines = [[tok.bos] + e.ids + [tok.eos] for e in tok.t.encode_batch(f.read().splitlines(), add_special_tokens=False)]
        s.meta, s.backs = load_sprites(), Backgrounds()

    def document(s, r, ask):
        t = s.tok
        u = r.random()
        if u < .4:
            return r.choice(s.lines)
        if u < .5:
            words = " ".join(r.sample(CLASSES, r.randint(3, 9)))
            return [t.bos] + t.raw(f"{words}. {words}.") + [t.eos]
        sc = ask.scenes.scene()
        if u < .65:
            return [t.bos] + t.raw(ask.ask(r.choice(["desc", "detail"]), sc)[1]) + [t.eos]
        out = [t.bos]
        doc = scene_document(ask, sc, r.randint(2, 6))
        for i, (a, b) in enumerate(doc):
            out += t.words(a) if not a.startswith("\n") else t.first(a[1:].split(" ")[0]) + t.words(" ".join(a[1:].split(" ")[1:]))
            if b:
                out += t.words(b[1:]) + [t.eos]
        return out

    def __iter__(s):
        w = torch.utils.data.get_worker_info()
        seed = s.seed * 1000003 + 104729 * (w.id if w else 0)
        scenes = Scenes(seed, "train", s.meta, s.backs)
        ask, r = Asker(scenes, seed + 1), random.Random(seed + 2)
        rest = []
        while True:
            need = s.batch * s.length + 1
            while len(rest) < need:
                rest += s.document(r, ask)
            yield torch.tensor(rest[:need - 1], dtype=torch.int16).view(s.batch, s.length)
            rest = rest[need - 1:]


def loader(data, workers, prefetch=4):
    return iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=prefetch if workers else None))
