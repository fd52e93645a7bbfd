"""Typed search spaces: parsing, legality, ranges."""

import math
from dataclasses import replace

import numpy as np
import pytest

import search_spaces
from search_spaces.space import Parameter, SearchSpace, applies, show


def parameter(kind="float", **fields) -> Parameter:
    given = {"default": 0.5, "baseline": 0.25, "low": 0.1, "high": 0.9} if kind in ("float", "log") else {}
    return Parameter(**{"name": "p", "kind": kind, "doc": "a parameter", "source": "notes", **given, **fields})


CLIP = parameter("choice", name="clip", default=1.0, baseline=None, choices=(None, 1.0), minimum=1e-6)
SWITCH = parameter("choice", name="switch", default=False, baseline=False, choices=(False, True))
MODE = parameter("choice", name="mode", default="a", baseline="raw", choices=("a", "b"), unsearched=("raw",))
WIDTH = parameter("fixed", name="width", default=128, baseline=128, minimum=8, maximum=512)
COUNT = parameter("int", name="count", default=3, baseline=2, low=1, high=5)
SHARE = parameter("float", name="share", maximum=1.0, unit="share of the budget")
RATE = parameter("log", name="rate", default=1e-3, baseline=1e-4, low=1e-4, high=1e-2)
SPACE = SearchSpace("toy", (CLIP, SWITCH, MODE, WIDTH, COUNT, SHARE, RATE))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 0.9, "high": 0.1}, r"p: the range 0\.9\.\.0\.1 is empty; expected low < high"),
        ({"low": 0.5, "high": 0.5}, "is empty"),
        ({"low": None}, "is empty"),
        ({"kind": "log", "low": 0.0}, "a log range must start above 0, found 0"),
        ({"low": -1.0}, r"p: -1\.\.0\.9 leaves the legal 0\.\.inf"),
        ({"maximum": 0.5}, r"leaves the legal 0\.\.0\.5"),
        ({"kind": "choice", "choices": (1,), "default": 1, "baseline": 1}, "a choice needs at least two values"),
    ],
)
def test_contradictory_definitions_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        parameter(**fields)


@pytest.mark.parametrize(
    ("given", "text", "value"),
    [
        (CLIP, "none", None),
        (CLIP, "None", None),
        (CLIP, "1", 1.0),
        (CLIP, "0.5", 0.5),
        (SWITCH, "on", True),
        (SWITCH, "off", False),
        (SWITCH, "true", True),
        (SWITCH, "False", False),
        (MODE, "b", "b"),
        (MODE, "raw", "raw"),
        (WIDTH, "64", 64),
        (WIDTH, "6.4e1", 64),
        (COUNT, "9", 9),
        (SHARE, "0", 0.0),
        (RATE, "1e-5", 1e-5),
    ],
)
def test_parse(given, text, value):
    parsed = given.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("given", "text", "message"),
    [
        (CLIP, "0", "clip=0: expected at least 1e-06"),
        (CLIP, "off", "clip=off: expected a number or none"),
        (SWITCH, "1", "switch=1: expected one of off, on"),
        (SWITCH, "none", "switch=none: expected one of off, on"),
        (MODE, "c", "mode=c: expected one of a, b, raw"),
        (MODE, "3", "mode=3: expected one of a, b, raw"),
        (WIDTH, "64.5", "width=64.5: expected a whole number"),
        (WIDTH, "4", "width=4: expected 8 to 512"),
        (WIDTH, "inf", "width=inf: expected a number"),
        (SHARE, "1.5", "share=1.5: expected 0 to 1 share of the budget"),
        (SHARE, "nan", "share=nan: expected a number"),
        (SHARE, "", "share=: expected a number"),
        (RATE, "-1", "rate=-1: expected at least 0"),
        (RATE, "true", "rate=true: expected a number"),
    ],
)
def test_parse_names_parameter_value_and_expectation(given, text, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        given.parse(text)


def test_set_fixes_a_value_in_every_trial():
    fixed = CLIP.fixed_at("none")
    assert (fixed.kind, fixed.default, fixed.baseline, fixed.searched) == ("fixed", None, None, False)
    assert fixed.draw(np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("given", "text", "kind", "low", "high", "choices"),
    [
        (SHARE, "0..1", "float", 0.0, 1.0, ()),
        (RATE, "1e-6..1", "log", 1e-6, 1.0, ()),
        (WIDTH, "16..64", "int", 16, 64, ()),
        (COUNT, "2..9", "int", 2, 9, ()),
        (CLIP, "0.5..2", "float", 0.5, 2.0, ()),
        (CLIP, "none,1,5", "choice", None, None, (None, 1.0, 5.0)),
        (MODE, "raw, a", "choice", None, None, ("raw", "a")),
        (WIDTH, "16,32", "choice", None, None, (16, 32)),
    ],
)
def test_space_searches_a_range_or_values(given, text, kind, low, high, choices):
    varied = given.searched_over(text)
    assert (varied.kind, varied.low, varied.high, varied.choices) == (kind, low, high, choices)
    rng = np.random.default_rng(0)
    assert all(varied.contains(varied.draw(rng)) for _ in range(50))


@pytest.mark.parametrize(
    ("given", "text", "message"),
    [
        (SHARE, "0..2", "share=2: expected 0 to 1"),
        (SHARE, "0.5..0.1", "the range 0.5..0.1 is empty"),
        (RATE, "0..1", "a log range must start above 0"),
        (MODE, "a..b", "expected values separated by commas"),
        (SWITCH, "off..on", "expected values separated by commas"),
        (CLIP, "none..1", "expected two numbers"),
        (COUNT, "1.5..3", "expected a whole number"),
        (SHARE, "0.5", "a choice needs at least two values"),
        (SHARE, "..1", "expected a number"),
    ],
)
def test_space_refuses_what_is_not_legal(given, text, message):
    with pytest.raises(ValueError, match=message):
        given.searched_over(text)


def test_changed_reports_every_problem_at_once():
    same, problems = SPACE.changed(
        ["width", "depth=3", "mode=c", "share=0.5"], ["rate=5..1", "share=0..1", "nothing=1..2"]
    )
    assert len(problems) == 6
    assert problems[0] == "--set width: expected name=value"
    assert problems[1].startswith("--set depth=3: toy has no hyperparameter 'depth'; it has: clip, switch, mode")
    assert problems[2] == "--set mode=c: expected one of a, b, raw"
    assert problems[3].startswith("--space rate: the range 5.0..1.0 is empty")
    assert problems[4].startswith("--space nothing=1..2: toy has no hyperparameter")
    assert problems[5] == "--set and --space name share 2 times: once is enough"
    assert same["mode"] == MODE


def test_changed_leaves_the_original_alone():
    changed, problems = SPACE.changed(["switch=on"], ["width=16,32"])
    assert problems == []
    assert changed.documented()["switch"] is True
    assert changed.baseline()["switch"] is True
    assert [p.name for p in changed.searched] == ["clip", "mode", "width", "count", "share", "rate"]
    assert [p.name for p in SPACE.searched] == ["clip", "switch", "mode", "count", "share", "rate"]
    assert SPACE.documented()["switch"] is False


def test_contains_tells_what_the_search_could_draw():
    config = SPACE.documented()
    assert SPACE.contains(config)
    assert not SPACE.contains(config | {"share": 0.95})
    assert not SPACE.contains(config | {"mode": "raw"})
    assert not SPACE.contains(config | {"width": 64})
    assert not SWITCH.contains(0)  # equal to False, but another type
    assert not SPACE.contains(config | {"rate": None})


def test_draws_cover_the_range_on_its_own_scale():
    rng = np.random.default_rng(0)
    draws = [SPACE.draw(rng) for _ in range(600)]
    assert all(SPACE.contains(draw) for draw in draws)
    logs = [math.log10(draw["rate"]) for draw in draws]
    assert np.mean(logs) == pytest.approx(-3.0, abs=0.1)  # uniform would give -2.3
    assert np.mean([draw["share"] for draw in draws]) == pytest.approx(0.5, abs=0.04)
    assert {draw["count"] for draw in draws} == {1, 2, 3, 4, 5}
    assert {draw["clip"] for draw in draws} == {None, 1.0}


def test_a_conditional_parameter_keeps_its_default_where_the_condition_fails():
    dependent = parameter("float", name="length", when=("switch", True))
    space = SearchSpace("toy", (SWITCH, dependent))
    draws = [space.draw(np.random.default_rng(seed)) for seed in range(40)]
    off = {draw["length"] for draw in draws if not draw["switch"]}
    assert off == {0.5}
    assert len({draw["length"] for draw in draws if draw["switch"]}) > 5
    assert applies(dependent, {"switch": True})
    assert not applies(dependent, {"switch": False})


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "on"), (False, "off"), (0.0001, "0.0001"), (1.0, "1"), (1024, "1024"), ("raw", "raw")],
)
def test_show_writes_values_as_the_command_line_does(value, text):
    assert show(value) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [(CLIP, "{none, 1}"), (SWITCH, "{off, on}"), (RATE, "[0.0001, 0.01] log"), (SHARE, "[0.1, 0.9]"), (WIDTH, "128")],
)
def test_range_text(given, text):
    assert given.range_text == text


def small_space(**changes):
    return SearchSpace(
        model="small",
        parameters=(
            Parameter("size", "fixed", default=256, baseline=256, doc="", source="", demo=32, data=True),
            Parameter("width", "fixed", default=8, baseline=4, doc="", source="", demo=2),
            Parameter("rate", "log", default=0.1, baseline=0.2, low=0.01, high=1.0, doc="", source=""),
        ),
        **changes,
    )


def test_on_the_embedded_data_the_demo_values_hold():
    space = small_space().on_embedded()
    assert space.documented() == {"size": 32, "width": 2, "rate": 0.1}
    assert space.baseline() == {"size": 32, "width": 2, "rate": 0.2}
    assert space.data_settings() == {"size": 32}
    assert small_space().data_settings() == {"size": 256}
    assert space.changed(["size=64"], [])[0].data_settings() == {"size": 64}


def test_data_settings_cannot_be_searched():
    _, problems = small_space().changed([], ["size=32,64"])
    assert problems == ["--space size=32,64: data is prepared once for all trials; fix it with --set instead"]
    with pytest.raises(ValueError, match="data is prepared once"):
        Parameter("size", "choice", default=1, baseline=2, choices=(1, 2), doc="", source="", data=True)


def test_rules_are_asked_about_the_ends_of_every_range():
    def rule(config):
        return f"rate={config['rate']:g}: expected less than 1" if config["rate"] >= 1 else None

    _, problems = small_space(rules=(rule,)).changed([], [])
    assert problems == ["rate=1: expected less than 1"]
    assert small_space(rules=(rule,)).changed([], ["rate=0.1..0.9"])[1] == []


def test_what_to_do_about_memory_comes_from_the_space():
    named = [replace(WIDTH, name=name, memory=True) for name in ("width", "depth", "batch_size")]
    advice = [SearchSpace("toy", (RATE, *named[:count])).memory_advice() for count in range(4)]
    assert advice[0] == ""
    for text, found in zip(("width", "width or depth", "width, depth or batch_size"), advice[1:], strict=True):
        assert found.startswith(f"a smaller {text} needs less")


@pytest.mark.parametrize("model", search_spaces.names())
def test_every_model_knows_what_needs_memory(model):
    assert "batch_size" in search_spaces.load(model).memory_advice()
