import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypda.data.sampling import Deck, PrevalenceSampler, Stream, UniformSampler, seed_of
from polypda.errors import DataError


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 5))
def test_every_frame_once_per_round(count, batch_size, seed):
    sampler = UniformSampler(count, batch_size, seed, Stream.TARGET)
    drawn = [index for step in range(count) for index in sampler.batch(step)]
    assert set(Counter(drawn).values()) == {batch_size}


@given(st.integers(2, 30), st.integers(0, 400), st.integers(1, 50))
def test_drawing_in_pieces_is_drawing_at_once(cards, start, count):
    whole = Deck(range(cards), 3, Stream.TARGET).draw(0, start + count)
    assert Deck(range(cards), 3, Stream.TARGET).draw(start, count) == whole[start:]


def test_rounds_and_seeds_and_streams_differ():
    deck = Deck(range(30), 0, Stream.TARGET)
    first, second = deck.draw(0, 30), deck.draw(30, 30)
    assert sorted(first) == sorted(second) and first != second
    assert Deck(range(30), 1, Stream.TARGET).draw(0, 30) != first
    assert Deck(range(30), 0, Stream.SOURCE_POSITIVE).draw(0, 30) != first


@given(st.floats(0.05, 0.95), st.integers(1, 8))
def test_prevalence_is_kept_over_the_steps(prevalence, batch_size):
    positive = [index % 3 == 0 for index in range(30)]
    sampler = PrevalenceSampler(positive, prevalence, batch_size, seed=0)
    steps = 200
    batches = [sampler.batch(step) for step in range(steps)]
    assert all(len(batch) == batch_size for batch in batches)
    shares = [sum(positive[index] for index in batch) for batch in batches]
    assert abs(sum(shares) - prevalence * steps * batch_size) <= 1
    assert max(shares) - min(shares) <= 1


def test_a_needed_kind_that_is_missing_is_named():
    with pytest.raises(DataError, match=r"E_PREVALENCE.*without a polyp"):
        PrevalenceSampler([True, True], 0.5, 4, seed=0)
    with pytest.raises(DataError, match=r"E_PREVALENCE.*with a polyp"):
        PrevalenceSampler([False], 0.5, 4, seed=0)
    PrevalenceSampler([True], 1.0, 4, seed=0)


def test_a_deck_travels_to_a_worker():
    deck = Deck(range(12), 5, Stream.TARGET)
    deck.draw(0, 3)
    assert pickle.loads(pickle.dumps(deck)).draw(7, 20) == deck.draw(7, 20)


def test_seeds_of_different_purposes_differ():
    assert len({seed_of(0, stream, step) for stream in Stream for step in range(50)}) == len(Stream) * 50
