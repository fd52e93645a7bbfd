"""Record the study that ships with the repository (`analysis/recorded/`): every trial to its end, nothing stopped.

    python benchmarks/study.py                 all of it, about two hours on two cores
    python benchmarks/study.py --models imc_vae --seeds 0

For each model and seed a random sweep on the embedded data, over KL weights so wide that many trials end sick, free
bits and schedules in their documented ranges, the learning rate annealed to 0 so that every trial settles; then its
record, its journal and its epoch log, packed into one Parquet file, are copied to `analysis/recorded/MODEL-SEED`,
where `python -m analysis report` and `replay` read them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import tyro

from sweeps.records import record
from sweeps.records.folder import SweepFolder
from trainables import epoch_log
from trainables.files import EPOCHS

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "analysis" / "recorded"
TRIALS, SEEDS = 20, (0, 1, 2)
SETTLED = ["--set", "lr_schedule=cosine"]
SMALL = {
    "vae_dg": ["--epochs", "30", "--subset", "120", "--metric", "val/elbo_gain",
               "--space", "learning_rate=2e-4..1e-3", "--space", "loss_multiplier_kl=5e-5..50"],
    "imc_vae": ["--epochs", "48", "--subset", "320", "--set", "latent_dim=64", "--set", "hidden_dim=64",
                "--set", "layers=1", "--set", "batch_size=8", "--space", "learning_rate=5e-4..3e-3",
                "--space", "kld_loss_scale=3e-3..300"],
    "conv_vae": ["--epochs", "48", "--subset", "200", "--set", "image_size=32", "--space", "latent_channels=4,8,16",
                 "--space", "learning_rate=5e-4..3e-3", "--space", "kl_weight_max=10..1000000"],
    "vae3d": ["--epochs", "48", "--set", "image_size=16", "--set", "width=8", "--set", "z_dim=20",
              "--set", "batch_size=4", "--space", "learning_rate=5e-4..5e-3", "--space", "kl_beta=1e-3..1000"],
}  # fmt: skip


def run(model: str, seed: int, storage: Path) -> Path:
    """The folder of a recorded sweep."""
    name = f"{model}-{seed}"
    budget = ["--trials", str(TRIALS), "--seed", str(seed)]
    free = ["--scheduler", "none", "--search", "random", "--name", name, "--storage", str(storage)]
    command = [sys.executable, str(ROOT / "sweeps" / "run.py"), model, *budget, *free, *SETTLED, *SMALL[model]]
    done = subprocess.run(command, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"{name} ended with status {done.returncode}")
    return storage / name


def pack(sweep: Path, out: Path) -> None:
    """Copy what the analysis reads; paths of this machine and the columns by latent dimension stay behind."""
    shutil.rmtree(out, ignore_errors=True)
    (out / EPOCHS).mkdir(parents=True)
    shutil.copy(sweep / SweepFolder(out).journal.name, out / SweepFolder(out).journal.name)
    told = record.read(sweep)
    command = ["sweeps/run.py", *told.command[1:]]
    if "--storage" in command:
        place = command.index("--storage")
        del command[place : place + 2]
    config = replace(told.config, storage="results", tracking_uri="")
    record.write(replace(told, config=config, data=replace(told.data, path=""), command=command), out)
    log = epoch_log.dataset(sweep).to_table().sort_by([("trial", "ascending"), ("epoch", "ascending")])
    log = log.drop_columns([name for name in log.column_names if name.startswith(epoch_log.BY_DIMENSION)])
    pq.write_table(log, out / EPOCHS / "epochs.parquet", compression="zstd", compression_level=12)


def main(models: tuple[str, ...] = tuple(SMALL), seeds: tuple[int, ...] = SEEDS) -> None:
    """Record a random sweep for each model and seed."""
    with tempfile.TemporaryDirectory() as storage:
        for seed in seeds:
            for model in models:
                pack(run(model, seed, Path(storage)), RECORDED / f"{model}-{seed}")


if __name__ == "__main__":
    tyro.cli(main)
