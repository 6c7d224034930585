#!/usr/bin/env bash
# Print the ids of your Slurm jobs at work for this folder, one a line; to stop them:
#   scancel $(profiles/slurm/jobs.sh)
timeout 30 squeue --me --noheader --format='%i|%k|%Z' |
    awk -F'|' -v here="$(pwd -P)" '$2 ~ /^rule_/ && $3 == here {print $1}'
