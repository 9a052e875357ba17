"""What is compared with: the influence of columns that travels with the version in production."""

import pandas as pd

from nbkit.registry import Registry, find_influence
from nbkit.registry.standing import describe_production
from tests.registry_helpers import WHO, bundle, judge

WEIGHTS = pd.DataFrame({"feature": ["a", "b"], "share": [0.7, 0.3]})


def test_nothing_is_found_where_nothing_is_in_production_and_no_registry_is_made_by_looking(tmp_path):
    place = tmp_path / "registry"
    assert find_influence(str(place), "toy") == ("", None)
    assert not place.exists()
    Registry(str(place)).register("toy", bundle(), gates=judge(criteria_met=True))
    assert find_influence(str(place), "toy") == ("", None)
    assert find_influence(str(place), "other") == ("", None)


def test_the_version_in_production_brings_its_weights_and_a_change_of_it_is_seen(tmp_path):
    registry = Registry(str(tmp_path / "registry"))
    given, named = {"registry": "registry"}, {"name": "toy"}
    none = describe_production(given, named, tmp_path)
    for C, more in ((1.0, {"importance": WEIGHTS}), (2.0, {})):
        version = registry.register("toy", bundle(C) | more, gates=judge(criteria_met=True))
        for alias in ("candidate", "staging"):
            registry.set_alias("toy", version.number, alias)
        registry.promote(version.reference, **WHO)
        told = describe_production(given, named, tmp_path)
        assert told.startswith(f"{version.reference} (")
        assert told != none
        reference, found = find_influence(str(tmp_path / "registry"), "toy")
        assert reference == version.reference
        assert found is None if not more else found.equals(WEIGHTS)
