"""What is made from the settings is current."""

from zbo.base import config, manual


def test_the_schema_is_made_from_the_settings():
    text = (config.ROOT / "schema.yaml").read_text()
    assert text == manual.schema_text(), "run python -m zbo.base.manual"


def test_editors_find_every_study_valid():
    """jsonschema, which is what editors judge a study file by, agrees with the loader."""
    import jsonschema
    import yaml

    schema = yaml.safe_load((config.ROOT / "schema.yaml").read_text())
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    for path in sorted((config.ROOT / "studies").glob("*.yaml")):
        text = path.read_text()
        assert text.startswith("# yaml-language-server: $schema=../schema.yaml\n")
        study = yaml.safe_load(text)
        check.validate(study)
        for wrong in ({"serch": 1}, {"search": {"initial": 1}}, {"reduced": {"search": 1}}):
            assert not check.is_valid(study | wrong), wrong
