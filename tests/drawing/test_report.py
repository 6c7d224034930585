"""The report: everything it has to hold, nothing it would have to fetch, numbers as computed."""

import base64
import csv
import json
import re
import shutil

import h5py
import numpy as np
import pytest
from conftest import ROOT
from made_study import Case, make
from test_plots import FIGURES as DRAWN, draw

from figures import report
from zbo.base import config, storage
from zbo.base.errors import InputError
from zbo.search.course import Course

# Made-up images come from no micrograph, so the page has no map, nor what was cut out.
LEFT_OUT = ("map", "patches", "kinds")
FIGURES = [n for n in DRAWN if not n[-1].isdigit() and n not in LEFT_OUT]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study named `test`, as report.py finds its settings' description by name."""
    folder = tmp_path_factory.mktemp("results")
    arguments = make(folder / "test", Case(failed=(1, 5), simulated=True))
    for name in FIGURES:
        draw(name, arguments[name], folder / f"test/figures/{name}.png")
    shutil.copy(folder / "test/figures/images.png", folder / "fig06.png")
    (folder / "claims.csv").write_text("claim,ours,verdict\n1 < 2 & more,3 ± 1,holds partly\n")
    return folder


def page(folder, *paper, studies=("test",), figures=FIGURES, more=()):
    report.main(
        [
            *("--studies", *(str(folder / name) for name in studies)),
            "--figures",
            *(str(folder / study / f"figures/{name}.png") for study in studies for name in figures),
            *map(str, more),
            *("--paper", *(str(folder / name) for name in paper)),
            *("--captions", str(ROOT / "rules/captions")),
            *("--template", str(ROOT / "scripts/figures/report.html")),
            *("--output", str(folder / "report.html")),
        ]
    )
    return (folder / "report.html").read_text()


def test_every_figure_is_in_it_in_order_with_its_caption(results):
    text = page(results)
    shown = re.findall(r'<img alt="([^"]+)".*?base64,([^"]+)"', text)
    assert [alt.replace(" ", "_") for alt, _ in shown] == FIGURES
    for name, (_, data) in zip(FIGURES, shown, strict=True):
        assert base64.b64decode(data) == (results / f"test/figures/{name}.png").read_bytes()
    captions = re.findall(r"<figcaption>(.+?)</figcaption>", text, re.S)
    assert len(captions) == len(FIGURES) and all(len(words) > 40 for words in captions)
    assert "Sample simulated images" in captions[FIGURES.index("images")]


def test_what_was_traded_comes_first_where_several_objectives_were_asked_for(results, tmp_path):
    copy = shutil.copytree(results, tmp_path / "copy")
    last = max((copy / "test/iterations").iterdir())
    data = storage.read(last, kind="iteration") | {"means": np.zeros((1, 2))}
    storage.write(last, data, kind="iteration")
    shown = re.findall(r'<img alt="([^"]+)"', page(copy))
    assert shown[0] == "front" and len(shown) == len(FIGURES)
    # Whoever came with images of their own sees these first.
    with h5py.File(copy / "test/images.h5", "a") as file:
        settings = json.loads(file.attrs["settings"])
        settings["images"]["source"] = "files"
        file.attrs["settings"] = json.dumps(settings)
    assert re.findall(r'<img alt="([^"]+)"', page(copy))[0] == "members"


def test_a_figure_that_one_study_alone_has_stands_where_it_belongs(results):
    kinds = results / "test/figures/kinds.png"
    shutil.copy(results / "test/figures/images.png", kinds)
    shown = re.findall(r'<img alt="([^"]+)"', page(results, more=[kinds]))
    assert shown.index("latents") < shown.index("kinds") < shown.index("overview")
    assert len(shown) == len(FIGURES) + 1
    assert "kinds" not in re.findall(r'<img alt="([^"]+)"', page(results))


def test_it_needs_no_network(results):
    text = page(results, "fig06.png", "claims.csv")
    assert not re.findall(r"<(?:script|link|iframe)", text)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]+)"', text))
    assert "url(" not in text and "@import" not in text


def test_its_table_holds_the_scores(results):
    with open(results / "test/scores.csv") as file:
        rows = list(csv.DictReader(file))
    table = report.score_table(results / "test/scores.csv")
    cells = {row[0]: dict(zip(table["head"], row, strict=True)) for row in table["rows"]}
    for shown, name in (("vanilla VAE", "vanilla"), ("jrVAE, zBO optimum", "optimum")):
        accuracy = np.array([float(row["accuracy"]) for row in rows if row["model"] == name])
        expected = f"{accuracy.mean():.2f} ± {accuracy.std(ddof=1):.2f}"
        assert cells[shown]["accuracy"] == expected
        assert f"<td>{expected}</td>" in page(results)
    assert cells["jrVAE, β_c = 1"]["seeds"] == "1 of 2"
    assert "±" not in cells["jrVAE, β_c = 1"]["accuracy"]  # no spread of one
    assert cells["vanilla VAE"]["objective"] == ""


def test_it_says_what_ran(results):
    images = storage.read(results / "test/images.h5", kind="images")
    said = report.facts(results / "test", images, Course.ended_search(results / "test"))
    assert "simulated images of 6 × 6, 3 labels; the search sees 10" in said["images"]
    assert said["seed"] == "7"
    assert said["trials"].startswith("7, 2 failed; search ended: budget")
    assert said["models"] == "8, failed: beta-1-0"
    assert said["time"].startswith("trials 7.0 min, models 96 s")
    assert said["device"].startswith("cpu (")
    assert "torch 2" in said["versions"]
    text = page(results)
    assert all(words.split(";")[0] in text for words in said.values())


def test_it_says_what_beta_a_model_called_by_its_number_had(results, tmp_path):
    said = "β_c = 1 is meant at 784 pixels and scaled by the number of pixels, here 36: 0.0459."
    text = page(results)
    captions = re.findall(r"<figcaption>(.+?)</figcaption>", text, re.S)
    told = {name for name, words in zip(FIGURES, captions, strict=True) if said in words}
    assert told == {"manifolds", "scores"}
    assert said in re.search(r'<p class="note">(.+?)</p>', text).group(1)
    make(tmp_path, Case(unit_pixels=36))
    assert report.scaled(tmp_path, storage.read(tmp_path / "images.h5", kind="images")) == ""


def test_it_says_where_labels_chose_the_images(results, tmp_path):
    assert "balance" not in page(results)
    names = ["images", "scores"]
    make(tmp_path / "test", Case(balanced=True))
    shutil.copytree(results / "test/figures", tmp_path / "test/figures")
    text = page(tmp_path, figures=names)
    assert "no search saw them, though they balance the classes of test." in text
    for caption in re.findall(r"<figcaption>(.+?)</figcaption>", text, re.S):
        assert "though they balance the classes of the images." in caption


def test_trials_that_an_earlier_run_left_are_not_counted(tmp_path):
    make(tmp_path, Case())
    for left in ("design-4", "001-1", "003-0", "constant-0"):
        made = {"settings": {"seed": 8}, "seconds": 1.0, "device": "cpu"}
        storage.write(tmp_path / f"trials/{left}.h5", {"status": "done"}, kind="trial", **made)
    images = storage.read(tmp_path / "images.h5", kind="images")
    said = report.facts(tmp_path, images, Course.ended_search(tmp_path))
    assert said["seed"] == "7"


def test_it_shows_what_there_is_of_the_paper(results):
    text = page(results, "claims.csv", "fig06.png")
    assert "1 &lt; 2 &amp; more" in text and "holds partly" in text
    assert "Figure 6" in text and "search at its end" in text
    assert "Figure 6" not in page(results)


def test_captions_of_the_paper_speak_of_the_study_each_figure_is_of(results, tmp_path):
    (tmp_path / "paper-reduced").mkdir()
    names = ("fig07", "fig08", "fig09", "fig10", "fig11", "fig12", "figB1", "figB2")
    paper = [f"paper-reduced/{name}.png" for name in names]
    for path in paper:
        shutil.copy(results / "fig06.png", tmp_path / path)
    studies = {f"{name}-reduced": False for name in config.PAPER_STUDIES}
    studies |= {"nanoparticles-7-reduced": True, "rvae": True}
    for name, simulated in studies.items():
        make(tmp_path / name, Case(simulated=simulated))
        (tmp_path / name / "figures").mkdir()
        shutil.copy(results / "fig06.png", tmp_path / name / "figures/images.png")
    text = page(tmp_path, *paper, studies=studies, figures=["images"])
    captions = re.findall(r"<figcaption>(.+?)</figcaption>", text, re.S)[len(studies) :]
    said = {name for name, words in zip(names, captions, strict=True) if "simulated" in words}
    assert said == {"fig10", "fig11", "fig12", "figB1"}
    said = {name for name, words in zip(names, captions, strict=True) if "pixels, here" in words}
    assert said == {"fig07", "fig09", "fig11", "fig12"}
    three, seven = captions[names.index("figB1")].split("(b)")
    assert "simulated" not in three and "simulated" in seven


def test_a_missing_figure_is_named(results):
    with pytest.raises(InputError, match=r"fig99\.png"):
        page(results, "fig99.png")
