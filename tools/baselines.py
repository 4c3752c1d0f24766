"""What simple models reach on the same split: the commonest class, and TF-IDF with logistic regression.

    python tools/baselines.py TRAIN_FOLDER TEST_FOLDER

Each folder holds `data.parquet` with the columns `text` and `label`, as steps/preprocess.py writes them.
Prints JSON:
`{"majority class": {"accuracy": …, "macro_f1": …}, "TF-IDF + logistic regression": {…}}`.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as parquet
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline


def read(folder: Path) -> tuple[list[str], list[int]]:
    """Texts and label ids of one set."""
    table = parquet.read_table(folder / "data.parquet", columns=["text", "label"])
    return table["text"].to_pylist(), table["label"].to_pylist()


def score(truth: list[int], predicted: list[int]) -> dict[str, float]:
    """Accuracy and macro-averaged F1."""
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
    }


def main() -> None:
    """Train both on the first folder, measure both on the second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    options = parser.parse_args()
    texts, labels = read(options.train)
    test_texts, truth = read(options.test)
    commonest = Counter(labels).most_common(1)[0][0]
    # word pairs and sublinear counts: the settings that a practitioner would begin with
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    model.fit(texts, labels)
    results = {
        "majority class": score(truth, [commonest] * len(truth)),
        "TF-IDF + logistic regression": score(truth, model.predict(test_texts).tolist()),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
