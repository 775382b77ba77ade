"""A Slurm of one's own: munged, slurmctld and some slurmd on this machine, in a folder, beside what the system runs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=defer_batch,sched_min_interval=100000,batch_sched_delay=0,bf_interval=2,requeue_delay=1
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=10
MinJobAge=20
MaxJobCount={most_jobs}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{node_port}-{last_port}] CPUs={cpus} RealMemory=4000
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 MaxTime=60 State=UP
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
"""


def missing() -> str:
    """What is not installed, in words; "" where all is there."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge" if absent else ""


@dataclass
class Slurm:
    """A running one. environment: what a command needs to speak with it."""

    folder: Path
    nodes: int
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *words: str) -> str:
        """A command of Slurm; what it prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def start(self, name: str, *words: str) -> None:
        program = shutil.which(words[0], path=SYSTEM_PATH)
        output = (self.folder / f"{name}.out").open("ab")
        self.processes[name] = subprocess.Popen(
            [str(program), *words[1:]], env=self.environment, stdout=output, stderr=output, start_new_session=True
        )

    def start_node(self, number: int) -> None:
        self.start(f"n{number}", "slurmd", "-D", "-N", f"n{number}", "-f", str(self.folder / "slurm.conf"))

    def kill_node(self, number: int) -> None:
        """As when a node loses power: its slurmd and every process of its jobs, none telling of another's end."""
        daemon = self.processes.pop(f"n{number}")
        of_jobs = set(_processes_with(f"SLURMD_NODENAME=n{number}", f"SLURM_CONF={self.environment['SLURM_CONF']}"))
        keepers = {parent for pid in of_jobs if (parent := _parent(pid)) > 1}
        for way in (signal.SIGSTOP, signal.SIGKILL):
            for pid in [daemon.pid, *(keepers - of_jobs), *of_jobs]:
                with suppress(ProcessLookupError):
                    os.kill(pid, way)
        daemon.wait()

    def wait_for(self, nodes: int, seconds: float = 30) -> None:
        """Until so many nodes take jobs."""
        last = time.monotonic() + seconds
        while time.monotonic() < last:
            states = self.run("sinfo", "-h", "-N", "-p", "low", "-o", "%t").split()
            if sum(state in ("idle", "mix", "alloc") for state in states) >= nodes:
                return
            time.sleep(0.2)
        raise TimeoutError(self.run("sinfo", "-N", "-l") + (self.folder / "slurmctld.log").read_text()[-2000:])


def _processes_with(*variables: str) -> Iterator[int]:
    """Processes that have all of these in their environment, as those of a job have."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (entry / "environ").read_bytes().decode(errors="replace")
            if all(variable in environment for variable in variables):
                yield int(entry.name)


def _parent(pid: int) -> int:
    """Of a job's process that is slurmstepd, or what started it; 0 where it is gone."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@contextmanager
def running_slurm(folder: Path, nodes: int = 2, cpus: int = 2, most_jobs: int = 1000) -> Iterator[Slurm]:
    """Start one in a folder, and stop it and all that it started. nodes × cpus jobs run at once."""
    ports = _free_ports(nodes + 1)
    folder.chmod(0o755)
    for name in ("state", *(f"spool-n{number}" for number in range(1, nodes + 1))):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            user=os.environ.get("USER") or _user(),
            control_port=ports[0],
            node_port=ports[1],
            last_port=ports[-1],
            nodes=nodes,
            cpus=cpus,
            most_jobs=most_jobs,
        )
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    slurm = Slurm(folder, nodes, environment | {"SLURM_CONF": str(configuration), "PATH": SYSTEM_PATH})
    munge = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
    munge |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
    try:
        slurm.start(
            "munged", "munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in munge.items())
        )
        while not (folder / "munge.socket").exists():
            if slurm.processes["munged"].poll() is not None:
                raise RuntimeError((folder / "munged.out").read_text())
            time.sleep(0.05)
        slurm.start("slurmctld", "slurmctld", "-D", "-f", str(configuration))
        for number in range(1, nodes + 1):
            slurm.start_node(number)
        slurm.wait_for(nodes)
        yield slurm
    finally:
        _stop(slurm)


def _stop(slurm: Slurm) -> None:
    slurm.run("scancel", "-u", _user())
    for name in reversed(list(slurm.processes)):
        process = slurm.processes[name]
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in _processes_with(f"SLURM_CONF={slurm.environment['SLURM_CONF']}", "SLURM_JOB_ID="):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _free_ports(count: int) -> list[int]:
    """Free ports, the last of them in a row (the system hands out others than these)."""
    for first in range(17000 + os.getpid() % 5000, 30000, count):
        taken = []
        with suppress(OSError):
            for port in range(first, first + count):
                listener = socket.socket()
                taken.append(listener)
                listener.bind(("127.0.0.1", port))
        for listener in taken:
            listener.close()
        if len(taken) == count:
            return list(range(first, first + count))
    raise OSError("no free ports")


if __name__ == "__main__":  # python tests/support/slurm.py FOLDER: one to try commands with, until Ctrl-C
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True)
    with running_slurm(place) as started, suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={started.environment['SLURM_CONF']}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pause()
