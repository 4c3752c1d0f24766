"""`make demo-model`: from the template to a registered model that answers emails, on this machine.

Generates build/demo/email-router from the model-build template with its default answers and runs the commands
that its user would run. Nothing is simulated: real data preparation, real training of a pretrained encoder,
the quality gate, the registry, and the container's own inference handler. A second run finds the finished
steps in the cache.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlops_workbench.sandbox import Sandbox

COLLECTION = Path(__file__).resolve().parents[1]
DEMO = COLLECTION / "build/demo"
SLUG = "email-router"


def main() -> int:
    """Run the phases one after the other; stop at the first that fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    times: dict[str, float] = {}
    repository = DEMO / SLUG
    with phase("Generate a repository from the template", times):
        generate(repository)
    with phase("Train, evaluate and register (make local)", times):
        model_build(repository, "local")
    with phase("Compare with simple models on the same split", times):
        package, evaluation, baselines = figures(repository)
        print_comparison(evaluation, baselines)
    with phase("Ask the registered model about emails it has never seen (make predict)", times):
        model_build(repository, "predict", "data/new_emails.jsonl")
    heading("Done")
    for name, seconds in times.items():
        print(f"  {seconds:6.1f} s  {name}")
    print(f"  {sum(times.values()):6.1f} s  in all")
    print(f"\nModel package   {package['ModelPackageArn']}")
    print(f"Status          {package['ModelApprovalStatus']}")
    print(f"Report          {newest_report(repository)}")
    print(f"Repository      {repository}  (edit config/model.yaml, then `make local` in it)")
    return 0


@contextlib.contextmanager
def phase(name: str, times: dict[str, float]) -> Iterator[None]:
    """Announce a phase and keep its wall time in seconds."""
    heading(name)
    started = time.monotonic()
    yield
    times[name] = time.monotonic() - started


def heading(text: str) -> None:
    """A line that the eye finds again."""
    print(f"\n=== {text} ===", flush=True)


def generate(repository: Path) -> None:
    """Run cookiecutter as a user would; over an earlier demo, whose runs stay."""
    DEMO.mkdir(parents=True, exist_ok=True)
    settings = DEMO / "cookiecutter.yaml"  # so that the user's own defaults play no part
    settings.write_text(
        json.dumps({"cookiecutters_dir": str(DEMO / "cookiecutters"), "replay_dir": str(DEMO / "replay")})
    )
    command = [
        sys.executable,
        "-m",
        "cookiecutter",
        str(COLLECTION),
        "--directory",
        "model-build",
        "--no-input",
    ]
    command += ["--overwrite-if-exists", "--output-dir", str(DEMO), "--config-file", str(settings)]
    run(command, DEMO)
    if not repository.is_dir():
        sys.exit(f"expected {repository} to be generated")


def model_build(repository: Path, *arguments: str) -> None:
    """Run the generated repository's own command line."""
    run([sys.executable, "-m", "model_build", *arguments], repository)


def run(command: list[str], folder: Path) -> None:
    """Run a command that shows its own progress; end the demo with its exit status if it fails."""
    status = subprocess.run(command, cwd=folder, check=False).returncode
    if status != 0:
        sys.exit(status)


def figures(repository: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The newest model package, its evaluation, and the baselines on the split that it was trained with."""
    project = yaml.safe_load((repository / "config/project.yaml").read_text(encoding="utf-8"))
    accounts = (project["accounts"]["shared_services"], project["accounts"]["production"])
    with Sandbox(repository / ".sandbox", accounts=accounts, region=project["region"]) as sandbox:
        sagemaker, s3 = sandbox.client("sagemaker"), sandbox.client("s3")
        newest = sagemaker.list_model_packages(
            ModelPackageGroupName=SLUG, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["ModelPackageSummaryList"][0]
        package = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
        evaluation = fetch_json(s3, package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])
        split = package["CustomerMetadataProperties"]["data_report_uri"].removesuffix(
            "/report/data_report.json"
        )
        for name in ("train", "test"):
            bucket, key = split_uri(f"{split}/{name}/data.parquet")
            folder = DEMO / "split" / name
            folder.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(folder / "data.parquet"))
    python = os.environ["MLOPS_CONTAINER_PYTHON"]
    command = [
        python,
        str(COLLECTION / "tools/baselines.py"),
        str(DEMO / "split/train"),
        str(DEMO / "split/test"),
    ]
    baselines = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return package, evaluation, baselines


def print_comparison(evaluation: dict[str, Any], baselines: dict[str, Any]) -> None:
    """One line for each model, the same figures side by side."""
    metrics = evaluation["multiclass_classification_metrics"]
    low, high = metrics["accuracy"]["confidence_interval"]
    print(f"{'on ' + str(evaluation['test_rows']) + ' test emails':<34}{'accuracy':>9}{'macro F1':>10}")
    for name, scores in baselines.items():
        print(f"{name:<34}{scores['accuracy']:>9.3f}{scores['macro_f1']:>10.3f}")
    ours = (
        f"{'fine-tuned encoder':<34}{metrics['accuracy']['value']:>9.3f}{metrics['macro_f1']['value']:>10.3f}"
    )
    print(f"{ours}   (95 % interval of the accuracy: {low:.3f} to {high:.3f})")


def fetch_json(s3: Any, uri: str) -> Any:
    """A JSON document on S3."""
    bucket, key = split_uri(uri)
    return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` -> both parts."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def newest_report(repository: Path) -> Path:
    """The HTML report that was written last."""
    return max(repository.glob("reports/*/report.html"), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    sys.exit(main())
