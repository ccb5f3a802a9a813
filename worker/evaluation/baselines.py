"""What is had without a transformer: the answers that a module has to be better than to be worth anything.

Always the most frequent class, and TF-IDF of words and pairs of words with logistic regression. Both learn from the
train split and answer the examples that modules are measured on. The work is bounded by rows, words and classes, never
by a clock, so equal data give equal figures.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from microlith.contract import BagOfWords, SimpleScore
from worker.compute.arrays import Truth
from worker.evaluation.runner import evenly

MOST_ROWS = 50_000
MOST_CHARACTERS = 2_000
"""Of one text; the rest of it is not read."""

MOST_WORDS = 50_000
MOST_WEIGHTS = 4_000_000
"""Words × classes."""

MOST_PRODUCTS = 20_000_000
"""Words of all rows × classes: a fit goes over them about a hundred times."""

RARE = 1_000
"""Rows from which on a word must stand in two of them."""

STRENGTH, ROUNDS, TOLERANCE = 16.0, 15, 1e-3
"""Of the regression: the inverse of its penalty, and when it ends."""

SEED = 0
"""Of the rows that are learned from, where there are too many."""

BYTES = 4
"""Of a weight."""


def majority(train: Truth, labels: Truth, label_names: Sequence[str]) -> SimpleScore:
    """Always the class that most rows of the train split have, and no other; the first of several."""
    counts = train.sum(axis=0) if train.ndim == 2 else np.bincount(train, minlength=len(label_names))
    most = int(counts.argmax())
    always = np.arange(len(label_names)) == most
    answers = np.full(len(labels), most) if labels.ndim == 1 else np.tile(always, (len(labels), 1))
    return SimpleScore(**_scores(answers, labels, label_names))


def bag_of_words(
    train: tuple[Sequence[str], Truth], test: tuple[Sequence[str], Truth], label_names: Sequence[str]
) -> BagOfWords | None:
    """Words alone, learned from the train split; None where there is nothing to be learned.

    Texts come with class ids [rows], or with tables [rows, classes] that are learned column by column.
    """
    texts, labels = train
    rows = evenly(len(texts), MOST_ROWS)
    terms = TfidfVectorizer(
        token_pattern=r"\w+",
        ngram_range=(1, 2),
        min_df=2 if len(rows) >= RARE else 1,
        max_features=min(MOST_WORDS, MOST_WEIGHTS // len(label_names)),
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        seen = terms.fit_transform([texts[row][:MOST_CHARACTERS] for row in rows])
    except ValueError:  # no text has a word
        return None
    fraction = min(1.0, MOST_PRODUCTS / (seen.nnz * len(label_names) or 1))
    taken = np.random.default_rng(SEED).permutation(len(rows))[: int(fraction * len(rows))]
    learned = labels[rows][taken]
    if len(np.unique(learned)) < 2:
        return None
    regression = LogisticRegression(C=STRENGTH, solver="newton-cg", max_iter=ROUNDS, tol=TOLERANCE)
    fitted = OneVsRestClassifier(regression) if labels.ndim == 2 else regression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one that ends before it has converged is judged by its answers
        fitted.fit(seen[taken], learned)
    answers = fitted.predict(terms.transform([text[:MOST_CHARACTERS] for text in test[0]]))
    weights = (len(terms.idf_) + 1) * len(label_names) + len(terms.idf_)
    words = sum(len(word.encode()) for word in terms.vocabulary_)
    return BagOfWords(**_scores(answers, test[1], label_names), size_bytes=BYTES * weights + words, rows=len(taken))


def _scores(answers: Truth, labels: Truth, label_names: Sequence[str]) -> dict[str, Any]:
    """Macro-F1 and F1 of every class of the model, 0 where undefined, as in the report."""
    f1 = f1_score(labels, answers, labels=range(len(label_names)), average=None, zero_division=0)
    return {"macro_f1": float(f1.mean()), "own_f1": dict(zip(label_names, f1.tolist(), strict=True))}
