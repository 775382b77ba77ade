"""A matrix on a real Slurm whose nodes die, whose jobs are preempted and whose queue is full, against a sequential one.

    python benchmarks/cluster_faults.py --seeds 10

Starts a Slurm of its own (Debian: slurm-wlm, munge) with two nodes. Six tiny runs per seed. While they run one node is
killed with all that it computes and comes back; then jobs of a higher partition take every node. Prints what was
measured; exit status 1 where a file of weights or a table of cases differs from the sequential matrix's, or a run is
not complete.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.slurm import Slurm, running_slurm

HERE = Path(__file__).parents[1]
MATRIX = """
matrix --sources kvasir,cvc-clinicdb --targets kvasir,cvc-clinicdb --methods source-only,adaptsegnet,advent
--phantom --phantom-frames 48 --preset quick --size 32 --batch-size 2 --start-steps 3 --adapt-steps 3
--checkpoint-every 1 --device cpu --threads 1 --overlays 1 --no-overlays --parts none
"""
CLUSTER = "partition: low\nminutes: 10\nstop_s: 30\narray_size: 8\n"


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Six runs each.")] = 10,
    keep: Annotated[Path | None, typer.Option(help="Folder to work in, kept.")] = None,
) -> None:
    """Compare both matrices."""
    with tempfile.TemporaryDirectory(dir=keep) as name:
        folder = Path(name)
        words = [*MATRIX.split(), "--seeds", ",".join(map(str, range(seeds))), "--cache-dir", str(folder / "cache")]
        (folder / "cluster.yaml").write_text(CLUSTER)
        (folder / "slurm").mkdir()
        alone_s = polypda([*words, "--out", str(folder / "alone")], dict(os.environ))
        print(f"one after another: {6 * seeds} runs in {alone_s:.0f} s", flush=True)
        queue_words = ["--launcher", "slurm", "--cluster", str(folder / "cluster.yaml"), "--wait"]
        with running_slurm(folder / "slurm", most_jobs=24) as slurm:
            trouble = threading.Thread(target=make_trouble, args=(slurm, folder / "queued", 6 * seeds), daemon=True)
            trouble.start()
            queued_s = polypda([*words, *queue_words, "--out", str(folder / "queued")], slurm.environment)
        print(f"on the cluster, four at once on {os.cpu_count()} cores: {queued_s:.0f} s")
        starts = sum(
            text.read_text(errors="replace").count("Starting with JobEnvironment")
            for text in (folder / "queued" / "cluster" / "logs").glob("*.out")
        )
        jobs = json.loads((folder / "queued" / "cluster" / "jobs.json").read_text())
        print(f"{len(jobs)} runs in {len(set(jobs.values()))} jobs, started {starts} times")
        wrong = differences(folder / "alone", folder / "queued")
        print("\n".join(wrong) or f"bit-equal: every file of weights and every table of cases of {len(jobs)} runs")
        raise typer.Exit(int(bool(wrong)))


def polypda(words: list[str], environment: dict[str, str]) -> float:
    """Seconds of a command; its last lines where it fails."""
    began = time.monotonic()
    environment = environment | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "polypda.cli.main", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-1000:], done.stderr[-3000:])
        raise typer.Exit(1)
    return time.monotonic() - began


def make_trouble(slurm: Slurm, matrix: Path, runs: int) -> None:
    """Kill a node after a quarter of the runs, and take all nodes after a half."""

    def wait_for(count: int) -> None:
        while len(list(matrix.glob("cluster/ended/*.json"))) < count:
            time.sleep(0.5)

    wait_for(runs // 4)
    print("node n1 dies", slurm.run("squeue", "-h", "-o", "%i %T %N").replace("\n", "; "), flush=True)
    slurm.kill_node(1)
    time.sleep(5)
    slurm.start_node(1)
    wait_for(runs // 2)
    print("all nodes are taken", slurm.run("squeue", "-h", "-o", "%i %T %N").replace("\n", "; "), flush=True)
    slurm.run("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")


def differences(one: Path, other: Path) -> list[str]:
    """Files of weights and cases that are missing or not the same, in words."""
    wrong = []
    for pattern in ("*/**/*.safetensors", "*/report/cases.csv"):
        for path in sorted(one.glob(pattern)):
            twin = other / path.relative_to(one)
            if not twin.is_file() or twin.read_bytes() != path.read_bytes():
                wrong.append(f"differs: {path.relative_to(one)}")
    return wrong


if __name__ == "__main__":
    typer.run(main)
