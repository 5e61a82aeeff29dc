#!/usr/bin/env python3
"""Writes the session files of the parity tests and packs what the Python reference makes of them.

    python generate.py --work DIR        (DIR holds the reference's full output and is reused when it is there; --only demo)

For every checkpoint and case: sessions/NAME.json, expected/NAME.json (layout, next tokens, answers) and
expected/NAME.safetensors (top-1 of the lens in every cell with the two best probabilities, and of the residual stream, pixels and visual tokens a few
rows). Needs what reference.py needs. Checkpoints are made by make_checkpoint.py, see README.md.
"""
import argparse, json, subprocess, sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
# name, model, picture, patches a side, a middle level, some heads
CHECKPOINTS = [
    ("old-f32", "../checkpoints/old-f32", "../checkpoints/old-f32/picture.png", 8, 1, [0, 2]),
    ("new-f16-gqa", "../checkpoints/new-f16-gqa", "../checkpoints/new-f16-gqa/picture.png", 8, 2, [1, 3]),
    ("sparse-bf16-tied", "../checkpoints/sparse-bf16-tied", "../checkpoints/sparse-bf16-tied/picture.png", 24, 1, [0, 3]),
    ("demo", "../../../assets/demo/model", "../../../assets/demo/samples/meadow.png", 24, 5, [0, 5, 7]),
]


def ablation(patches, replacement, layer):
    return {"type": "ablation", "patches": patches, "with": replacement, "layer": layer}


def knockout(queries, keys, layers, heads="all"):
    return {"type": "attention_knockout", "queries": queries, "keys": keys, "layers": layers, "heads": heads}


def cases(side, mid, heads):
    end = side - 1
    return {
        "none": [],
        "mean0": [ablation(f"r1c1-r3c4, r{end}c{end}", "mean", 0)],
        "zero0": [ablation("r2c0-r4c2", "zero", 0)],
        "patch0": [ablation("r0c0-r2c2", {"patch": "r5c5"}, 0)],
        "mean_mid": [ablation("r1c1-r4c4", "mean", mid)],
        "zero_mid": [ablation("r2c0-r4c2", "zero", mid), ablation("r3c1-r5c3", "mean", mid)],
        "patch_mid": [ablation("all", {"patch": "r3c3"}, mid)],
        "ko_last_patches": [knockout("last", "patches:r1c1-r5c5", f"{mid}..={mid}", heads)],
        "ko_answer_image": [knockout("answer", "image", "all")],
        "ko_question_image": [knockout("question", "image", f"0..{mid + 1}")],
        "ko_last_question": [knockout("last", "question", "all", heads)],
        "ko_all_all": [knockout("all", "all", f"{mid}")],
        "mixed": [ablation("r0c0-r1c5", "mean", 0), knockout("answer", "patches:r2c2-r6c6", "all", heads),
                  ablation("r7c7", "zero", mid),
                  {"type": "ablation", "patches": "all", "with": "zero", "layer": 0, "enabled": False}],
    }


def sessions():
    for name, model, picture, side, mid, heads in CHECKPOINTS:
        for crop in ("center", "pad"):
            for case, interventions in cases(side, mid, heads).items():
                if crop == "pad" and case not in ("none", "mixed"):
                    continue
                yield f"{name}.{crop}.{case}", {
                    "version": 1, "model": model, "image": picture, "crop": crop,
                    "prompt": "What is the object in this image?", "answer_prefix": " It is a" if crop == "pad" else "",
                    "interventions": interventions, "readout": {"top_k": 5}, "decode": {"max_new_tokens": 16}}


def pack(result, dump):
    """-> (small JSON, small tensors)"""
    start, end = result["layout"]["image"]
    n = result["layout"]["n_tokens"]
    rows = np.array(sorted({0, start, start + (end - start) // 3, end - 1, end + 2, n - 1}))
    tensors = {"rows": rows.astype(np.int32), "logits": dump["logits"]}
    for key, value in dump.items():
        if key.startswith("resid."):
            tensors[key] = value[rows]
    tensors["pixel_values"] = dump["pixel_values"].reshape(-1)[::61].copy()
    tensors["visual_tokens"] = dump["visual_tokens"][::97].copy()
    small = {"layout": result["layout"]}
    for run in ("baseline", "edited"):
        small[run] = {key: result[run][key] for key in ("next_token", "answer")}
        tensors[f"{run}.ids"] = np.array(result[run]["lens"]["ids"], dtype=np.uint16)[..., 0].copy()
        tensors[f"{run}.probs"] = np.array(result[run]["lens"]["probs"], dtype=np.float32)[..., :2].copy()
    return small, tensors


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--only", default="", help="only sessions whose name begins so")
    args = ap.parse_args()
    work = args.work
    for folder in ("sessions", "expected"):
        (HERE / folder).mkdir(exist_ok=True)
    for name, session in sessions():
        if not name.startswith(args.only):
            continue
        path = HERE / "sessions" / f"{name}.json"
        path.write_text(json.dumps(session, indent=1) + "\n")
        out = work / name
        if not (out / "result.json").exists():
            subprocess.run([sys.executable, HERE / "reference.py", path, "--out", out], check=True)
        small, tensors = pack(json.loads((out / "result.json").read_text()), load_file(out / "dump.safetensors"))
        (HERE / "expected" / f"{name}.json").write_text(json.dumps(small) + "\n")
        # The clean run is the same in every case of a checkpoint and crop: it is kept once, as the case "none".
        tensors = {key: value for key, value in tensors.items() if not key.startswith("baseline.")}
        save_file(tensors, HERE / "expected" / f"{name}.safetensors")


if __name__ == "__main__":
    main()
