import sys
import textwrap

from analysis import sections
from tests.analysis.page import page


def test_an_id_and_a_place_belong_to_one_section():
    known = sections.known()
    assert len({section.id for section in known}) == len(known)
    assert len({section.order for section in known}) == len(known)


def test_a_new_one_is_one_file(tmp_path, monkeypatch, writer):
    (tmp_path / "seeds.py").write_text(
        textwrap.dedent("""
        from analysis.sections.base import Section

        class Seeds(Section):
            title = "Seeds used"
            order = 65
            template = "<p>{{ seeds|length|plural('seed') }} in {{ sweep.name }}.</p>"

            def content(self, sweep):
                return {"seeds": {trial.record.seed for trial in sweep.trials}} if sweep.trials else None
        """)
    )
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    sections.known.cache_clear()
    try:
        assert "seeds" not in page(writer).sections
        for seed in (1, 2, 1):
            writer.trial([0.1], seed=seed)
        parsed = page(writer)
        assert parsed.words("seeds") == "Seeds used 2 seeds in demo."
        assert parsed.sections[:4] == ["summary", "leaderboard", "seeds", "curves"]
        assert ("a", "href", "#seeds") in parsed.attributes
    finally:
        sections.known.cache_clear()
        sys.modules.pop("analysis.sections.seeds")
