import math

import search_spaces
from tests.analysis.page import page


def test_the_summary_in_words(writer):
    writer.trial([0.1] * 9 + [0.25], origin="documented")
    writer.trial([0.0] * 3, origin="baseline", status="STOPPED", reason="COLLAPSED", verdicts={3: "COLLAPSED"})
    writer.trial([0.1] * 9 + [0.5])
    writer.trial([0.2] * 2, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 9 + [0.3], control=True, verdicts={4: "COLLAPSED"})
    writer.finish()
    words = page(writer).words("summary")
    assert (
        "The best configuration is trial 3 with ELBO gain 0.500 at its best epoch, 10 of 10, 0.250 better than the "
        "documented configuration "
        "(trial 1) and 0.500 better than the documented “before” (trial 2, collapsed at epoch 3 of 10)." in words
    )
    assert "5 trials of 10 epochs: 2 finished, 1 kept as control, 1 stopped at a rung and 1 collapsed." in words
    assert "35 epochs of 50 were trained; stops saved 15 (30 %): 7 by the health verdict, 8 at rungs, 0 of" in words
    assert (
        "1 of 1 control recovered, a rate of 100 % (95 % Wilson interval 21 % to 100 %): of the 1 trial that the "
        "verdict stopped, 0 to 1 would have recovered too." in words
    )
    assert "Trial 5 is next, 0.200 behind. From epoch to epoch the score of the best still moves by 0.0" not in words
    known = len(search_spaces.claims("imc_vae"))
    assert f"The {known} documented claims about imc_vae are not tested by a search" in words
    assert "val/elbo_gain, higher is better: the evidence bound" in words
    assert "embedded demonstration data" in words


def test_a_best_documented_trial_is_not_compared_with_itself(writer):
    writer.trial([0.5], origin="documented")
    writer.trial([math.nan], origin="baseline", status="STOPPED", reason="NUMERIC")
    words = page(writer).words("summary")
    assert "The best configuration is trial 1, the documented configuration, with ELBO gain 0.500" in words
    assert "while the documented “before” (trial 2, numeric) has no score." in words


def test_the_setting_of_the_best_beside_the_documented_one(writer):
    writer.trial([0.1], origin="documented", config={"learning_rate": 3e-4, "normalize": "channel_wise"})
    writer.trial([0.2], config={"learning_rate": 0.000512345, "normalize": "channel_wise"})
    writer.trial([0.0], config={"learning_rate": 3e-4, "normalize": "learned"})
    words = page(writer).words("summary")
    assert "normalize channel_wise" in words
    assert "learning_rate 0.000512 documented 0.0003" in words
    assert "latent_dim" not in words


def test_how_sure_the_best_is(make_writer):
    writer = make_writer(epochs=20)
    writer.trial([0.1] * 15 + [0.50, 0.52, 0.50, 0.52, 0.50])
    assert "Nothing to compare with" in page(writer).words("summary")
    writer.trial([0.49] * 20)
    words = page(writer).words("summary")
    assert "Trial 2 is next, 0.0100 behind. From epoch to epoch the score of the best still moves by 0.020" in words
    assert "more than that: the two cannot be told apart" in words
    assert "trained with one seed" in words


def test_what_a_score_not_above_0_means_is_said(writer):
    writer.trial([-0.1], **{"val/r2": -0.02})
    assert "reconstructs held-out data no better than the best constant does" in page(writer).words("summary")
    writer.trial([-0.05], **{"val/r2": 0.9, "health/rate": 120.0})
    words = page(writer).words("summary")
    assert "it explains 90% of the held-out variance, but its rate of 120 nats costs more than that is worth" in words
    writer.trial([0.1])
    assert "not above 0" not in page(writer).words("summary")


def test_trials_that_no_longer_improved_left_epochs(writer):
    writer.trial([0.1] * 6)
    assert "trials that no longer improved left 4." in page(writer).words("summary")


def test_without_a_healthy_trial_there_is_no_best(writer):
    writer.trial([0.0] * 2, status="STOPPED", reason="COLLAPSED", verdicts={2: "COLLAPSED"})
    writer.finish()
    parsed = page(writer)
    assert "No trial finished healthy, so there is no best configuration." in parsed.words("summary")
    assert "there is no control among the 1 condemned" in parsed.words("summary")
    assert "--set" not in parsed.words("reproduce")


def test_a_lower_metric_is_better_where_the_sweep_says_so(make_writer):
    writer = make_writer(metric=["val/mse"], mode=["min"])
    writer.trial([0.5], metric="val/mse", origin="documented")
    writer.trial([0.2], metric="val/mse")
    words = page(writer).words("summary")
    assert "trial 2 with MSE 0.200 at its best epoch, 1 of 1, 0.300 better than the documented configuration" in words
    assert "val/mse, lower is better" in words


def test_the_summary_of_an_ablation(ablated):
    words = page(ablated).words("summary")
    assert "The best setting is two with a mean ELBO gain of 1.75 [" in words
    assert "over 4 seeds, 0.250 better than the documented configuration." in words
    assert (
        "Next is the documented configuration, 0.250 behind in 4 pairs of the same seed (95 % interval 0.1" in words
    )
    assert "more than the seeds explain, unless the best is it by luck: it was chosen for its score." in words
    assert "Of 2 documented claims tested on this data, 1 supported, 1 contradicted, 0 inconclusive." in words
    assert "Supported: Two is better. Contradicted: Two is worse." in words


def test_claims_in_the_summary_lead_to_their_rows(ablated):
    attributes = page(ablated).attributes
    ids = {value for tag, name, value in attributes if name == "id" and tag == "tr"}
    links = {value[1:] for tag, name, value in attributes if (tag, name) == ("a", "href") and "claim-" in value}
    assert links == {"claim-1", "claim-2"}
    assert links <= ids
