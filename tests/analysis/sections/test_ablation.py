import re

from tests.analysis.page import page


def test_an_ablation_shows_effects_and_claims(ablated):
    words = page(ablated).words
    assert "ablation" in page(ablated).sections
    assert "importance" not in page(ablated).sections
    assert re.search(r"fixes\+ KL \+0.250 \[0.1\d*, 0.3\d*\]", words("ablation"))
    claims = words("claims")
    assert re.search(r"supportedTwo is better \(notes\)", claims)
    assert re.search(r"contradictedTwo is worse \(notes\)", claims)
    assert re.search(r"cannot be tested on this dataTwo has sharper vessels.*no trial has val/vessels", claims)
    assert "The 2 claims that could be tested are judged together (Holm)" in claims
    assert "Both pay for looking" not in claims


def test_settings_of_an_ablation_stand_in_order(ablated):
    words = page(ablated).words("ablation")
    assert re.search(r"two1.75 \[.*\]4 of 42, 4, 6, 8 the documented configuration1.50 \[", words)
