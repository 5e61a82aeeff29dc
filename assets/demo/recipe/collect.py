"""Gathers a run: one results.json, and the checkpoints that fit the limit, best first.

    python collect.py RUN OUT [--limit-mib 63]

The order is a rule fixed before any run: exact answers on new scenes of seen drawings, plus the share of object patches
that read their word at the best level of the second half (counted up to .6), minus twice what level 0 shows above .1.
"""
import argparse
import glob
import json
import os
import shutil


def score(v):
    r = v.get("final") or (v["scores"][-1] if v["scores"] else None)
    if r is None:
        return -1.
    top = r["lens"]["top1"]
    return r["seen"]["all"][0] + min(.6, max(top[len(top) // 2:])) - 2 * max(0., top[0] - .1)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("run")
    ap.add_argument("out")
    ap.add_argument("--limit-mib", type=float, default=63.)
    A = ap.parse_args()
    os.makedirs(A.out, exist_ok=True)
    all_ = {"variants": {}, "stages": {}}
    for f in sorted(glob.glob(A.run + "/results-*.json")):
        r = json.load(open(f))
        all_["variants"].update(r["variants"])
        all_["stages"][os.path.basename(f)] = r["stages"]
    if os.path.exists(A.run + "/vision.json"):
        all_["vision"] = json.load(open(A.run + "/vision.json"))
    order = sorted(all_["variants"], key=lambda n: -score(all_["variants"][n]))
    all_["order"] = [(n, round(score(all_["variants"][n]), 4)) for n in order]
    json.dump(all_, open(A.out + "/results.json", "w"))
    print(all_["order"])
    left = A.limit_mib * 2**20 - 600_000
    for n in ["vision"] + order:
        f = f"{A.run}/{n}.safetensors"
        if os.path.exists(f) and os.path.getsize(f) <= left:
            shutil.copy(f, A.out)
            left -= os.path.getsize(f)
            print("kept", n)


if __name__ == "__main__":
    main()
