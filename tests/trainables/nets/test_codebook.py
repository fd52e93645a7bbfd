"""The codebook against closed forms: moving averages, reset, gradients, statistics."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trainables.nets.codebook import DEAD_SHARE, NO_CODE, Codebook, CodebookStatistics, Quantised

EPSILON = 1e-5  # of the Laplace smoothing


def codebook(size=4, dim=3, ema=True, decay=0.9, reset=False, init="normal") -> Codebook:
    torch.manual_seed(0)
    return Codebook(size, dim, ema=ema, decay=decay, reset=reset, init=init)


def encodings(count=5, dim=3, side=2, seed=0, scale=1.0) -> torch.Tensor:
    return scale * torch.randn(count, dim, side, side, generator=torch.Generator().manual_seed(seed))


def everywhere(encoded) -> torch.Tensor:
    return torch.ones(len(encoded), encoded.shape[2] * encoded.shape[3], dtype=torch.bool)


def nearest(vectors, codes) -> np.ndarray:
    return np.square(vectors[:, None] - codes[None]).sum(axis=2).argmin(axis=1)


@pytest.mark.parametrize("dim", [3, 256])
def test_moving_averages_are_those_of_the_paper(dim):
    """N ← γ N + (1 − γ) n, m ← γ m + (1 − γ) Σ z, e = m / N with N smoothed over the codes (appendix A.1)."""
    size, decay = 6, 0.9
    book = codebook(size, dim, decay=decay)
    codes = book.vectors_KD.double().numpy().copy()
    counts, sums = np.ones(size), codes.copy()
    for step in range(5):
        encoded = encodings(dim=dim, seed=step)
        vectors = encoded.double().flatten(2).transpose(1, 2).reshape(-1, dim).numpy()
        chosen = nearest(vectors, codes)
        quantised = book(encoded, everywhere(encoded))
        np.testing.assert_array_equal(quantised.codes_BP.flatten().numpy(), chosen)
        looked_up = quantised.embedded_BDHW.flatten(2).transpose(1, 2).reshape(-1, dim)
        np.testing.assert_allclose(looked_up.numpy(), codes[chosen], rtol=1e-4, atol=1e-6)  # of before the update
        one_hot = np.eye(size)[chosen]
        counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
        sums = decay * sums + (1 - decay) * one_hot.T @ vectors
        smoothed = (counts + EPSILON) / (counts.sum() + size * EPSILON) * counts.sum()
        codes = sums / smoothed[:, None]
        np.testing.assert_allclose(book.vectors_KD.numpy(), codes, rtol=2e-4, atol=1e-5)
    assert int(book.updates) == 5


def test_positions_without_content_neither_get_a_code_nor_move_one():
    encoded = encodings()
    coded = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    book, other = codebook(), codebook()
    quantised = book(encoded, coded)
    assert torch.equal(quantised.codes_BP == NO_CODE, ~coded)
    assert quantised.codes_BP.dtype == torch.int64
    hidden = ~coded.view(5, 1, 2, 2).expand(-1, 3, -1, -1)
    assert (quantised.embedded_BDHW[hidden] == 0).all()
    assert (quantised.straight_through_BDHW[hidden] == 0).all()
    other(torch.where(hidden, 100.0, encoded), coded)
    torch.testing.assert_close(book.vectors_KD, other.vectors_KD)
    torch.testing.assert_close(quantised.embedded_BDHW, codebook().embed(quantised.codes_BP, (2, 2)))


def test_only_training_updates():
    encoded = encodings()
    book = codebook(reset=True).eval()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    evaluated = book(encoded, everywhere(encoded))
    book.train()
    assert torch.equal(book.nearest(encoded, everywhere(encoded)), evaluated.codes_BP)
    assert all(torch.equal(value, before[name]) for name, value in book.state_dict().items())
    trained = book(encoded, everywhere(encoded))
    torch.testing.assert_close(trained.embedded_BDHW, evaluated.embedded_BDHW)  # takes effect in the next step
    assert not torch.equal(book.vectors_KD, before["quantiser._codebook.embed"][0])


@pytest.mark.parametrize("ema", [True, False])
def test_the_gradient_goes_straight_through(ema):
    encoded = encodings().requires_grad_()
    coded = everywhere(encoded)
    coded[:, 0] = False
    book = codebook(ema=ema)
    quantised = book(encoded, coded)
    weight = encodings(seed=9)
    (quantised.straight_through_BDHW * weight).sum().backward()
    torch.testing.assert_close(encoded.grad, weight * coded.view(5, 1, 2, 2))
    torch.testing.assert_close(quantised.straight_through_BDHW, quantised.embedded_BDHW)
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in book.parameters())


def test_commitment_and_codebook_loss_by_hand():
    encoded = encodings().requires_grad_()
    coded = everywhere(encoded)
    coded[2] = False
    book = codebook(ema=False)
    quantised = book(encoded, coded)
    error = (encoded - quantised.embedded_BDHW).detach()[[0, 1, 3, 4]]
    expected = float(error.square().mean())
    assert quantised.commitment().item() == pytest.approx(expected)
    assert quantised.codebook().item() == pytest.approx(expected)
    (moved,) = torch.autograd.grad(quantised.commitment(), encoded, retain_graph=True)
    torch.testing.assert_close(moved[[0, 1, 3, 4]], 2 * error / error.numel())
    assert not moved[2].any()
    (parameter,) = book.parameters()
    (moved,) = torch.autograd.grad(quantised.codebook(), parameter)
    for code in range(4):
        at_code = (quantised.codes_BP == code).view(5, 1, 2, 2).expand(-1, 3, -1, -1)[[0, 1, 3, 4]]
        pull = torch.where(at_code, -2 * error / error.numel(), 0.0).sum(dim=(0, 2, 3))
        torch.testing.assert_close(moved[0, code], pull, atol=1e-6, rtol=1e-5)
    assert torch.autograd.grad(quantised.commitment(), parameter, allow_unused=True) == (None,)


def test_moving_averages_leave_nothing_to_learn():
    assert list(codebook().parameters()) == []


@pytest.mark.parametrize("ema", [True, False])
def test_a_code_out_of_use_is_put_onto_an_encoding(ema):
    """Its count falls as γᵗ; it is dead below 1 / e of the average count."""
    decay, dim = 0.8, 3
    book = codebook(4, dim, ema=ema, decay=decay, reset=True)
    far = torch.full((dim,), 50.0)
    with torch.no_grad():
        book.vectors_KD[3] = far
        book._state.embed_avg[0, 3] = far
    count, average = 1.0, 1.0
    for step in range(100):
        encoded = encodings(1, seed=step, scale=0.5)  # 4 encodings for 4 codes: the average count stays 1
        threshold = DEAD_SHARE * average
        book(encoded, everywhere(encoded))
        count = decay * count
        if count < threshold:
            break
        average = float(book._state.cluster_size.mean())
        assert torch.allclose(book.vectors_KD[3], far, rtol=1e-3)
    assert step + 1 == 5  # the first power of 0.8 below 1 / e
    batch = encoded.flatten(2).transpose(1, 2).reshape(-1, dim)
    assert (batch == book.vectors_KD[3].detach()).all(dim=1).any()
    assert float(book._state.cluster_size[0, 3]) == pytest.approx(average)
    torch.testing.assert_close(book._state.embed_avg[0, 3], average * book.vectors_KD[3].detach())
    placed = book.vectors_KD[3].detach().clone()
    elsewhere = book.vectors_KD[0].detach().clone()[None, :, None, None].expand(1, dim, 2, 2)
    book(elsewhere, everywhere(elsewhere))
    assert float(book._state.cluster_size[0, 3]) == pytest.approx(decay * average)  # it has not died again
    torch.testing.assert_close(book.vectors_KD[3].detach(), placed, atol=1e-3, rtol=1e-3)


def test_without_reset_a_code_out_of_use_stays():
    book = codebook(4, 3, decay=0.8)
    with torch.no_grad():
        book.vectors_KD[3] = book._state.embed_avg[0, 3] = torch.full((3,), 50.0)
    for step in range(40):
        encoded = encodings(seed=step, scale=0.5)
        book(encoded, everywhere(encoded))
    assert float(book._state.cluster_size[0, 3]) == pytest.approx(0.8**40, rel=1e-3)
    assert book.vectors_KD[3].min() > 10


def test_fewer_encodings_than_dead_codes():
    book = codebook(64, 3, decay=0.5, reset=True)
    encoded = encodings(1, side=2)
    for _ in range(30):
        book(encoded, everywhere(encoded))
    assert torch.isfinite(book.vectors_KD).all()
    assert len(book(encoded, everywhere(encoded)).codes_BP.unique()) == 4


def test_ready_after_two_memories():
    book, encoded = codebook(decay=0.75), encodings()
    seen = []
    for _ in range(9):
        seen.append(book.ready)
        book(encoded, everywhere(encoded))
    assert seen == [False] * 8 + [True]


@pytest.mark.parametrize("ema", [True, False])
def test_a_restored_codebook_goes_on_to_the_same_numbers(ema):
    def steps(book, numbers):
        for number in numbers:
            torch.manual_seed(number)  # the codes that are reset draw from it
            encoded = encodings(seed=number)
            book(encoded, everywhere(encoded))

    straight, first, second = (codebook(32, ema=ema, reset=True, decay=0.7) for _ in range(3))
    steps(straight, range(12))
    steps(first, range(6))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    steps(second, range(6, 12))
    assert all(torch.equal(value, straight.state_dict()[name]) for name, value in second.state_dict().items())
    assert not torch.equal(first.vectors_KD, second.vectors_KD)


def test_codes_at_first():
    normal, uniform = (codebook(512, 64, init=init).vectors_KD for init in ("normal", "uniform"))
    assert float(normal.std()) == pytest.approx(1.0, abs=0.02)
    assert float(uniform.abs().max()) == pytest.approx(1 / 512, rel=0.01)
    assert float(uniform.mean()) == pytest.approx(0.0, abs=1e-4)
    assert torch.equal(codebook(init="normal").vectors_KD, codebook(init="normal")._state.embed_avg[0])


def collected(training, *batches) -> CodebookStatistics:
    statistics = CodebookStatistics(torch.tensor(training, dtype=torch.float32))
    for batch in batches:
        statistics.add(SimpleNamespace(codes=torch.tensor(batch)), None)
    return statistics


def test_use_is_counted_over_the_whole_set():
    statistics = collected([1.0] * 8, [[0, 1, 1, 2]], [[3, 4, 4, 5]])
    assert statistics.metrics() == {
        "health/codebook_usage": 0.75,
        "health/perplexity": pytest.approx(math.exp(4 * math.log(8) / 8 + 2 * math.log(4) / 4)),
        "health/dead_codes": 2.0,
    }
    assert statistics.counts().tolist() == [1, 2, 1, 1, 2, 1, 0, 0]


def test_the_rate_is_the_cross_entropy_under_the_counts_of_training():
    uniform = collected([100.0] * 16, np.arange(16).reshape(4, 4).tolist())
    assert uniform.metrics()["health/perplexity"] == pytest.approx(16.0)
    assert uniform.rate() == pytest.approx(4 * math.log(16))
    counts = [30.0, 10.0, 0.0, 0.0]
    price = [-math.log((count + 0.5) / 42.0) for count in counts]
    assert collected(counts, [[0, 1, 2]], [[0, 0, 0]]).rate() == pytest.approx(
        (4 * price[0] + price[1] + price[2]) / 2
    )
    dead = collected([4000.0] + [0.0] * 15, [[0, 0, 0, 0]])
    assert (dead.rate(), dead.metrics()["health/perplexity"]) == (pytest.approx(0.0, abs=0.01), 1.0)


def test_its_own_frequencies_would_undercharge_a_large_book():
    """About (K − 1) / 2 nats over all positions: 512 codes drawn evenly, 2000 positions."""
    drawn = np.random.default_rng(0).integers(512, size=(20, 100))
    statistics = collected(np.random.default_rng(1).multinomial(200_000, [1 / 512] * 512).tolist(), drawn.tolist())
    assert statistics.rate() == pytest.approx(100 * math.log(512), rel=0.002)
    assert 20 * (statistics.rate() - 100 * statistics.entropy()) == pytest.approx(511 / 2, rel=0.2)


def test_training_counts_fade_and_evaluation_leaves_them_alone():
    book, encoded = codebook(4, 3, decay=0.5), encodings(1, side=2)
    used = torch.bincount(book(encoded, everywhere(encoded)).codes_BP.flatten(), minlength=4).float()
    torch.testing.assert_close(book.counts_K, used)
    again = torch.bincount(book(encoded, everywhere(encoded)).codes_BP.flatten(), minlength=4).float()
    torch.testing.assert_close(book.counts_K, 0.5 * used + again)
    before = book.counts_K.clone()
    book.eval()(encoded, everywhere(encoded))
    assert torch.equal(book.counts_K, before)


def test_positions_without_a_code_cost_nothing():
    statistics = collected([1000.0] * 4, [[0, -1, 1, -1], [2, 3, -1, -1]], [[-1, -1, -1, -1]])
    assert statistics.rate() == pytest.approx(4 / 3 * math.log(4))
    assert statistics.metrics()["health/codebook_usage"] == 1.0


def test_the_relative_error_is_that_of_whatever_scale():
    encoded = torch.tensor([[[[0.0, 2.0, 9.0]], [[0.0, 4.0, 9.0]]]])  # the third position has no code
    embedded = torch.tensor([[[[1.0, 1.0, 0.0]], [[1.0, 3.0, 0.0]]]])
    codes = torch.tensor([[0, 1, NO_CODE]])
    for scale in (1.0, 0.01, 100.0):
        quantised = Quantised(codes, scale * encoded, scale * embedded, scale * embedded)
        assert float(quantised.commitment()) == pytest.approx(scale**2 * 1.0)
        assert float(quantised.relative_error()) == pytest.approx(1.0 / 2.5)  # variances 1 and 4
    exact = Quantised(codes, encoded, encoded, encoded)
    assert float(exact.relative_error()) == 0.0
