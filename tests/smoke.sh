#!/usr/bin/env bash
# Starts the real window under Xvfb, paints over the camel with the mouse, and takes screenshots before and after.
#
#   tests/smoke.sh [PROGRAM] [FOLDER]     (default: target/release/patchglass, target/smoke)
#
# Passes when the words stand in the window 3 s after its start, and painting changes the picture of the window.
# Needs Xvfb, xdotool and ImageMagick; says so and ends with 0 where they are missing.
set -euo pipefail
program=${1:-target/release/patchglass}
folder=${2:-target/smoke}
for tool in Xvfb xdotool import compare; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 0; }
done
mkdir -p "$folder"
export XDG_RUNTIME_DIR=$(mktemp -d)
export PATCHGLASS_HOME=   # nothing remembered comes in between
number=$((100 + RANDOM % 800))
Xvfb ":$number" -screen 0 1440x900x24 -nolisten tcp >/dev/null 2>&1 &
xvfb=$!
export DISPLAY=":$number"
app=
cleanup() { kill $app $xvfb 2>/dev/null || true; rm -rf "$XDG_RUNTIME_DIR"; }
trap cleanup EXIT
until xdotool getdisplaygeometry >/dev/null 2>&1; do sleep 0.05; done

start=$(date +%s%N)
"$program" 2>"$folder/log.txt" &
app=$!
window=$(timeout 60 xdotool search --sync --onlyvisible --name Patchglass | head -1)
echo "window after $(( ($(date +%s%N) - start) / 1000000 )) ms"
sleep "$(awk -v t="$start" -v n="$(date +%s%N)" 'BEGIN { s = 3 - (n - t) / 1e9; print (s > 0 ? s : 0) }')"
import -window root "$folder/before.png"

# Colours in the region of the picture: an empty window has a handful, a picture with words thousands.
colours=$(convert "$folder/before.png" -crop 600x600+194+80 -format '%k' info:)
echo "3 s after the start the picture's place has $colours colours"
[ "$colours" -gt 2000 ] || { echo "FAILED: there are no words in the window yet"; exit 1; }

# The camel, to and fro along rows 11 to 18 in one drag. Positions are of a 1440x900 window; pauses let frames pass.
xdotool mousemove --window "$window" 390 385 mousedown 1
for row in 11 12 13 14 15 16 17 18; do
  y=$((52 + row * 29 + 14))
  if [ $((row % 2)) = 0 ]; then ends="390 622"; else ends="622 390"; fi
  for x in $ends; do xdotool mousemove --window "$window" "$x" "$y"; sleep 0.15; done
done
sleep 0.3
xdotool mouseup 1 mousemove --window "$window" 1230 860
sleep 3
import -window root "$folder/after.png"
changed=$(compare -metric AE "$folder/before.png" "$folder/after.png" null: 2>&1 || true)
echo "painting changed ${changed%% *} pixels"
awk -v n="${changed%% *}" 'BEGIN { exit !(n > 5000) }' || { echo "FAILED: painting changed nothing"; exit 1; }
kill -0 "$app" || { echo "FAILED: the window is gone"; cat "$folder/log.txt"; exit 1; }
echo "passed; look at $folder/before.png and $folder/after.png"
