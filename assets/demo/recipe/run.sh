#!/bin/bash
# One whole run within LIMIT seconds on one or two GPUs: backgrounds, vision tower, all variants, scores, results in OUT.
#   OUT=folder bash run.sh            LIMIT=560 by default.
cd "$(dirname "$0")" || exit 1
export T0 PYTHONUNBUFFERED=1 DEMO_DATA="${DEMO_DATA:-$PWD/data}" OUT="${OUT:-$PWD/out}"
T0=$(date +%s.%N)
LIMIT=${LIMIT:-560}
VISION_UNTIL=${VISION_UNTIL:-165}
TEXT_UNTIL=${TEXT_UNTIL:-140}
PY=${PY:-python3}
W=${W:-$PWD/work}
rm -rf "$W"
mkdir -p "$W" "$OUT"
N=$(nvidia-smi -L 2>/dev/null | wc -l)
FLAGS=${FLAGS:-}
$PY backgrounds.py "$DEMO_DATA/backgrounds.npz" --each "${EACH:-20}" --workers "$(nproc)"
pids=()
start() {   # start GPU LOG ARGS...
    local gpu=$1 log=$2
    shift 2
    CUDA_VISIBLE_DEVICES=$gpu $PY train.py "$@" --out "$W" $FLAGS >"$W/$log.log" 2>&1 &
    pids+=($!)
}
if [ -z "$INIT_VISION" ]; then
    start 0 vision vision --until "$VISION_UNTIL" --workers "${VW:-6}"
else
    cp "$INIT_VISION" "$W/vision.safetensors"
fi
if [ "$N" -ge 2 ]; then
    start 0 a variants --names "${A:-answers,answers-drop,answers-all}" $AFLAGS --until "$LIMIT" --workers "${LW:-7}" --text-workers "${ATW:-1}" --text-until "$TEXT_UNTIL"
    start 1 b variants --names "${B:-language,llava,llava-drop}" $BFLAGS --until "$LIMIT" --workers "${LW:-7}" --text-workers "${TW:-10}" --text-until "$TEXT_UNTIL"
else
    start 0 a variants --names "${A:-answers-drop,llava}" --until "$LIMIT" --workers "${LW:-6}" --text-workers "${TW:-4}" --text-until "$TEXT_UNTIL"
fi
# Whatever happens, results are gathered before LIMIT + 22 seconds.
while :; do
    alive=0
    for p in "${pids[@]}"; do kill -0 "$p" 2>/dev/null && alive=1; done
    el=$($PY -c "import time;print(int(time.time()-$T0))")
    [ $alive = 0 ] && break
    [ "$el" -ge $((LIMIT + 22)) ] && { echo "out of time at $el s"; break; }
    sleep 2
done
for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
$PY collect.py "$W" "$OUT"
for f in "$W"/*.log; do echo "=== $f"; cat "$f"; done >"$OUT/log.txt"
tail -c 300000 "$OUT/log.txt" >"$OUT/l" && mv "$OUT/l" "$OUT/log.txt"
grep -hE "SCORE|FINAL|END|patch accuracy|check at|rror" "$W"/*.log | cut -c1-420 | tail -60
ls -la "$OUT"
echo "all done at $($PY -c "import time;print(int(time.time()-$T0))") s"
