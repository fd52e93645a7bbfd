"""Ray: connecting to it, and checking before the first trial that the sweep can run on it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import tempfile
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sweeps.config import ConfigError, SweepConfig
from sweeps.records.record import ROOT

FORWARDED = ("MLFLOW_", "AWS_", "OMP_NUM_THREADS")  # environment variables that workers need
PACKAGES = ("search_spaces", "trainables", "sweeps", "analysis")  # what workers import, wherever it is installed
PROBE = ".probe-"  # how the names of the preflight's files in a sweep's folder begin
PROBE_TIMEOUT = 120  # seconds for a worker to start and answer
KNOCK_TIMEOUT = 5  # seconds for a head node to take a connection
CLIENT_PORT = 10001  # of Ray Client, where ray:// names none


def connect() -> None:
    """Connect to the cluster this process was told of (a Ray job, RAY_ADDRESS), or start one on this machine.

    Where it is connected already, by an earlier sweep or by the user, that stays.

    Workers get this code: by its path on a cluster of our own, uploaded to another, unless the job was submitted with
    a working directory already.

    Raises:
        ConfigError: no cluster answers at RAY_ADDRESS; said at once.
    """
    import ray

    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")  # the sweep's own journal is what a resume reads
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address := os.environ.get("RAY_ADDRESS"):
        try:
            _reach(address)
            ray.init(runtime_env=_job_environment(), **options)
        except OSError as error:
            hint = "start it, or unset RAY_ADDRESS to run on this machine alone"
            raise ConfigError([f"RAY_ADDRESS {address}: no Ray cluster answers there ({error}); {hint}"]) from None
    else:
        _start_here(options | {"runtime_env": {"env_vars": {"PYTHONPATH": _python_path()}}})


def _start_here(options: dict[str, Any]) -> None:
    """Start Ray on this machine, whatever clusters were started on it before.

    Raises:
        ConfigError: it does not start.
    """
    import ray

    try:
        ray.init("local", include_dashboard=False, **options)
    except Exception as error:
        folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "path length" in cause:
            cause = f"the path of its temporary folder {folder} is too long for a socket; set a shorter TMPDIR"
        raise ConfigError(
            [f"Ray does not start on this machine: {cause}. Its logs are below {folder / 'ray'}"]
        ) from error


def _reach(address: str) -> None:
    """Knock at the head node, for Ray itself would wait for minutes.

    Raises:
        OSError: nobody opens.
        ConfigError: it is not the address of a head node.
    """
    scheme, _, place = address.rpartition("://")
    if place in ("auto", "local") or scheme not in ("", "ray", "http", "https"):
        return  # Ray finds it
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port or (CLIENT_PORT if scheme == "ray" else None)
    except ValueError:
        host, port = None, None
    if scheme.startswith("http") or not host or not port:
        expected = f"HOST:6379 of the head node, ray://HOST:{CLIENT_PORT} from outside the cluster, or auto"
        raise ConfigError([f"RAY_ADDRESS {address}: expected {expected}; http:// is for `ray job submit` alone"])
    socket.create_connection((host, port), KNOCK_TIMEOUT).close()


def slots(config: SweepConfig) -> int:
    """How many trials fit at once."""
    import ray

    have = ray.cluster_resources()
    fits = int(have.get("CPU", 0) / config.cpus_per_trial + 1e-6)
    if config.gpus_per_trial:
        fits = min(fits, int(have.get("GPU", 0) / config.gpus_per_trial + 1e-6))
    return max(1, min(fits, config.max_concurrent or fits, config.trials))


def problems(config: SweepConfig, disk_needed: float) -> list[str]:
    """What stands in the way of the sweep, each with what to do; empty when it can start.

    Args:
        config: the sweep; its folder exists.
        disk_needed: bytes.
    """
    found = _resource_problems(config)
    free = shutil.disk_usage(config.storage).free
    if free < disk_needed:
        found.append(
            f"--storage {config.storage}: {free / 2**30:.1f} GiB free, up to {disk_needed / 2**30:.1f} GiB needed; "
            "free some space or choose another folder"
        )
    return found + _node_problems(config)


def _resource_problems(config: SweepConfig) -> list[str]:
    import ray

    found = []
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for flag, kind, wanted in (
        ("--cpus-per-trial", "CPU", config.cpus_per_trial),
        ("--gpus-per-trial", "GPU", config.gpus_per_trial),
    ):
        most = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if wanted > most:
            found.append(f"{flag} {wanted:g}: the largest node has {most:g} {kind}s; ask for at most that")
    return found


def _node_problems(config: SweepConfig) -> list[str]:
    """Ask a worker on every node to import the trainable and to use the storage folder."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = config.folder / f"{PROBE}{uuid.uuid4().hex}"
    probe.write_text("driver")
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    task = ray.remote(num_cpus=0, max_retries=0)(_probe)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(str(probe)): host
        for node, host in nodes.items()
    }
    found = []
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_TIMEOUT)
    for reference in ready:
        try:
            problem = ray.get(reference)
        except ray.exceptions.RayError as error:
            problem = f"a worker could not start: {str(error).strip().splitlines()[-1]}"
        if problem:
            found.append(f"node {asked[reference]}: {problem}")
    found += [f"node {asked[reference]}: no answer within {PROBE_TIMEOUT} s; is it overloaded?" for reference in late]
    probe.unlink(missing_ok=True)
    return found


def _probe(probe: str) -> str:
    """Runs on a worker; returns what is wrong there, '' if nothing is."""
    try:
        import trainables.trainable  # noqa: F401
    except ImportError as error:
        return (
            f"cannot import the trainables ({error}); install this project's requirements there, "
            "or submit the job with --working-dir ."
        )
    path = Path(probe)
    if not path.exists():
        return f"does not see {path.parent}; --storage must be a folder that every node mounts at the same path"
    answer = path.with_suffix(f".{uuid.uuid4().hex}")
    try:
        answer.write_text("worker")
        answer.unlink()
    except OSError as error:
        return f"cannot write to {path.parent} ({error.strerror}); give it write permission or change --storage"
    return ""


def _job_environment() -> dict[str, Any] | None:
    """The runtime environment of this driver on a cluster; None where the job brought one with the code in it."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("runtime_env", {})
    given = job.get("env_vars", {})
    forwarded = {
        name: value for name, value in os.environ.items() if name.startswith(FORWARDED) and name not in given
    }
    environment: dict[str, Any] = {"env_vars": forwarded} if forwarded else {}
    if "working_dir" not in job:
        environment["py_modules"] = [str(ROOT / package) for package in PACKAGES]
    return environment or None


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
