#!/usr/bin/env bash
# Start a Slurm of one node on this machine, for tests: partitions cpu and gpu, and two GPUs that are only pretended.
# All it keeps is below a folder of its own, no setting of the machine is touched; it stands beside a real Slurm.
#   tests/cluster/start.sh FOLDER   then: source FOLDER/environment; sinfo    and: tests/cluster/stop.sh FOLDER
# Needs slurmctld, slurmd and munged, which Debian has as slurm-wlm and munge. 22.05 was tried.
set -euo pipefail
mkdir -p "$1"/{bin,state,spool,log,run}
folder=$(cd "$1" && pwd)
host=$(hostname -s)
user=$(id -un)
for program in munged slurmctld slurmd; do
    command -v "$program" >/dev/null || { echo "$program is missing; apt-get install slurm-wlm munge" >&2; exit 1; }
done

# More cores and memory than there may be, so that what rules ask for is given; a job that holds more is killed.
cat >"$folder/slurm.conf" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
KillWait=5
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=${CPUS:-4} RealMemory=64000 Gres=gpu:2
PartitionName=cpu Nodes=$host Default=YES MaxTime=1-00:00:00
PartitionName=gpu Nodes=$host MaxTime=2-00:00:00
END
# a GPU is a file to Slurm: any device will do
printf '%s\n' "NodeName=$host Name=gpu File=/dev/null" "NodeName=$host Name=gpu File=/dev/zero" >"$folder/gres.conf"
# Snakemake's executor takes SLURM_CONF from the environment of the srun that it runs inside of a job
srun=$(PATH=${PATH//"$folder/bin:"/} command -v srun)
printf '%s\n' '#!/bin/sh' "SLURM_CONF=$folder/slurm.conf exec $srun \"\$@\"" >"$folder/bin/srun"
chmod +x "$folder/bin/srun"
echo "export SLURM_CONF=$folder/slurm.conf PATH=$folder/bin:\$PATH" >"$folder/environment"
source "$folder/environment"

running() { [ -s "$folder/run/$1.pid" ] && kill -0 "$(cat "$folder/run/$1.pid")" 2>/dev/null; }
if ! running munged; then
    [ -s "$folder/munge.key" ] || { umask 077; head -c 1024 /dev/urandom >"$folder/munge.key"; }
    # --force: the folder may be one that others can write to, as those of tests are
    munged --force --key-file="$folder/munge.key" --seed-file="$folder/state/munge.seed" \
        --socket="$folder/run/munge.socket" --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log"
fi
running slurmctld || slurmctld
running slurmd || slurmd

for _ in $(seq 60); do
    state=$(sinfo --noheader --format=%T 2>/dev/null | head -1) || state=
    case $state in idle | mixed | allocated | completing) exec sinfo ;; esac
    sleep 0.5
done
echo "Slurm's node is ${state:-not there} after 30 seconds; $folder/log says why" >&2
exit 1
