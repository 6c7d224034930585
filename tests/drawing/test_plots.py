"""Figures: every script draws what a study may hold, twice the same, and hides no failure."""

import importlib
import io
import re
import string
from pathlib import Path

import numpy as np
import pytest
from made_study import Case, make
from matplotlib.text import Text

from figures import convergence, front
from figures.paper import fig03, fig04
from zbo.base import command
from zbo.base.errors import InputError
from zbo.drawing import panels, plots

FIGURES = (
    "members",
    "map",
    "latents",
    "kinds",
    "overview",
    "patches",
    "images",
    "trajectories",
    "latent_space",
    "surrogate",
    "convergence",
    "optimum",
    "front",
    "manifolds",
    "scores",
    "paper.fig05",
    "paper.fig06",
    "paper.fig07",
    "paper.fig08",
    "paper.figB1",
)

WITH_TRAJECTORIES = (
    "overview",
    "trajectories",
    "latent_space",
    "optimum",
    "paper.fig05",
    "paper.fig06",
    "paper.fig08",
)


def draw(name: str, arguments: list[str], *outputs: Path) -> None:
    script = importlib.import_module(f"figures.{name}")
    script.main([*arguments, "--output", *map(str, outputs)])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make(tmp_path_factory.mktemp("study"), Case(failed=(1, 5)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Give a study without labels, threshold or replicates."""
    case = Case(labelled=False, threshold=0, seeds=1, iterations=0)
    return make(tmp_path_factory.mktemp("bare"), case)


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_written_twice_the_same(study, tmp_path, name):
    outputs = [tmp_path / end for end in ("a.pdf", "a.png", "b.pdf")]
    draw(name, study[name], *outputs[:2])
    draw(name, study[name], *outputs[2:])
    first, png, second = (path.read_bytes() for path in outputs)
    assert first.startswith(b"%PDF") and png.startswith(b"\x89PNG")
    assert first == second
    assert sorted(tmp_path.iterdir()) == sorted(outputs)  # nothing left beside them


@pytest.mark.parametrize(
    "name", ["images", "convergence", "manifolds", "scores", "paper.fig07", "paper.figB1"]
)
def test_figures_do_without_labels(bare, tmp_path, name):
    draw(name, bare[name], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 2000


@pytest.mark.parametrize("latents", [1, 3])
def test_latent_spaces_of_other_dimensions(tmp_path, latents):
    arguments = make(tmp_path, Case(latents=latents, failed=(0,)))
    for name in ("latent_space", "surrogate", "overview"):
        draw(name, arguments[name], tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").exists()


@pytest.mark.parametrize("name", WITH_TRAJECTORIES)
def test_beta_d_has_panels_of_its_own(tmp_path, drawn, name):
    """Ten times beta_c here: every line of a panel named beta_d, and of no other, is that high."""
    for count in (1, 2):
        arguments = make(tmp_path / str(count), Case(channels=count))
        draw(name, arguments[name], Path("unwritten"))
        panels_of = {
            symbol: [ax for ax in drawn[-1].axes if ax.get_ylabel() == symbol]
            for symbol in plots.CHANNELS
        }
        assert len(panels_of[plots.BETA]) > 0
        assert len(panels_of[plots.CHANNELS[1]]) == (count - 1) * len(panels_of[plots.BETA])
        for symbol, scale in zip(plots.CHANNELS, (1, 10), strict=True):
            lines = [line.get_ydata() for ax in panels_of[symbol] for line in ax.get_lines()]
            assert all(0.1 * scale <= line.min() and line.max() <= 2 * scale for line in lines)
            assert bool(lines) == (scale == 1 or count == 2)


def test_the_optimum_does_without_a_constant(study, tmp_path):
    draw("optimum", study["optimum"][:2], tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").exists()


@pytest.mark.parametrize("both", [False, True])
def test_the_front_joins_the_best_trades_of_posterior_means(tmp_path, drawn, both):
    """A second look where one objective was searched for: its surrogates are fitted then."""
    draw("front", make(tmp_path, Case(both=both, failed=(0,)))["front"], Path("unwritten"))
    panel, *mosaics = drawn[-1].axes
    assert "nats" in panel.get_xlabel() and "factors" in panel.get_xlabel()
    lines = {line.get_label(): line.get_xydata() for line in panel.get_lines()}
    front = lines["front, ± sd"]
    assert (np.diff(front[:, 0]) < 0).all() and (np.diff(front[:, 1]) > 0).all()
    np.testing.assert_array_equal(lines["warm-up, tried"][1], [2, 3])
    marks = {mark.get_label(): mark.get_offsets() for mark in panel.collections}
    assert len(marks["starting design"]) == 3 and len(marks["iterations"]) == 3
    assert [re.search(r"\((.)\)", ax.get_title(loc="left")).group(1) for ax in mosaics] == [*"abc"]
    assert all(len(ax.get_images()) == 1 for ax in mosaics)


def test_a_manifold_runs_through_the_latent_that_carries_most():
    traversal = np.zeros((2, 3, 10, 4, 4))
    traversal[1] = 1
    still, alive = (np.zeros(5), np.ones(5)), (np.linspace(-2, 2, 5), np.full(5, 0.1))
    model = {"probabilities": np.full((5, 3), 1 / 3), "traversal": traversal}
    for second, title, shown in ((alive, "latent 2", 1), (still, "latent 1, dead", 0)):
        for place, name in enumerate(("z_mean", "z_sd")):
            model[name] = np.stack([np.full(5, 9.0), still[place], second[place]], 1)  # angle first
        mosaic = panels.manifold(model, None, None)
        assert mosaic.across == title and (mosaic.images == shown).all()


def test_the_front_is_looked_at_where_trials_lie():
    found = np.array([[0, 0], [1, 1], [np.nan, np.nan], [2, 2], [9, 9]])
    assert front.nearest(found, np.array([[0.9, 1.1], [1.0, 1.2], [2, 2]])) == [1, 3, 0]
    assert front.nearest(found[2:3], np.zeros((3, 2))) == []


def test_a_transferred_optimum_may_be_any_studys():
    assert plots.called("transfer", 3) == "jrVAE, transferred optimum"
    assert plots.called("consensus-beta-0.5", 3) == f"consensus: jrVAE, {plots.BETA} = 0.5"
    assert plots.called("beta-1", 0) == f"rVAE, {plots.BETA} = 1"
    assert plots.called("pixels-kmeans") == "pixels, k-means"


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        draw("scores", ["--scores", str(tmp_path / "nowhere.csv")], tmp_path / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_failed_trials_show_in_the_search():
    ax = plots.figure(3, 3).subplots()
    objective = np.array([1.0, np.nan, 2.0, np.nan])
    convergence.objective_history(ax, objective, 2)
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["2 failed"].get_xdata(), [2, 4])
    np.testing.assert_array_equal(lines["best so far"].get_ydata(), [1, 1, 2, 2])


def test_failed_trials_show_on_the_map():
    ax = plots.figure(3, 3).subplots()
    at = np.arange(12.0).reshape(6, 2)
    failed = np.array([False, True, False, True])
    plots.evaluated(ax, at, 2, failed, recommended=-2, best=-1)
    marks = {mark.get_label(): mark.get_offsets() for mark in ax.collections}
    np.testing.assert_array_equal(marks["failed"], at[[1, 3]])
    np.testing.assert_array_equal(marks["starting design"], at[[0]])
    np.testing.assert_array_equal(marks["iterations"], at[[2]])
    np.testing.assert_array_equal(marks["recommended"], at[[4]])


def test_a_failed_seed_is_left_out_of_the_mean():
    ax = plots.figure(3, 3).subplots()
    plots.strip(ax, [np.array([1.0, np.nan, 2.0]), np.array([np.nan])], "accuracy")
    points, mean = ax.get_lines()
    np.testing.assert_array_equal(points.get_xdata(), [1, 2])
    np.testing.assert_array_equal(mean.get_xdata(), [1.5, 1.5])
    assert [text.get_text() for text in ax.texts] == ["none"]


def test_the_map_stands_the_right_way_up():
    ax = plots.figure(3, 3).subplots()
    x, y = np.linspace(0, 1, 4), np.linspace(0, 2, 4)
    z = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    feasible = z[:, 0] + z[:, 1] > 0.1
    drawn = plots.surrogate_map(ax, z, feasible, z[feasible][:, 1], "viridis", "")
    cells = drawn.get_array()  # rows from low to high y
    np.testing.assert_allclose(cells[:, -1], y)
    assert cells.mask.sum() == 1 and cells.mask[0, 0]


def test_the_mosaic_keeps_rows_and_columns():
    ax = plots.figure(3, 3).subplots()
    images = np.arange(6.0).reshape(2, 3, 1, 1).repeat(4, 2).repeat(4, 3)
    plots.mosaic(ax, images, rows=["a", "b"])
    page = ax.get_images()[0].get_array()
    assert page.shape == (9, 14)
    np.testing.assert_array_equal(page[1, [1, 6, 11]], [0, 1, 2])
    np.testing.assert_array_equal(page[6, [1, 6, 11]], [3, 4, 5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


def words(figure):
    """Everything written in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that scripts save, kept to be looked at."""
    kept = []
    monkeypatch.setattr(plots, "save", lambda figure, paths: kept.append(figure))
    return kept


@pytest.mark.parametrize("name", ["images", "manifolds", "paper.fig07", "paper.figB1"])
def test_simulated_images_are_called_so(tmp_path, drawn, name):
    for simulated in (True, False):
        arguments = make(tmp_path / str(simulated), Case(simulated=simulated))
        draw(name, arguments[name], Path("unwritten"))
        assert ("simulated images" in words(drawn[-1])) == simulated


@pytest.mark.parametrize(
    ("name", "last"),
    [("paper.fig05", "e"), ("paper.fig06", "c"), ("paper.fig07", "d"), ("paper.fig08", "e")],
)
def test_panels_are_lettered(study, drawn, name, last):
    draw(name, study[name], Path("unwritten"))
    found = {letter for word in words(drawn[0]) for letter in re.findall(r"\{\((.)\)\}", word)}
    assert found == set(string.ascii_lowercase[: ord(last) - ord("a") + 1])


def test_a_failed_seed_gives_way_to_one_that_trained(study, drawn):
    draw("paper.fig07", study["paper.fig07"], Path("unwritten"))
    assert "no training succeeded" not in words(drawn[0])
    assert any("1 of 2 failed" in word for word in words(drawn[0]))


def test_a_map_needs_two_latents(tmp_path):
    arguments = make(tmp_path, Case(latents=1))
    with pytest.raises(InputError, match="surrogate"):
        draw("paper.fig06", arguments["paper.fig06"], tmp_path / "figure.pdf")


def test_rows_are_called_by_the_label_of_half_their_images():
    probabilities = np.eye(4)[[0, 0, 0, 2, 2, 3, 3, 3]]
    model = {"probabilities": probabilities, "traversal": np.zeros((2, 4, 3, 5, 5))}
    model |= {"z_mean": np.zeros((8, 3)), "z_sd": np.ones((8, 3))}
    labels, names = np.array([1, 1, 0, 0, 2, 0, 1, 2]), np.array(["one", "two", "three"])
    shown = panels.manifold(model, labels, names)
    assert list(shown.rows) == ["two", panels.EMPTY, "one", panels.MIXED]
    assert shown.images.shape == (4, 3, 5, 5)


def test_the_search_of_figure_3_is_a_search():
    command.use_threads(1)
    x = np.linspace(0, 10, 81)
    y = fig03.truth(x)
    steps = fig03.search(x, y, seed=3)
    for number, (_, seen, fit) in steps.items():
        assert len(seen) == len(set(seen)) == 2 + number  # three to begin with
        still = np.setdiff1d(np.arange(len(x)), seen)
        assert fit.candidates[0] in still
        assert fit.acquisition[fit.candidates[0]] == fit.acquisition[still].max()
    _, seen, fit = steps[50]
    assert y.argmax() in seen
    np.testing.assert_allclose(fit.mean[seen], y[seen], atol=0.05)


DOT = """digraph snakemake_dag {
  0[label = "all", color = "0.5 0.6 0.85"]; 1[label = "loop"]; 2[label = "trial"];
  3[label = "data"]; 4[label = "end"];
  3 -> 2
  2 -> 1
  1 -> 2
  1 -> 1
  1 -> 4
  3 -> 4
}"""


def test_the_rule_graph_is_read_and_laid_out():
    forward, loop = fig04.read(DOT, "loop")
    assert loop == [("loop", "trial")]
    assert set(forward) == {
        ("data", "trial"),
        ("trial", "loop"),
        ("loop", "end"),
        ("data", "end"),
    }
    at = fig04.place(forward)
    assert all(at[end][1] > at[start][1] for start, end in forward)
    assert len(set(at.values())) == 4  # none on top of another


def test_the_rule_graph_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(DOT))
    fig04.main(["--checkpoint", "loop", "--output", str(tmp_path / "a.pdf")])
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(InputError, match="rulegraph"):
        fig04.main(["--checkpoint", "loop", "--output", str(tmp_path / "b.pdf")])
