#!/usr/bin/env python3
"""Boils a run of reference.py down to the numbers that `patchglass verify` compares with.

    python recorded.py SESSION.json REFERENCE_DIR OUT.json      e.g. OUT = assets/demo/recorded.json

The session looks at the demo's picture; a model's folder may hold OUT as patchglass-recorded.json.
"""
import json, sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

session, folder, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), Path(sys.argv[3])
result, dump = json.loads((folder / "result.json").read_text()), load_file(folder / "dump.safetensors")
n = result["layout"]["n_layers"]
levels = [0, n // 2, n]


def run(side):
    return {"top": [[patch[0] for patch in side["lens"]["ids"][level]] for level in levels],
            "next_ids": [c["id"] for c in side["next_token"][:5]], "next_probs": [c["prob"] for c in side["next_token"][:5]],
            "answer": side["answer"]["ids"]}


out.write_text(json.dumps({
    "made_with": "transformers 5.23 in float32", "prompt": session["prompt"], "interventions": session["interventions"],
    "max_new_tokens": session["decode"]["max_new_tokens"],
    "resid_norms": [float(np.linalg.norm(dump[f"resid.{level}"].astype(np.float64))) for level in range(n + 1)],
    "levels": levels, "baseline": run(result["baseline"]), "edited": run(result["edited"])}, separators=(",", ":")) + "\n")
print(result["baseline"]["answer"]["text"], "|", result["edited"]["answer"]["text"])
