"""The registry of resource kinds: what is shipped, and what stops the start."""

from __future__ import annotations

import unicodedata

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door.shapes import Text
from actors.inventory.kind import Dependency, Reference, ResourceKind, attribute, ids_at, reference, with_ids
from actors.inventory.registry import REGISTRY, RegistryError, build, find
from actors.problems import Problem
from runtime.values import evolve

SHIPPED = {
    "ManagedChildOperator": {"read", "write", "admin"},
    "ModuleService": {"read", "write", "migrate"},
    "ModuleVersion": {"read", "write", "migrate"},
    "NodeModule": {"read", "write", "migrate"},
    "NodePlatform": {"read", "write"},
    "NodeTemplate": {"read", "write", "migrate"},
    "RoutePolicy": {"read", "write"},
    "SdwanNetwork": {"read"},
    "ServiceOffering": {"read", "write", "admin"},
    "Skill": {"read", "write"},
    "VirtualIp": {"read"},
}

NEVER_EXPORTED = ("account", "secret", "key", "password", "certificate", "token", "digest_of", "vault", "email", "path")


def a_kind(**changes: object) -> ResourceKind:
    whole: dict[str, object] = {
        "kind": "Ship",
        "alias": "ship",
        "title": "Ship",
        "exports": (attribute("name", Text(), "Its name.", required=True), reference("fleet_id", "Its fleet.")),
        "natural_key": ("name",),
    }
    return ResourceKind(**(whole | changes))  # type: ignore[arg-type]


FLEET = a_kind(kind="Fleet", alias="fleet", exports=(attribute("name", Text(), "Its name.", required=True),))


def test_every_kind_that_is_shipped_offers_the_scopes_its_flags_say() -> None:
    assert {kind.kind: set(kind.scopes) for kind in REGISTRY} == SHIPPED


@pytest.mark.parametrize("kind", list(REGISTRY), ids=lambda kind: kind.kind)
def test_a_kind_is_found_by_both_names_and_exports_nothing_that_must_stay(kind: ResourceKind) -> None:
    assert find(kind.kind) is kind
    assert find(kind.alias) is kind
    assert find(kind.kind.upper()) is None
    assert not [name for name in kind.fields for word in NEVER_EXPORTED if word in name.split("_")]
    assert all(field.description and field.shape for field in kind.exports)
    assert set(kind.filters) <= kind.fields.keys()


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        REGISTRY.kinds["Ship"] = a_kind()  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        REGISTRY.kinds = {}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ([FLEET, FLEET], "declared twice"),
        ([FLEET, a_kind(alias="fleet")], "fleet is declared twice"),
        ([a_kind(kind="ship_of_state")], "PascalCase"),
        ([a_kind(natural_key=("length",))], "length is not among its exports"),
        ([a_kind(natural_key=("fleet_id",))], "must be required"),
        ([a_kind(filterable=("length",))], "length is not among its exports"),
        ([a_kind(references=(Reference("fleet_id", "Fleet"),))], "which is not declared"),
        ([a_kind(references=(Reference("crew.*.id", "Ship"),))], "crew.*.id is not among its exports"),
        ([a_kind(dependencies=(Dependency("Fleet", "link", "fleet_id"),))], "depends on Fleet, which is not declared"),
        ([FLEET, a_kind(dependencies=(Dependency("Fleet", "link", "fleet_id"),))], "has no reference fleet_id to Fleet"),
        ([a_kind(reserved=True)], "not kept in the catalogue"),
        ([a_kind(migratable="alone", natural_key=())], "needs a natural key"),
        (
            [
                evolve(FLEET, migratable="alone", dependencies=(Dependency("Ship", "owned", "fleet_id"),)),
                a_kind(references=(Reference("fleet_id", "Fleet"),)),
            ],
            "it moves, but Ship, which it owns, does not",
        ),
    ],
)
def test_declarations_that_do_not_fit_together_stop_the_start(declared: list[ResourceKind], complaint: str) -> None:
    with pytest.raises(RegistryError, match=complaint.replace("*", "\\*")):
        build(declared)


def test_a_good_declaration_is_all_that_a_kind_takes() -> None:
    ship = a_kind(references=(Reference("fleet_id", "Fleet"),), dependencies=(Dependency("Fleet", "link", "fleet_id"),))
    registry = build([ship, FLEET])
    assert [kind.kind for kind in registry] == ["Fleet", "Ship"]
    assert registry.find("ship") is ship


# --- attributes ------------------------------------------------------------------------------------------------------


def test_building_takes_the_allowlist_and_tells_every_problem_at_once() -> None:
    module = find("NodeModule")
    assert module is not None
    problems: list[Problem] = []
    value = {"name": "  ", "current_version": "12", "oci_digest": "sha256:short", "colour": "red"}
    assert module.builder(value, problems, "attributes") is None
    assert {(problem.field, problem.code) for problem in problems} == {
        ("attributes.name", "attribute_required"),
        ("attributes.current_version", "invalid_attribute"),
        ("attributes.oci_digest", "invalid_attribute"),
        ("attributes.colour", "unknown_argument"),
    }
    problems = []
    assert module.builder({"name": " nginx ", "tags": ["web"]}, problems, "attributes") == {"name": "nginx", "tags": ["web"]}
    assert not problems


def test_what_leaves_is_the_allowlist_in_its_order_and_nothing_else() -> None:
    module = find("node_module")
    assert module is not None
    leaving = module.serializer({"name": "nginx", "smuggled": "secret"})
    assert list(leaving) == list(module.fields)
    assert leaving["name"] == "nginx"


def test_natural_keys_follow_the_case_rule_of_their_kind() -> None:
    module, platform, version = (REGISTRY.kinds[name] for name in ("NodeModule", "NodePlatform", "ModuleVersion"))
    assert module.natural_key_of({"name": "NGINX Straße"}) == module.natural_key_of({"name": "nginx strasse"})
    assert module.natural_key_of({"name": "cafe\u0301"}) == module.natural_key_of({"name": "caf\u00e9"})
    assert platform.natural_key_of({"name": "Debian"}) != platform.natural_key_of({"name": "debian"})
    numbers = [9, 10, 100, 2**40]
    keys = [version.natural_key_of({"node_module_id": "m", "number": number}) for number in numbers]
    assert sorted(keys) == keys


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=("C",)), max_size=6), st.integers(1, 2**62)), min_size=2, max_size=2))
def test_two_natural_keys_are_equal_exactly_when_their_values_are(values: list[tuple[str, int]]) -> None:
    keys = [REGISTRY.kinds["ModuleVersion"].natural_key_of({"node_module_id": name, "number": number}) for name, number in values]
    (one, first), (other, second) = values
    assert (keys[0] == keys[1]) == (unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other) and first == second)


# --- references ------------------------------------------------------------------------------------------------------


def test_ids_are_found_and_replaced_at_nested_paths() -> None:
    attributes = {"a": "1", "list": ["2", "3"], "deep": {"members": [{"id": "4", "note": "4"}, {"id": None}]}}
    assert list(ids_at(attributes, "a")) == ["1"]
    assert list(ids_at(attributes, "list")) == ["2", "3"]
    assert list(ids_at(attributes, "deep.members.*.id")) == ["4"]
    assert list(ids_at(attributes, "deep.none.*.id")) == []
    changed = with_ids(attributes, "deep.members.*.id", lambda id: f"new {id}")
    assert changed["deep"] == {"members": [{"id": "new 4", "note": "4"}, {"id": None}]}
    assert with_ids(attributes, "list", lambda id: id * 2)["list"] == ["22", "33"]
    assert attributes["list"] == ["2", "3"]
