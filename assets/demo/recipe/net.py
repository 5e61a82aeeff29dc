"""LLaVA-1.5 in plain torch; parameter names are those of the llava-hf checkpoints, so that export is a copy."""
import math
from types import SimpleNamespace

import torch
import torch.nn as nn
import torch.nn.functional as F

N_VISUAL = 576


def config(**k):
    c = dict(vd=256, vl=6, vh=4, vf=1024, img=336, patch=14, d=256, layers=10, heads=8, f=448, vocab=2048, theta=10000., eps=1e-5,
             max_pos=1024)
    c.update(k)
    return SimpleNamespace(**c)


def vision_block(x, heads, n1w, n1b, qw, qb, kw, kb, vw, vb, ow, ob, n2w, n2b, w1, b1, w2, b2):
    """One CLIP layer as a function of its weights, so that one compilation serves every layer. x [B, T, D]."""
    b, t, d = x.shape
    y = F.layer_norm(x, (d,), n1w, n1b, 1e-5)
    q, k, v = (F.linear(y, w, c).view(b, t, heads, d // heads).transpose(1, 2) for w, c in ((qw, qb), (kw, kb), (vw, vb)))
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d)
    x = x + F.linear(y, ow, ob)
    y = F.linear(F.layer_norm(x, (d,), n2w, n2b, 1e-5), w1, b1)
    return x + F.linear(y * torch.sigmoid(1.702 * y), w2, b2)


def rms_norm(x, weight, eps):
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)
    return (y * weight).to(x.dtype)


def block(x, cos, sin, mask, head, heads, eps, n1, qw, kw, vw, ow, n2, gw, uw, dw):
    """One LLaMA block as a function of its weights. x [B, T, D].

    `mask` None: causal. A mask of T rows is added as it is. Else the first `head` rows are causal among themselves and
    `mask` [B, 1, T - head, T] is added for the rest.
    """
    b, t, d = x.shape
    y = rms_norm(x, n1, eps)
    q, k, v = (F.linear(y, w).view(b, t, heads, d // heads).transpose(1, 2) for w in (qw, kw, vw))

    def turn(z):
        p, n = z.chunk(2, -1)
        return z * cos + torch.cat((-n, p), -1) * sin
    q, k = turn(q), turn(k)
    if mask is None:
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    elif mask.shape[-2] == t:
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    else:
        a = F.scaled_dot_product_attention(q[:, :, :head], k[:, :, :head], v[:, :, :head], is_causal=True)
        o = torch.cat([a, F.scaled_dot_product_attention(q[:, :, head:], k, v, attn_mask=mask)], 2)
    x = x + F.linear(o.transpose(1, 2).reshape(b, t, d), ow)
    y = rms_norm(x, n2, eps)
    return x + F.linear(F.silu(F.linear(y, gw)) * F.linear(y, uw), dw)


class VisionAttention(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.q_proj, s.k_proj, s.v_proj, s.out_proj = (nn.Linear(c.vd, c.vd) for _ in range(4))


class VisionMlp(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.fc1, s.fc2 = nn.Linear(c.vd, c.vf), nn.Linear(c.vf, c.vd)


class VisionLayer(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.heads = c.vh
        s.layer_norm1, s.self_attn = nn.LayerNorm(c.vd, eps=1e-5), VisionAttention(c)
        s.layer_norm2, s.mlp = nn.LayerNorm(c.vd, eps=1e-5), VisionMlp(c)

    def weights(s):
        parts = (s.layer_norm1, s.self_attn.q_proj, s.self_attn.k_proj, s.self_attn.v_proj, s.self_attn.out_proj, s.layer_norm2,
                 s.mlp.fc1, s.mlp.fc2)
        return [w for p in parts for w in (p.weight, p.bias)]

    def forward(s, x, run=vision_block):
        return run(x, s.heads, *s.weights())


class VisionEmbeddings(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.class_embedding = nn.Parameter(torch.randn(c.vd) * .02)
        s.patch_embedding = nn.Conv2d(3, c.vd, c.patch, c.patch, bias=False)
        s.position_embedding = nn.Embedding((c.img // c.patch) ** 2 + 1, c.vd)

    def forward(s, im):
        x = s.patch_embedding(im).flatten(2).transpose(1, 2)
        return torch.cat([s.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], 1) + s.position_embedding.weight


class VisionModel(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.embeddings, s.pre_layrnorm = VisionEmbeddings(c), nn.LayerNorm(c.vd, eps=1e-5)
        s.encoder = nn.Module()
        s.encoder.layers = nn.ModuleList(VisionLayer(c) for _ in range(c.vl))
        s.post_layernorm = nn.LayerNorm(c.vd, eps=1e-5)

    def forward(s, im, run=vision_block, last=False):
        """Output of the last layer but one (`vision_feature_layer` -2), class token first; `last` adds the last layer's."""
        x = s.pre_layrnorm(s.embeddings(im))
        for layer in s.encoder.layers[:-1]:
            x = layer(x, run)
        return (x, s.encoder.layers[-1](x, run)) if last else x


class RmsNorm(nn.Module):
    def __init__(s, d, eps):
        super().__init__()
        s.weight, s.eps = nn.Parameter(torch.ones(d)), eps

    def forward(s, x):
        return rms_norm(x, s.weight, s.eps)


class Attention(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.q_proj, s.k_proj, s.v_proj, s.o_proj = (nn.Linear(c.d, c.d, bias=False) for _ in range(4))


class Mlp(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.gate_proj, s.up_proj = nn.Linear(c.d, c.f, bias=False), nn.Linear(c.d, c.f, bias=False)
        s.down_proj = nn.Linear(c.f, c.d, bias=False)


class Layer(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.heads = c.heads
        s.self_attn, s.mlp = Attention(c), Mlp(c)
        s.input_layernorm, s.post_attention_layernorm = RmsNorm(c.d, c.eps), RmsNorm(c.d, c.eps)

    def weights(s):
        a, m = s.self_attn, s.mlp
        return [p.weight for p in (s.input_layernorm, a.q_proj, a.k_proj, a.v_proj, a.o_proj, s.post_attention_layernorm,
                                   m.gate_proj, m.up_proj, m.down_proj)]

    def forward(s, x, cos, sin, mask=None, head=0, run=block):
        return run(x, cos, sin, mask, head, s.heads, s.input_layernorm.eps, *s.weights())


class Decoder(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.embed_tokens = nn.Embedding(c.vocab, c.d)
        s.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        s.norm = RmsNorm(c.d, c.eps)


class LanguageModel(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.model, s.lm_head = Decoder(c), nn.Linear(c.d, c.vocab, bias=False)


class Projector(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.linear_1, s.linear_2 = nn.Linear(c.vd, c.d), nn.Linear(c.d, c.d)

    def forward(s, x):
        return s.linear_2(F.gelu(s.linear_1(x)))


class VisionTower(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.vision_model = VisionModel(c)


def init(module, c):
    for n, p in module.named_parameters():
        if p.dim() == 2:
            if "embed" in n or "lm_head" in n:
                nn.init.normal_(p, std=.02)
            else:
                nn.init.normal_(p, std=.5 / math.sqrt(p.shape[1]))
            if n.endswith(("o_proj.weight", "down_proj.weight")):
                p.data /= math.sqrt(2 * c.layers) * .5
            if n.endswith(("out_proj.weight", "fc2.weight")):
                p.data /= math.sqrt(2 * c.vl) * .5
        elif n.endswith("bias"):
            nn.init.zeros_(p)


class Llava(nn.Module):
    """The whole model. `run` lets training put the compiled block in."""

    def __init__(s, c):
        super().__init__()
        s.c = c
        s.vision_tower, s.multi_modal_projector, s.language_model = VisionTower(c), Projector(c), LanguageModel(c)
        init(s, c)

    def features(s, im, run=vision_block):
        """Pictures [B, 3, 336, 336] -> [B, 576, vd]."""
        return s.vision_tower.vision_model(im, run)[:, 1:]

    def visual(s, im, run=vision_block):
        return s.multi_modal_projector(s.features(im, run))

    def embed(s, ids):
        return s.language_model.model.embed_tokens(ids)

    def rope(s, pos, dtype):
        """pos [T] or [B, T] -> cos, sin, shaped to broadcast over heads."""
        hd = s.c.d // s.c.heads
        inv = 1 / (s.c.theta ** (torch.arange(0, hd, 2, device=pos.device).float() / hd))
        f = pos.float()[..., None] * inv
        f = torch.cat((f, f), -1)
        f = f[None, None] if pos.dim() == 1 else f[:, None]
        return f.cos().to(dtype), f.sin().to(dtype)

    def lm(s, x, pos, mask=None, head=0, hidden=False, masks=None, run=block, keep=None):
        """Residual stream after the last block, before the final norm; `hidden`: at every level. `keep`: blocks that run."""
        cos, sin = s.rope(pos, x.dtype)
        levels = [x]
        for i, layer in enumerate(s.language_model.model.layers):
            if keep is None or keep[i]:
                x = layer(x, cos, sin, mask if masks is None else masks[i], head, run)
            if hidden:
                levels.append(x)
        return levels if hidden else x

    def head(s, x):
        return s.language_model.lm_head(s.language_model.model.norm(x))
