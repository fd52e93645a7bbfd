from tests.analysis.page import page


def test_a_codebook_has_codes_in_place_of_units(make_writer):
    writer = make_writer(epochs=3)
    for usage in (0.01, 0.5, 0.9):
        trial = writer.suggest()
        measured = {"health/codebook_usage": usage, "health/perplexity": 200 * usage, "health/z_gain": usage}
        writer.log(trial, [{"val/elbo_gain": usage, "val/mse": 1 - usage, "health/rate": 9.0, **measured}] * 3)
        writer.end(trial, "FINISHED")
    parsed = page(writer)
    assert {"rate", "codes", "training"} <= set(parsed.sections)
    assert not {"units", "forecast", "stops"} & set(parsed.sections)
    assert "codebook usageperplexity" in parsed.words("leaderboard").replace(" codebook", "codebook").replace(
        " p", "p"
    )
    assert "less than 2% of the codes are in use" in parsed.words("codes")
