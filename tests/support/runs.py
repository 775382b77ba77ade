"""Run folders as a training leaves them, without a training."""

import json
from pathlib import Path

from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.configure import resolve_config


def write_run(
    folder: Path, steps: int, *, method: str = "adda", accuracy: float = 0.9, growth: float = 0.0
) -> RunFolder:
    """A run whose method stage has ``steps`` events; the mapping begins at step 2. growth: of seg_main per step."""
    config = resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name="quick",
        phantom=True,
        top={},
        sections={"network": {}, "data": {}, "compute": {}},
        options={},
    )
    run = RunFolder.create(folder, config)
    stage = run.stage(method)
    stage.mkdir(parents=True)
    with (stage / "events.jsonl").open("w") as file:
        for step in range(steps):
            segmenter = {"seg_main": 0.4 + growth * step} | ({"adv_target": 0.7} if step >= 2 else {})
            event = {
                "step": step,
                "losses": {"discriminator": {"d_source": 0.6, "d_target": 0.5}, "segmenter": segmenter},
                "grad": {"segmenter": 3.0, "discriminator": 0.2},
                "learning_rates": {"segmenter": 1e-4},
                "accuracy": {"discriminator": accuracy},
                "cpu_s": 0.5,
            }
            file.write(json.dumps(event) + "\n")
    return run
