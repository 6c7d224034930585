"""Show a search from sampled trajectories to the optimum (the paper, figures 8 and 10)."""

import argparse

from zbo.base import command, storage
from zbo.drawing import panels, plots


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", required=True, help="trajectories.h5")
    parser.add_argument("--trajectory-vae", required=True, help="trajectory_vae.h5")
    parser.add_argument("--space", required=True, help="space.h5")
    parser.add_argument("--design", required=True, help="design.h5")
    parser.add_argument("--iteration", required=True, help="the last of iterations/*.h5")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    panels.need_latents(args.space)

    sampled = storage.read(args.trajectories, kind="trajectories")
    encoded = storage.read(args.trajectory_vae, kind="trajectory_vae")["encoded"]
    search = panels.Search.read(args.space, args.design, args.iteration)
    with plots.style():
        figure = plots.figure(plots.PAGE, 4.3)
        axes = figure.subplots(2, 3)
        (a, b, legends), (c, d, e) = axes
        panels.families(a, sampled)
        family, names = sampled["family"], sampled["names"]
        plots.latent_space(b, encoded, family, names, search.grid, search.feasible)
        panels.maps(figure, (c, d), search)
        panels.optimum(e, search.beta[[search.recommended]])
        titles = ("sampled", "encoded", "objective, mean", "objective, sd", "recommended")
        for ax, letter, title in zip((a, b, c, d, e), "abcde", titles, strict=True):
            plots.letter(ax, letter, title)
        legends.set_axis_off()
        # Of b the families alone: what is grey, the maps' legend says as well.
        of_b = list(zip(*b.get_legend_handles_labels(), strict=True))[: len(names)]
        of_c = c.get_legend_handles_labels()
        above = legends.legend(*zip(*of_b, strict=True), loc="upper left", title="(a, b)", **LEGEND)
        legends.add_artist(above)
        legends.legend(*of_c, loc="lower left", title="(c, d)", **LEGEND)
        plots.save(figure, args.output)


LEGEND = {"alignment": "left", "borderaxespad": 0, "title_fontsize": "small"}


if __name__ == "__main__":
    command.run(main)
