#!/usr/bin/env bash
# A sweep on Slurm: Ray on every node of the allocation, the driver on the first. From the repository:
#   sbatch deploy/slurm.sh imc_vae --data /shared/grids.parquet --storage /shared/results --gpus-per-trial 0.25
# A job that ran out of time goes on with: sbatch deploy/slurm.sh --resume NAME --storage /shared/results
#SBATCH --job-name=vae-sweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

port=6379
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):$port"
resources=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_PER_TASK:-0}" --block)

srun --nodes=1 --ntasks=1 -w "$head" .venv/bin/ray start --head --port "$port" "${resources[@]}" &
for _ in {1..180}; do
    (exec 3<>"/dev/tcp/${address%:*}/$port") 2>/dev/null && break
    sleep 1
done
if ((SLURM_JOB_NUM_NODES > 1)); then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude "$head" \
        .venv/bin/ray start --address "$address" "${resources[@]}" &
    sleep 10
fi

RAY_ADDRESS=$address .venv/bin/python sweeps/run.py "$@" &
driver=$!
trap 'kill -TERM $driver' TERM
wait $driver || status=$?
wait $driver 2>/dev/null || status=${status:-$?}
exit "${status:-0}"
