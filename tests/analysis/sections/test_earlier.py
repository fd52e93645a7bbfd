"""What earlier sweeps foretold stands in the report, beside what came of it."""

from sweeps import remembering
from sweeps.remembering import Learnt
from tests.analysis.page import page


def test_what_was_learnt_and_whether_it_came_true(writer):
    remembering.write(Learnt(("Learnt from old: 11 trials on the same data.",)), writer.path)
    for score, foretold in ((0.1, 0.2), (0.2, 0.4), (0.4, 0.6), (0.3, 0.9)):
        writer.trial([score], au=3.0, kl_raw=9.0, foretold=foretold)
    writer.trial([0.9], status="STOPPED", reason="COLLAPSED", au=0.0, foretold=0.95)
    writer.finish()
    words = page(writer).words("earlier")
    assert "Learnt from old: 11 trials on the same data." in words
    assert "Over the 4 finished trials that are ranked, Kendall's τ of foretold and found is 0.67" in words
    rows = words[words.index("Outcome") :]
    assert "5 0.95 –" in rows
    assert rows.index("4 0.90 2") < rows.index("3 0.60 1") < rows.index("1 0.20 4")


def test_a_sweep_that_remembers_nothing_has_no_such_section(writer):
    writer.trial([0.1])
    writer.finish()
    assert "earlier" not in page(writer).text


def test_a_sweep_that_found_nothing_to_learn_from_says_why(writer):
    remembering.write(Learnt(("old is not learnt from: it has other data.",)), writer.path)
    writer.trial([0.1])
    writer.finish()
    words = page(writer).words("earlier")
    assert "old is not learnt from: it has other data." in words
    assert "Kendall" not in words
