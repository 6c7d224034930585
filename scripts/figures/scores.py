"""Show every seed's scores of each compared model."""

import argparse

import numpy as np

from zbo.base import command
from zbo.drawing import plots
from zbo.judge.scores import is_trained


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, help="scores.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    scores = plots.read_scores(args.scores, (*plots.SCORES, "classes"))
    labelled = any(np.isfinite(of_model["accuracy"]).any() for of_model in scores.values())
    # A loss is weighed by each model's own trajectory: shown only where nothing better is known.
    shown = [name for name in plots.SCORES if name != "loss"] if labelled else ["objective", "loss"]
    scores = {
        name: of_model
        for name, of_model in scores.items()
        if is_trained(name) or any(np.isfinite(of_model[score]).any() for score in shown)
    }
    with plots.style():
        figure = plots.figure(0.9 + (plots.PAGE - 0.9) * len(shown) / 5, 0.6 + 0.3 * len(scores))
        axes = figure.subplots(1, len(shown), sharey=True)
        for ax, score in zip(axes, shown, strict=True):
            values = [of_model[score] for of_model in scores.values()]
            plots.strip(ax, values, plots.SCORES[score])
        axes[0].set_yticks(range(len(scores)), [_label(*model) for model in scores.items()])
        plots.save(figure, args.output)


def _label(name: str, scores: dict[str, np.ndarray]) -> str:
    failed = int(np.isnan(scores["loss"]).sum()) if is_trained(name) else 0
    more = f"\n{failed} of {len(scores['loss'])} failed" if failed else ""
    return plots.called(name, int(scores["classes"][0])) + more


if __name__ == "__main__":
    command.run(main)
