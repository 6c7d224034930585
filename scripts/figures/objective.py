"""Show whether models with a higher ℓ1 have a higher accuracy, seed by seed."""

import argparse

from zbo.base import command
from zbo.base.config import PAPER_STUDIES
from zbo.drawing import plots
from zbo.judge import claims


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    order = f"scores.csv of {', '.join(PAPER_STUDIES)}, in this order"
    parser.add_argument("--scores", required=True, nargs=len(PAPER_STUDIES), help=order)
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    with plots.style():
        figure = plots.figure(plots.PAGE, 2.6)
        axes = figure.subplots(1, len(PAPER_STUDIES))
        shown: dict[str, int] = {}  # model to colour, the same in every panel
        for ax, study, path in zip(axes, PAPER_STUDIES, args.scores, strict=True):
            scores = plots.read_scores(path, claims.SCORES)
            for name, of_model in scores.items():
                if name in claims.WITHOUT_CLASSES:
                    continue
                number = shown.setdefault(name, len(shown))
                ax.plot(
                    of_model["l1"],
                    of_model["accuracy"],
                    "osD^vP"[number % 6],
                    ms=4,
                    mec="none",
                    alpha=0.8,
                    color=plots.colour_of(number),
                )
            found = claims.rank_correlation(claims.paired_scores(scores, "l1"))
            ax.set_title(f"{study}\nrank correlation {claims.correlation_in_words(*found)}")
            ax.set_xlabel("ℓ1")
            ax.margins(0.1)
        axes[0].set_ylabel("accuracy")
        for name, number in shown.items():
            axes[0].plot(
                [],
                [],
                "osD^vP"[number % 6],
                ms=4,
                color=plots.colour_of(number),
                label=plots.called(name),
            )
        figure.legend(loc="outside lower center", ncols=len(shown))
        plots.save(figure, args.output)


if __name__ == "__main__":
    command.run(main)
