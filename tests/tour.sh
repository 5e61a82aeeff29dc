#!/usr/bin/env bash
# Plays the tour of the paper in the real window under Xvfb, with a screenshot of every step.
#
#   tests/tour.sh [PROGRAM] [FOLDER]     (default: target/release/patchglass, target/tour)
#
# Passes when all six steps were shown and each looks different from the one before.
# Needs Xvfb, xdotool and ImageMagick; says so and ends with 0 where they are missing.
set -euo pipefail
program=${1:-target/release/patchglass}
folder=${2:-target/tour}
wait=${WAIT:-4}   # seconds for the run of a step
for tool in Xvfb xdotool import compare; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 0; }
done
mkdir -p "$folder"
export XDG_RUNTIME_DIR=$(mktemp -d)
export PATCHGLASS_HOME=
number=$((100 + RANDOM % 800))
Xvfb ":$number" -screen 0 1280x800x24 -nolisten tcp >/dev/null 2>&1 &
xvfb=$!
export DISPLAY=":$number"
app=
cleanup() { kill $app $xvfb 2>/dev/null || true; rm -rf "$XDG_RUNTIME_DIR"; }
trap cleanup EXIT
until xdotool getdisplaygeometry >/dev/null 2>&1; do sleep 0.05; done

"$program" 2>"$folder/log.txt" &
app=$!
window=$(timeout 60 xdotool search --sync --onlyvisible --name Patchglass | head -1)
xdotool windowsize "$window" 1280 800 windowmove "$window" 0 0 windowfocus "$window"
sleep "$wait"
# Ctrl+K, "tour of", Enter: the palette starts the tour.
xdotool key ctrl+k; sleep 0.5
xdotool type --delay 40 "tour of"; sleep 0.5
xdotool key Return
xdotool mousemove --window "$window" 620 790
for step in 1 2 3 4 5 6; do
  sleep "$wait"
  import -window root "$folder/step$step.png"
  if [ "$step" -gt 1 ]; then
    changed=$(compare -metric AE "$folder/step$((step - 1)).png" "$folder/step$step.png" null: 2>&1 || true)
    echo "step $step changed ${changed%% *} pixels"
    awk -v n="${changed%% *}" 'BEGIN { exit !(n > 2000) }' || { echo "FAILED: step $step shows nothing new"; exit 1; }
  fi
  xdotool key space
done
kill -0 "$app" || { echo "FAILED: the window is gone"; cat "$folder/log.txt"; exit 1; }
echo "passed; look at $folder/step1.png to step6.png"
