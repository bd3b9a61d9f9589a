"""How long until a validation accuracy is reached: hone and the best setting of Transformers, sst2, MiniLM, over a few seeds.

    python bench/time_to_score.py [--scores 0.84 0.85 0.86] [--seeds 1 2 …] [--output FILE]

Only training steps are timed. Equal weights (the head's too), batch, learning rate and evaluation interval; the order of the rows is each
program's own. From seed to seed the moment at which an accuracy is first reached varies by half, so what is compared is the mean accuracy of
all seeds after each interval, and when that reaches the score; each seed's curve is kept beside it.
"""

import argparse
import pathlib
import statistics
import sys

import sets
import speed
import workers

CELL = "minilm-sst2"
EVERY, MOST = 24, 216  # steps between evaluations (a ninth of an epoch), and in all


def hone_curve(job, validation, seed):
    run = workers.hone_train(
        job,
        speed.FOLDER / "runs" / "time-to-score",
        MOST,
        skipped=0,
        seed=seed,
        eval_strategy="steps",
        eval_steps=EVERY,
        load_best_model_at_end=False,
        validation=validation,
    )
    return [
        {
            "steps": e["step"],
            "seconds": sum(run["step_seconds"][: e["step"]]),
            "accuracy": e["metrics"]["accuracy"],
        }
        for e in run["evaluations"]
    ]


def mean_curve(curves):
    """Of curves with the same steps: seconds and accuracy after each interval, on average."""
    return [
        {
            "steps": points[0]["steps"],
            "seconds": statistics.mean(p["seconds"] for p in points),
            "accuracy": statistics.mean(p["accuracy"] for p in points),
        }
        for points in zip(*curves)
    ]


def first_at(curve, score):
    return next((point for point in curve if point["accuracy"] >= score), None)


def say_mean(found, scores):
    means = {who: mean_curve(curves) for who, curves in found.items()}
    for ours, theirs in zip(*means.values()):
        speed.say(
            f"  {ours['steps']} steps: accuracy {ours['accuracy']:.4f} after {ours['seconds']:.1f} s (hone), "
            f"{theirs['accuracy']:.4f} after {theirs['seconds']:.1f} s (Transformers)"
        )
    for score in scores:
        ours, theirs = (first_at(curve, score) for curve in means.values())
        told = (
            f"{theirs['seconds'] / ours['seconds']:.2f} times sooner"
            if ours and theirs
            else "not reached by both"
        )
        speed.say(f"  accuracy {score}: {told}")
    return means


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scores", nargs="*", type=float, default=[0.84, 0.85, 0.86])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--output", type=pathlib.Path, default=speed.RESULTS / "time_to_score.json")
    arguments = parser.parse_args()
    speed.prepare_inputs([CELL])
    paths = {split: speed.FOLDER / "rows" / f"sst2-{split}.jsonl" for split in ("train", "dev")}
    for split, path in paths.items():
        sets.write_jsonl(sets.rows("sst2", split), path)
    found, best = {"hone": [], "transformers": []}, speed.best_of(CELL, steps=5)
    for seed in arguments.seeds:
        job = dict(best, rows=str(paths["train"]), seed=seed)
        found["hone"].append(hone_curve(job, paths["dev"], seed))
        with workers.PeerWorker(job) as worker:
            found["transformers"].append(
                worker.ask("curve", every=EVERY, most=MOST, validation=str(paths["dev"]))["curve"]
            )
        speed.say(
            f"  seed {seed}: "
            + "; ".join(
                f"{who} " + ", ".join(f"{p['accuracy']:.4f}" for p in curves[-1])
                for who, curves in found.items()
            )
        )
    means = say_mean(found, arguments.scores)
    speed.write_results(
        {"seeds": arguments.seeds, "curves": found, "means": means}, arguments.output
    )


if __name__ == "__main__":
    sys.exit(main())
