#!/usr/bin/env bash
# Many GPUs: run the workflow with one Slurm job a training, from this project's folder.
#   profiles/slurm/run.sh [SNAKEMAKE OPTIONS]                     on the login node, say in tmux
#   sbatch --time=7-0 --mem=4G profiles/slurm/run.sh [OPTIONS]    in a small job of its own, no GPU
# Killed or crashed, type it again: it waits for the jobs that the last run left, then goes on.
set -euo pipefail
[ ! -d .venv/bin ] || export PATH="$PWD/.venv/bin:$PATH"

code=0
flock --nonblock --conflict-exit-code 75 .zbo.lock true 2>/dev/null || code=$?
if [ $code -eq 75 ]; then # its Slurm jobs are no leftovers to wait for
    echo "error: another run is at work in this folder" >&2
    exit 75
fi
said=""
while left=$(profiles/slurm/jobs.sh | paste -sd' ') && [ -n "$left" ]; do
    [ "$left" = "$said" ] || echo "Waiting for Slurm jobs that an earlier run left: $left"
    said=$left
    sleep 2
done
exec snakemake --nolock --workflow-profile profiles/slurm "$@"
