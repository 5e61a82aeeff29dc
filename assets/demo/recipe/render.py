"""Scenes as pictures, batched, on the GPU (or slowly on the CPU), with exact masks.

Every drawing is sampled into place by an inverse affine map, over a crop of a painted background, with a soft shadow:
cast on the ground for things that stand, dropped for things that float.
"""
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F

from scenes import DATA, IMG, load_sprites, sprite_image

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
GRID = 24


def rotate_hue(rgb, angle, sat):
    """Turns the chroma plane of YIQ by `angle` and scales it by `sat`; luma stays. rgb [B, 3, H, W], angle and sat [B]."""
    r, g, b = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    y, i, q = .299 * r + .587 * g + .114 * b, .596 * r - .274 * g - .322 * b, .211 * r - .523 * g + .312 * b
    c, s = (torch.cos(angle) * sat)[:, None, None], (torch.sin(angle) * sat)[:, None, None]
    i, q = c * i - s * q, s * i + c * q
    return torch.stack([y + .956 * i + .621 * q, y - .272 * i - .647 * q, y - 1.106 * i + 1.703 * q], 1)


class Renderer:
    def __init__(s, dev, backs, sprites=None, threads=16):
        s.dev = dev
        meta = load_sprites(sprites)
        path = sprites or DATA + "/sprites.zip"

        def load(ids):
            with zipfile.ZipFile(path) as z:
                return [np.asarray(sprite_image(z, i)) for i in ids]
        parts = [range(k, len(meta), threads) for k in range(threads)]
        sp = [None] * len(meta)
        with ThreadPoolExecutor(threads) as ex:
            for part, ims in zip(parts, ex.map(load, parts)):
                for i, im in zip(part, ims):
                    sp[i] = im
        a = torch.from_numpy(np.stack(sp)).to(dev).permute(0, 3, 1, 2)
        s.sp = torch.empty_like(a, memory_format=torch.contiguous_format)
        for k in range(0, len(a), 512):   # premultiplied
            b = a[k:k + 512].float()
            s.sp[k:k + 512] = torch.cat([(b[:, :3] * b[:, 3:] / 255).round(), b[:, 3:]], 1).to(torch.uint8)
        s.box = torch.tensor([m["box"] for m in meta], device=dev)
        s.bg = torch.from_numpy(backs["im"]).to(dev).permute(0, 3, 1, 2).contiguous()
        s.lab = torch.from_numpy(backs["lab"]).to(dev)
        g = (torch.arange(IMG, device=dev) + .5) / (IMG / 2) - 1
        s.gy, s.gx = torch.meshgrid(g, g, indexing="ij")
        p = (torch.arange(GRID, device=dev) + .5) / (GRID / 2) - 1
        s.py, s.px = torch.meshgrid(p, p, indexing="ij")
        s.cool = torch.tensor([1., .96, .9], device=dev).view(1, 3, 1, 1)   # shadows are bluish
        s.mean, s.std = (torch.tensor(v, device=dev).view(1, 3, 1, 1) for v in (MEAN, STD))
        s.f_back, s.f_layer, s.size = s.back, s.layer, None

    def compile(s, batch):
        """Batches of this size run compiled."""
        s.size = batch
        s.f_back = torch.compile(s.back, dynamic=False)
        s.f_layer = torch.compile(s.layer, dynamic=False)

    def crop(s, G, gx, gy):
        z, f = G[:, 2, None, None], G[:, 1, None, None]
        return (gx[None] * z + (2 * G[:, 3, None, None] - 1) * (1 - z)) * f, gy[None] * z + (2 * G[:, 4, None, None] - 1) * (1 - z)

    def back(s, G):
        x, y = s.crop(G, s.gx, s.gy)
        return F.grid_sample(s.bg[G[:, 0].long()].float() / 255, torch.stack([x, y], -1), align_corners=False, padding_mode="reflection")

    def layer(s, img, p):
        """img [B, 3, H, W] with one object p [B, P_SIZE] on top, and its alpha [B, H, W]."""
        on = (p[:, 0] >= 0).float()[:, None, None]
        sid = p[:, 0].clamp(min=0).long()
        t = s.sp[sid].float() / 255
        a, rgb = t[:, 3:], t[:, :3]
        # colour: named tint, or hue, saturation, contrast, gains
        c = p[:, 8:11, None, None]
        luma = (.30 * rgb[:, :1] + .59 * rgb[:, 1:2] + .11 * rgb[:, 2:])
        tint = torch.minimum((c.clamp(min=0) * (luma + .30 * a)).clamp(max=1) + (luma - .75 * a).clamp(min=0) * .8, a)
        free = rotate_hue(rgb, p[:, 20], p[:, 21])
        mid = .5 * a
        free = (mid + (free - mid) * p[:, 22, None, None, None]) * p[:, 12:15, None, None]
        rgb = torch.where((c[:, :1] >= 0), tint, free) * p[:, 7, None, None, None]
        t = torch.cat([torch.minimum(rgb.clamp(min=0), a), a], 1)
        soft = F.avg_pool2d(t, 7, 1, 3)
        t = t + (soft - t) * p[:, 23, None, None, None]
        shade = F.avg_pool2d(F.avg_pool2d(a, 9, 1, 4), 9, 1, 4)
        half = (p[:, 4] / 2).clamp(min=1)[:, None, None]
        dx = (s.gx[None] + 1) * (IMG / 2) - p[:, 2, None, None]
        dy = (s.gy[None] + 1) * (IMG / 2) - p[:, 3, None, None]
        cs, sn = torch.cos(p[:, 5])[:, None, None], torch.sin(p[:, 5])[:, None, None]
        flip = p[:, 6, None, None]

        def place(ox, oy, grow):
            ex, ey = dx - ox * half, dy - oy * half
            u, v = (cs * ex + sn * ey) / (half * grow), (-sn * ex + cs * ey) / (half * grow)
            u = (u + p[:, 15, None, None] * v) * p[:, 16, None, None]
            w, ph, k = p[:, 17, None, None], p[:, 18, None, None], p[:, 19, None, None] * 3.14159
            u2 = u + w * torch.sin(k * v + ph)
            v2 = v + w * torch.sin(k * u + 1.7 * ph)
            return torch.stack([u2 * flip, v2], -1)
        ground = (p[:, 24] > .5)[:, None, None]
        bottom = s.box[sid, 3][:, None, None]
        rise = dy - bottom * half
        cast = torch.stack([(dx - p[:, 25, None, None] * rise) / half * flip, bottom + rise / (half * p[:, 26, None, None])], -1)
        grid = torch.where(ground[..., None], cast, place(.09, .11, 1.03))
        sh = F.grid_sample(shade, grid, align_corners=False)[:, 0]
        wide = ((s.box[sid, 2] - s.box[sid, 0]) * .5)[:, None, None] * half
        contact = torch.exp(-((dx / (wide * .62)) ** 2 + (rise / (half * .085)) ** 2)) * .75
        sh = torch.where(ground, torch.maximum(sh * .8, contact), sh) * p[:, 27, None, None] * on
        img = img * (1 - sh[:, None] * s.cool)
        y = F.grid_sample(t, place(0., 0., 1.), align_corners=False) * on[:, None]
        return img * (1 - y[:, 3:]) + y[:, :3], y[:, 3]

    @torch.no_grad()
    def pixels(s, P, G):
        """-> pictures [B, 3, IMG, IMG] in 0..1, alphas: list of [B, IMG, IMG] of what each object leaves visible."""
        fast = s.size == len(P)
        img = (s.f_back if fast else s.back)(G)
        seen = []
        for k in range(P.shape[1]):
            img, a = (s.f_layer if fast else s.layer)(img, P[:, k])
            seen = [q * (1 - a) for q in seen] + [a]
        gain, con = G[:, 5, None, None, None], G[:, 8, None, None, None]
        img = ((img - .5) * con + .5) * gain
        img = torch.where(G[:, 9, None, None, None] > .5, F.avg_pool2d(img, 3, 1, 1), img)
        if float(G[:, 7].max()) > 0:
            img = img + torch.randn_like(img[:, :1]) * G[:, 7, None, None, None]
        return img.clamp(0, 1), seen

    @torch.no_grad()
    def __call__(s, P, G):
        """-> CLIP-normalised pictures, own [B, 576] object of the patch or -1, cover [B, K, 576], ground [B, 576]."""
        P, G = P.to(s.dev, non_blocking=True), G.to(s.dev, non_blocking=True)
        img, seen = s.pixels(P, G)
        cover = torch.stack([F.avg_pool2d(a[:, None], 14)[:, 0].flatten(1) for a in seen], 1)
        top, own = cover.max(1)
        own = torch.where(top > .35, own, -1)
        x, y = s.crop(G, s.px, s.py)
        n = s.lab.shape[-1]
        j, i = (((v + 1) / 2 * n).long().clamp(0, n - 1) for v in (x, y))
        ground = s.lab[G[:, 0].long()[:, None, None], i, j].flatten(1).long()
        return (img - s.mean) / s.std, own, cover, ground
