"""What learners get wrong in the exercises, as changes of the right lines, each with its sentence.

First the catalogue's mistakes, then `SLIPS`, which belong to one blank, then changes of the right
results, and last small changes of any line (`changes`). The first that gives some results names them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from changes import small_changes

from handgrad.mistakes import CATALOGUE, Mistake

if TYPE_CHECKING:
    from exercises import Blank

Array = np.ndarray


@dataclass(frozen=True)
class Slip:
    """What is said of it, and what to look at.

    required: its fingerprint must be usable; each: said of each of several results by itself.
    """

    sentence: str
    hint: str
    required: bool = False
    each: bool = False


_MODULE = "a1, h1, f = forward(x, self.W1, self.b1, self.W2, self.b2)"
# fmt: off
SLIPS: dict[str, list[tuple[str, str, str, str]]] = {
    # blank: what stands there, what is written instead, the sentence, the hint
    "relu": [
        ("np.maximum(a, 0)", "abs(a)", "Negative entries became positive; they must become 0.", "Which entries does the ReLU change, and to what?"),
        ("np.maximum(a, 0)", "np.minimum(a, 0)", "The negative entries are kept, the positive ones are lost.", "Which of a and 0 is taken, the larger or the smaller one?"),
        ("np.maximum(a, 0)", "1.0 * (a > 0)", "This is the ReLU's derivative, not the ReLU.", "The entries that pass keep their value."),
        ("np.maximum(a, 0)", "np.maximum(a, 0.01 * a)", "Negative entries are made small; they must become 0.", "That is a leaky ReLU. Ours lets nothing through."),
        ("np.maximum(a, 0)", "np.minimum(np.maximum(a, 0), 1)", "Entries above 1 are cut off.", "The ReLU has no upper end."),
        ("np.maximum(a, 0)", "np.maximum(a, 1)", "Entries below 1 became 1.", "What does a unit give that is off?"),
        ("np.maximum(a, 0)", "1.0 * a", "Nothing was changed: the negative entries are still there.", "Which entries must become 0?"),
        ("np.maximum(a, 0)", "np.full_like(a, np.maximum(a.max(), 0))", "Every entry is the largest of all: np.max looks at the whole array.", "You need a function that compares entry by entry."),
    ],
    "relu_derivative": [
        ("a > 0", "a >= 0", "At exactly 0 the derivative is taken to be 1; this project, like PyTorch, takes 0.", "At exactly 0 we take the slope from the left."),
        ("a > 0", "a < 0", "It is 1 for the units that are off, and 0 for those that are on.", "On which side of 0 does the ReLU rise?"),
        ("a > 0", "a <= 0", "It is 1 for the units that are off, and 0 for those that are on.", "On which side of 0 does the ReLU rise?"),
        ("a > 0", "np.maximum(a, 0)", "This is the ReLU itself, not its slope.", "How steep is the ReLU right of 0? Everywhere the same."),
        ("a > 0", "np.sign(a)", "Left of 0 it is −1; the ReLU is flat there.", "What is the slope of a flat line?"),
        ("a > 0", "a != 0", "It is 1 on both sides of 0.", "How steep is the ReLU left of 0?"),
        ("a > 0", "np.ones_like(a)", "It is 1 everywhere.", "How steep is the ReLU left of 0?"),
        ("a > 0", "np.where(a > 0, a, 0)", "Where a > 0 it is a; the slope there is the same everywhere.", "How steep is the ReLU right of 0?"),
        ("a > 0", "np.where(a > 0, 1, np.where(a < 0, 0, 0.5))", "At exactly 0 it is ½; this project, like PyTorch, takes 0.", "At exactly 0 we take the slope from the left."),
        ("a > 0", "a > 1", "The step is at another place than 0.", "Where does the ReLU bend?"),
    ],
    "loss": [
        ("0.5 * ((f - y) ** 2).mean()", "((f - y) ** 2).mean()", "It is twice too large: the ½ is missing.", "Read the formula again: what stands before the square?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * ((f - y) ** 2).sum()", "It is the sum over the batch, not the mean.", "What does L do with the B samples?"),
        ("0.5 * ((f - y) ** 2).mean()", "((f - y) ** 2).sum()", "It is the sum over the batch, not the mean, and the ½ is missing.", "What does L do with the B samples?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * abs(f - y).mean()", "The difference is not squared.", "Which power stands in the formula?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * (f - y).mean()", "The difference is not squared.", "Which power stands in the formula?"),
        ("0.5 * ((f - y) ** 2).mean()", "abs(f - y).mean()", "This is the mean of |f − y|: it is neither squared nor halved.", "Which power stands in the formula?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * (f - y).mean() ** 2", "The mean is taken before the square: errors of opposite sign cancel.", "Which comes first, the square or the mean?"),
        ("0.5 * ((f - y) ** 2).mean()", "(0.5 * (f - y)).mean() ** 2", "The mean is taken before the square: errors of opposite sign cancel.", "Which comes first, the square or the mean?"),
        ("0.5 * ((f - y) ** 2).mean()", "((0.5 * (f - y)) ** 2).mean()", "The ½ is squared too.", "Does the ½ stand inside the square or before it?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * np.sqrt(((f - y) ** 2).mean())", "There is a square root that the formula has not.", "Read the formula again, from the inside out."),
        ("0.5 * ((f - y) ** 2).mean()", "np.sqrt(((f - y) ** 2).mean())", "There is a square root that the formula has not.", "Read the formula again, from the inside out."),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * ((f - y.T) ** 2).mean()", "f − y was broadcast to (B, B): every prediction is compared with every target.", "Print the shape of f − y. It must be (B, 1)."),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * ((f - y) ** 2).mean() / len(f)", "It is divided by the batch's size twice.", "A mean divides already."),
        ("0.5 * ((f - y) ** 2).mean()", "-0.5 * ((f - y) ** 2).mean()", "The sign is wrong: a loss of squares is never negative.", "Where does the minus come from?"),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * ((f - y)[0] ** 2).mean()", "Only the first sample counts.", "The mean is over all B samples."),
        ("0.5 * ((f - y) ** 2).mean()", "0.5 * (f**2 - y**2).mean()", "The squares are taken before the difference.", "Is it the difference that is squared, or each of the two?"),
    ],
    "forward": [
        ("return a1, h1, f", "return h1, h1, f", "a1 is h1: the ReLU changed it in place, or h1 is returned twice.", "a1 is needed as it is: the backward pass looks at its sign."),
        ("relu(a1)", "(a1 - relu(a1))", "The negative entries are kept, the positive ones are lost.", "Which of a and 0 is taken, the larger or the smaller one?"),
        ("relu(a1)", "1.0 * a1", "The ReLU is left out.", "What stands between a1 and h1?"),
        ("h1 @ W2.T", "a1 @ W2.T", "The output layer receives a1; it must receive what comes out of the ReLU.", "What does W2 multiply in the formula?"),
        ("h1 @ W2.T + b2", "relu(h1 @ W2.T + b2)", "The output goes through a ReLU too.", "Which layers have a ReLU? Read the four formulas."),
        ("x @ W1.T + b1", "x @ W1.T - b1", "b1 is subtracted.", "Which sign has the bias in the formula?"),
        ("x @ W1.T + b1", "x @ W1.T", "b1 is not added.", "What comes after W₁x in the formula?"),
        ("h1 @ W2.T + b2", "h1 @ W2.T", "b2 is not added.", "What comes after W₂h₁ in the formula?"),
        ("h1 @ W2.T + b2", "h1 @ W2.T + b1.mean()", "Another bias is added to the output.", "Which layer does b1 belong to?"),
        ("a1 = x @ W1.T + b1  # (B, h)\n    h1 = relu(a1)", "a1 = x @ W1.T\n    h1 = relu(a1) + b1", "b1 is added after the ReLU; it belongs before it.", "What exactly goes into the ReLU?"),
        ("a1 = x @ W1.T + b1  # (B, h)\n    h1 = relu(a1)  # (B, h)\n    f = h1 @ W2.T + b2", "a1 = x @ W1.T  # (B, h)\n    h1 = relu(a1)  # (B, h)\n    f = h1 @ W2.T", "Neither bias is added.", "What comes after each product in the formulas?"),
        ("relu(a1)", "relu(x @ W1.T) + b1", "b1 is added after the ReLU; it belongs before it.", "What exactly goes into the ReLU?"),
        ("relu(a1)", "1.0 * (a1 > 0)", "h1 is the ReLU's slope, not its value.", "The entries that pass keep their value."),
        ("relu(a1)", "abs(a1)", "h1 is |a1|; units that are off must give 0.", "What does the ReLU do with negative numbers?"),
    ],
    "central_difference": [
        ("/ (2 * step)", "/ step", "The slope is twice too large: from one end to the other it is two steps.", "How far apart are the two points?"),
        ("/ (2 * step)", "/ 2", "It is not divided by the step.", "How far apart are the two points?"),
        ("/ (2 * step)", "/ (step / 2)", "It is divided by half a step.", "How far apart are the two points?"),
        ("/ (2 * step)", "/ step**2", "It is divided by the step's square.", "How far apart are the two points?"),
        ("/ (2 * step)", "", "It is not divided by anything.", "How far apart are the two points?"),
        ("/ (2 * step)", "/ 2 * step", "It is multiplied by the step: / 2 * step divides by 2 alone.", "Put brackets around what stands below the line."),
        ("at[index] = was\n", "pass\n", "An entry is not put back before the next one is moved.", "What must `at` hold when the next entry is moved?"),
        ("(above - below)", "(below - above)", "The sign is wrong: the lower value is taken first.", "A slope is the rise to the right."),
        ("(above - below)", "(above + below)", "The two values are added.", "A slope is a difference over a distance."),
        ("at[index] = was - step", "at[index] = was", "Only one side is moved: that is a forward difference, over twice its step.", "A central difference looks on both sides."),
        ("at[index] = was - step\n        below = loss_at(at)\n        at[index] = was\n        slopes[index] = (above - below) / (2 * step)", "at[index] = was\n        below = loss_at(at)\n        slopes[index] = (above - below) / step", "This is a forward difference: it looks on one side alone.", "A central difference looks on both sides."),
        ("at[index] = was + step\n        above = loss_at(at)\n        at[index] = was - step\n        below = loss_at(at)\n        at[index] = was\n        slopes[index] = (above - below) / (2 * step)", "above = loss_at(at)\n        at[index] = was - step\n        below = loss_at(at)\n        at[index] = was\n        slopes[index] = (above - below) / step", "This is a backward difference: it looks on one side alone.", "A central difference looks on both sides."),
        ("at[index] = was - step", "at[index] = was + 2 * step", "Both points lie on the same side.", "A central difference looks on both sides."),
        ("was = at[index]\n        at[index] = was + step\n        above = loss_at(at)\n        at[index] = was - step\n        below = loss_at(at)\n        at[index] = was", "at += step\n        above = loss_at(at)\n        at -= 2 * step\n        below = loss_at(at)\n        at += step", "All entries are moved at once.", "A slope in one entry moves that entry alone."),
        ("at[index] = was - step\n", "at[index] -= step\n", "The second step starts where the first one ended.", "Where must each of the two steps start?"),
        ("was + step", "was * (1 + step)", "The step is multiplied by the entry.", "A step is the same for all entries."),
    ],
    "df": [
        ("(f - y) / len(x)", "0.5 * (f - y) ** 2 / len(x)", "This is each sample's share of the loss, not its derivative.", "Differentiate ½ (f − y)² by f on paper."),
        ("(f - y) / len(x)", "0.5 * (f - y) ** 2", "This is each sample's loss, not its derivative.", "Differentiate ½ (f − y)² by f on paper."),
        ("(f - y) / len(x)", "(f - y) ** 2 / len(x)", "The difference is squared: that is the loss, not its derivative.", "Differentiate ½ (f − y)² by f on paper."),
        ("(f - y) / len(x)", "(f - y) ** 2", "The difference is squared: that is the loss, not its derivative.", "Differentiate ½ (f − y)² by f on paper."),
        ("(f - y) / len(x)", "f - y.mean()", "The mean of the targets stands where each target belongs, and 1/B is missing.", "Each sample has a target of its own."),
        ("(f - y) / len(x)", "(f - y.mean()) / len(x)", "The mean of the targets stands where each target belongs.", "Each sample has a target of its own."),
        ("(f - y) / len(x)", "(f.mean() - y) / len(x)", "The mean of the predictions stands where each prediction belongs.", "Each sample has a prediction of its own."),
        ("(f - y) / len(x)", "np.full_like(f, (f - y).mean())", "Every sample gets the mean difference.", "∂L/∂f has one row a sample: what does f of this sample do to L?"),
        ("(f - y) / len(x)", "np.full_like(f, (f - y).mean()) / len(x)", "Every sample gets the mean difference.", "∂L/∂f has one row a sample: what does f of this sample do to L?"),
        ("(f - y) / len(x)", "np.full_like(f, (f - y).sum())", "Every sample gets the sum of the differences.", "∂L/∂f has one row a sample: what does f of this sample do to L?"),
        ("(f - y) / len(x)", "2 * (f - y)", "The ½ of the loss is forgotten, and so is the mean's 1/B.", "Differentiate ½ (f − y)² by f on paper; then the mean."),
        ("(f - y) / len(x)", "0.5 * (f - y)", "The ½ is kept, though the square's 2 cancels it, and 1/B is missing.", "Differentiate ½ (f − y)² by f on paper; then the mean."),
        ("(f - y) / len(x)", "y - f", "The sign is wrong, and the mean's 1/B is missing.", "Which of the two comes first? And what does each sample weigh in a mean?"),
        ("(f - y) / len(x)", "2 * (y - f) / len(x)", "The sign is wrong, and the value is twice too large.", "Differentiate ½ (f − y)² by f on paper."),
        ("(f - y) / len(x)", "np.where(f > y, 1.0, -1.0) / len(x)", "Only the sign of f − y is left: that is the derivative of |f − y|.", "Which loss is it, the square or the absolute value?"),
        ("(f - y) / len(x)", "(f - y) / np.sqrt(((f - y) ** 2).mean()) / len(x)", "It is divided by the root of the loss: there is no root in this loss.", "Read the formula of L again."),
        ("(f - y) / len(x)", "(f - y) / (f * (1 - f)) / len(x)", "This is the derivative of another loss, the cross-entropy.", "Read the formula of L again."),
        ("(f - y) / len(x)", "(f - y) * (f > 0) / len(x)", "A ReLU's mask is in it: f has no ReLU.", "Read the four formulas: what is between f and L?"),
        ("(f - y) / len(x)", "(f - y) * f * (1 - f) / len(x)", "A sigmoid's derivative is in it: f has no sigmoid.", "Read the four formulas: what is between f and L?"),
    ],
    "dW2": [
        ("df.T @ h1", "(df @ W2).sum(axis=0, keepdims=True)", "This is the sum of dh1: W2 stands where another array belongs.", "What does W2 multiply in the forward pass?"),
        ("df.T @ h1", "df.sum() * W2", "W2 stands where another array belongs.", "What does W2 multiply in the forward pass?"),
        ("df.T @ h1", "df.sum() * h1.sum(axis=0, keepdims=True)", "Two sums are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("df.T @ h1", "df.sum() * h1.mean(axis=0, keepdims=True)", "A sum and a mean are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("df.T @ h1", "df.mean() * h1.sum(axis=0, keepdims=True)", "A sum and a mean are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("df.T @ h1", "df.mean() * h1.mean(axis=0, keepdims=True)", "Two means are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("df.T @ h1", "(df * h1).max(axis=0, keepdims=True)", "Only the largest product of each unit is taken; all samples must be summed.", "W2 is used in every sample."),
        ("df.T @ h1", "df.T @ np.maximum(h1, 0) * (W2 > 0)", "A mask of W2's signs is in it.", "The ReLU comes in at another link."),
    ],
    "db2": [
        ("df.sum(axis=0)", "(df * h1).sum(axis=0).sum(keepdims=True)", "It is multiplied by h1, as W2's gradient is, and summed over the units.", "What is b2's local derivative? b2 is a term of a sum."),
        ("df.sum(axis=0)", "(df * h1).sum(axis=0).mean(keepdims=True)", "It is multiplied by h1, as W2's gradient is, and averaged over the units.", "What is b2's local derivative? b2 is a term of a sum."),
        ("df.sum(axis=0)", "df.sum(axis=0) * b2", "It is multiplied by b2 itself.", "What is b2's local derivative? b2 is a term of a sum."),
        ("df.sum(axis=0)", "np.median(df, axis=0)", "It is the median; it must be a sum.", "b2 is used in every sample."),
        ("df.sum(axis=0)", "np.sqrt((df**2).sum(axis=0))", "It is the norm of df; it must be its sum.", "b2 is used in every sample."),
        ("df.sum(axis=0)", "(df**2).sum(axis=0)", "The entries are squared before they are summed.", "What is b2's local derivative? b2 is a term of a sum."),
        ("df.sum(axis=0)", "np.ones(1)", "It is 1: that is the local derivative alone.", "What arrives from above?"),
        ("df.sum(axis=0)", "np.full(1, 1.0 * len(df))", "It counts the samples: df has no part in it.", "What arrives from above?"),
    ],
    "dh1": [
        ("df @ W2", "df * (h1 > 0) * W2", "The ReLU's mask is in it already: that is the next link.", "h1 comes after the ReLU. One link at a time."),
        ("df @ W2", "df.sum() * W2 + 0 * h1", "df is summed over the samples: every row is the same.", "h1 belongs to one sample: nothing is summed over samples here."),
        ("df @ W2", "df.mean() * W2 + 0 * h1", "df is averaged over the samples: every row is the same.", "h1 belongs to one sample: nothing is summed over samples here."),
        ("df @ W2", "df * W2.sum() + 0 * h1", "W2 is summed: every unit gets the same.", "Each unit has a weight of its own."),
        ("df @ W2", "df * W2.mean() + 0 * h1", "W2 is averaged: every unit gets the same.", "Each unit has a weight of its own."),
        ("df @ W2", "df + 0 * h1", "W2 has no part in it: every unit gets df.", "How strongly does h1[j] enter into f?"),
        ("df @ W2", "df * W2[:, :1] + 0 * h1", "Every unit gets the first weight.", "Each unit has a weight of its own."),
    ],
    "da1": [
        ("relu_derivative(a1)", "(a1 < 0)", "The gradient flows through the units that are off, and not through those that are on.", "Which units pass a gradient on: those that are on, or those that are off?"),
        ("relu_derivative(a1)", "(a1 != 0)", "The mask lets all units through but those at exactly 0.", "On which side of 0 is the ReLU flat?"),
        ("relu_derivative(a1)", "np.sign(a1)", "Units that are off pass the gradient on with the other sign; they must pass nothing.", "What does a ReLU do to the gradient of a unit that is off?"),
        ("relu_derivative(a1)", "(dh1 > 0)", "The mask is taken from dh1; it belongs to a1.", "Whether a unit is on was decided in the forward pass."),
        ("relu_derivative(a1)", "(a1 > 0) * a1", "The gradient is multiplied by the ReLU itself instead of its derivative.", "The slope of a ReLU is 0 or 1. Its value is something else."),
        ("relu_derivative(a1)", "np.where(a1 > 0, 1, 0.01)", "Units that are off pass a hundredth of the gradient: that is a leaky ReLU.", "Ours lets nothing through."),
        ("relu_derivative(a1)", "np.where(a1 > 0, 1, 0.1)", "Units that are off pass a tenth of the gradient: that is a leaky ReLU.", "Ours lets nothing through."),
        ("relu_derivative(a1)", "(1 - np.tanh(a1) ** 2)", "This is the derivative of tanh.", "Which function stands between a1 and h1?"),
        ("relu_derivative(a1)", "(h1 * (1 - h1))", "This is the derivative of a sigmoid.", "Which function stands between a1 and h1?"),
        ("relu_derivative(a1)", "(1 / (1 + np.exp(-a1)) * (1 - 1 / (1 + np.exp(-a1))))", "This is the derivative of a sigmoid.", "Which function stands between a1 and h1?"),
        ("relu_derivative(a1)", "(1 / (1 + np.exp(-a1)))", "This is the derivative of softplus.", "Which function stands between a1 and h1?"),
        ("dh1 * relu_derivative(a1)", "np.maximum(dh1, 0)", "The ReLU is applied to the gradient; the mask belongs to a1.", "Whether a unit is on was decided in the forward pass."),
        ("dh1 * relu_derivative(a1)", "1.0 * (a1 > 0)", "dh1 has no part in it: this is the local derivative alone.", "What arrives from above?"),
        ("dh1 * relu_derivative(a1)", "dh1 * (a1 > 0).any(axis=0)", "A unit that is on for any sample passes everything; each sample has a mask of its own.", "The mask has a row for each sample."),
        ("dh1 * relu_derivative(a1)", "dh1 * (a1.mean(axis=0) > 0)", "The mask is taken from the mean over the samples; each sample has a mask of its own.", "The mask has a row for each sample."),
        ("dh1 * relu_derivative(a1)", "dh1 * (a1 > 0).mean(axis=0)", "The mask is averaged over the samples; each sample has a mask of its own.", "The mask has a row for each sample."),
        ("dh1 * relu_derivative(a1)", "dh1 * (a1 > 0).sum(axis=0)", "The mask is summed over the samples; each sample has a mask of its own.", "The mask has a row for each sample."),
        ("dh1 * relu_derivative(a1)", "np.minimum(dh1, a1)", "It is the smaller of dh1 and a1.", "Which of the two decides, and which is passed on?"),
        ("dh1 * relu_derivative(a1)", "np.where(a1 > 0, a1, 0)", "dh1 has no part in it: this is the ReLU of a1.", "What arrives from above?"),
        ("dh1 * relu_derivative(a1)", "np.where(a1 > 0, 0, a1)", "dh1 has no part in it.", "What arrives from above?"),
    ],
    "dW1": [
        ("da1.T @ x", "(a1 > 0).T @ x", "The ReLU's mask stands where another array belongs: what arrives from above is lost.", "What arrives from above?"),
        ("da1.T @ x", "da1.T @ np.maximum(x, 0)", "x goes through a ReLU: the first layer receives x as it is.", "What does W1 multiply in the forward pass?"),
        ("da1.T @ x", "np.outer(da1.sum(axis=0), x.sum(axis=0))", "Two sums are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("da1.T @ x", "np.outer(da1.sum(axis=0), x.mean(axis=0))", "A sum and a mean are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("da1.T @ x", "np.outer(da1.mean(axis=0), x.sum(axis=0))", "A sum and a mean are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("da1.T @ x", "np.outer(da1.mean(axis=0), x.mean(axis=0))", "Two means are multiplied; the products of each sample must be summed.", "First the product in one sample, then the sum over samples."),
        ("da1.T @ x", "(da1 * (a1 < 0)).T @ x", "A mask is in it that lets only the units pass that are off.", "da1 has its mask already."),
        ("da1.T @ x", "(x.T @ da1).reshape(da1.shape[1], x.shape[1])", "The numbers are right, but in another order: a reshape where a transpose is needed.", "Write the shapes below each factor."),
        ("da1.T @ x", "x.sum(axis=0) + 0 * W1", "da1 has no part in it.", "What arrives from above?"),
        ("da1.T @ x", "da1.sum(axis=0)[:, None] + 0 * W1", "x has no part in it.", "What does W1 multiply in the forward pass?"),
        ("da1.T @ x", "da1.sum(axis=0)[:, None] * W1", "W1 stands where another array belongs.", "What does W1 multiply in the forward pass?"),
    ],
    "db1": [
        ("da1.sum(axis=0)", "(dh1 * da1).sum(axis=0)", "It is multiplied by dh1.", "b1 is a term of a sum: what is its local derivative?"),
        ("da1.sum(axis=0)", "(da1 * a1).sum(axis=0)", "It is multiplied by a1.", "b1 is a term of a sum: what is its local derivative?"),
        ("da1.sum(axis=0)", "(da1 * h1).sum(axis=0)", "It is multiplied by h1.", "b1 is a term of a sum: what is its local derivative?"),
        ("da1.sum(axis=0)", "dh1.mean(axis=0)", "The bias's gradient is taken after the activation, and averaged.", "The bias is added before the ReLU. Which gradient arrives there?"),
        ("da1.sum(axis=0)", "np.median(da1, axis=0)", "It is the median; it must be a sum.", "b1 is used in every sample."),
        ("da1.sum(axis=0)", "(da1**2).sum(axis=0)", "The entries are squared before they are summed.", "b1 is a term of a sum: what is its local derivative?"),
        ("da1.sum(axis=0)", "(da1 > 0).sum(axis=0) * 1.0", "It counts the positive entries; it must sum their values.", "What arrives from above?"),
        ("da1.sum(axis=0)", "(a1 > 0).sum(axis=0) * 1.0", "It counts the samples for which a unit is on.", "What arrives from above?"),
        ("da1.sum(axis=0)", "da1.sum(axis=0) / np.maximum((a1 > 0).sum(axis=0), 1)", "It is averaged over the samples for which the unit is on.", "df holds the mean's 1/B already."),
        ("da1.sum(axis=0)", "da1.sum(axis=0) * b1", "It is multiplied by b1 itself.", "b1 is a term of a sum: what is its local derivative?"),
    ],
    "backward": [
        ("(f - y) / len(x)", "(f - y) * (np.arange(len(x)) == len(x) - 1)[:, None] / len(x)", "Only the last sample counts: what the others bring is overwritten, not added up.", "Every sample adds its part."),
        ("(f - y) / len(x)", "(f - y) * (np.arange(len(x)) == 0)[:, None] / len(x)", "Only the first sample counts.", "Every sample adds its part."),
        ("dh1 * relu_derivative(a1)", "dh1 * (dh1 > 0)", "The mask is taken from dh1; it belongs to a1.", "Whether a unit is on was decided in the forward pass."),
        ("(f - y) / len(x)", "(f - y) * (f > 0) / len(x)", "A ReLU's mask is in df: f has no ReLU.", "Read the four formulas: what is between f and L?"),
        ("forward(x, W1, b1, W2, b2)", "forward(x, W1, 0 * b1, W2, b2)", "b1 has no part in it: the hidden layer is computed without its bias.", "What comes after W₁x in the formula?"),
        ("forward(x, W1, b1, W2, b2)", "forward(x, W1, b1, W2, 0 * b2)", "b2 has no part in it: f is computed without its bias.", "What comes after W₂h₁ in the formula?"),
        ("dh1 * relu_derivative(a1)", "dh1 * a1", "The gradient is multiplied by a1 instead of the ReLU's derivative.", "The slope of a ReLU is 0 or 1."),
        ("df @ W2", "df * W2.sum()  + 0 * h1", "W2 is summed on the way back: every unit gets the same.", "Each unit has a weight of its own."),
        ("(f - y) / len(x)", "(f - y) / W1.shape[0]", "It is divided by the number of units, not of samples.", "Over what is the mean in L?"),
        ("(f - y) / len(x)", "(f - y) / x.size", "It is divided by the number of inputs of all samples, not of samples.", "Over what is the mean in L?"),
    ],
    "03 backward": [
        ("p.grad = None", "pass", "The gradient of the call before was not cleared, and is still in this one.", "backward() adds to .grad. What must be there before?"),
        ("loss(f, y).backward()", "(2 * loss(f, y)).backward()", "Every gradient is twice too large.", "Is it our loss that you go back from?"),
        ("loss(f, y).backward()", "((f - y) ** 2).mean().backward()", "Every gradient is twice too large: nn.MSELoss and ((f − y)²).mean() have no ½.", "Is it our loss that you go back from?"),
        ("loss(f, y).backward()", "f.sum().backward()", "These are the gradients of f's sum, not of the loss.", "Is it our loss that you go back from?"),
        ("loss(f, y).backward()", "f.mean().backward()", "These are the gradients of f's mean, not of the loss.", "Is it our loss that you go back from?"),
        ("loss(f, y).backward()", "(0.5 * (f - y) ** 2).sum().backward()", "Every gradient is B times too large: this is the sum over the batch.", "Is it our loss that you go back from?"),
        ("p.grad = None", "p.grad = None if p is W1 else p.grad", "Only W1's gradient was cleared: the others still hold that of the call before.", "backward() adds to .grad, of all four."),
    ],
    "HandWrittenLoss.backward": [
        ("dL * (f - y)", "(f - y)", "dL has no part in it: every gradient is what it would be if L were the end.", "What arrives from above multiplies everything below."),
        ("dL * (f - y)", "(f - y) / dL", "It is divided by dL.", "What arrives from above multiplies everything below."),
        ("dL * (f - y)", "dL + (f - y)", "dL is added.", "What arrives from above multiplies everything below."),
        ("(a1 > 0)", "(a1 > 0) * dL", "dL is in the lower layer's gradients twice.", "What arrives from above multiplies everything below, once."),
        ("dL * (f - y)", "dL * dL * (f - y)", "dL is in it twice.", "What arrives from above multiplies everything below, once."),
    ],
    "TwoLayerXOR": [
        (_MODULE, "f = (x @ self.W1.T + self.b1) @ self.W2.T + self.b2", "The ReLU is left out.", "What stands between a1 and h1?"),
        (_MODULE, "f = relu(x @ self.W1.T) @ self.W2.T + self.b2 + 0 * self.b1.sum()", "b1 has no part in it.", "What comes after W₁x in the formula?"),
        (_MODULE, "f = relu(x @ self.W1.T + self.b1) @ self.W2.T + 0 * self.b2", "b2 has no part in it.", "What comes after W₂h₁ in the formula?"),
        ("return f", "return relu(f)", "The output goes through a ReLU too.", "Which layers have a ReLU? Read the four formulas."),
        ("return f", "return torch.sigmoid(f)", "The output goes through a sigmoid; this network has none.", "Read the four formulas: what is done after W₂h₁ + b₂?"),
        ("nn.Parameter(W1.clone())", "nn.Parameter(torch.zeros_like(W1))", "W1 begins with other numbers than were given.", "The module is given its initial numbers, so that all notebooks begin alike."),
        ("nn.Parameter(W1.clone())", "nn.Parameter(torch.ones_like(W1))", "W1 begins with other numbers than were given.", "The module is given its initial numbers, so that all notebooks begin alike."),
    ],
    "EpochOrder": [
        ("self.order, self.epoch = order, 0", "self.order, self.epoch = torch.roll(order, 1, 0), 1", "The epochs are counted from 1: set_epoch(0) chooses the last row.", "Which is the first number that set_epoch gets?"),
        ("self.order[self.epoch]", "self.order[0]", "Every epoch visits the rows of epoch 0.", "Which row of the order has set_epoch chosen?"),
        ("self.order[self.epoch]", "self.order[self.epoch - 1]", "It is one epoch behind.", "Which row of the order has set_epoch chosen?"),
        ("self.order[self.epoch]", "self.order[(self.epoch + 1) % len(self.order)]", "It is one epoch ahead.", "Which row of the order has set_epoch chosen?"),
        ("self.order[self.epoch]", "torch.arange(len(self))", "The rows come in their own order, not in the given one.", "Which row of the order has set_epoch chosen?"),
        ("self.order.shape[1]", "self.order.shape[0]", "The length is the number of epochs; it must be the number of samples.", "How many rows does one pass visit?"),
        ("self.order.shape[1]", "self.order.numel()", "The length is that of all epochs together.", "How many rows does one pass visit?"),
        ("self.epoch = epoch", "pass", "set_epoch has no effect: every epoch visits the rows of epoch 0.", "What must be kept for the next pass?"),
        ("self.order[self.epoch].tolist()", "sorted(self.order[self.epoch].tolist())", "The rows are sorted.", "The order is what the sampler is for."),
        ("self.order[self.epoch].tolist()", "self.order[self.epoch].flip(0).tolist()", "The rows come from last to first.", "The order is what the sampler is for."),
    ],
    "accuracy": [
        ("f >= 0.5", "f > 0.5", "A prediction of exactly ½ is called 0; here ½ counts as 1.", "Which side does the ½ itself belong to?"),
        ("f >= 0.5", "f >= 0", "The threshold is 0; it must be ½.", "Where is the border between the two classes?"),
        ("f >= 0.5", "f < 0.5", "This is the share of wrong predictions.", "Which class does a large f stand for?"),
        ("== y", "!= y", "This is the share of wrong predictions.", "What does it mean that two classes are equal?"),
        ("np.count_nonzero((f >= 0.5) == y)", "np.count_nonzero(f >= 0.5)", "This is the share of samples that are called 1, right or not.", "Where do the targets come in?"),
        ("np.count_nonzero((f >= 0.5) == y)", "np.count_nonzero((f >= 0.5) & (y == 1))", "Only the ones that are found count; a 0 that is called 0 is right too.", "Which predictions are right?"),
        ("/ len(y)", "", "This is the number of right predictions, not their share.", "A share lies between 0 and 1."),
        ("/ len(y)", "/ len(y) * 100", "This is in per cent.", "A share lies between 0 and 1."),
        ("(f >= 0.5) == y", "(f >= 0.5) == y.T", "Every prediction is compared with every target: (B, 1) against (1, B).", "Print the shape of what you compare."),
        ("(f >= 0.5) == y", "np.round(f) == y", "f is rounded to a whole number: above 1.5 or below −0.5 it is neither class.", "How many classes are there, and where is the border?"),
    ],
}
# fmt: on
SLIPS["02 backward"] = SLIPS["backward"][-5:]  # the others are in NumPy


def _sgd(at_update: str, also: str = "") -> list[tuple[str, str, str, str]]:
    """The slips of a training loop by hand; `also` stands where the sum of the gradients is kept."""
    turned = re.sub("-= lr", "+= lr", at_update)
    # fmt: off
    rows = [
        (at_update, "pass", "No parameter changes: the updates are made to something else, or not at all.", "p = p − … inside a loop over the parameters gives p a new meaning, and leaves W1 as it is."),
        ("for rows in order", "for rows in [order[0]] * len(order)", "Every epoch visits the samples in the first epoch's order.", "Which row of order belongs to the second epoch?"),
        (at_update, turned, "Every step climbs: the updates are added.", "The gradient points uphill."),
        (at_update, re.sub('lr \\* ', '', at_update), "The learning rate has no part in it.", "How far does a step go?"),
        (at_update, re.sub('lr', 'lr / len(x_epoch[batch])', at_update), "Every step is divided by the batch's size once more.", "The gradient is a mean already."),
        (at_update, re.sub('lr', 'lr / batch_size', at_update), "Every step is divided by the batch's size once more.", "The gradient is a mean already."),
        (at_update, re.sub('lr', 'lr / len(x)', at_update), "Every step is divided by the number of all samples.", "The gradient is a mean already."),
        (at_update, re.sub('lr', 'lr * len(x_epoch[batch])', at_update), "Every step is multiplied by the batch's size.", "The gradient is a mean already."),
        (at_update, re.sub('lr', 'lr / 2', at_update), "Every step is half as long as it must be.", "How far does a step go?"),
        (at_update, re.sub("lr", "0.1", at_update), "The learning rate is another one than was given.", "Which argument holds the rate?"),
        (at_update, re.sub('lr', '2 * lr', at_update), "Every step is twice as long as it must be.", "How far does a step go?"),
        ("x[rows], y[rows]", "x, y", "The samples are visited in their own order: the rows of order are not used.", "Which samples are in the first batch of an epoch?"),
        ("y[rows]", "y", "The samples are reordered, their targets are not.", "Each sample must keep its own target."),
        ("x[rows]", "x", "The targets are reordered, their samples are not.", "Each sample must keep its own target."),
        ("slice(i, i + batch_size)", "slice(0, batch_size)", "Every update sees the first batch.", "Which samples does the second batch begin with?"),
        ("slice(i, i + batch_size)", "slice(0, i + batch_size)", "Every batch begins with the first sample, and grows.", "Where does a batch begin, and where does it end?"),
        ("slice(i, i + batch_size)", "slice(i + 1, i + 1 + batch_size)", "Each batch starts one sample late.", "Which samples does the first batch begin with?"),
        ("slice(i, i + batch_size)", "slice(i, None)", "Every batch goes to the end of the epoch.", "Where does a batch begin, and where does it end?"),
        ("slice(i, i + batch_size)", "slice(i, i + batch_size - 1)", "The last sample of each batch is left out.", "A slice ends before its second number."),
        ("slice(i, i + batch_size)", "slice(i, i + batch_size + 1)", "Each batch takes one sample too many.", "A slice ends before its second number."),
        ("slice(i, i + batch_size)", "slice(i, i + 1)", "Each update sees one sample.", "How many samples are in a batch?"),
        ("backward(x_epoch[batch], y_epoch[batch], W1", "backward(x_epoch, y_epoch, W1", "Each update sees all samples.", "How many samples are in a batch?"),
    ]
    # fmt: on
    for name in ("W1", "b1", "W2", "b2"):
        update = f"{name} -= lr * d{name}"
        rows.append((update, "pass", f"{name} is not updated.", "How many parameters are there?"))
        rows.append(
            (
                update,
                f"{name} += lr * d{name}",
                f"{name}'s steps climb: the update is added.",
                "The gradient points uphill.",
            )
        )
    rows.append(
        (
            "backward(x_epoch[batch], y_epoch[batch], W1, b1, W2, b2)",
            "backward(x_epoch[batch], y_epoch[batch], *params)",
            "All gradients are taken at the initial parameters.",
            "Where do you stand when you take the next step?",
        )
    )
    return rows


_UPDATE = "W1 -= lr * dW1{0}b1 -= lr * db1{0}W2 -= lr * dW2{0}b2 -= lr * db2"
SLIPS["01 sgd"] = _sgd(_UPDATE.format("\n            "))
SLIPS["03 sgd"] = _sgd(_UPDATE.format("\n                "))
# fmt: off
SLIPS["04 sgd"] = [
    ("optimizer.zero_grad()", "pass", "The gradients are not cleared: each step uses the sum of all so far.", "backward() adds to .grad. What must be there before?"),
    ("sampler.set_epoch(epoch)", "pass", "Every epoch visits the rows of epoch 0: set_epoch is not called.", "How does the sampler learn which epoch it is?"),
    ("lr=lr", "lr=0.1", "The learning rate is another one than was given.", "Where does the optimizer get its rate from?"),
    ("lr=lr", "lr=2 * lr", "Every step is twice as long as it must be.", "Where does the optimizer get its rate from?"),
    ("lr=lr", "lr=lr, momentum=0.9", "The optimizer has a momentum: this is another method.", "Plain SGD has a learning rate and nothing else."),
    ("lr=lr", "lr=lr, weight_decay=0.01", "The optimizer shrinks the weights: this is another method.", "Plain SGD has a learning rate and nothing else."),
    ("torch.optim.SGD(model.parameters(), lr=lr)", "torch.optim.Adam(model.parameters(), lr=lr)", "This is Adam, not SGD.", "Which optimizer moves each parameter by lr times its gradient?"),
    ("sampler=sampler", "shuffle=False", "The samples are visited in their own order: the sampler is not used.", "How does the loader learn of our order?"),
    ("loss(model(x_batch), y_batch)", "nn.MSELoss()(model(x_batch), y_batch)", "Every step is twice as long as it must be: nn.MSELoss has no ½.", "Is it our loss that you go back from?"),
    ("loss(model(x_batch), y_batch)", "(0.5 * (model(x_batch) - y_batch) ** 2).sum()", "Every step is B times as long as it must be: this is the sum over the batch.", "Is it our loss that you go back from?"),
    ("loss(model(x_batch), y_batch)", "loss(model(x), y)", "Each update sees all samples.", "What does the loader hand you?"),
    ("sampler.set_epoch(epoch)", "sampler.set_epoch(epoch); model = TwoLayerXOR(*params); optimizer = torch.optim.SGD(model.parameters(), lr=lr)", "Every epoch begins with the initial parameters: the model is made anew.", "What must outlive an epoch?"),
    ("optimizer.step()", "pass", "Nothing is updated.", "Who moves the parameters?"),
    ("DataLoader(data, batch_size", "DataLoader(data, 1", "Each update sees one sample.", "How many samples are in a batch?"),
]
# fmt: on


Results = list[list[Array]]


def variants(
    blank: "Blank", source: str, cases: Sequence[Mapping[str, Array]], right: Results
) -> Iterator[tuple[Slip, str | Results]]:
    """What is said of a mistake, and the blank's source with it, or its results on both cases."""
    yield from _of_the_catalogue(blank, source)
    name = blank.name
    for old, new, sentence, hint in SLIPS.get(f"{blank.lesson} {name}", SLIPS.get(name, [])):
        text = source.replace("torch.relu(a)", "np.maximum(a, 0)") if name == "relu" else source
        assert old in text, f"{name}: {old!r} is not in its source"
        yield Slip(sentence, hint), text.replace(old, new)
    with np.errstate(all="ignore"):
        yield from _changed_results(cases, right)
    for sentence, hint, text in small_changes(source, cases[0]):
        yield Slip(sentence, hint), text
    with np.errstate(all="ignore"):
        yield from _mixed_results(cases, right)


def catalogued(expression: str, layer: int) -> str:
    """An expression of the catalogue with the exercise's names; layer 0 is the lower one."""
    below = {"h": "x", "W": "W1", "b": "b1", "da": "da1", "above": "a1", "dW": "dW1"}
    above = {"h": "h1", "W": "W2", "b": "b2", "da": "df", "above": "f", "a": "a1", "dh": "dh1"}
    names = (below if layer == 0 else above | {"dW": "dW2"}) | {"batch_size": "32", "lr": "0.1"}
    names |= {"dW_above": "dW2", "dh_above": "dh1"}
    return re.sub(r"(?<![.\w])(\w+)", lambda m: names.get(m[1], m[1]), expression)


def targets(mistake: Mistake) -> list[tuple[str, int]]:
    """The links of this network in which the mistake can be made, each with its layer."""
    layers = mistake.layers(2)
    if mistake.link in ("df", "dh", "da"):
        return [(mistake.link + ("" if mistake.link == "df" else "1"), 1)]
    return [(f"{mistake.link}{layer + 1}", layer) for layer in layers]


def _of_the_catalogue(blank: "Blank", source: str) -> Iterator[tuple[Slip, str]]:
    for mistake in CATALOGUE.values():
        if "before" in mistake.line:  # a second call shows it
            continue
        for link, layer in targets(mistake):
            wrong = catalogued(mistake.line.partition(" = ")[2], layer)
            if "torch" in source or "dim=" in source:
                wrong = wrong.replace("axis=", "dim=").replace("np.roll", "torch.roll")
            text = re.sub(
                rf"(?m)^(\s*)({link} = |return )([^#\n]+)"
                if blank.name == link
                else rf"(?m)^(\s*)({link} = )([^#\n]+)",
                lambda m: f"{m[1]}{m[2]}{wrong}  ",  # noqa: B023
                source,
            )
            if text != source:
                yield Slip(mistake.sentence, mistake.hint, required=blank.link), text


def _changed_results(
    cases: Sequence[Mapping[str, Array]], right: Results
) -> Iterator[tuple[Slip, Results]]:
    """The right results, changed as a whole."""
    right = [[1.0 * a if a.dtype == bool else a for a in results] for results in right]
    for sentence, hint, change in RESULTS:
        pairs = zip(right, cases, strict=True)
        yield (
            Slip(sentence, hint, each=True),
            [[change(a, c) for a in results] for results, c in pairs],
        )


def _mixed_results(
    cases: Sequence[Mapping[str, Array]], right: Results
) -> Iterator[tuple[Slip, Results]]:
    """The right results, mixed with another array of their shape."""
    for name in cases[0]:
        mixes: list[tuple[str, Callable[[Array, Array], Array]]] = [
            (f"This is {name} itself.", lambda a, g: g),
            (f"{name} is added to what it must be.", lambda a, g: a + g),
            (f"{name} is subtracted from what it must be.", lambda a, g: a - g),
            (f"It is multiplied by {name} besides.", lambda a, g: a * g),
            (f"It is divided by {name} besides.", lambda a, g: a / g),
        ]
        for sentence, mix in mixes:
            yield (
                Slip(sentence, "Which arrays have a part in this link, and how?", each=True),
                [
                    [mix(a, c[name]) if a.shape == c[name].shape else a for a in results]
                    for results, c in zip(right, cases, strict=True)
                ],
            )


Change = Callable[[Array, Mapping[str, Array]], Array]


def _mask(a: Array, c: Mapping[str, Array]) -> Array:
    return a * (c["a1"] > 0) if a.shape == c["a1"].shape else a


def _without(a: Array, column: int) -> Array:
    kept = np.array(a)
    if a.ndim:
        kept[..., column] = 0
    return kept


LOOK = "Multiply or divide by hand for one entry: where does the number come from?"
# fmt: off
RESULTS: list[tuple[str, str, Change]] = [
    ("The value has the wrong sign.", "Follow the sign through the line, factor by factor.", lambda a, c: -a),
    ("The value is twice what it must be.", LOOK, lambda a, c: 2 * a),
    ("The value is half of what it must be.", LOOK, lambda a, c: a / 2),
    ("The value is −2 times what it must be.", LOOK, lambda a, c: -2 * a),
    ("The value is four times what it must be.", LOOK, lambda a, c: 4 * a),
    ("The value is B times too large: a sum over the batch where the mean is needed.", "df holds the mean's 1/B. Is it in there?", lambda a, c: a * len(c['x'])),
    ("The value is B times too small: it is divided by the batch's size once too often.", "df holds the mean's 1/B already.", lambda a, c: a / len(c['x'])),
    ("The value is B² times too small: it is divided by the batch's size twice too often.", "df holds the mean's 1/B already.", lambda a, c: a / len(c['x']) ** 2),
    ("The value is divided by the number of units.", "A mean over the units is taken somewhere.", lambda a, c: a / len(c['W1'])),
    ("The value is multiplied by the number of units.", LOOK, lambda a, c: a * len(c['W1'])),
    ("The value is divided by the number of inputs.", "A mean over the inputs is taken somewhere.", lambda a, c: a / c['x'].shape[1]),
    ("The value is divided by B − 1 in place of B.", "Over how many samples is the mean?", lambda a, c: a * len(c['x']) / (len(c['x']) - 1)),
    ("The value is divided by B + 1 in place of B.", "Over how many samples is the mean?", lambda a, c: a * len(c['x']) / (len(c['x']) + 1)),
    ("The value is divided by 32, whatever the size of the batch.", "Divide by the number of rows that came.", lambda a, c: a * len(c['x']) / 32),
    ("The value is multiplied by 0.1: is a learning rate in it?", "A gradient knows nothing of the step.", lambda a, c: 0.1 * a),
    ("It has the wrong sign, and is B times too large.", "Two things at once: which of the two comes first, and what does a sample weigh in a mean?", lambda a, c: -a * len(c['x'])),
    ("It is divided by 32, whatever the size of the batch.", "df holds the mean's 1/B already, for the batch that came.", lambda a, c: a / 32),
    ("It is divided by 8.", "df holds the mean's 1/B already, for the batch that came.", lambda a, c: a / 8),
    ("It is divided by 500.", "df holds the mean's 1/B already, for the batch that came.", lambda a, c: a / 500),
    ("The last column is 0.", "Where does the loop over the columns end?", lambda a, c: _without(a, -1)),
    ("The first column is 0.", "Where does the loop over the columns begin?", lambda a, c: _without(a, 0)),
    ("The last row is 0.", "Where does the loop over the rows end?", lambda a, c: _without(a.T, -1).T),
    ("The first row is 0.", "Where does the loop over the rows begin?", lambda a, c: _without(a.T, 0).T),
    ("It is all zero.", "Is what you computed what you return?", lambda a, c: 0 * a),
    ("It is all one.", "Is what you computed what you return?", lambda a, c: 0 * a + 1),
    ("The signs are lost: every entry is positive.", "Where does an absolute value come in?", lambda a, c: abs(a)),
    ("Only the signs are left: every entry is −1, 0 or 1.", "Where do the sizes get lost?", lambda a, c: np.sign(a)),
    ("Every entry is squared.", "Which power stands in the derivative?", lambda a, c: a ** 2),
    ("Every entry is half its own square.", "Is this a value of the loss, or its derivative?", lambda a, c: 0.5 * a ** 2),
    ("Negative entries are cut off: they became 0.", "A gradient may be negative.", lambda a, c: np.maximum(a, 0)),
    ("Positive entries are cut off: they became 0.", "A gradient may be positive.", lambda a, c: np.minimum(a, 0)),
    ("Every entry is rounded down: // is not /.", "Which division keeps the fraction?", lambda a, c: np.floor(a)),
    ("Every entry is rounded.", "Where do the fractions get lost?", lambda a, c: np.round(a)),
    ("The fractions are cut off: whole numbers are left.", "Where do the fractions get lost?", lambda a, c: np.trunc(a)),
    ("The rows are in the reverse order.", "Row by row: what belongs to what?", lambda a, c: a[::-1] if a.ndim else a),
    ("The columns are in the reverse order.", "Column by column: what belongs to what?", lambda a, c: a[..., ::-1] if a.ndim else a),
    ("The rows are shifted by one.", "Row by row: what belongs to what?", lambda a, c: np.roll(a, 1, axis=0) if a.ndim else a),
    ("The rows are shifted by one.", "Row by row: what belongs to what?", lambda a, c: np.roll(a, -1, axis=0) if a.ndim else a),
    ("The columns are shifted by one.", "Column by column: what belongs to what?", lambda a, c: np.roll(a, 1, axis=-1) if a.ndim else a),
    ("The columns are shifted by one.", "Column by column: what belongs to what?", lambda a, c: np.roll(a, -1, axis=-1) if a.ndim else a),
    ("The numbers are right, but in another order: a reshape where a transpose is needed.", "Write the shapes below each factor.", lambda a, c: a.T.reshape(a.shape)),
    ("Every entry is the same: the mean of all.", "One number for each entry. What is added up?", lambda a, c: np.full_like(a, a.mean())),
    ("Every entry is the same: the sum of all.", "One number for each entry. What is added up?", lambda a, c: np.full_like(a, a.sum())),
    ("The mean is subtracted.", "Nothing is centred in this network.", lambda a, c: a - a.mean()),
    ("It is divided by its norm.", "Nothing is normalized in this network.", lambda a, c: a / np.sqrt((a ** 2).sum())),
    ("Every row is the sum over all rows.", "What belongs to one sample stays in its row.", lambda a, c: np.broadcast_to(a.sum(axis=0), a.shape) * 1.0 if a.ndim else a),
    ("Every row is the mean over all rows.", "What belongs to one sample stays in its row.", lambda a, c: np.broadcast_to(a.mean(axis=0), a.shape) * 1.0 if a.ndim else a),
    ("Every column is the sum over all columns.", "What belongs to one unit stays in its column.", lambda a, c: np.broadcast_to(a.sum(axis=-1, keepdims=True), a.shape) * 1.0 if a.ndim else a),
    ("The rows are added up step by step: a cumulative sum.", "Which of them do you need, each or all together?", lambda a, c: np.cumsum(a, axis=0) if a.ndim else a),
    ("Units that are off are set to 0: that belongs to the link with the ReLU.", "One link at a time: what stands between these two lines of the forward pass?", _mask),
    ("Units that are on are set to 0.", "Which units pass a gradient on?", lambda a, c: a - _mask(a, c)),
    ("It is scaled up as dropout does.", "There is no dropout here.", lambda a, c: a / 0.5),
]
# fmt: on
