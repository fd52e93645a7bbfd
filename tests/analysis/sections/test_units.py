from tests.analysis.page import page


def test_partial_collapse_is_told(writer):
    for share in (0.0, 0.02, 0.09, 0.1, 0.5):
        writer.trial([0.1], au=100 * share, au_frac=share, kl_raw=1.0)
    writer.trial([0.1], au=2.0, au_frac=0.02, kl_raw=1.0, status="STOPPED", reason="RUNG")
    writer.finish()
    words = page(writer).words("units")
    assert "Partial collapse: 2 trials trained to the end with some, but less than 10 % of the units" in words
    assert "(trials 2, 3)" in words
    assert "KL on its floor" not in words


def test_a_kl_that_ends_on_its_floor_is_told(writer):
    for share in (0.5, 1.0):
        writer.trial([0.1], au=3.0, au_frac=0.5, kl_raw=1.0, kl_floor_frac=share)
    writer.finish()
    words = page(writer).words("units")
    assert "KL on its floor: in 1 trial (trial 2) hardly a dimension" in words
    assert "Partial collapse" not in words
