#!/usr/bin/env bash
# One GPU: run the workflow inside a single allocation, where no training waits in a queue.
#   sbatch --gpus=1 --partition=gpu --account=me --time=1-0 --mem=16G profiles/slurm/search.sh [OPTIONS]
# Some clusters want --gres=gpu:1 for --gpus=1. OPTIONS are Snakemake's. With --gpus=4, four trainings run side by side. Before its time is over it
# stops, puts itself back into the queue and goes on from there; preempted, likewise.
#SBATCH --job-name=zbo
#SBATCH --cpus-per-task=4
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=zbo-%j.log
set -uo pipefail
[ ! -d .venv/bin ] || export PATH="$PWD/.venv/bin:$PATH"

gpus=${SLURM_GPUS_ON_NODE:-0}
[ "$gpus" -gt 0 ] || { echo "error: ask for a GPU, by --gpus=1 or --gres=gpu:1" >&2; exit 2; }
set -m # a process group of its own, which takes an interrupt
snakemake --nolock --workflow-profile profiles/slurm --executor local \
    --set-resources train_trial:gpu=1 train_model:gpu=1 --resources gpu="$gpus" --cores "${SLURM_CPUS_PER_TASK:-4}" "$@" &
run=$!
ending=""
trap 'ending=yes; echo "Time is nearly over: stopping"; kill -INT -- -$run' USR1
wait $run
code=$?
while kill -0 $run 2>/dev/null; do # the trap cut the first wait short
    wait $run
    code=$?
done
if [ -n "$ending" ] && [ $code -ne 0 ]; then
    echo "Back into the queue as job $SLURM_JOB_ID"
    scontrol requeue "$SLURM_JOB_ID" ||
        { echo "error: this cluster forbids it; submit the same command again" >&2; exit 1; }
    sleep 60 # Slurm ends this one
fi
exit $code
