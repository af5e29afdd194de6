"""How often training succeeds, over 200 seeds."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from handgrad import Config, make_problem, train
from handgrad.stages.numpy_manual import forward, sgd
from handgrad.training import accuracy


def held_out_accuracy(seed: int) -> float:
    p = make_problem(Config(seed=seed))
    c = p.config
    *_, last = sgd(p.params, p.x_train, p.y_train, p.order, c.batch_size, c.lr)
    return accuracy(forward(p.x_val, *last)[2], p.y_val)


def test_the_default_run_reaches_093() -> None:
    assert train(make_problem()).final["val_accuracy"] >= 0.93


def test_at_least_95_percent_of_200_seeds_reach_093() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(held_out_accuracy, range(200), chunksize=10))
    assert sum(a >= 0.93 for a in found) / len(found) >= 0.95
