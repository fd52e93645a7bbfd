from tests.analysis.page import page


def test_how_to_reproduce(writer):
    writer.save(command=["python", "sweeps/run.py", "imc_vae", "--data", "my grids.parquet"])
    writer.trial([0.5], config={"learning_rate": 0.00031234567891, "clip": None, "two_stage": True})
    words = page(writer).words("reproduce")
    assert "python sweeps/run.py imc_vae --data 'my grids.parquet'" in words
    assert "python sweeps/run.py --trial demo:1 Seed" in words
    writer.save(command=["sweeps/run.py", "imc_vae", "--storage=my results"])
    again = page(writer).words("reproduce")
    assert "python sweeps/run.py imc_vae '--storage=my results'" in again
    assert "python sweeps/run.py --trial demo:1 '--storage=my results'" in again
    for part in ("--set learning_rate=0.00031234567891", "--set clip=none", "--set two_stage=on"):
        assert part in words
    for part in ("Seed 7", "4fb070d2, with changes not committed", "torch 2.13.0", "sha256:9f2c41d07b5e", "cpus 16"):
        assert part in words
