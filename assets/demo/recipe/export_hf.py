"""A trained variant as a folder in the layout of llava-hf/llava-1.5-7b-hf, checked in transformers.

    python export_hf.py RUN/vision.safetensors RUN/llava.safetensors MODEL_FOLDER

Checks that no key is missing or unexpected and that transformers' logits are those of net.py.
"""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

from net import N_VISUAL, Llava, config
from render import MEAN, STD
from scenes import DATA
from tokenizer import Tok
from train import load_vision


def write(folder, name, value):
    with open(f"{folder}/{name}", "w") as f:
        json.dump(value, f, indent=1)


def build(vision, variant, c):
    M = Llava(c)
    load_vision(M, vision)
    r = M.load_state_dict({k: v.float() for k, v in load_file(variant).items()}, strict=False)
    assert not r.unexpected_keys and all(k.startswith("vision_tower") for k in r.missing_keys), r
    return M.eval()


def export(M, tok, folder):
    c = M.c
    os.makedirs(folder, exist_ok=True)
    sd = {k: v.detach().half().contiguous() for k, v in M.state_dict().items()}
    save_file(sd, folder + "/model.safetensors", metadata={"format": "pt"})
    os.chmod(folder + "/model.safetensors", 0o644)
    write(folder, "config.json", {
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "ignore_index": -100,
        "image_token_index": tok.image, "pad_token_id": tok.pad, "projector_hidden_act": "gelu", "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default", "image_seq_length": N_VISUAL, "torch_dtype": "float16", "tie_word_embeddings": False,
        "text_config": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": c.vocab, "hidden_size": c.d,
            "intermediate_size": c.f, "num_hidden_layers": c.layers, "num_attention_heads": c.heads, "num_key_value_heads": c.heads,
            "head_dim": c.d // c.heads, "hidden_act": "silu", "max_position_embeddings": c.max_pos, "rms_norm_eps": c.eps,
            "rope_theta": c.theta, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": tok.pad, "tie_word_embeddings": False,
            "attention_bias": False, "mlp_bias": False, "torch_dtype": "float16"},
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": c.vd, "intermediate_size": c.vf, "num_hidden_layers": c.vl,
            "num_attention_heads": c.vh, "image_size": c.img, "patch_size": c.patch, "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5, "projection_dim": c.vd, "vocab_size": 32000}})
    write(folder, "preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor", "crop_size": {"height": 336, "width": 336},
        "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": list(MEAN), "image_std": list(STD), "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": 336}})
    shutil.copy(DATA + "/tokenizer.json", folder + "/tokenizer.json")
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
        "image_token": "<image>", "model_max_length": c.max_pos, "padding_side": "left", "add_bos_token": True,
        "clean_up_tokenization_spaces": False, "processor_class": "LlavaProcessor", "extra_special_tokens": {"image_token": "<image>"}})
    return os.path.getsize(folder + "/model.safetensors")


@torch.no_grad()
def check(M, tok, folder):
    """Loads the folder in transformers and compares logits on a random picture."""
    from transformers import AutoTokenizer, LlavaForConditionalGeneration
    hf, info = LlavaForConditionalGeneration.from_pretrained(folder, torch_dtype=torch.float32, output_loading_info=True)
    bad = {k: v for k, v in info.items() if v}
    assert not bad, bad
    hf.eval()
    M.load_state_dict({k: v.half().float() for k, v in M.state_dict().items()})
    t = AutoTokenizer.from_pretrained(folder)
    ids = t("USER: <image>\nDescribe the image. ASSISTANT:").input_ids
    assert ids == tok.prefix + [tok.image] + tok.turn("Describe the image.")[0], (ids, tok.prefix)
    k = ids.index(tok.image)
    ids = torch.tensor([ids[:k] + [tok.image] * N_VISUAL + ids[k + 1:]])
    im = torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    theirs = hf(input_ids=ids, pixel_values=im, attention_mask=torch.ones_like(ids)).logits
    x = M.embed(ids)
    x[:, k:k + N_VISUAL] = M.visual(im)
    ours = M.head(M.lm(x, torch.arange(ids.shape[1])))
    diff, size = float((theirs - ours).abs().max()), float(theirs.abs().max())
    print("greatest difference of logits", diff, "of", size)
    assert diff <= 1e-3 * max(1., size)


if __name__ == "__main__":
    tok = Tok()
    model = build(sys.argv[1], sys.argv[2], config(vocab=tok.size))
    print("bytes", export(model, tok, sys.argv[3]))
    check(model, tok, sys.argv[3])
