"""The peer of `orchestration.py`: Ray Tune as its documentation shows it, with MLflowLoggerCallback."""

from __future__ import annotations

import json
import os
import sys

import ray
from orchestration import configurations, train
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback


def main(trials: int, epochs: int, storage: str, slots: int, uri: str) -> None:
    """Run the trials as a function trainable that reports every epoch."""
    environment = {"env_vars": {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}}
    ray.init(num_cpus=slots, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    configs = configurations(trials)

    def trial(config: dict[str, int]) -> None:
        train(configs[config["number"]], storage, epochs, tune.report)

    tune.Tuner(
        trial,
        param_space={"number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(metric="val/elbo_gain", mode="max"),
        run_config=tune.RunConfig(
            storage_path=f"{storage}/tune",
            name="plain",
            verbose=0,
            callbacks=[MLflowLoggerCallback(tracking_uri=uri, experiment_name="plain")],
        ),
    ).fit()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
