"""Fast enough is: so much in each window; whoever rests need not move."""

from serving_layer.connections.minimum_rate import MinimumRate


def test_whoever_moves_enough_is_never_too_slow():
    pace = MinimumRate(rate=10, window_s=2)
    assert not any(pace.too_slow(float(second), 10 * second) for second in range(100))


def test_whoever_moves_less_is_too_slow_after_one_window():
    pace = MinimumRate(rate=10, window_s=2)
    assert [pace.too_slow(float(second), 9 * second) for second in range(3)] == [False, False, True]


def test_a_burst_does_not_excuse_standing_still_afterwards():
    pace = MinimumRate(rate=10, window_s=2)
    assert not pace.too_slow(0.0, 0)
    assert not pace.too_slow(1.0, 10_000)
    assert not pace.too_slow(2.9, 10_000)
    assert pace.too_slow(3.0, 10_000)


def test_a_rest_begins_anew():
    pace = MinimumRate(rate=10, window_s=2)
    assert not pace.too_slow(0.0, 0)
    pace.rest()
    assert not pace.too_slow(50.0, 0)
    assert pace.too_slow(52.0, 0)
