import pickle

from trainables.data.errors import DataError


def test_message_lists_every_problem_under_the_source():
    error = DataError("grids.npy", ["the first", "the second"])
    assert str(error) == "cannot use the data grids.npy:\n  - the first\n  - the second"


def test_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(DataError("grids.npy", ["the first"])))
    assert (error.source, error.problems) == ("grids.npy", ["the first"])
    assert str(error).endswith("the first")
