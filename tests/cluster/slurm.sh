#!/usr/bin/env bash
# A Slurm of one node with two pretend GPUs on this machine, for the tests:
#   slurm.sh start|stop DIR
#   slurm.sh start DIR database    with an accounting database, and account `science` for root alone
# As root, with Debian's slurm-wlm and munge (slurmdbd and mariadb-server). DIR gets its state, logs and
# the record of finished jobs (DIR/completed). It is configured where Slurm looks by default, since jobs
# do not inherit SLURM_CONF; a machine with a configuration of its own is left alone.
set -euo pipefail
usage="usage: slurm.sh start|stop DIR [database]"
action=${1:?$usage}
dir=$(realpath -m "${2:?$usage}")
accounting=none
[ "${3:-}" != database ] || accounting=slurmdbd
etc=/etc/slurm
mark="# zBO's test Slurm"

stop() {
    for name in slurmd slurmctld slurmdbd mariadbd; do
        pid=$(cat "$dir/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        timeout 20 tail --pid="$pid" -f /dev/null || true
    done
}

if [ "$action" = stop ]; then
    scancel --user "$(id -un)" 2>/dev/null || true
    stop
    # Left behind, it would make each of Slurm's commands wait 9 seconds for a controller.
    ! grep -qs "^$mark" $etc/slurm.conf || rm -f $etc/{slurm,gres,slurmdbd}.conf
    exit
fi

if [ -e $etc/slurm.conf ] && ! grep -q "^$mark" $etc/slurm.conf; then
    echo "$etc/slurm.conf is not the tests': left alone" >&2
    exit 1
fi
mkdir -p "$dir"/{state,spool} $etc
for i in 0 1; do
    [ -e "$dir/gpu$i" ] || mknod "$dir/gpu$i" c 1 3 # /dev/null by another name
done
host=$(hostname -s)
cat >$etc/slurm.conf <<END
$mark
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/$accounting
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/completed
# Finished jobs stay to be asked about.
MinJobAge=86400
KillWait=5
# Start jobs at once.
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2 State=UP
END
echo "NodeName=$host Name=gpu File=$dir/gpu[0-1]" >$etc/gres.conf

if ! munge -n >/dev/null 2>&1; then
    mkdir -p /run/munge
    chown munge: /run/munge
    runuser -u munge -- munged
fi
stop
if [ $accounting = slurmdbd ]; then
    cat >>$etc/slurm.conf <<END
AccountingStorageHost=localhost
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
END
    cat >$etc/slurmdbd.conf <<END
$mark
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
PidFile=$dir/slurmdbd.pid
LogFile=$dir/slurmdbd.log
END
    chmod 600 $etc/slurmdbd.conf
    export MYSQL_UNIX_PORT=$dir/mariadb.sock
    mariadb-install-db --no-defaults --user=root --datadir="$dir/mariadb" \
        --auth-root-authentication-method=normal --skip-test-db >/dev/null
    mariadbd --no-defaults --user=root --datadir="$dir/mariadb" --skip-networking \
        --socket="$MYSQL_UNIX_PORT" --pid-file="$dir/mariadbd.pid" >"$dir/mariadbd.log" 2>&1 &
    until mariadb-admin --no-defaults ping >/dev/null 2>&1; do sleep 0.2; done
    slurmdbd
    until sacctmgr --immediate add cluster test >/dev/null 2>&1; do sleep 0.5; done
    sacctmgr --immediate --quiet add account science cluster=test
    sacctmgr --immediate --quiet add user root account=science
fi
slurmctld
slurmd
for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%t 2>/dev/null)" != idle ] || exit 0
    sleep 0.5
done
echo "Slurm did not start; see $dir/slurmctld.log and $dir/slurmd.log" >&2
tail -n 20 "$dir"/slurm*.log >&2
exit 1
