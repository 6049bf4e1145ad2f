#!/usr/bin/env bash
# Stop the Slurm that start.sh started in a folder, and its jobs: tests/cluster/stop.sh FOLDER
set -u
source "$1/environment"
timeout 10 scancel --user "$(id -un)" 2>/dev/null
for daemon in slurmd slurmctld munged; do
    pid=$(cat "$1/run/$daemon.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || continue 2; sleep 0.25; done
    kill -9 "$pid"
done
true
