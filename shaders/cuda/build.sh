#!/usr/bin/env bash
# Compiles kernels.cu to the kernels.ptx that the program embeds. Needs nvcc; the result is committed, so a build does not.
# The version line is lowered so that older drivers take it too; ptxas checks that nothing newer is used.
set -euo pipefail
cd "$(dirname "$0")"
nvcc -ptx -arch=compute_80 -O3 --std=c++17 -o kernels.ptx kernels.cu
sed -i 's/^\.version .*/.version 7.4/; /^\/\/ \(Compiler Build ID\|Cuda compilation tools\|Based on\)/d' kernels.ptx
ptxas -arch=sm_80 -v -o /dev/null kernels.ptx
