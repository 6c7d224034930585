#!/usr/bin/env bash
# Write the locked requirement files from the .in files beside this script (needs uv; run by `make lock`).
# torch is left out: its build (CPU, CUDA 13, older CUDA) is the machine's choice and is installed after the lock by
# version alone; what only its CUDA builds bring, and the torchvision that zbo never imports, are left out with it.
set -euo pipefail
cd "$(dirname "$0")"
torch_only=(torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit
    nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft
    nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13
    nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx)
compile=(uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links)
# All are resolved together first, so that one environment can hold them. What is locked stays where it can.
together=$(mktemp)
trap 'rm -f "$together"' EXIT
cat requirements.txt workflow.txt microscopes.txt >"$together"
"${compile[@]}" requirements.in workflow.in microscopes.in -o "$together"
"${compile[@]}" -c "$together" "${torch_only[@]/#/--no-emit-package=}" requirements.in -o requirements.txt
"${compile[@]}" -c "$together" workflow.in -o workflow.txt
"${compile[@]}" -c "$together" microscopes.in -o microscopes.txt
