"""The other side of benchmarks/training.py: fine-tuning as the public text-classification examples do it.

Written as a user would after reading Hugging Face's and SageMaker's examples for the Trainer: the tokenizer
pads every text to the same length in `Dataset.map`, an evaluation follows each epoch, all else are the
defaults of TrainingArguments. Only what the comparison needs is set to what our side has: data, base model,
epochs, batch size, learning rate, longest text, seed.

    python benchmarks/public_recipe_training.py --train T.parquet --validation V.parquet --labels 77 \
        --base-model MODEL --output-dir out --epochs 5 --batch-size 32 --learning-rate 2e-4 --seed 13
"""

from __future__ import annotations

import argparse

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    Trainer,
    TrainingArguments,
)


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """The share of right answers."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--labels", type=int, required=True, help="how many classes")
    parser.add_argument("--base-model", required=True)
    parser.add_argument("--output-dir", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(given.base_model)

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        encoded = tokenizer(batch["text"], padding="max_length", truncation=True, max_length=given.max_length)
        return dict(encoded)

    train, validation = (
        Dataset.from_parquet(path, cache_dir=f"{given.output_dir}/cache").map(tokenize, batched=True)
        for path in (given.train, given.validation)
    )
    model = AutoModelForSequenceClassification.from_pretrained(given.base_model, num_labels=given.labels)
    arguments = TrainingArguments(
        output_dir=given.output_dir,
        num_train_epochs=given.epochs,
        per_device_train_batch_size=given.batch_size,
        per_device_eval_batch_size=2 * given.batch_size,
        learning_rate=given.learning_rate,
        eval_strategy="epoch",
        seed=given.seed,
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    print("training", flush=True)
    trainer.train()
    print(trainer.evaluate(), flush=True)
    trainer.save_model(f"{given.output_dir}/model")


if __name__ == "__main__":
    main()
