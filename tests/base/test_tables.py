"""The tables of what there is: complete, and importable where nothing but the workflow is."""

import subprocess
import sys

import pytest
from conftest import ROOT

from zbo.base import compared, objectives, searches
from zbo.base.errors import InputError
from zbo.rivals import ground
from zbo.rivals.searches import SEARCHES


def test_a_plan_reads_them_without_torch():
    program = "import sys; from zbo.base import compared, objectives, searches; "
    program += "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True)


def test_each_search_of_the_table_can_be_run():
    assert set(searches.SEARCHES) == {*SEARCHES, "population", "lottery"}


def test_what_objectives_need_is_measured():
    measured = {*ground.MEASURES, "agreement"}
    for name, objective in objectives.OBJECTIVES.items():
        assert set(objective.needs) <= measured, name
    assert set(objectives.ABOUT_CLASSES) <= measured


def test_an_objective_takes_its_measures_by_name():
    measures = {"reconstruction": 10.0, "kl_c": 2.0, "kl_d": 0.5, "l1": 3.0, "l2": 1.0}
    assert objectives.OBJECTIVES["elbo"](measures) == -12.5
    assert objectives.OBJECTIVES["l1-l2"](measures) == 2
    assert objectives.OBJECTIVES["l1-l2"].about_classes
    assert not objectives.OBJECTIVES["elbo"].about_classes


def test_a_model_is_what_its_name_says():
    stated = compared.named("beta-0.05")
    assert (stated.beta_c, stated.scaled, stated.classes) == (0.05, True, True)
    assert stated.label == "jrVAE, β_c = 0.05"
    assert not compared.named("vae").classes and compared.named("vae").scaled
    assert compared.named("optimum").follows == "optimum.h5"
    for wrong in ("beta-", "beta-1.", "optimum-2", "Vae"):
        with pytest.raises(InputError, match=f"model {wrong}: there is none; choose from vanilla"):
            compared.named(wrong)
