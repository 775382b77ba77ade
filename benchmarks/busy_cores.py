"""What a step of the presets' network costs while other programs hold cores, by how long its threads wait.

    python benchmarks/busy_cores.py      # as many threads as cores; none, one and as many programs that never rest

Forward and backward of one batch of 8 frames at 128 px. `own`: libgomp's default; the other is what `polypda` sets.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

STEP = """
import sys, time
from polypda.networks.smp_library import import_torchvision
import_torchvision()
import torch
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.workflows.runs.presets import PRESETS
torch.set_num_threads(int(sys.argv[1]))
network = build_segmenter(SegmenterSpec(**PRESETS["quick"]["network"])).train().to(memory_format=torch.channels_last)
images = torch.rand(8, 3, 128, 128).to(memory_format=torch.channels_last)
def step():
    network(images).logits["main"].square().mean().backward()
step()
began, used = time.perf_counter(), time.process_time()
for _ in range(int(sys.argv[2])):
    step()
took, used = time.perf_counter() - began, time.process_time() - used
print(f"{took / int(sys.argv[2]):.3f} s, {used / int(sys.argv[2]):.3f} CPU s")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    from polypda.processes import wait_briefly

    plain = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    os.environ.clear()
    os.environ.update(plain)
    wait_briefly()
    ours = dict(os.environ)
    for busy in range(given.threads + 1):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        time.sleep(0.5)
        try:
            for name, environment in (("own", plain), ("polypda", ours)) * 2:
                words = [sys.executable, "-c", STEP, str(given.threads), str(given.steps)]
                took = subprocess.run(
                    words, env=environment, check=True, stdout=subprocess.PIPE, text=True
                ).stdout.strip()
                print(f"{busy} other programs, {given.threads} threads, wait as {name}: {took} a step", flush=True)
        finally:
            for other in others:
                other.kill()
                other.wait()


if __name__ == "__main__":
    main()
