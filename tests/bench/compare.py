"""Patchglass and PyTorch on the same work, one after the other in the same run, and the ratios.

usage: python tests/bench/compare.py [--binary target/release/patchglass] [--model demo|random-7b|FOLDER]
                                     [--device cpu|cuda] [--repeats 10] [--out FOLDER]

Needs a Python with torch and transformers. Ratios are of medians, ours over theirs: below 1 we are faster.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(HERE.parents[1] / "target/release/patchglass"))
    parser.add_argument("--model", default="demo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype")
    parser.add_argument("--repeats", default="10")
    parser.add_argument("--out")
    args = parser.parse_args()
    out = Path(args.out or tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    ours, theirs = out / "patchglass.json", out / "pytorch.json"
    command = [args.binary, "bench", "--model", args.model, "--device", args.device, "--repeats", args.repeats]
    subprocess.run([*command, *(["--dtype", args.dtype] if args.dtype else []), "--json", str(ours)], check=True)
    n_prompt = str(json.loads(ours.read_text())["n_prompt"])
    subprocess.run([sys.executable, str(HERE / "pytorch.py"), "--model", args.model, "--device", args.device,
                    "--repeats", args.repeats, "--n-prompt", n_prompt, "--json", str(theirs)], check=True)
    a, b = json.loads(ours.read_text()), json.loads(theirs.read_text())
    reference = {row["name"]: row for row in b["rows"]}
    print(f"\n{a['model']} on {b['device']} (torch {b['torch']}), {n_prompt} tokens\n"
          f"{'median ms':<28}{'patchglass':>12}{'PyTorch':>12}{'ratio':>8}")
    for row in a["rows"]:
        other = reference.get(row["name"])
        ratio = f"{other['median_ms']:>12.2f}{row['median_ms'] / other['median_ms']:>8.2f}" if other else ""
        print(f"{row['name']:<28}{row['median_ms']:>12.2f}{ratio}")
    slow = reference["full_lens_reference"]["median_ms"] + reference["full_run"]["median_ms"]
    whole = next(row["median_ms"] for row in a["rows"] if row["name"] == "full_run_and_lens")
    print(f"{'as the reference repository':<28}{whole:>12.2f}{slow:>12.2f}{whole / slow:>8.3f}")


main()
