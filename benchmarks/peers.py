"""What more than one benchmark compares with."""

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from handgrad import Problem


def scikit_learn(problem: Problem, epochs: int) -> None:
    """The same network, trained by scikit-learn: its own initial weights and batch order."""
    config = problem.config
    model = MLPRegressor(
        hidden_layer_sizes=(config.hidden,),
        solver="sgd",
        momentum=0,
        alpha=0,
        learning_rate_init=config.lr,
        batch_size=config.batch_size,
        max_iter=epochs,
        tol=0,
        n_iter_no_change=10**6,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(problem.x_train, problem.y_train[:, 0])
